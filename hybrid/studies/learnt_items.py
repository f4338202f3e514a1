"""Which items that a study tests on the backbones of its run have learnt from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from hybrid.audit.ancestry import find_learnt_items
from hybrid.heads import HybridClassifier
from hybrid.runs.experiment import Experiment
from hybrid.runs.fitted import LabelledItems
from hybrid.runs.provenance import backbone_provenance
from hybrid.runs.record import RunRecord
from hybrid.runs.study_records import LearntRecord
from hybrid.split_types import Split

# They test on other items than the run: of train and validation, or all.
TOO_GOOD = ("nested", "curve", "repeats")


def find_learnt_record(
    tested: LabelledItems, whole: Experiment, model: HybridClassifier
) -> LearntRecord:
    """Find which of the items that a study tests on the backbones of its run have learnt from.

    Parameters
    ----------
    tested : LabelledItems
    whole : Experiment
        With all items of catalogue and split.
    model : HybridClassifier
        Its poster blocks name the embeddings.
    """
    backbones = backbone_provenance(model)
    if not (backbones.ancestors or backbones.unknown):
        return LearntRecord()
    ids = tested.frame.index.to_numpy().astype(str)
    split = Split(ids, np.full(len(ids), "test"), np.asarray(tested.groups), "")
    found = find_learnt_items(split, whole.hashed, backbones, whole.split)
    return LearntRecord(len(found.items), found.by, found.unknown)


def warn_of_ancestors(record: RunRecord, kinds: Sequence[str]) -> None:
    """Warn where a study tests on items that the backbones of a run have learnt from.

    Nested cross-validation and learning curve test on train and validation items, further splits on all of
    them; a network that learnt their labels makes each too good.

    Parameters
    ----------
    record : RunRecord
        Of the run.
    kinds : sequence of str
        The studies.
    """
    names = ", ".join(run.name for run in record.ancestors)
    concerned = " and ".join(f"--{kind}" for kind in kinds if kind in TOO_GOOD)
    if names and concerned:
        warnings.warn(
            f"{concerned}: they test on items that a backbone of this run has learnt from (trained by "
            f"{names}); their figures are too good.",
            stacklevel=3,
        )
