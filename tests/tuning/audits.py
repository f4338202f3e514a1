"""What the audit tells of a tuned encoder, whatever it learnt from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.audit.ancestry import audit_backbones
from hybrid.audit.leaks import BACKBONE_TRAINED_ON_TEST
from hybrid.cache import EmbeddingCache
from hybrid.extraction.provenance import store_provenance
from hybrid.split_types import Split
from hybrid.types import Audit


def leaking_items(experiment: Any, fingerprint: str) -> set[str]:
    """The items that leak where the first ten are test items; none does in the split that it was tuned on."""
    learnt = store_provenance(EmbeddingCache(experiment.context.cache).find(fingerprint))
    hashed, ids = experiment.hashed, experiment.split.ids
    assert not audit_backbones(Audit((), ()), experiment.split, hashed, learnt).leaks
    parts = np.where(np.arange(len(ids)) % 2, "validation", "train").astype(object)
    parts[:10] = "test"
    (leak,) = audit_backbones(Audit((), ()), Split(ids, parts, ids, ""), hashed, learnt).leaks
    assert leak.kind == BACKBONE_TRAINED_ON_TEST
    return set(leak.items)


def check_audits_of_runs(record: Any, fit: Callable[[Split, str], Any], ids: Any) -> None:
    """A run on the split of the tuning has no leak, and one on another split tells of it."""
    assert all(leak.kind != BACKBONE_TRAINED_ON_TEST for leak in record.audit.leaks)
    parts = np.array(["test", "train", "validation"])[np.arange(len(ids)) % 3]
    leaking = fit(Split(ids, parts, ids, ""), "leaking")
    assert any(leak.kind == BACKBONE_TRAINED_ON_TEST for leak in leaking.audit.leaks)
