"""Heads: classical multi-label classifiers on the fusion, their thresholds and calibration."""

from hybrid.heads.crossfit import HybridClassifier as HybridClassifier
from hybrid.heads.fit_many import fit_many as fit_many
from hybrid.heads.multilabel_svc import MultilabelLinearSVC as MultilabelLinearSVC
from hybrid.heads.multilabel_svc_cv import MultilabelLinearSVCCV as MultilabelLinearSVCCV
from hybrid.heads.nested import nested_answers as nested_answers
from hybrid.heads.registry import HEADS as HEADS
from hybrid.heads.registry import HeadSpec as HeadSpec
from hybrid.heads.registry import get_head as get_head
