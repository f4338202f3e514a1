"""Fits of a race against plain classifiers: what is shared, what is chosen once, and what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hybrid.features import MetadataFeatures, TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.heads import HybridClassifier, MultilabelLinearSVC
from hybrid.heads import classifier as classifier_module
from hybrid.studies.race.fits import RaceFits

WORDS = np.array(
    ["ghost", "house", "sheriff", "west", "love", "wedding", "robot", "space", "war", "hill"]
)


class Films:
    """Texts whose words tell their labels, as a sample of a race has them."""

    def __init__(self, items: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.labels = (random.random((items, 3)) < 0.4).astype(np.uint8)
        texts = [
            " ".join(random.choice(WORDS[[2 * k, 2 * k + 1, 9]]) for k in np.flatnonzero(row))
            for row in self.labels
        ]
        other = [" ".join(random.choice(WORDS, 4)) for _ in range(items)]
        years = 1950 + 20 * self.labels[:, 0].astype(int) + random.integers(0, 20, items)
        index = pd.Index([f"i{seed}-{k}" for k in range(items)], name="id")
        self.frame = pd.DataFrame({"title": texts, "overview": other, "year": years}, index)
        self.groups = np.arange(items) // 2
        self.catalogue = self


def make(blocks: tuple[str, ...]) -> HybridClassifier:
    made = {
        "own": TextFeatures(["title"], max_chars=0),
        "text": TextFeatures(["overview"], max_chars=0),
        "metadata": MetadataFeatures(["year"]),
    }
    fusion = Fusion([(name, made[name]) for name in blocks])
    svm = MultilabelLinearSVC(class_weight="balanced", tol=1e-3, random_state=0)
    return HybridClassifier(fusion, svm, {"C": (0.1, 1.0)}, folds=3)


def plain(films: Films, blocks: tuple[str, ...]) -> Any:
    return make(blocks).fit(films.frame, films.labels, groups=films.groups)


def test_the_outputs_are_those_of_whole_classifiers() -> None:
    films = Films(90, 0)
    fits = RaceFits(("text", "metadata"), 3, 0)
    alone, joined = fits.encoder("a", "own", films, make)
    assert joined is not None
    for found, blocks in (
        (alone, ("own",)),
        (joined, ("own", "text", "metadata")),
        (fits.alone(films, make), ("text", "metadata")),
    ):
        model = plain(films, blocks)
        np.testing.assert_array_equal(found.outputs.labels, model.oof_labels_)
        np.testing.assert_array_equal(found.outputs.scores, model.oof_probabilities_)


def test_weights_of_blocks_are_chosen_on_the_first_sample_and_c_on_each() -> None:
    first, second = Films(60, 1), Films(120, 2)
    fits = RaceFits(("text", "metadata"), 3, 0)
    fits.encoder("a", "own", first, make)
    _, joined = fits.encoder("a", "own", second, make)
    assert joined is not None
    assert joined.choosing == 0.0
    weights = plain(first, ("own", "text", "metadata")).chosen_.weights
    fixed = make(("own", "text", "metadata")).set_params(block_weights=(), fusion__weights=weights)
    fixed.fit(second.frame, second.labels, groups=second.groups)
    np.testing.assert_array_equal(joined.outputs.scores, fixed.oof_probabilities_)
    _, other = fits.encoder("b", "own", second, make)  # another encoder chooses its own
    assert other is not None
    assert other.choosing > 0


def test_nothing_is_fitted_on_all_items_and_shared_blocks_once_a_fold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    films, fitted = Films(60, 3), list[tuple[str, int]]()
    fit = TextFeatures.fit

    def counted(self: TextFeatures, X: Any, y: Any = None) -> Any:
        fitted.append((self.columns[0], len(X)))
        return fit(self, X, y)

    def never(*args: Any, **how: Any) -> None:
        raise AssertionError("a head was fitted on all items")

    monkeypatch.setattr(TextFeatures, "fit", counted)
    monkeypatch.setattr(classifier_module, "fit_head", never)
    fits = RaceFits(("text", "metadata"), 3, 0)
    fits.alone(films, make)
    for name in "abc":
        fits.encoder(name, "own", films, make)
    assert [column for column, _ in fitted].count("overview") == 3  # folds, for all encoders
    assert [column for column, _ in fitted].count("title") == 3 * 3
    assert max(items for _, items in fitted) < len(films.labels)
