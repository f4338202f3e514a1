"""Which items stop the training of an encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.tuning.folds import carve_watched, join_groups

N = 60
LABELS = np.arange(2 * N).reshape(N, 2).astype(np.uint8) % 2
IDS = np.arange(N)


def carve(validation: Any, groups: Any = IDS, fold: int = 0) -> tuple[set[int], set[int]]:
    rows = np.flatnonzero(fold != IDS % 3)
    learnt, watched = carve_watched(rows, validation, LABELS, groups, 0, IDS)
    assert set(learnt.tolist()) | set(watched.tolist()) == set(rows.tolist())
    assert not set(learnt.tolist()) & set(watched.tolist())
    return set(learnt.tolist()), set(watched.tolist())


def test_validation_items_outside_the_fold_are_watched() -> None:
    validation = IDS >= 45
    for fold in range(3):
        _, watched = carve(validation, fold=fold)
        assert watched == {i for i in range(45, N) if i % 3 != fold}


def test_a_validation_item_in_a_group_that_is_learnt_from_is_not_watched() -> None:
    texts = np.where(IDS == 47, 1, IDS)  # the text of item 1, a train item
    learnt, watched = carve(IDS >= 45, join_groups(IDS, texts))
    assert 47 in learnt
    assert watched == {i for i in range(45, N) if i % 3 and i != 47}


def test_without_validation_items_a_tenth_is_carved_from_what_is_learnt_from() -> None:
    groups = IDS // 2
    learnt, watched = carve(np.zeros(N, bool), groups)
    assert 2 <= len(watched) <= 6
    assert not {int(groups[i]) for i in learnt} & {int(groups[i]) for i in watched}
    assert not {i for i in watched if i % 3 == 0}  # the fold itself
