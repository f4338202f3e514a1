"""Successive halving: its samples, its comparisons, and that it fits what the full search fits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score

from hybrid.errors import SettingError
from hybrid.features import MetadataFeatures, TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads import HybridClassifier, MultilabelLinearSVC, halving
from hybrid.heads.cross_fitting import Candidate, CrossFitting, matrix_folds
from hybrid.heads.decision_rule import DecisionOptions
from hybrid.heads.halving import (
    LEAST,
    HalvingSearch,
    Sample,
    choose_at_full_size,
    halving_samples,
    halving_sizes,
)
from hybrid.heads.scoring import score_out_of_fold
from hybrid.heads.search import Search, Trial

Labels = NDArray[np.uint8]
N = 640


# Samples


def test_few_items_are_searched_in_full() -> None:
    assert [halving_sizes(n) for n in (2, LEAST - 1)] == [(), ()]
    assert halving_sizes(LEAST) == halving_sizes(48_000) == (1024, 4096)
    assert halving_sizes(8 * 16_384) == (1024, 4096, 16_384)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_samples_are_nested_and_take_one_item_of_each_group_first(data: st.DataObject) -> None:
    n = data.draw(st.integers(8, 80))
    groups = np.array(data.draw(st.lists(st.integers(0, 20), min_size=n, max_size=n)))
    sizes = sorted(data.draw(st.sets(st.integers(2, n - 1), min_size=1, max_size=3)))
    seed = data.draw(st.integers(0, 5))
    truth = (np.random.default_rng(seed).random((n, 3)) < 0.3).astype(np.uint8)
    samples = halving_samples(np.arange(n).astype(str), truth, groups, sizes, seed)
    assert len(samples) == len(sizes)
    for size, rows in zip(sizes, samples, strict=True):
        assert (np.diff(rows) > 0).all()
        assert len(rows)
        counts = np.bincount(groups[rows], minlength=21)
        there = np.bincount(groups, minlength=21)
        if len(rows) < np.count_nonzero(there):
            assert counts.max() == 1  # of some groups one item each
        else:
            assert (counts >= np.minimum(there, counts.max())).all()  # of all, equally many
            assert len(rows) <= max(size, np.count_nonzero(there))
    for small, large in pairwise(samples):
        assert set(small) <= set(large)


def test_samples_have_the_shares_of_the_labels_whatever_the_order() -> None:
    random = np.random.default_rng(1)
    truth = (random.random((4000, 3)) < [0.5, 0.1, 0.02]).astype(np.uint8)
    ids = np.array([f"i{k}" for k in range(4000)])
    (rows,) = halving_samples(ids, truth, None, (500,), 0)
    assert abs(len(rows) - 500) <= 5
    np.testing.assert_allclose(truth[rows].sum(axis=0), truth.sum(axis=0) / 8, atol=3)
    order = random.permutation(4000)
    (again,) = halving_samples(ids[order], truth[order], None, (500,), 0)
    assert set(ids[order][again]) == set(ids[rows])
    (other,) = halving_samples(ids, truth, None, (500,), 1)
    assert set(other) != set(rows)


def test_copies_do_not_take_the_place_of_other_items() -> None:
    groups = np.repeat(np.arange(100), 17)
    ids = np.arange(1700).astype(str)
    small, large = halving_samples(ids, np.ones((1700, 1), np.uint8), groups, (40, 250), 0)
    assert len(small) == len(set(groups[small])) == 40
    assert np.bincount(groups[large]).tolist() == [2] * 100


# Comparisons


def make_search(n: int, tol: float = 1e-3) -> Sample:
    """Items whose labels one column tells, and one that says nothing."""
    random = np.random.default_rng(0)
    truth = (random.random((n, 2)) < 0.4).astype(np.uint8)
    good = truth + random.normal(0, 0.7, truth.shape)
    matrix = FusionMatrix.from_blocks([good, random.normal(0, 1, truth.shape)], ["good", "noise"])
    fold = np.arange(n) % 3
    svm = MultilabelLinearSVC(class_weight="balanced", tol=tol, random_state=0)
    fitting = CrossFitting(svm, list(matrix_folds(matrix, fold)), truth)
    return Sample(Search(fitting, fold, "weighted-f1"), np.arange(n))


GOOD, POOR = Candidate({"C": 1.0}, {}), Candidate({"C": 1.0}, {"good": 1e-3})
SAME = Candidate({"C": 1.0}, {"noise": 0.99})


def test_what_is_significantly_worse_is_not_evaluated_on_larger_samples() -> None:
    samples = [make_search(n) for n in (150, 300, 600)]
    best = HalvingSearch(samples, "weighted-f1").run([POOR, GOOD, SAME])
    assert [len(s.search.results) for s in samples] == [3, 2, 2]
    assert best.choice != POOR
    assert best.quality == max(r.quality for r in samples[-1].search.results)
    assert len(best.scores) == 600


def test_one_that_is_left_needs_no_larger_sample() -> None:
    samples = [make_search(n) for n in (150, 300)]
    best = HalvingSearch(samples, "weighted-f1").run([POOR, GOOD])
    assert [len(s.search.results) for s in samples] == [2, 0]
    assert best.choice == GOOD


def test_the_incumbent_is_compared_on_the_same_items_and_not_fitted_twice() -> None:
    samples = [make_search(n) for n in (150, 300)]
    search = HalvingSearch(samples, "weighted-f1")
    first = search.run([GOOD, SAME])
    found = search.run([POOR], first)
    assert found.choice == first.choice
    assert [len(s.search.results) for s in samples] == [3, 2]
    assert {r.items for r in search.results} == {150, 300}


def test_without_an_interval_nothing_is_dropped() -> None:
    samples = [make_search(n) for n in (150, 300)]
    HalvingSearch(samples, "map-weighted").run([POOR, GOOD])
    assert [len(s.search.results) for s in samples] == [2, 2]


@pytest.mark.parametrize("metric", ["macro-f1", "micro-f1", "map"])
def test_other_metrics_drop_too(metric: str) -> None:
    samples = [make_search(n) for n in (300, 600)]
    for sample in samples:
        sample.search.metric = metric
    assert HalvingSearch(samples, metric).run([POOR, GOOD]).choice == GOOD
    assert not samples[1].search.results


def test_at_full_size_the_first_fold_decides_and_the_others_follow() -> None:
    search = make_search(600, tol=1e-9).search
    grid = {"C": [1e-6, 1.0, 3.0]}
    near = [Candidate({"C": C}, {}) for C in (1.0, 1e-6, 3.0)]
    ids = np.argsort(np.argsort(search.fold, kind="stable"))  # those of the first fold come first
    found = choose_at_full_size(search, GOOD, grid, ids, None, 0)
    assert [r.choice for r in search.results] == near
    assert [r.items for r in search.results] == [200] * 3
    truth, held_out = search.fitting.truth, search.fold == 0
    everything = search.fitting.score(near)
    qualities = []
    for scores, result in zip(everything, search.results, strict=True):
        halves = halving._halves(truth[held_out], ids[held_out], None, 0)
        qualities.append(
            score_out_of_fold(truth[held_out], scores[held_out], halves, "weighted-f1").value
        )
        assert result.quality == pytest.approx(qualities[-1], abs=1e-9)
    best = int(np.argmax(qualities))
    assert found.choice == near[best]
    np.testing.assert_allclose(found.scores, everything[best], atol=1e-4)
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("grouped", [False, True])
def test_the_halves_of_the_first_fold_do_not_depend_on_the_order_of_the_items(
    grouped: bool,
) -> None:
    random = np.random.default_rng(0)
    truth = (random.random((60, 3)) < 0.4).astype(np.uint8)
    ids, groups = np.array([f"f{i}" for i in range(60)]), np.arange(60) // 2
    order = random.permutation(60)  # as the items lie on the disk
    found = [
        halving._halves(truth[rows], ids[rows], groups[rows] if grouped else None, 0)
        for rows in (np.arange(60), order)
    ]
    assert found[1].tolist() == found[0][order].tolist()


# The classifier


def make_films(n: int = N, seed: int = 0) -> tuple[pd.DataFrame, Labels]:
    """Films whose words tell their genres, and directors that help."""
    random = np.random.default_rng(seed)
    y = (random.random((n, 3)) < [0.5, 0.3, 0.2]).astype(np.uint8)
    noise = [f"word{k}" for k in range(60)]
    rows = []
    for labels in y:
        told = [
            word
            for word, has in zip(("laugh", "ghost", "sheriff"), labels, strict=True)
            if random.random() < 0.1 + 0.6 * has
        ]
        director = "Kubrick" if random.random() < 0.2 + 0.6 * labels[1] else "Varda"
        text = " ".join([*told, *random.choice(noise, size=4)])
        rows.append({"overview": text, "director": director, "runtime": random.normal(100, 10)})
    return pd.DataFrame(rows, index=[f"f{i:04}" for i in range(n)]), y


@pytest.fixture(scope="module")
def films() -> tuple[pd.DataFrame, Labels]:
    return make_films()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halving that begins with few items, since tests have few."""
    for name, value in {"LEAST": 200, "FIRST": 64, "USUAL": 256}.items():
        monkeypatch.setattr(f"hybrid.heads.halving.{name}", value)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """The samples of the next fit."""
    found: list[Sample] = []
    run = HalvingSearch.run

    def watch(self: HalvingSearch, *args: Any) -> Trial:
        found[:] = self.samples
        return run(self, *args)

    monkeypatch.setattr(HalvingSearch, "run", watch)
    return found


def make_model(**options: Any) -> HybridClassifier:
    """An SVM with C and the weights of two blocks to choose."""
    blocks = [
        ("text", TextFeatures(["overview"], max_ngram=1, max_chars=0)),
        ("metadata", MetadataFeatures(["runtime"], ["director"])),
    ]
    tol = options.pop("tol", 1e-3)
    estimator = MultilabelLinearSVC(class_weight="balanced", tol=tol, random_state=0)
    options = {"grid": {"C": [0.01, 0.1, 1.0]}, "folds": 3, **options}
    weights = options.pop("weights", None)
    return HybridClassifier(Fusion(blocks, weights), estimator, **options)


def test_what_is_fitted_is_the_full_fit_of_the_chosen_settings(
    few: None, films: tuple[pd.DataFrame, Labels]
) -> None:
    X, y = films
    model = make_model(tol=1e-8).fit(X, y)
    assert {r.items for r in model.search_results_} > {64, 256}
    chosen = model.chosen_
    fixed = make_model(
        grid={"C": [chosen.parameters["C"]]},
        block_weights=(),
        weights=chosen.weights,
        search="full",
        tol=1e-8,
    ).fit(X, y)
    np.testing.assert_array_equal(model.fold_, fixed.fold_)
    np.testing.assert_allclose(model.oof_scores_, fixed.oof_scores_, atol=1e-3)
    np.testing.assert_allclose(model.predict_proba(X), fixed.predict_proba(X), atol=1e-3)
    np.testing.assert_allclose(model.thresholds_, fixed.thresholds_, atol=5e-3)


def test_it_finds_settings_as_good_as_the_full_search(few: None) -> None:
    differences = []
    for seed in range(3):
        X, y = make_films(900, seed)
        train, test = slice(0, 600), slice(600, None)
        halved, full = (
            make_model(search=search).fit(X[train], y[train]) for search in ("auto", "full")
        )
        assert len(halved.search_results_) > len(full.search_results_) / 2
        scores = [
            f1_score(y[test], model.predict(X[test]), average="weighted")
            for model in (halved, full)
        ]
        differences.append(scores[0] - scores[1])
    assert np.mean(differences) > -0.01


def test_items_of_a_group_stay_in_one_fold_of_a_sample(
    few: None, films: tuple[pd.DataFrame, Labels], watched: list[Sample]
) -> None:
    X, y = films
    groups = np.arange(N) // 4
    model = make_model().fit(X, y, groups=groups)
    folds_of = {group: set(model.fold_[groups == group]) for group in set(groups)}
    assert all(len(folds) == 1 for folds in folds_of.values())
    # Two items of each group would be more than 256.
    assert [len(sample.groups) for sample in watched] == [64, 160]
    for sample in watched:
        for group in set(sample.groups):
            assert len(set(sample.search.fold[sample.groups == group])) == 1


@pytest.mark.usefixtures("few")
def test_workers_and_order_change_nothing(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    one, two = (make_model(n_jobs=jobs).fit(X, y) for jobs in (1, 2))
    np.testing.assert_array_equal(one.oof_probabilities_, two.oof_probabilities_)
    assert [r.quality for r in one.search_results_] == [r.quality for r in two.search_results_]
    order = np.random.default_rng(0).permutation(N)
    again = make_model().fit(X.iloc[order], y[order])
    assert again.chosen_ == one.chosen_


@pytest.mark.usefixtures("few")
def test_labels_without_meaning_reach_chance(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    shuffled = np.random.default_rng(3).permutation(y)
    model = make_model(metric="map").fit(X, shuffled)
    new, truth = make_films(seed=9)
    shares = truth.mean(axis=0)
    score = average_precision_score(truth, model.predict_proba(new), average="macro")
    assert abs(score - shares.mean()) < 0.06


@pytest.mark.usefixtures("few")
def test_weights_of_items_reach_the_samples(
    films: tuple[pd.DataFrame, Labels], watched: list[Sample]
) -> None:
    X, y = films
    weight = np.random.default_rng(0).random(N)
    make_model().fit(X, y, sample_weight=weight)
    assert len(watched) == 2
    for sample in watched:
        rows = X.index.get_indexer(sample.groups)  # without groups, each item is one
        np.testing.assert_array_equal(sample.search.fitting.sample_weight, weight[rows])
        np.testing.assert_array_equal(sample.search.fitting.truth, y[rows])


@pytest.mark.usefixtures("few")
def test_one_label_an_item(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    one = np.eye(3, dtype=np.uint8)[y.argmax(axis=1)]
    model = make_model(metric="micro-f1", decision=DecisionOptions(objective="argmax")).fit(X, one)
    assert (model.predict(X).sum(axis=1) == 1).all()
    assert {r.items for r in model.search_results_} > {64}


@pytest.mark.usefixtures("few")
def test_a_chain_is_made_of_the_chosen_head(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    model = make_model(chain=True).fit(X, y)
    assert np.isfinite(model.oof_scores_).all()
    assert type(model.head_).__name__ == "Chain"


@pytest.mark.usefixtures("few")
def test_unknown_labels_are_left_out(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    hidden = np.random.default_rng(0).random(y.shape) < 0.2
    model = make_model().fit(X, np.where(hidden, np.nan, y))
    score = f1_score(y, model.predict(X), average="weighted")
    assert score > 0.55  # most of what is known is told by words
    assert {r.items for r in model.search_results_} > {64}


@pytest.mark.usefixtures("few")
def test_nothing_to_choose_is_not_chosen_on_samples(films: tuple[pd.DataFrame, Labels]) -> None:
    model = make_model(grid={"C": [0.1]}, block_weights=()).fit(*films)
    assert [r.items for r in model.search_results_] == [N]


def test_few_items_are_searched_in_full_unless_halving_is_asked_for(
    films: tuple[pd.DataFrame, Labels],
) -> None:
    X, y = films
    auto, full = (make_model(search=name).fit(X, y) for name in ("auto", "full"))
    assert auto.search_results_
    assert {r.items for r in auto.search_results_} == {N}
    np.testing.assert_array_equal(auto.oof_probabilities_, full.oof_probabilities_)
    with pytest.raises(SettingError, match=r"halving needs 8,192 items or more, found 640"):
        make_model(search="halving").fit(X, y)


@pytest.mark.parametrize("search", [True, False, "random"])
def test_another_word_is_an_error(films: tuple[pd.DataFrame, Labels], search: Any) -> None:
    with pytest.raises(SettingError, match="search: expected one of auto, halving, full, grid"):
        make_model(search=search).fit(*films)
