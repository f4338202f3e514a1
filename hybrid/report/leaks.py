"""Leaks of the runs of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid.audit.leaks import SAME_ID
from hybrid.runs.folder import Run
from hybrid.runs.record_parts import LeakRecord
from hybrid.types import Predictions


def find_leaks(runs: Sequence[Run]) -> tuple[tuple[LeakRecord, ...], bool]:
    """Collect the leaks that the audits of the runs found, and test ids in another part of a split.

    Parameters
    ----------
    runs : sequence of Run
        Made here.

    Returns
    -------
    leaks : tuple of LeakRecord
        One of each kind.
    audited : bool
        Whether every run was audited.

    Examples
    --------
    >>> find_leaks([])
    ((), False)
    """
    audits = [run.record.audit for run in runs]
    found: dict[str, LeakRecord] = {}
    for run, audit in zip(runs, audits, strict=True):
        leaks = audit.leaks if audit else ()
        if audit and audit.clean is False and not leaks:
            leaks = (LeakRecord(),)  # made elsewhere, and not described
        for leak in (*leaks, *_repeated_ids(run.predictions)):
            found.setdefault(leak.kind, leak)
    return tuple(found.values()), bool(audits) and None not in audits


def _repeated_ids(predictions: Predictions) -> tuple[LeakRecord, ...]:
    """Test ids that the predictions also assign to another part of the split."""
    test = predictions.splits == "test"
    again = np.isin(predictions.ids, predictions.ids[test]) & ~test & (predictions.splits != "")
    if not again.any():
        return ()
    rows = zip(predictions.ids[again].tolist(), predictions.splits[again].tolist(), strict=True)
    pairs = tuple((name, part, name, "test") for name, part in rows)
    share = len({pair[0] for pair in pairs}) / int(test.sum())
    return (LeakRecord(SAME_ID, len(pairs), share, pairs),)
