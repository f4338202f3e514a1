"""The split of April 2017, rebuilt: its overlap is what the arithmetic of the draw says."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from hybrid.audit.audit import audit_catalogue
from hybrid.catalogue import load_catalogue
from hybrid.splitting.legacy_2017 import draw_cells, expected_overlap
from hybrid.splitting.methods import SplitOptions, make_splits
from hybrid.splitting.splits import make_legacy_split
from hybrid.utils.context import Context


def labels_of(n: int, n_labels: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((n, n_labels)) < 0.15).astype(int)


def names(n: int) -> list[str]:
    return [f"tt{i:05}" for i in range(n)]


def by_hand(n_labels: int, test: float) -> float:
    """Every fate of an item's cells, one by one: train, test, or not drawn."""
    chances = {"train": (1 - test) / n_labels, "test": test / n_labels, "": 1 - 1 / n_labels}
    both = tested = 0.0
    for fates in product(chances, repeat=n_labels):
        chance = float(np.prod([chances[fate] for fate in fates]))
        tested += chance * ("test" in fates)
        both += chance * ("test" in fates and "train" in fates)
    return both / tested


@pytest.mark.parametrize(("n_labels", "test"), [(1, 0.2), (2, 0.5), (3, 0.1), (6, 0.25)])
def test_the_formula_is_what_all_fates_add_up_to(n_labels: int, test: float) -> None:
    assert expected_overlap(n_labels, test) == pytest.approx(by_hand(n_labels, test))


def test_twenty_genres_and_a_tenth_for_test_give_58_in_a_hundred() -> None:
    assert expected_overlap(20, 0.1) == pytest.approx(0.584, abs=5e-4)
    assert expected_overlap(20, 0.2) == pytest.approx(0.541, abs=5e-4)


@pytest.mark.parametrize("test", [0.1, 0.25])
def test_the_overlap_of_a_draw_is_the_expected_one(test: float) -> None:
    train, tested = draw_cells(names(20_000), labels_of(20_000, 20), test, seed=1)
    assert train[tested].mean() == pytest.approx(expected_overlap(20, test), abs=0.02)
    # Cells drawn are items asked for; distinct items are fewer: 1 - (1 - share / L) ** L of all.
    assert train.mean() == pytest.approx(1 - (1 - (1 - test) / 20) ** 20, abs=0.01)
    assert tested.mean() == pytest.approx(1 - (1 - test / 20) ** 20, abs=0.01)


def test_ones_are_drawn_in_their_share() -> None:
    # One item of 8 labels, 7 without any: 8 ones of 64 cells, so that 1 of 8 draws is a one.
    labels = np.zeros((8, 8), dtype=int)
    labels[0] = 1
    for seed in range(20):
        train, tested = draw_cells(names(8), labels, 0.5, seed)
        # Of 4 draws each, half a one is rounded to none: the item of ones is never drawn.
        assert not train[0]
        assert not tested[0]
    labels[1] = 1  # 16 ones: one of each 4 draws
    for seed in range(20):
        train, tested = draw_cells(names(8), labels, 0.5, seed)
        assert train[:2].sum() == tested[:2].sum() == 1


def test_the_split_lists_an_item_once_for_each_part() -> None:
    ids, labels = names(500), labels_of(500, 10)
    split = make_legacy_split(ids, labels, shares=(0.8, 0.1, 0.1), seed=3)
    train, tested = draw_cells(ids, labels, 0.1, seed=3)
    rows = list(zip(split.ids.tolist(), split.parts.tolist(), strict=True))
    assert len(set(rows)) == len(rows)
    held: dict[str, set[str]] = {}
    for name, part in rows:
        held.setdefault(name, set()).add(part)
    assert set(held) == set(ids)
    for name, learnt, is_test in zip(ids, train, tested, strict=True):
        parts = held[name]
        assert ("test" in parts) == is_test
        assert len(parts & {"train", "validation"}) == learnt
        assert (parts == {"unused"}) == (not learnt and not is_test)


def test_the_order_of_the_rows_does_not_matter() -> None:
    ids, labels = names(300), labels_of(300, 5)
    turned = make_legacy_split(ids[::-1], labels[::-1], shares=(0.8, 0.1, 0.1), seed=2)
    assert turned.sha256 == make_legacy_split(ids, labels, shares=(0.8, 0.1, 0.1), seed=2).sha256
    assert turned.sha256 != make_legacy_split(ids, labels, shares=(0.8, 0.1, 0.1)).sha256


def test_on_real_films_the_audit_finds_55_to_60_in_a_hundred(movies: Path, tmp_path: Path) -> None:
    catalogue = load_catalogue(movies / "catalogue.csv")
    (split,) = make_splits(
        catalogue, SplitOptions("legacy-2017"), context=Context(cache=str(tmp_path))
    )
    keys = [bytes(4) + i.to_bytes(28) for i in range(len(catalogue))]  # posters do not matter here
    audit = audit_catalogue(catalogue.only(catalogue.ids[:5]), split, keys=keys[:5])
    assert not audit.clean
    assert audit.leaks[0].kind == "same id"
    assert 0.55 <= audit.leaks[0].share <= 0.60
