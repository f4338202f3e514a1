"""Heads: the classifier on the fusion, chosen and calibrated out of fold."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC
from sklearn.utils import estimator_checks

from hybrid.errors import SettingError
from hybrid.features import MetadataFeatures, PosterFeatures, TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.heads import HEADS, HybridClassifier, classifier, cross_fitting, fitting, get_head
from hybrid.heads.decision_rule import DecisionOptions, fit_decision
from hybrid.model_file import load_model, save_model

Labels = NDArray[np.uint8]
N = 150
WORDS = ("laugh", "ghost", "sheriff", "rocket")


def make_films(n: int = N, seed: int = 0) -> tuple[pd.DataFrame, Labels]:
    """Films whose words tell three genres of four, and whose director tells the fourth."""
    random = np.random.default_rng(seed)
    labels = (random.random((n, 4)) < [0.5, 0.3, 0.3, 0.2]).astype(np.uint8)
    noise = np.array(["night", "day", "love", "city", "road", "house"])
    rows = []
    for row in labels:
        told = [w for w, has in zip(WORDS[:3], row, strict=False) if has and random.random() < 0.9]
        false = [w for w in WORDS[:3] if random.random() < 0.1]
        rows.append(
            {
                "overview": " ".join([*told, *false, *random.choice(noise, size=3)]),
                "director": "Kubrick" if row[3] else str(random.choice(["Lee", "Varda"])),
                "runtime": float(random.normal(100, 10)),
            }
        )
    return pd.DataFrame(rows, index=[f"f{i:03}" for i in range(n)]), labels


@pytest.fixture(scope="module")
def films() -> tuple[pd.DataFrame, Labels]:
    return make_films()


def make_fusion() -> Fusion:
    return Fusion(
        [
            ("text", TextFeatures(["overview"], max_ngram=1, max_chars=0)),
            ("metadata", MetadataFeatures(["runtime"], ["director"])),
        ]
    )


def svm() -> LinearSVC:
    return LinearSVC(C=0.3, class_weight="balanced", tol=0.01, max_iter=5000, random_state=0)


def make_model(estimator: Any = None, **options: Any) -> HybridClassifier:
    """By default an SVM with nothing to choose."""
    options = {"grid": {"C": [0.3]}, "block_weights": (), **options}
    return HybridClassifier(make_fusion(), svm() if estimator is None else estimator, **options)


@pytest.fixture(scope="module")
def fitted(films: tuple[pd.DataFrame, Labels]) -> HybridClassifier:
    """A fitted model, not to be changed."""
    return make_model().fit(*films)


def mean_ap(truth: Labels, scores: NDArray[np.float64]) -> float:
    return float(average_precision_score(truth, scores, average="macro"))


# What it learns


def test_it_beats_a_dummy_on_new_films(fitted: HybridClassifier) -> None:
    new, truth = make_films(100, seed=1)
    always = f1_score(truth, np.ones_like(truth), average="macro")
    assert f1_score(truth, fitted.predict(new), average="macro") > always + 0.25
    assert mean_ap(truth, fitted.predict_proba(new)) > truth.mean() + 0.35


def test_each_block_tells_its_genre(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    text = make_model().set_params(fusion__blocks=make_fusion().blocks[:1]).fit(X, y)
    metadata = make_model().set_params(fusion__blocks=make_fusion().blocks[1:]).fit(X, y)
    new, truth = make_films(100, seed=1)

    def ap(model: HybridClassifier, j: int) -> float:
        return float(average_precision_score(truth[:, j], model.predict_proba(new)[:, j]))

    assert ap(text, 0) > ap(metadata, 0) + 0.2
    assert ap(metadata, 3) > ap(text, 3) + 0.2


def test_scores_are_those_of_plain_scikit_learn(
    films: tuple[pd.DataFrame, Labels], fitted: HybridClassifier
) -> None:
    X, y = films
    fusion = make_fusion().fit(X)
    plain = OneVsRestClassifier(svm()).fit(fusion.transform(X).tocsr(), y)
    new, _ = make_films(50, seed=1)
    np.testing.assert_allclose(
        fitted.decision_function(new),
        plain.decision_function(fusion.transform(new).tocsr()),
        rtol=1e-9,
    )


def test_out_of_fold_scores_are_those_of_a_plain_loop(
    films: tuple[pd.DataFrame, Labels], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = films
    found = record_scores(monkeypatch)
    model = make_model().fit(X, y)
    expected = np.empty(y.shape)
    for k in range(4):
        learn, judge = X[model.fold_ != k], X[model.fold_ == k]
        fusion = make_fusion().fit(learn)
        head = OneVsRestClassifier(svm()).fit(fusion.transform(learn).tocsr(), y[model.fold_ != k])
        expected[model.fold_ == k] = head.decision_function(fusion.transform(judge).tocsr())
    np.testing.assert_allclose(found[0], expected, rtol=1e-9)


def test_it_is_deterministic(films: tuple[pd.DataFrame, Labels], fitted: HybridClassifier) -> None:
    X, y = films
    again = make_model().fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(again.thresholds_, fitted.thresholds_)
    np.testing.assert_array_equal(again.fold_, fitted.fold_)
    threaded = make_model(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(threaded.predict_proba(X), fitted.predict_proba(X))


def test_the_seed_deals_the_folds(
    films: tuple[pd.DataFrame, Labels], fitted: HybridClassifier
) -> None:
    other = make_model(random_state=1).fit(*films)
    assert (other.fold_ != fitted.fold_).any()


def test_items_answered_a_few_at_a_time_get_the_same_answers(
    films: tuple[pd.DataFrame, Labels], fitted: HybridClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, score, sizes = films[0], HybridClassifier.score_matrix, []
    expected = fitted.decision_function(X)
    monkeypatch.setattr(fitting, "TOGETHER", 50)
    monkeypatch.setattr(
        HybridClassifier,
        "score_matrix",
        lambda self, matrix: sizes.append(len(matrix)) or score(self, matrix),
    )
    found = []
    for n_jobs in (None, 3):
        found.append(copy(fitted).set_params(n_jobs=n_jobs).decision_function(X))
        np.testing.assert_allclose(found[-1], expected, rtol=0, atol=1e-12)
        assert sorted(sizes) == [37, 37, 38, 38]
        assert sum(sizes) == len(X)
        sizes.clear()
    np.testing.assert_array_equal(*found)  # threads take the same pieces


def test_labels_are_given_where_probabilities_reach_the_thresholds(
    films: tuple[pd.DataFrame, Labels], fitted: HybridClassifier
) -> None:
    X, _ = films
    probabilities = fitted.predict_proba(X)
    expected = (probabilities >= fitted.thresholds_).astype(np.uint8)
    np.testing.assert_array_equal(fitted.predict(X), expected)
    np.testing.assert_array_equal(fitted.label(probabilities), expected)
    assert fitted.predict(X).dtype == np.uint8


def test_probabilities_rank_items_as_scores_do(
    films: tuple[pd.DataFrame, Labels], fitted: HybridClassifier
) -> None:
    X, _ = films
    scores, probabilities = fitted.decision_function(X), fitted.predict_proba(X)
    for j in range(4):
        assert (np.diff(probabilities[np.argsort(scores[:, j]), j]) >= 0).all()


# What it chooses


def test_the_best_of_the_grid_is_chosen(films: tuple[pd.DataFrame, Labels]) -> None:
    model = make_model(grid={"C": [1e-9, 0.3]}).fit(*films)
    assert model.chosen_.parameters == {"C": 0.3}
    assert model.head_.estimator.C == 0.3


def test_only_values_of_the_grid_are_chosen(films: tuple[pd.DataFrame, Labels]) -> None:
    model = make_model(grid={"fit_intercept": [True], "C": [1e-9]}).fit(*films)
    assert model.head_.estimator.C == 1e-9


def test_the_weight_of_a_block_of_noise_is_lowered(
    films: tuple[pd.DataFrame, Labels], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = films
    X = X.assign(noise=[f"w{i % 7} v{i % 11} u{i % 5}" for i in range(N)])
    seen = record_scores(monkeypatch)
    for factors in [(), (0.05,)]:
        model = make_model(block_weights=factors)
        model.set_params(fusion__metadata=TextFeatures(["noise"], max_chars=0))
        model.set_params(fusion__weights={"metadata": 5.0}).fit(X, y)
    text, metadata = model.fusion_.transform(X).weights
    assert metadata <= 5 * 0.05
    assert {"text": 1.0, **model.chosen_.weights} == {"text": text, "metadata": metadata}
    assert model.fusion.weights == {"metadata": 5.0}
    before, after = (average_precision_score(y, s, average="weighted") for s in seen)
    assert after > before + 0.05


def test_no_block_weights_keeps_those_of_the_fusion(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    model = make_model().set_params(fusion__weights={"text": 2.0}).fit(X, y)
    assert model.chosen_.weights == {}
    assert model.fusion_.transform(X).weights == (2.0, 1.0)


# Honesty


def record_scores(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.float64]]:
    """The out-of-fold scores that calibration gets, fit by fit."""
    seen: list[NDArray[np.float64]] = []
    original = classifier.fit_decision

    def fit_decision(truth: Labels, scores: NDArray[np.float64], options: Any) -> Any:
        seen.append(scores.copy())
        return original(truth, scores, options)

    monkeypatch.setattr(classifier, "fit_decision", fit_decision)
    return seen


def test_labels_without_meaning_are_not_learnt_out_of_fold(
    films: tuple[pd.DataFrame, Labels],
) -> None:
    X, y = films
    gaps = []
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(y)
        model = make_model().fit(X, shuffled)
        gaps.append(mean_ap(shuffled, model.oof_probabilities_) - shuffled.mean())
        in_sample = mean_ap(shuffled, model.decision_function(X)) - shuffled.mean()
        assert in_sample > 0.1  # it does learn them by heart
    assert abs(np.mean(gaps)) < 0.05


@pytest.mark.parametrize("item", [0, 77, 149])
def test_an_item_is_not_scored_by_a_model_fitted_on_it(
    films: tuple[pd.DataFrame, Labels], monkeypatch: pytest.MonkeyPatch, item: int
) -> None:
    X, y = films
    folds = np.arange(N) % 4
    monkeypatch.setattr(cross_fitting, "make_folds", lambda *args, **options: folds)
    seen = record_scores(monkeypatch)
    flipped = y.copy()
    flipped[item] = 1 - flipped[item]
    for labels in (y, flipped):
        make_model().fit(X, labels)
    before, after = seen
    mates = folds == folds[item]
    np.testing.assert_array_equal(after[mates], before[mates])
    assert (after[~mates] != before[~mates]).any(axis=0).all()


def test_an_item_is_not_used_to_fit_the_blocks_that_encode_it(
    films: tuple[pd.DataFrame, Labels], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = films
    folds = np.arange(N) % 4
    monkeypatch.setattr(cross_fitting, "make_folds", lambda *args, **options: folds)
    seen = record_scores(monkeypatch)
    changed = X.copy()
    changed.loc[X.index[0], ["overview", "runtime"]] = ["ghost ghost laugh rocket", 900.0]
    for frame in (X, changed):
        make_model().fit(frame, y)
    before, after = seen
    mates = folds == 0
    mates[0] = False
    np.testing.assert_array_equal(after[mates], before[mates])
    assert (after[0] != before[0]).any()
    assert (after[folds != 0] != before[folds != 0]).any()


def test_thresholds_and_calibration_come_from_out_of_fold_scores(
    films: tuple[pd.DataFrame, Labels], fitted: HybridClassifier
) -> None:
    _, y = films
    model = make_model(decision=DecisionOptions(shrinkage=0.0)).fit(*films)
    np.testing.assert_array_equal(model.oof_scores_, fitted.oof_scores_)
    all_oof = model.calibration_.apply(model.oof_scores_)
    for j in range(4):
        oof = all_oof[:, j]
        # Half-way between the cut that was best and the one that the probabilities expect to be best.
        assert model.thresholds_[j] == pytest.approx((cut(y[:, j], oof) + cut(oof, oof)) / 2)
        assert oof.mean() == pytest.approx(y[:, j].mean(), abs=0.01)


def cut(truth: NDArray[Any], scores: NDArray[np.float64]) -> float:
    """The middle of the gap with the best (expected) F1, tried one by one."""
    levels = np.unique(scores)
    f1 = [2 * truth[scores >= t].sum() / ((scores >= t).sum() + truth.sum()) for t in levels]
    best = int(np.flatnonzero(np.isclose(f1, max(f1)))[-1])
    return float((levels[max(best - 1, 0)] + levels[best]) / 2)


def test_an_item_takes_no_part_in_its_own_out_of_fold_labels(
    films: tuple[pd.DataFrame, Labels], fitted: HybridClassifier
) -> None:
    _, y = films
    for k in range(4):
        out = fitted.fold_ == k
        decision = fit_decision(y[~out], fitted.oof_scores_[~out], DecisionOptions())
        expected = decision.probabilities(fitted.oof_scores_[out])
        np.testing.assert_array_equal(fitted.oof_probabilities_[out], expected)
        np.testing.assert_array_equal(fitted.oof_labels_[out], decision.label(expected))


def test_decisions_on_labels_without_meaning_are_chance(
    films: tuple[pd.DataFrame, Labels],
) -> None:
    """Permuted labels: no out-of-fold label is better than "always yes", as none may be."""
    X, y = films
    gaps, errors = [], []
    for seed in range(4):
        shuffled = np.random.default_rng(seed).permutation(y)
        for calibration in ("sigmoid", "isotonic"):
            options = DecisionOptions(calibration=calibration, shrinkage=0.0)
            model = make_model(decision=options).fit(X, shuffled)
            always = 2 * shuffled.mean(axis=0) / (1 + shuffled.mean(axis=0))
            gaps.append(f1_score(shuffled, model.oof_labels_, average=None) - always)
            errors.append(roc_auc_score(shuffled, model.oof_probabilities_) - 0.5)
    assert np.mean(gaps) < 0.01
    assert abs(np.mean(errors)) < 0.05


@pytest.mark.parametrize("objective", ["genre", "micro"])
def test_the_number_of_labels_is_kept_by_everything_that_labels(
    films: tuple[pd.DataFrame, Labels], objective: str
) -> None:
    X, y = films
    options = DecisionOptions(objective=objective, max_labels=1, at_least_one=True)
    model = make_model(decision=options).fit(X, y)
    for labels in (model.predict(X), model.oof_labels_, clone(model).fit(X, y).predict(X)):
        assert (labels.sum(axis=1) == 1).all()


def test_all_that_is_wrong_with_a_decision_is_said_at_once(
    films: tuple[pd.DataFrame, Labels],
) -> None:
    wrong = DecisionOptions("macro", -1.0, "platt", 0)
    with pytest.raises(SettingError, match=r"(?s)thresholds.*calibration.*shrinkage.*max_labels"):
        make_model(decision=wrong).fit(*films)


def test_groups_stay_together(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    groups = np.arange(N) // 5
    model = make_model().fit(X, y, groups=groups)
    assert set(model.fold_.tolist()) == {0, 1, 2, 3}
    for group in range(30):
        assert len(set(model.fold_[groups == group])) == 1


# Genres that are hard to learn


def with_genre(y: Labels, positives: int) -> Labels:
    """Labels with one more genre, which the first few items have."""
    return np.column_stack([y, np.arange(len(y)) < positives]).astype(np.uint8)


@pytest.mark.parametrize("positives", [1, 2, 3])
def test_a_genre_that_folds_lack(films: tuple[pd.DataFrame, Labels], positives: int) -> None:
    X, y = films
    rare = with_genre(y, positives)
    model = make_model().fit(X, rare)
    for found in (model.predict_proba(X), model.oof_probabilities_):
        assert ((found >= 0) & (found <= 1)).all()
    # The others are learnt as if it were not there.
    alone = OneVsRestClassifier(svm()).fit(model.fusion_.transform(X).tocsr(), y)
    np.testing.assert_allclose(
        model.decision_function(X)[:, :4],
        alone.decision_function(model.fusion_.transform(X).tocsr()),
        rtol=1e-9,
    )


def test_a_fold_that_has_all_of_a_genre_has_no_scores(
    films: tuple[pd.DataFrame, Labels], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = films
    seen = record_scores(monkeypatch)
    model = make_model().fit(X, with_genre(y, 1))
    np.testing.assert_array_equal(np.isnan(seen[0][:, 4]), model.fold_ == model.fold_[0])
    assert np.isfinite(seen[0][:, :4]).all()


@pytest.mark.parametrize(("positives", "answer"), [(0, 0), (N, 1)])
def test_a_genre_of_none_or_all(
    films: tuple[pd.DataFrame, Labels], positives: int, answer: int
) -> None:
    X, y = films
    model = make_model().fit(X, with_genre(y, positives))
    new, _ = make_films(20, seed=1)
    assert np.isnan(model.decision_function(new)[:, 4]).all()
    np.testing.assert_array_equal(model.predict_proba(new)[:, 4], np.full(20, float(answer)))
    np.testing.assert_array_equal(model.predict(new)[:, 4], np.full(20, answer))


@pytest.mark.parametrize("name", ["svm", "logistic", "forest"])
def test_one_genre_only(films: tuple[pd.DataFrame, Labels], name: str) -> None:
    X, y = films
    model = make_model(get_head(name).build(0), grid=None).fit(X, y[:, [0]])
    new, truth = make_films(100, seed=1)
    assert model.predict(new).shape == model.predict_proba(new).shape == (100, 1)
    assert average_precision_score(truth[:, 0], model.predict_proba(new)) > truth[:, 0].mean() + 0.2


@pytest.mark.parametrize(("positives", "answer"), [(0, 0), (N, 1)])
def test_one_genre_of_none_or_all(
    films: tuple[pd.DataFrame, Labels], positives: int, answer: int
) -> None:
    X, _ = films
    y = (np.arange(N) < positives).astype(np.uint8)[:, None]
    np.testing.assert_array_equal(make_model().fit(X, y).predict(X), np.full((N, 1), answer))


def test_a_film_that_says_nothing_gets_an_answer(fitted: HybridClassifier) -> None:
    silent = pd.DataFrame({"overview": [""], "director": [""], "runtime": [np.nan]})
    found = fitted.predict_proba(silent)
    assert ((found >= 0) & (found <= 1)).all()


# Every head


@pytest.mark.parametrize("name", HEADS)
def test_every_head_fits_and_predicts(films: tuple[pd.DataFrame, Labels], name: str) -> None:
    spec, (X, y) = get_head(name), films
    grid = {parameter: values[:2] for parameter, values in spec.grid.items()}
    estimator = spec.build(0)
    if name == "boosting":
        estimator.set_params(estimator__max_iter=5)
    model = make_model(estimator, grid=grid, tuned=spec.tuned, folds=2).fit(X, y)
    new, truth = make_films(100, seed=1)
    probabilities, labels = model.predict_proba(new), model.predict(new)
    assert probabilities.shape == labels.shape == (100, 4)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert set(np.unique(labels)) <= {0, 1}
    learnt = mean_ap(truth, probabilities) > truth.mean() + 0.25
    assert learnt == (not name.startswith("dummy"))
    one = isinstance(model.head_, OneVsRestClassifier)
    fitted = (model.head_.estimator if one else model.head_).get_params()
    assert fitted | model.chosen_.parameters == fitted


@pytest.mark.parametrize("name", HEADS)
def test_every_head_takes_its_seed(name: str) -> None:
    parameters = get_head(name).build(7).get_params()
    assert parameters.get("random_state", 7) == 7
    assert set(HEADS[name].grid) <= set(parameters)


@pytest.mark.parametrize("strategy", ["stratified", "most_frequent"])
def test_dummies_answer_as_they_are(films: tuple[pd.DataFrame, Labels], strategy: str) -> None:
    X, y = films
    spec = get_head(f"dummy-{strategy.replace('_', '-')}")
    model = make_model(spec.build(0), grid=None, tuned=False).fit(X, y)
    assert model.calibration_ is None
    np.testing.assert_array_equal(model.thresholds_, np.full(4, 0.5))
    for j in range(4):
        # Seed and number of the genre, so that no two genres toss the same coin.
        plain = DummyClassifier(strategy=strategy, random_state=j).fit(np.zeros((N, 1)), y[:, j])
        np.testing.assert_array_equal(model.predict(X)[:, j], plain.predict(np.zeros((N, 1))))


def test_the_uniform_dummy_tosses_a_coin(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    model = make_model(get_head("dummy-uniform").build(0), grid=None, tuned=False).fit(X, y)
    assert 0.35 < model.predict(X).mean() < 0.65


def test_the_most_frequent_dummy_on_one_genre_that_all_have(
    films: tuple[pd.DataFrame, Labels],
) -> None:
    X, _ = films
    model = make_model(get_head("dummy-most-frequent").build(0), grid=None, tuned=False)
    assert model.fit(X, np.ones((N, 1))).predict(X).all()


@pytest.mark.parametrize(
    ("name", "close"), [("svn", "svm"), ("logistics", "logistic"), ("forrest", "forest")]
)
def test_an_unknown_head_is_an_error_with_close_matches(name: str, close: str) -> None:
    with pytest.raises(
        SettingError, match=rf"unknown estimator '{name}'\. Did you mean {close}.*Known: .*svm"
    ):
        get_head(name)


# Wrong arguments


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(N), r"y: expected shape \(150, L\), found \(150,\)"),
        (np.zeros((N - 1, 2)), r"y: expected shape \(150, L\), found \(149, 2\)"),
        (np.full((N, 2), 2), "y: expected 0 and 1 only"),
        (np.full((N, 2), np.nan), "y: expected 0 and 1 only"),
    ],
)
def test_wrong_labels_are_an_error(
    films: tuple[pd.DataFrame, Labels], y: NDArray[Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        make_model().fit(films[0], y)


def test_all_problems_are_listed(films: tuple[pd.DataFrame, Labels]) -> None:
    model = make_model(folds=1, block_weights=(0.0, 1.0, np.inf, -2.0))
    with pytest.raises(SettingError, match="y: ") as error:
        model.fit(films[0], np.zeros(3))
    assert str(error.value).splitlines() == [
        "y: expected shape (150, L), found (3,).",
        "folds: expected 2 to n_samples=150, found 1.",
        "block_weights: expected positive numbers, found 0.0.",
        "block_weights: expected positive numbers, found inf.",
        "block_weights: expected positive numbers, found -2.0.",
    ]


@pytest.mark.parametrize("folds", [0, N + 1])
def test_folds_must_fit_the_items(films: tuple[pd.DataFrame, Labels], folds: int) -> None:
    with pytest.raises(SettingError, match=r"folds: expected 2 to n_samples=150"):
        make_model(folds=folds).fit(*films)


def test_groups_must_fit_the_items(films: tuple[pd.DataFrame, Labels]) -> None:
    with pytest.raises(SettingError, match="groups: expected shape"):
        make_model().fit(*films, groups=["one"])


def test_a_parameter_without_values_is_an_error(films: tuple[pd.DataFrame, Labels]) -> None:
    with pytest.raises(SettingError, match="grid: expected at least one value"):
        make_model(grid={"C": []}).fit(*films)


def test_fewer_groups_than_folds_are_an_error(films: tuple[pd.DataFrame, Labels]) -> None:
    with pytest.raises(SettingError, match="groups"):
        make_model().fit(*films, groups=np.arange(N) % 3)


def test_an_array_for_a_frame_is_an_error(films: tuple[pd.DataFrame, Labels]) -> None:
    with pytest.raises(SettingError, match="expected a DataFrame"):
        make_model().fit(films[0].to_numpy(), films[1])


# scikit-learn's interface
#
# Checks that need no data; the others are in test_scikit_learn.py.

ESTIMATORS = [
    make_model(),
    make_fusion(),
    TextFeatures(),
    MetadataFeatures(),
    PosterFeatures(),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_checks_of_scikit_learn_that_need_no_data(check: str, estimator: Any) -> None:
    getattr(estimator_checks, check)(type(estimator).__name__, clone(estimator))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_init_only_stores(estimator: Any) -> None:
    parameters = {name: object() for name in estimator.get_params(deep=False)}
    made = type(estimator)(**parameters)
    assert vars(made) == parameters


def test_fit_returns_self_and_leaves_its_parameters_alone(
    films: tuple[pd.DataFrame, Labels],
) -> None:
    model = make_model(block_weights=(0.5, 2.0))
    before = {name: repr(value) for name, value in model.get_params().items()}
    parts = model.fusion, model.estimator, dict(model.fusion.blocks)["text"]
    assert model.fit(*films) is model
    assert {name: repr(value) for name, value in model.get_params().items()} == before
    assert not any(hasattr(parts[0], name) for name in ("fitted_", "coef_"))
    assert not hasattr(parts[1], "coef_")
    assert not hasattr(parts[2], "tokens_")


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_not_fitted_is_an_error(films: tuple[pd.DataFrame, Labels], method: str) -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(make_model(), method)(films[0])


def test_fitting_again_forgets(
    films: tuple[pd.DataFrame, Labels], fitted: HybridClassifier
) -> None:
    X, y = films
    model = make_model().fit(X.iloc[:60], y[:60, :2]).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), fitted.predict_proba(X))


def test_input_is_not_changed(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = (part.copy() for part in films)
    make_model().fit(X, y).predict(X)
    pd.testing.assert_frame_equal(X, films[0])
    np.testing.assert_array_equal(y, films[1])


def test_rows_do_not_depend_on_their_neighbours(
    films: tuple[pd.DataFrame, Labels], fitted: HybridClassifier
) -> None:
    X, _ = films
    whole = fitted.predict_proba(X)
    rows = np.random.default_rng(0).permutation(N)[:20]
    np.testing.assert_allclose(fitted.predict_proba(X.iloc[rows]), whole[rows], rtol=1e-12)


def test_a_saved_model_answers_the_same(
    films: tuple[pd.DataFrame, Labels], fitted: HybridClassifier, tmp_path: Path
) -> None:
    save_model(fitted, tmp_path / "model.json")
    again = load_model(tmp_path / "model.json", HybridClassifier)
    np.testing.assert_array_equal(again.predict_proba(films[0]), fitted.predict_proba(films[0]))
    np.testing.assert_array_equal(again.predict(films[0]), fitted.predict(films[0]))


def test_a_clone_is_unfitted_with_the_same_parameters(fitted: HybridClassifier) -> None:
    copy = clone(fitted)
    assert not hasattr(copy, "head_")
    assert repr(copy.get_params()) == repr(fitted.get_params())
    copy.set_params(fusion__text__min_df=9, estimator__C=5.0, folds=3)
    assert fitted.get_params()["fusion__text__min_df"] == 2
    assert fitted.get_params()["estimator__C"] == 0.3
    assert is_classifier(copy)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_it_can_be_cross_validated(films: tuple[pd.DataFrame, Labels], method: str) -> None:
    X, y = films
    found = cross_val_predict(make_model(folds=2), X, y, cv=2, method=method)
    first = make_model(folds=2).fit(X.iloc[75:], y[75:])
    np.testing.assert_allclose(found[:75], getattr(first, method)(X.iloc[:75]))


def test_its_blocks_can_be_searched() -> None:
    X, y = make_films(300)
    # A fold has 75 films to learn from; "ghost" is in about 25 of them, the noise in 31.
    search = GridSearchCV(
        make_model(folds=2), {"fusion__text__min_df": [29, 2]}, scoring="f1_macro", cv=2
    ).fit(X, y)
    assert search.best_params_ == {"fusion__text__min_df": 2}
    lost, kept = search.cv_results_["mean_test_score"]
    assert kept > lost + 0.05
    assert f1_score(y, search.predict(X), average="macro") > 0.8


def test_rows_drawn_twice_can_be_fitted(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    rows = np.random.default_rng(0).integers(0, N, size=N)
    assert make_model().fit(X.iloc[rows], y[rows]).fold_.shape == (N,)


@pytest.mark.parametrize("positives", [1, 2])
def test_a_genre_in_one_fold_does_not_tell_its_fold(
    films: tuple[pd.DataFrame, Labels], monkeypatch: pytest.MonkeyPatch, positives: int
) -> None:
    X, y = films
    fold = np.arange(N) % 4
    monkeypatch.setattr("hybrid.heads.cross_fitting.make_folds", lambda *args, **options: fold)
    rare = np.zeros((N, 1), dtype=np.uint8)
    rare[[0, 4][:positives]] = 1  # both in fold 0
    model = make_model().fit(X, np.hstack([y, rare]))
    assert model.label(model.oof_probabilities_)[:, -1].sum() == 0


def test_a_grid_that_the_estimator_does_not_know(films: tuple[pd.DataFrame, Labels]) -> None:
    with pytest.raises(SettingError, match="grid: LinearSVC has no parameter CC"):
        make_model(grid={"CC": [1.0]}).fit(*films)


@pytest.mark.parametrize("name", HEADS)
def test_liblinear_is_never_given_threads(name: str) -> None:
    # It has one random generator for the process: threads would make a seed mean nothing.
    spec = get_head(name)
    estimator = spec.build(0)
    liblinear = type(estimator).__name__ == "LinearSVC" or (
        getattr(estimator, "solver", "") == "liblinear"
    )
    assert not (liblinear and spec.threads)
