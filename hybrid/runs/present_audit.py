"""The audit of a run, with what its folder tells now: test items that an ancestor has learnt from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.audit.ancestry import HashedItems, audit_backbones
from hybrid.backbones.provenance import ItemHashes
from hybrid.runs.folder import Run, read_run
from hybrid.runs.json_dataclass import convert
from hybrid.runs.record_parts import AuditRecord, LeakRecord
from hybrid.types import Audit, Split


def read_audited_run(folder: str | Path) -> Run:
    """Read a run; its record has the audit as `present_audit` completes it.

    Parameters
    ----------
    folder : str or Path
        The run folder.

    Raises
    ------
    RunError
        As for `hybrid.runs.folder.read_run`.

    Examples
    --------
    >>> read_audited_run("runs/svm").record.audit.clean  # doctest: +SKIP
    True
    """
    run = read_run(folder)
    return replace(run, record=replace(run.record, audit=present_audit(run)))


def present_audit(run: Run) -> AuditRecord | None:
    """Complete the recorded audit of a run by what its folder tells.

    An audit that an earlier version recorded may call a split clean without having asked what the backbones
    have learnt from.

    Parameters
    ----------
    run : Run

    Returns
    -------
    AuditRecord or None
        None for a run that was not audited.

    Examples
    --------
    >>> present_audit(read_run("runs/svm")).skipped  # doctest: +SKIP
    ('backbone trained on test items: it cannot be told what net.h5 (SHA-256 9f2c9f2c9f2c…) has learnt from',)
    """
    recorded = run.record.audit
    if recorded is None or run.record.external is not None:
        return recorded
    found = _audit(run)
    leaks = {leak.kind: leak for leak in recorded.leaks}
    for leak in found.leaks:
        if not set(leak.items) <= set(leaks.get(leak.kind, LeakRecord()).items):
            leaks[leak.kind] = convert(LeakRecord, leak)
    skipped = (*recorded.skipped, *(new for new in found.skipped if new not in recorded.skipped))
    clean = recorded.clean and not leaks
    return replace(recorded, clean=clean, leaks=tuple(leaks.values()), skipped=skipped)


def _audit(run: Run) -> Audit:
    """What the test items of a run have in common with those that its ancestors learnt from."""
    found, nothing = run.provenance, Audit((), ())
    ids = run.predictions.ids[run.predictions.splits == "test"]
    test = found.test
    if test is None or len(test) < len(ids):  # then no ancestor is known by its items, either
        ids, test = ids[:0], ItemHashes()
    further = len(test) - len(ids)
    items = HashedItems(_all_ids(ids, test), test, run.record.catalogue.sha256 or "", further)
    split = Split(ids, np.full(len(ids), "test"), _groups(run, ids), "")
    return audit_backbones(nothing, split, items, found.backbones)


def _all_ids(ids: NDArray[Any], test: ItemHashes) -> NDArray[Any]:
    """The ids of test items, and of those that are listed again after them, for their further posters."""
    name_of = dict(zip(test.ids.tolist(), ids.tolist(), strict=False))
    more = [name_of.get(number, "") for number in test.ids[len(ids) :].tolist()]
    return np.concatenate([ids, np.array(more, dtype=ids.dtype)])


def _groups(run: Run, ids: NDArray[Any]) -> NDArray[Any]:
    group = {name: members[0] for members in run.record.split.test_groups for name in members}
    return np.array([group.get(name, name) for name in ids.tolist()])
