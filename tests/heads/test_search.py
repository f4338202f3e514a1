"""The choice of settings, its quality, and the estimate of all of it."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import average_precision_score, f1_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from hybrid.errors import SettingError
from hybrid.evaluation import Outputs, measure_all
from hybrid.features import MetadataFeatures, TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.heads import HybridClassifier, MultilabelLinearSVC
from hybrid.heads.cross_fitting import Candidate, Fold, FusionFolds
from hybrid.heads.decision_rule import DecisionOptions
from hybrid.heads.scoring import score_out_of_fold
from hybrid.heads.search import Trial, choose, climb
from hybrid.heads.thresholds import best_thresholds
from hybrid.runs.fitted import LabelledItems
from hybrid.splitting.repeats import FurtherSplit
from hybrid.splitting.splits import make_split
from hybrid.studies.learning_curve import freeze_settings
from hybrid.studies.nested_cv import nested_cv_predict
from hybrid.studies.repeated_splits import split_fit
from hybrid.types import METRICS

Labels = NDArray[np.uint8]
Scores = NDArray[np.float64]
N = 120
WORDS = ("laugh", "ghost", "sheriff")


def make_films(n: int = N, seed: int = 0) -> tuple[pd.DataFrame, Labels]:
    """Films of three genres: half of the words that tell them are right, and the director helps."""
    random = np.random.default_rng(seed)
    y = (random.random((n, 3)) < [0.5, 0.3, 0.15]).astype(np.uint8)
    noise = ["night", "day", "love", "city", "road", "house"]
    rows = []
    for labels in y:
        told = [
            w for w, has in zip(WORDS, labels, strict=True) if random.random() < 0.2 + 0.5 * has
        ]
        director = "Kubrick" if random.random() < 0.2 + 0.6 * labels[1] else "Varda"
        text = " ".join([*told, *random.choice(noise, size=3)])
        rows.append({"overview": text, "director": director, "runtime": random.normal(100, 10)})
    return pd.DataFrame(rows, index=[f"f{i:03}" for i in range(n)]), y


@pytest.fixture(scope="module")
def films() -> tuple[pd.DataFrame, Labels]:
    return make_films()


def make_model(**options: Any) -> HybridClassifier:
    """An SVM with C and the weights of two blocks to choose."""
    blocks = [
        ("text", TextFeatures(["overview"], max_ngram=1, max_chars=0)),
        ("metadata", MetadataFeatures(["runtime"], ["director"])),
    ]
    estimator = MultilabelLinearSVC(class_weight="balanced", tol=1e-5, random_state=0)
    options = {"grid": {"C": [0.01, 0.1, 1.0]}, "folds": 3, **options}
    return HybridClassifier(Fusion(blocks), estimator, **options)


# Quality

RANKED = ("map", "map-weighted")


def quality_by_hand(y: Labels, scores: Scores, fold: NDArray[np.int64], metric: str) -> float:
    """The metric by scikit-learn, every fold's thresholds found on the others by trying all scores."""
    if metric in RANKED:
        average = "weighted" if metric == "map-weighted" else "macro"
        return float(average_precision_score(y, scores, average=average))
    labels = np.zeros_like(y)
    for k, j in itertools.product(np.unique(fold), range(y.shape[1])):
        known, truth = scores[fold != k, j], y[fold != k, j]
        levels = np.unique(known)
        f1 = [2 * truth[known >= t].sum() / ((known >= t).sum() + truth.sum()) for t in levels]
        best = int(np.flatnonzero(np.isclose(f1, max(f1)))[-1])
        cut = (levels[max(best - 1, 0)] + levels[best]) / 2
        labels[fold == k, j] = scores[fold == k, j] >= cut
    average = metric.removesuffix("-f1")
    return float(f1_score(y, labels, average=average, zero_division=0))


@pytest.mark.parametrize("metric", ["weighted-f1", "macro-f1", "micro-f1", "map", "map-weighted"])
def test_quality_does_not_count_a_genre_without_items(metric: str) -> None:
    random = np.random.default_rng(1)
    y = (random.random((90, 3)) < [0.5, 0.3, 0.2]).astype(np.uint8)
    scores, fold = y + random.normal(0, 1, y.shape), np.arange(90) % 3
    more = [np.column_stack([part, np.zeros(90, part.dtype)]) for part in (y, scores)]
    found = score_out_of_fold(*more, fold, metric)
    assert found == score_out_of_fold(y, scores, fold, metric)


@pytest.mark.parametrize("metric", ["weighted-f1", "macro-f1", "map", "map-weighted"])
def test_quality_is_what_scikit_learn_says(metric: str) -> None:
    random = np.random.default_rng(1)
    y = (random.random((90, 3)) < [0.5, 0.3, 0.2]).astype(np.uint8)
    scores, fold = y + random.normal(0, 1, y.shape), np.arange(90) % 3
    found = score_out_of_fold(y, scores, fold, metric)
    assert found.value == pytest.approx(quality_by_hand(y, scores, fold, metric))


def test_map_is_the_map_of_the_report() -> None:
    random = np.random.default_rng(2)
    y = (random.random((90, 4)) < [0.5, 0.3, 0.1, 0.0]).astype(np.uint8)  # the last one has no item
    scores, fold = y + random.normal(0, 1, y.shape), np.arange(90) % 3
    reported = measure_all(y, Outputs(y, scores))["map_macro"]
    assert score_out_of_fold(y, scores, fold, "map").value == pytest.approx(reported)
    assert score_out_of_fold(y, scores, fold, "map-weighted").value != pytest.approx(reported)


def test_micro_f1_takes_joint_thresholds_of_the_other_folds() -> None:
    random = np.random.default_rng(1)
    y = (random.random((90, 3)) < [0.5, 0.3, 0.1]).astype(np.uint8)
    scores, fold = y + random.normal(0, 1, y.shape), np.arange(90) % 3
    labels = np.zeros_like(y)
    for k in range(3):
        cuts = best_thresholds(y[fold != k], scores[fold != k], objective="micro")
        labels[fold == k] = scores[fold == k] >= cuts
    found = score_out_of_fold(y, scores, fold, "micro-f1")
    assert found.value == pytest.approx(f1_score(y, labels, average="micro"))
    parts = [f1_score(y[fold == k], labels[fold == k], average="micro") for k in range(3)]
    assert found.spread == pytest.approx(np.std(parts))


@pytest.mark.parametrize("metric", METRICS)
def test_thresholds_are_not_optimistic_on_random_scores(metric: str) -> None:
    random = np.random.default_rng(0)
    y = (random.random((300, 8)) < 0.05).astype(np.uint8)
    scores, fold = random.random(y.shape), np.arange(300) % 4
    best = f1_score(y, scores >= best_thresholds(y, scores), average="macro")
    chance = 0.05 if metric in RANKED else 2 * 0.05 / 1.05
    assert score_out_of_fold(y, scores, fold, metric).value < chance + 0.03 < best


@pytest.mark.parametrize("metric", METRICS)
def test_what_could_not_be_learnt_gets_no_label_and_ranks_last(metric: str) -> None:
    y = np.array([[1], [0], [1], [0]] * 5, np.uint8)
    scores = y.astype(float) + np.arange(20)[:, None] / 100
    fold = np.repeat([0, 1], 10)
    assert score_out_of_fold(y, scores, fold, metric).value == pytest.approx(1.0)
    scores[:2] = np.nan
    # 9 of 10 found: F1 18/19; average precision (9 + 10/20)/10, the tenth being tied for the last place.
    expected = 0.95 if metric in RANKED else 18 / 19
    assert score_out_of_fold(y, scores, fold, metric).value == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS)
def test_answers_that_are_not_tuned_are_taken_as_they_are(metric: str) -> None:
    y = np.array([[1], [0], [1], [0]], np.uint8)
    answers = np.array([[1.0], [0.0], [0.0], [0.0]])
    found = score_out_of_fold(y, answers, np.array([0, 0, 1, 1]), metric, tuned=False)
    assert found.value == pytest.approx(0.75 if metric in RANKED else 2 / 3)


@pytest.mark.parametrize("metric", METRICS)
def test_without_any_positive_quality_is_0(metric: str) -> None:
    found = score_out_of_fold(np.zeros((4, 2), np.uint8), np.ones((4, 2)), np.arange(4) % 2, metric)
    assert (found.value, found.spread) == (0.0, 0.0)


# The search


def climbing(worth: Any) -> tuple[Any, list[Candidate]]:
    """A stand-in for fitting: candidates are worth what a function of C and weights says."""
    seen: list[Candidate] = []

    def run(choices: Sequence[Candidate], incumbent: Trial | None = None) -> Trial:
        seen.extend(choices)
        trials = [Trial(c, np.empty(0), worth(c)) for c in choices]
        return max(([incumbent] if incumbent else []) + trials, key=lambda t: t.quality)

    return run, seen


def distance(choice: Candidate) -> float:
    """Best at C 1, text 2 and metadata 0.7."""
    wanted = {"text": 2.0, "metadata": 0.7}
    off = [np.log(choice.weights.get(n, 1.0) / w) ** 2 for n, w in wanted.items()]
    return -float(np.log(choice.parameters["C"]) ** 2 + sum(off))


BASE = {"poster": 1.0, "text": 1.0, "metadata": 1.0}


def test_one_setting_after_the_other() -> None:
    run, seen = climbing(distance)
    best = choose(run, {"C": [0.1, 1.0, 10.0]}, BASE, (0.5, 2.0))
    assert best.choice.parameters == {"C": 1.0}
    assert best.choice.weights == pytest.approx({"text": 2.0, "metadata": 0.5**0.5})
    assert [c.parameters["C"] for c in seen[:3]] == [0.1, 1.0, 10.0]
    assert [c.weights for c in seen[3:7]] == [
        {"poster": 0.5},
        {"poster": 2.0},
        {"text": 0.5},
        {"text": 2.0},
    ]
    assert len(seen) == 3 + 2 * 3 * 2


def test_a_search_tries_all_combinations_then_refines() -> None:
    run, seen = climbing(distance)
    best = choose(run, {"C": [0.1, 1.0]}, BASE, (0.5, 2.0), combinations=True)
    product = {(c.parameters["C"], c.weights["text"], c.weights["metadata"]) for c in seen[: 2 * 9]}
    assert product == set(itertools.product([0.1, 1.0], [0.5, 1.0, 2.0], [0.5, 1.0, 2.0]))
    assert all("poster" not in c.weights for c in seen[:18])  # the scale of C
    assert len(seen) == 18 + 6
    assert best.choice.weights == pytest.approx({"text": 2.0, "metadata": 0.5**0.5})


@pytest.mark.parametrize(("weights", "factors"), [({"text": 1.0}, (0.5, 2.0)), (BASE, ())])
@pytest.mark.parametrize("combinations", [False, True])
def test_one_block_or_no_factors_leave_the_weights(
    weights: dict[str, float], factors: tuple[float, ...], combinations: bool
) -> None:
    run, seen = climbing(distance)
    choose(run, {"C": [0.1, 1.0]}, weights, factors, combinations=combinations)
    assert seen == [Candidate({"C": 0.1}, {}), Candidate({"C": 1.0}, {})]


@pytest.mark.parametrize(
    ("best", "first", "tried"),
    [
        (1e-3, 0.1, [0.1, 0.01, 0.001]),  # on and on
        (0.01, 0.1, [0.1, 0.01, 0.001]),  # until it is worse
        (0.1, 0.1, [0.1, 0.01, 1.0]),
        (10.0, 0.1, [0.1, 0.01, 1.0, 10.0]),  # behind it only where none before it is better
        (10.0, 1e-3, [0.001, 0.01, 0.1, 1.0, 10.0]),
    ],
)
def test_hill_climbing(best: float, first: float, tried: list[float]) -> None:
    run, seen = climbing(lambda c: -abs(np.log(c.parameters["C"] / best)))
    found = climb(run, Candidate({"C": first}, {"text": 2.0}), {"C": [1e-3, 0.01, 0.1, 1.0, 10.0]})
    assert found.choice == Candidate({"C": best}, {"text": 2.0})
    assert [c.parameters["C"] for c in seen] == tried


def test_hill_climbing_of_several_parameters() -> None:
    run, _ = climbing(lambda c: -abs(c.parameters["a"] - 1) - abs(c.parameters["b"] - 3))
    grid = {"a": [1, 2, 3], "b": [1, 2, 3]}
    assert climb(run, Candidate({"a": 3, "b": 2}, {}), grid).choice.parameters == {"a": 1, "b": 3}


def test_hill_climbing_begins_with_two_at_once_and_ends_without_a_grid() -> None:
    run, _ = climbing(distance)
    sizes: list[int] = []

    def counted(choices: Sequence[Candidate], incumbent: Trial | None = None) -> Trial:
        sizes.append(len(choices))
        return run(choices, incumbent)

    climb(counted, Candidate({"C": 1.0}, {}), {"C": [0.01, 0.1, 1.0, 10.0]})
    assert sizes == [2, 1]
    assert climb(climbing(lambda c: 0.0)[0], Candidate({}, {"text": 2.0}), {}).choice.weights == {
        "text": 2.0
    }


def test_of_equals_the_first_is_chosen(films: tuple[pd.DataFrame, Labels]) -> None:
    model = make_model(grid={"max_iter": [1000, 1001]}, block_weights=()).fit(*films)
    assert model.chosen_.parameters == {"max_iter": 1000}


# Against an independent computation


def scores_by_hand(
    model: HybridClassifier, X: pd.DataFrame, y: Labels, choice: Candidate
) -> Scores:
    """Out-of-fold scores by scikit-learn's own SVM on blocks that are weighted by hand."""
    scores = np.empty(y.shape)
    for k in np.unique(model.fold_):
        left_out, sides = model.fold_ == k, []
        blocks = [(name, block.fit(X[~left_out])) for name, block in make_model().fusion.blocks]
        for rows in (X[~left_out], X[left_out]):
            parts = []
            for name, block in blocks:
                flag = block.missing(rows).astype(float)[:, None]
                part = sparse.hstack([block.transform(rows), flag])
                parts.append(part * choice.weights.get(name, 1.0))
            sides.append(sparse.hstack(parts).tocsr())
        svm = LinearSVC(**choice.parameters, class_weight="balanced", tol=1e-8, max_iter=10**6)
        scores[left_out] = (
            OneVsRestClassifier(svm).fit(sides[0], y[~left_out]).decision_function(sides[1])
        )
    return scores


@pytest.mark.parametrize(("metric", "search"), [("macro-f1", "grid"), ("map", "full")])
def test_the_choice_is_that_of_an_independent_computation(
    films: tuple[pd.DataFrame, Labels], metric: str, search: str
) -> None:
    X, y = films
    model = make_model(metric=metric, search=search)
    model.estimator.set_params(tol=1e-9)
    model.fit(X, y)
    expected = [
        quality_by_hand(y, scores_by_hand(model, X, y, t.choice), model.fold_, metric)
        for t in model.search_results_
    ]
    found = [t.quality for t in model.search_results_]
    # One item that changes sides of a threshold is worth 0.01.
    np.testing.assert_allclose(found, expected, atol=0.011)
    assert np.median(np.abs(np.subtract(found, expected))) < 1e-6
    assert max(t.quality for t in model.search_results_ if t.choice == model.chosen_) == max(found)
    assert all(t.seconds > 0 and t.spread >= 0 for t in model.search_results_)


@pytest.mark.parametrize("metric", METRICS)
def test_thresholds_maximise_the_metric(films: tuple[pd.DataFrame, Labels], metric: str) -> None:
    X, y = films
    plain = DecisionOptions(shrinkage=0.0)
    model = make_model(grid={"C": [0.1]}, block_weights=(), metric=metric, decision=plain)
    oof = model.fit(X, y).calibration_.apply(model.oof_scores_)
    objective = "micro" if metric == "micro-f1" else "genre"
    both = [best_thresholds(truth, oof, objective=objective) for truth in (y, oof)]
    np.testing.assert_allclose(model.thresholds_, np.mean(both, axis=0))


def test_metrics_have_thresholds_of_their_own(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    options = {"grid": {"C": [0.1]}, "block_weights": ()}
    macro, micro = (make_model(metric=m, **options).fit(X, y) for m in ("macro-f1", "micro-f1"))
    np.testing.assert_array_equal(macro.oof_probabilities_, micro.oof_probabilities_)
    assert (macro.thresholds_ != micro.thresholds_).any()


def test_an_unknown_metric_is_an_error(films: tuple[pd.DataFrame, Labels]) -> None:
    with pytest.raises(SettingError, match=r"unknown metric 'f1-macro'\. Did you mean macro-f1"):
        make_model(metric="f1-macro").fit(*films)


# Honesty


@pytest.fixture
def numbered_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """FusionFolds that do not depend on the labels."""

    def stratified(
        ids: NDArray[Any], labels: Labels, n_folds: int, **options: Any
    ) -> NDArray[np.int64]:
        return np.arange(len(ids)) % n_folds

    monkeypatch.setattr("hybrid.heads.cross_fitting.make_folds", stratified)


def test_nested_predictions_are_those_of_models_fitted_without_the_item(
    films: tuple[pd.DataFrame, Labels], numbered_folds: None
) -> None:
    X, y = films
    found = nested_cv_predict(make_model(), X, y)
    for k in range(3):
        left_out = np.arange(N) % 3 == k
        model = make_model().fit(X[~left_out], y[~left_out])
        np.testing.assert_array_equal(found.scores[left_out], model.predict_proba(X[left_out]))
        np.testing.assert_array_equal(found.labels[left_out], model.predict(X[left_out]))


@pytest.mark.parametrize("masked", [True, False])
def test_nested_fits_learn_nothing_of_unknown_labels(
    films: tuple[pd.DataFrame, Labels], numbered_folds: None, masked: bool
) -> None:
    X, y = films
    hidden = np.random.default_rng(0).random(y.shape) < 0.3
    some = np.where(hidden, np.nan, y)
    model = make_model(grid={}, block_weights=())
    given = np.ma.MaskedArray(np.where(hidden, 0, y), hidden) if masked else some
    found = nested_cv_predict(model, X, given)
    for k in range(3):
        left_out = np.arange(N) % 3 == k
        fitted = make_model(grid={}, block_weights=()).fit(X[~left_out], some[~left_out])
        np.testing.assert_array_equal(found.scores[left_out], fitted.predict_proba(X[left_out]))


def test_studies_of_a_model_whose_settings_were_chosen_by_halving_have_fewer_items(
    films: tuple[pd.DataFrame, Labels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid.heads.classifier_checks.LEAST", N)
    model = make_model(search="halving", grid={"C": [0.1]}, block_weights=()).fit(*films)
    assert nested_cv_predict(model, *films).scores.shape == (N, 3)
    assert freeze_settings(model).search != "halving"
    further = FurtherSplit("", 1, make_split(films[0].index, films[1]))
    half = LabelledItems(films[0][: N // 2], films[1][: N // 2], np.arange(N // 2))
    assert split_fit(model, further, lambda _: (half, half)).compute().scores.shape == (N // 2, 3)


@pytest.mark.parametrize("item", [0, 77])
def test_an_item_takes_no_part_in_its_own_nested_prediction(
    films: tuple[pd.DataFrame, Labels], numbered_folds: None, item: int
) -> None:
    X, y = films
    flipped = y.copy()
    flipped[item] = 1 - flipped[item]
    model = make_model(grid={"C": [0.1, 1.0]}, block_weights=(0.5,))
    before, after = (nested_cv_predict(model, X, labels) for labels in (y, flipped))
    mates = np.arange(N) % 3 == item % 3
    np.testing.assert_array_equal(after.scores[mates], before.scores[mates])
    np.testing.assert_array_equal(after.labels[mates], before.labels[mates])
    assert (after.scores[~mates] != before.scores[~mates]).any()


def test_nested_groups_stay_together(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    # Pairs of the same film: whoever has the other half knows the labels by heart.
    X, y = X.iloc[np.repeat(np.arange(60), 2)], y[np.repeat(np.arange(60), 2)]
    X = X.assign(overview=[f"{text} word{i // 2}" for i, text in enumerate(X["overview"])])
    X.index = pd.Index([f"g{i}" for i in range(120)])
    apart = nested_cv_predict(make_model(), X, y)
    together = nested_cv_predict(make_model(), X, y, groups=np.arange(120) // 2)
    leaking, honest = (average_precision_score(y, a.scores) for a in (apart, together))
    assert leaking > honest + 0.1


def test_labels_without_meaning_reach_chance_whatever_is_tried(
    films: tuple[pd.DataFrame, Labels],
) -> None:
    X, y = films
    chosen, nested, always = [], [], []
    for seed in range(2):
        shuffled = np.random.default_rng(seed).permutation(y)
        model = make_model(metric="map-weighted", search="grid")
        model.fit(X, shuffled)
        answers = nested_cv_predict(model, X, shuffled)
        chosen.append(max(t.quality for t in model.search_results_))
        nested.append(average_precision_score(shuffled, answers.scores, average="weighted"))
        always.append(f1_score(shuffled, answers.labels, average="weighted", zero_division=0))
    share = y.mean(axis=0)
    chance = np.average(share, weights=share)
    assert abs(np.mean(nested) - chance) < 0.04
    # The best F1 that chance can do is that of "always yes".
    assert np.mean(always) < np.average(2 * share / (1 + share), weights=share) + 0.02
    assert np.mean(chosen) > np.mean(nested)  # the best of many is flattered; the estimate is not


def test_the_nested_estimate_beats_chance_on_labels_with_meaning(
    films: tuple[pd.DataFrame, Labels],
) -> None:
    X, y = films
    answers = nested_cv_predict(make_model(), X, y)
    share = y.mean(axis=0)
    found = average_precision_score(y, answers.scores, average="weighted")
    assert found > np.average(share, weights=share) + 0.15


def test_workers_change_nothing(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    one, two = (make_model(n_jobs=jobs, search="grid").fit(X, y) for jobs in (1, 2))
    np.testing.assert_array_equal(one.oof_probabilities_, two.oof_probabilities_)
    np.testing.assert_array_equal(one.thresholds_, two.thresholds_)
    assert [t.quality for t in one.search_results_] == [t.quality for t in two.search_results_]


# Memory


def test_folds_that_take_too_much_memory_are_encoded_anew(
    films: tuple[pd.DataFrame, Labels], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = films
    options = {"block_weights": (0.5, 2.0), "metric": "map"}
    usual = make_model(**options).fit(X, y)
    alive: list[weakref.ref[Fold]] = []
    together: list[int] = []

    def watch(self: FusionFolds, k: int) -> Fold:
        together.append(sum(fold() is not None for fold in alive))
        fold = encode(self, k)
        alive.append(weakref.ref(fold))
        return fold

    encode = FusionFolds._encode
    monkeypatch.setattr(FusionFolds, "_encode", watch)
    monkeypatch.setattr("hybrid.heads.cross_fitting.MEMORY", 0)
    frugal = make_model(**options).fit(X, y)
    assert len(together) > 2 * frugal.folds
    assert not any(together)  # each was gone before the next one was encoded
    np.testing.assert_array_equal(frugal.oof_scores_, usual.oof_scores_)
    assert frugal.chosen_ == usual.chosen_


def test_folds_that_fit_are_encoded_once(
    films: tuple[pd.DataFrame, Labels], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, encoded = FusionFolds._encode, []
    monkeypatch.setattr(
        FusionFolds, "_encode", lambda self, k: encoded.append(k) or encode(self, k)
    )
    make_model(block_weights=(0.5, 2.0)).fit(*films)
    assert encoded == [0, 1, 2]
