"""Heads: classical multi-label classifiers on the fusion, with thresholds and calibration."""

from hybrid.heads.classifier import HybridClassifier as HybridClassifier
from hybrid.heads.registry import HEADS as HEADS
from hybrid.heads.registry import HeadSpec as HeadSpec
from hybrid.heads.registry import get_head as get_head
from hybrid.heads.svm.batch_fit import fit_many as fit_many
from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC as MultilabelLinearSVC
