"""Heads that take the fusion as it is, each beside plain scikit-learn on the same matrix and folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC, LinearSVC
from sklearn.utils import estimator_checks

from hybrid.catalogue import load_catalogue
from hybrid.cli.fit_ovr import ESTIMATORS
from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix, missing_blocks
from hybrid.heads import HEADS, MultilabelLinearSVC, get_head, kernel_svm
from hybrid.heads.chain import Chain
from hybrid.heads.cross_fitting import assign_folds, out_of_fold
from hybrid.heads.fitting import fit_head as fit_one
from hybrid.heads.fitting import head_scores
from hybrid.heads.head_pipeline import BlockSVD, HeadPipeline
from hybrid.heads.kernel_svm import FusionNystroem, KernelSVC
from hybrid.heads.knn import MultilabelKNN
from hybrid.heads.logistic import MultilabelLogistic
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.heads.stacking import Stacking
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.predict import predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.splitting.methods import split_catalogue
from hybrid.utils.context import Context

Labels = NDArray[np.uint8]
Floats = NDArray[np.float64]
N = 160


def make_matrix(n: int = N, seed: int = 0, missing: float = 0.1) -> tuple[FusionMatrix, Labels]:
    """Embeddings and words that tell three genres; some items lack the former."""
    random = np.random.default_rng(seed)
    Y = (random.random((n, 3)) < [0.5, 0.3, 0.2]).astype(np.uint8)
    dense = np.hstack([Y[:, :2], np.zeros((n, 8))]) + 0.8 * random.standard_normal((n, 10))
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    absent = random.random(n) < missing
    dense[absent] = 0
    words = sparse.random(n, 30, 0.2, format="lil", random_state=seed)
    words[:, 0] = (Y[:, [2]] & (random.random((n, 1)) < 0.8)).astype(float)
    text = sparse.hstack([words, sparse.csr_matrix((n, 1))]).astype(np.float32).tocsr()
    poster = np.hstack([dense, absent[:, None]]).astype(np.float32)
    return FusionMatrix.from_blocks([poster, text], ["poster", "text"], [1.0, 0.5]), Y


@pytest.fixture(scope="module")
def data() -> tuple[FusionMatrix, Labels]:
    """Not to be changed."""
    return make_matrix()


def linear(C: float = 0.3) -> LinearSVC:
    return LinearSVC(C=C, class_weight="balanced", tol=1e-8, max_iter=100_000, random_state=0)


def svm(C: float = 0.3, tol: float = 1e-8) -> MultilabelLinearSVC:
    return MultilabelLinearSVC(C, class_weight="balanced", tol=tol, random_state=0)


HEADS_HERE = [
    MultilabelLogistic(),
    KernelSVC(),
    MultilabelKNN(20),
    HeadPipeline(FusionNystroem(components=50), svm(tol=1e-3)),
    Chain(svm(tol=1e-3)),
    Stacking(svm(tol=1e-3), cs=()),
]


def names(estimator: Any) -> str:
    return type(estimator).__name__


# What all of them share


@pytest.mark.parametrize("head", HEADS_HERE, ids=names)
def test_it_learns_all_genres_and_does_not_change_its_input(head: Any, data: Any) -> None:
    matrix, Y = data
    new, truth = make_matrix(seed=1)
    before = [block.copy() for _, block in matrix.blocks]
    fitted = clone(head).fit(matrix, Y)
    scores = fitted.decision_function(new)
    assert scores.shape == truth.shape
    for j in range(3):
        assert average_precision_score(truth[:, j], scores[:, j]) > truth[:, j].mean() + 0.1
    np.testing.assert_array_equal(fitted.predict(new), scores > 0)
    for (_, block), old in zip(matrix.blocks, before, strict=True):
        assert abs(block - old).max() == 0


@pytest.mark.parametrize("head", HEADS_HERE, ids=names)
@pytest.mark.parametrize("columns", [[0], [0, 2]])
def test_genres_that_all_or_none_have_do_not_disturb_the_others(
    head: Any, data: Any, columns: list[int]
) -> None:
    matrix, Y = data
    constant = np.column_stack([np.zeros(N), np.ones(N), Y[:, columns]]).astype(np.uint8)
    scores = clone(head).fit(matrix, constant).decision_function(matrix)
    assert scores.shape == constant.shape
    assert np.isfinite(scores).all()
    alone = clone(head).fit(matrix, Y[:, columns]).decision_function(matrix)
    for j in range(len(columns)):
        assert np.corrcoef(alone[:, j], scores[:, j + 2])[0, 1] > 0.97


@pytest.mark.parametrize("head", HEADS_HERE, ids=names)
def test_a_genre_of_none_alone(head: Any, data: Any) -> None:
    found = clone(head).fit(data[0], np.zeros((N, 1))).decision_function(data[0])
    assert np.isfinite(found).all()


@pytest.mark.parametrize("head", HEADS_HERE, ids=names)
def test_rows_do_not_depend_on_their_neighbours(head: Any, data: Any) -> None:
    matrix, Y = data
    fitted = clone(head).fit(matrix, Y)
    whole = fitted.decision_function(matrix)
    np.testing.assert_allclose(
        fitted.decision_function(matrix[5:9]), whole[5:9], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("head", HEADS_HERE, ids=names)
def test_wrong_input_is_an_error(head: Any, data: Any) -> None:
    matrix, Y = data
    with pytest.raises(SettingError, match="X: expected a FusionMatrix, found csr_matrix"):
        clone(head).fit(matrix.tocsr(), Y)
    with pytest.raises(SettingError, match=r"y: expected 0 and 1 of shape \(160, L\)"):
        clone(head).fit(matrix, Y[:-1])
    with pytest.raises(NotFittedError, match="not fitted yet"):
        clone(head).decision_function(matrix)
    fitted = clone(head).fit(matrix, Y)
    one = FusionMatrix(matrix.blocks[:1], matrix.weights[:1])
    with pytest.raises(SettingError, match=r"X has 11 features, but .* is expecting 42"):
        fitted.decision_function(one)


@pytest.mark.parametrize("head", [*HEADS_HERE, BlockSVD(), FusionNystroem()], ids=names)
@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_checks_of_scikit_learn_that_need_no_data(head: Any, check: str) -> None:
    getattr(estimator_checks, check)(type(head).__name__, clone(head))


# Logistic


@pytest.mark.parametrize("weight", [None, "balanced"])
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_logistic_is_that_of_liblinear(data: Any, weight: str | None, C: float) -> None:
    matrix, Y = data
    found = MultilabelLogistic(C, class_weight=weight, tol=1e-7, max_iter=2000).fit(matrix, Y)
    plain = LogisticRegression(
        C=C, class_weight=weight, solver="liblinear", tol=1e-10, max_iter=10_000
    )
    for j in range(3):
        plain.fit(matrix.tocsr(), Y[:, j])
        np.testing.assert_allclose(found.coef_[j], plain.coef_[0], atol=2e-3 * max(C, 1))
        assert found.intercept_[j] == pytest.approx(plain.intercept_[0], abs=2e-3 * max(C, 1))


def test_the_gap_of_the_logistic_bounds_its_distance_from_the_optimum(data: Any) -> None:
    matrix, Y = data

    def objective(model: MultilabelLogistic) -> Floats:
        margins = np.where(Y, 1, -1) * model.decision_function(matrix)
        square = (model.coef_**2).sum(axis=1) + model.intercept_**2
        return square / 2 + np.logaddexp(0, -margins).sum(axis=0)

    best = objective(MultilabelLogistic(tol=1e-7, max_iter=2000).fit(matrix, Y))
    for tol in (0.3, 0.03, 0.003):
        model = MultilabelLogistic(tol=tol).fit(matrix, Y)
        distance = (objective(model) - best) / objective(model)
        assert (model.dual_gap_ <= tol).all()
        assert (distance <= model.dual_gap_ + 1e-5).all()


def test_a_logistic_that_did_not_converge_says_so(data: Any) -> None:
    with pytest.warns(ConvergenceWarning, match=r"duality gap of .* above tol=1e-09.*max_iter"):
        MultilabelLogistic(tol=1e-9, max_iter=2).fit(*data)


def test_all_wrong_parameters_of_the_logistic_are_listed(data: Any) -> None:
    with pytest.raises(SettingError, match=r"(?s)C: expected.*tol: expected.*class_weight: expect"):
        MultilabelLogistic(-1, tol=0, class_weight="even").fit(*data)


# RBF


@pytest.mark.parametrize(("C", "gamma"), [(1.0, 1.0), (5.0, 0.3)])
def test_svc_rbf_is_that_of_scikit_learn(data: Any, C: float, gamma: float) -> None:
    matrix, Y = data
    new, _ = make_matrix(40, seed=1)
    found = KernelSVC(C, gamma).fit(matrix, Y)
    plain = SVC(C=C, gamma=found.gamma_, class_weight="balanced")
    for j in range(3):
        plain.fit(matrix.tocsr(), Y[:, j])
        expected = plain.decision_function(new.tocsr())
        np.testing.assert_allclose(found.decision_function(new)[:, j], expected, atol=5e-3)


def test_gamma_is_measured_by_the_distances(data: Any) -> None:
    matrix, Y = data
    rows = matrix.tocsr().toarray()
    distances = ((rows[:, None] - rows) ** 2).sum(axis=2)
    assert KernelSVC(gamma=2.0).fit(matrix, Y).gamma_ == pytest.approx(2 / distances.mean())


def test_svc_rbf_refuses_many_items(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_svm, "LIMIT", 100)
    with pytest.raises(SettingError, match=r"svc-rbf: expected at most 100 items.*--estimator rbf"):
        KernelSVC().fit(*data)


def test_nystroem_is_that_of_scikit_learn(data: Any) -> None:
    matrix, _ = data
    found = FusionNystroem(0.5, components=40, random_state=3).fit(matrix)
    plain = Nystroem(gamma=found.gamma_, n_components=40, random_state=3).fit(matrix.tocsr())
    ours, theirs = found.transform(matrix), plain.transform(matrix.tocsr())
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-3)


# Reduced blocks


def test_wide_blocks_are_reduced_and_narrow_ones_kept(data: Any) -> None:
    matrix, _ = data
    found = BlockSVD(components=15).fit(matrix).transform(matrix)
    assert found.shape == (N, 11 + 15)
    np.testing.assert_array_equal(found[:, :11], matrix.blocks[0][1])
    text = 0.5 * matrix.blocks[1][1].toarray()
    U, values, _ = np.linalg.svd(text, full_matrices=False)
    expected = np.abs(U[:, :5] * values[:5])
    np.testing.assert_allclose(np.abs(found[:, 11:16]), expected, atol=1e-3)


def test_boosting_is_that_of_scikit_learn_on_the_reduced_blocks(data: Any) -> None:
    matrix, Y = data
    trees = HistGradientBoostingClassifier(max_iter=5, random_state=0)
    found = HeadPipeline(BlockSVD(15), trees).fit(matrix, Y)
    features = BlockSVD(15).fit(matrix).transform(matrix)
    plain = OneVsRestClassifier(trees).fit(features, Y)
    np.testing.assert_allclose(
        found.decision_function(matrix), plain.decision_function(features), rtol=1e-9
    )


def test_a_reduction_sees_only_what_its_head_is_fitted_on(data: Any) -> None:
    matrix, Y = data
    fold = np.arange(N) % 2
    head = HeadPipeline(BlockSVD(5), linear())
    found = out_of_fold(head, matrix, Y, fold)
    for k in range(2):
        learn, judge = matrix[fold != k], matrix[fold == k]
        reduce = BlockSVD(5).fit(learn)
        plain = OneVsRestClassifier(linear()).fit(reduce.transform(learn), Y[fold != k])
        expected = plain.decision_function(reduce.transform(judge))
        np.testing.assert_allclose(found[fold == k], expected, atol=1e-5)


# Neighbours


@pytest.mark.parametrize("power", [0.0, 2.0])
def test_votes_are_those_of_the_nearest_by_cosine(power: float) -> None:
    matrix, Y = make_matrix(missing=0)
    one = FusionMatrix(matrix.blocks[:1], matrix.weights[:1])
    found = MultilabelKNN(7, power).fit(one[:120], Y[:120]).decision_function(one[120:])
    rows = one.blocks[0][1][:, :-1]
    search = NearestNeighbors(n_neighbors=7, metric="cosine").fit(rows[:120])
    distance, near = search.kneighbors(rows[120:])
    votes = np.maximum(1 - distance, 0) ** power
    expected = (votes[:, :, None] * Y[near]).sum(axis=1) / votes.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), expected, atol=1e-5)


def test_items_are_compared_by_the_blocks_that_both_have() -> None:
    poster = np.array([[1, 0, 0], [0, 0, 1], [0.6, 0.8, 0], [0, 0, 1]], dtype=np.float32)
    text = sparse.csr_matrix([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1], [0, 0, 1]], dtype=np.float32)
    matrix = FusionMatrix.from_blocks([poster, text], weights=[2.0, 1.0])
    head = MultilabelKNN(2).fit(matrix, np.eye(4))
    expected = [
        [1.0, 0.6, 0.6, 0.0],  # both; text alone; poster alone; nothing in common
        [0.6, 1.0, 0.0, 0.0],
        [0.6, 0.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],  # it lacks both: lacking the same is no likeness
    ]
    np.testing.assert_allclose(head._similarities(matrix), expected, atol=1e-6)
    prior = 1 / (1 + np.exp(-head.decision_function(matrix)[3]))
    np.testing.assert_allclose(prior, [0.25] * 4)


def test_a_matrix_without_indicators_is_an_error(data: Any) -> None:
    with pytest.raises(SettingError, match="expected block poster to end with a column that says"):
        missing_blocks(FusionMatrix.from_blocks([np.full((3, 2), 0.5)], ["poster"]))


# Out of fold


@pytest.mark.parametrize("genres", [1, 3])
def test_folds_of_the_svm_in_one_solve_are_those_of_a_loop(data: Any, genres: int) -> None:
    matrix, Y = data[0], data[1][:, :genres]
    fold = assign_folds(Y, 3, None, fewer=True)
    found = out_of_fold(svm(), matrix, Y, fold)
    X, split = matrix.tocsr(), PredefinedSplit(fold)
    for j in range(genres):
        expected = cross_val_predict(linear(), X, Y[:, j], cv=split, method="decision_function")
        np.testing.assert_allclose(found[:, j], expected, atol=1e-3)


def test_what_a_fold_cannot_teach_is_nan(data: Any) -> None:
    matrix, Y = data
    Y = np.column_stack([Y, np.arange(N) == 4]).astype(np.uint8)
    for head in (svm(), linear()):
        found = out_of_fold(head, matrix, Y, np.arange(N) % 4)
        np.testing.assert_array_equal(np.isnan(found[:, 3]), np.arange(N) % 4 == 0)
        assert np.isfinite(found[:, :3]).all()


def test_groups_stay_together_inside_a_head(data: Any) -> None:
    groups = np.arange(N) // 4
    fold = assign_folds(data[1], 3, groups, fewer=True)
    assert all(len(set(fold[groups == g])) == 1 for g in range(40))
    with pytest.raises(SettingError, match="folds: expected at least two groups"):
        assign_folds(data[1], 3, np.zeros(N), fewer=True)
    with pytest.raises(SettingError, match="folds: expected 2 or more, found 1"):
        Chain(svm(), folds=1).fit(*data)


# Chain


@pytest.mark.parametrize("estimator", [svm(), linear()], ids=names)
def test_a_chain_is_that_of_scikit_learn(
    data: Any, estimator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, Y = data
    # scikit-learn's chain hands the scores on as they are.
    monkeypatch.setattr(Chain, "_standardise", lambda self, scores, genre: scores)
    new, _ = make_matrix(60, seed=1)
    found = Chain(estimator).fit(matrix, Y)
    plain = ClassifierChain(
        linear(),
        order=np.argsort(-Y.sum(axis=0, dtype=int)),
        cv=PredefinedSplit(assign_folds(Y, 3, None, fewer=True)),
        chain_method="decision_function",
    ).fit(matrix.tocsr(), Y)
    np.testing.assert_allclose(
        found.decision_function(new), plain.decision_function(new.tocsr()), atol=2e-3
    )


def test_a_chain_starts_with_the_most_frequent_genre(data: Any) -> None:
    matrix, Y = data
    Y = np.column_stack([Y[:, 0] & Y[:, 1], Y[:, 0] | Y[:, 1], Y[:, 0]])
    np.testing.assert_array_equal(Chain(svm(tol=1e-3)).fit(matrix, Y).order_, [1, 2, 0])


def test_the_svm_of_a_chain_needs_no_copy(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FusionMatrix, "tocsr", lambda self: pytest.fail("a copy was made"))
    Chain(svm(tol=1e-3)).fit(*data).decision_function(data[0])


# Stacking


def test_stacking_is_that_of_a_plain_loop(data: Any) -> None:
    matrix, Y = data
    found = Stacking(svm(), cs=(), penalties=(0.1,)).fit(matrix, Y)
    split = PredefinedSplit(assign_folds(Y, 4, None, fewer=True))
    members = [matrix.blocks[0][1], 0.5 * matrix.blocks[1][1], matrix.tocsr()]
    absent = matrix.blocks[0][1][:, -1:] == 1
    told, answers = [], []
    for i, member in enumerate(members):
        scores = np.column_stack(
            [
                cross_val_predict(linear(), member, y, cv=split, method="decision_function")
                for y in Y.T
            ]
        )
        own = OneVsRestClassifier(linear()).fit(member, Y).decision_function(member)
        use = ~absent.ravel() if i == 0 else np.ones(N, dtype=bool)
        centre, scale = scores[use].mean(axis=0), scores[use].std(axis=0)
        told.append(np.where(use[:, None], (scores - centre) / scale, 0))
        answers.append(np.where(use[:, None], (own - centre) / scale, 0))
    silent = np.hstack([absent, np.zeros((N, 2))])
    for j in range(3):
        plain = LogisticRegression(C=0.1, tol=1e-9, max_iter=10_000)
        plain.fit(np.column_stack([*(each[:, j] for each in told), silent]), Y[:, j])
        own = np.column_stack([*(each[:, j] for each in answers), silent])
        expected = plain.decision_function(own)
        np.testing.assert_allclose(found.decision_function(matrix)[:, j], expected, atol=0.02)


def test_what_a_head_says_of_items_without_its_block_is_not_used(data: Any) -> None:
    matrix, Y = data
    fitted = Stacking(svm(tol=1e-3), cs=()).fit(matrix, Y)
    absent = missing_blocks(matrix)[:, 0]
    before = fitted.decision_function(matrix)
    fitted.heads_["poster"].intercept_ = fitted.heads_["poster"].intercept_ + 5
    after = fitted.decision_function(matrix)
    np.testing.assert_array_equal(after[absent], before[absent])
    assert (after[~absent] != before[~absent]).all()


def test_one_block_has_one_head_and_says_what_was_chosen(data: Any) -> None:
    matrix, Y = data
    one = FusionMatrix(matrix.blocks[1:], matrix.weights[1:])
    fitted = Stacking(svm(tol=1e-3), cs=(0.1, 1.0)).fit(one, Y)
    assert list(fitted.heads_) == ["text"]
    assert set(fitted.chosen_) == {"C_text", "C_combiner"}
    with pytest.raises(SettingError, match="penalties: expected at least one"):
        Stacking(svm(), penalties=()).fit(one, Y)


def test_blocks_of_scores_need_no_head(data: Any) -> None:
    """They are features of the second level, as they are; with others than these genres', a head learns."""
    matrix, Y = data
    truth = np.random.default_rng(1).normal(Y * 2.0 - 1, 1.5)
    lacking = np.arange(N) % 7 == 0
    ready = np.hstack([np.where(lacking[:, None], 0, truth), lacking[:, None]]).astype(np.float32)
    blocks = (*matrix.blocks, ("tuned", ready))
    with_scores = FusionMatrix(blocks, (*matrix.weights, 1.0))
    found = Stacking(svm(tol=1e-3), cs=(), penalties=(1.0,), scores=("tuned",)).fit(with_scores, Y)
    assert list(found.heads_) == ["poster", "text", "all"]
    assert found.heads_["all"].n_features_in_ == matrix.shape[1]
    np.testing.assert_allclose(found.centre_[-1], truth[~lacking].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.scale_[-1], truth[~lacking].std(axis=0), atol=1e-5)
    plain = Stacking(svm(tol=1e-3), cs=(), penalties=(1.0,)).fit(matrix, Y)
    gain = average_precision_score(Y, found.decision_function(with_scores), average="macro")
    assert gain > average_precision_score(Y, plain.decision_function(matrix), average="macro")

    changed = ready.copy()
    changed[:, 1] += 3.0  # of genre 1
    moved = FusionMatrix((*matrix.blocks, ("tuned", changed)), with_scores.weights)
    before, after = found.decision_function(with_scores), found.decision_function(moved)
    np.testing.assert_array_equal(after[:, [0, 2]], before[:, [0, 2]])
    assert (after[~lacking, 1] > before[~lacking, 1]).all()
    np.testing.assert_array_equal(after[lacking], before[lacking])

    two = Stacking(svm(tol=1e-3), cs=(), scores=("tuned",)).fit(with_scores, Y[:, :2])
    assert list(two.heads_) == ["poster", "text", "tuned", "all"]


def test_a_stack_of_scores_alone(data: Any) -> None:
    _, Y = data
    scores = np.random.default_rng(1).normal(Y * 2.0 - 1, 1.5)
    matrix = FusionMatrix.from_blocks([np.hstack([scores, np.zeros((N, 1))])], ["tuned"])
    found = Stacking(svm(), penalties=(0.3,), scores=("tuned",)).fit(matrix, Y)
    assert found.heads_ == {}
    assert set(found.chosen_) == {"C_combiner"}
    for j in range(3):
        column = ((scores - scores.mean(axis=0)) / scores.std(axis=0))[:, [j]]
        plain = LogisticRegression(C=0.3, tol=1e-9, max_iter=10_000).fit(column, Y[:, j])
        expected = plain.decision_function(column)
        np.testing.assert_allclose(found.decision_function(matrix)[:, j], expected, atol=1e-4)


# In the whole


@pytest.mark.parametrize(("head", "chain"), [("stacking", False), ("svm", True)])
def test_labels_without_meaning_are_not_learnt(films: Path, head: str, chain: bool) -> None:
    catalogue = load_catalogue(films)
    gaps = []
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(catalogue.labels)
        model = make_hybrid(
            catalogue, head=head, chain=chain, blocks=["text"], folds=3, context=Context(seed=seed)
        ).fit(catalogue.frame, shuffled)
        found = average_precision_score(shuffled, model.oof_probabilities_, average="macro")
        gaps.append(found - shuffled.mean())
    assert abs(np.mean(gaps)) < 0.08


@pytest.mark.parametrize(
    ("head", "chain"),
    [("stacking", False), ("svm", True), ("logistic", True), ("knn", False), ("rbf", False)],
)
def test_a_run_is_saved_and_predicts_what_it_said(
    films: Path, tmp_path: Path, head: str, chain: bool
) -> None:
    catalogue = load_catalogue(films)
    model = make_hybrid(
        catalogue, head=head, chain=chain, blocks=["text", "metadata"], folds=2,
        block_weights={"text": 1.0},
    )  # fmt: skip
    experiment = Experiment(catalogue, split_catalogue(catalogue), tmp_path / "runs/it")
    run = fit_head(experiment, model, {})
    predict_catalogue(tmp_path / "runs/it", films, tmp_path / "p.csv")
    old, new = run.predictions, read_predictions(tmp_path / "p.csv")
    row = {name: i for i, name in enumerate(new.ids)}
    test = old.splits == "test"
    rows = [row[name] for name in old.ids[test]]
    np.testing.assert_allclose(new.probabilities[rows], old.probabilities[test], atol=1e-5)
    assert run.record.metrics["f1_weighted"].value > 0.6
    assert run.record.model.startswith("chain of ") is chain
    assert ("C_combiner" in run.record.head.chosen) is (head == "stacking")


@pytest.mark.parametrize("head", ["dummy-uniform", "stacking"])
def test_what_cannot_be_chained_is_an_error(films: Path, head: str) -> None:
    with pytest.raises(SettingError, match=f"--chain: expected a head .*, found {head}"):
        make_hybrid(load_catalogue(films), head=head, chain=True, blocks=["text"])


def test_the_chain_is_evaluated_by_its_own_scores(films: Path) -> None:
    catalogue = load_catalogue(films)
    plain, chained = (
        make_hybrid(catalogue, chain=chain, blocks=["text"], grid={"C": [0.3]}).fit(
            catalogue.frame, catalogue.labels
        )
        for chain in (False, True)
    )
    assert (plain.oof_scores_ != chained.oof_scores_).any()
    k = chained.fold_ == 0
    fusion = clone(chained.fusion).fit(catalogue.frame[~k])
    estimator = clone(chained.estimator).set_params(C=0.3)
    head = Chain(estimator, n_jobs=chained.n_jobs).fit(
        fusion.transform(catalogue.frame[~k]), catalogue.labels[~k]
    )
    expected = head_scores(head, fusion.transform(catalogue.frame[k]))
    np.testing.assert_allclose(chained.oof_scores_[k], expected, atol=1e-6)


def test_the_help_names_the_heads() -> None:
    assert set(ESTIMATORS) == set(HEADS) - {"svm"}


def test_plain_heads_of_dense_blocks_get_an_array(data: Any) -> None:
    matrix, Y = data
    one = FusionMatrix(matrix.blocks[:1], (2.0,))
    found = head_scores(fit_one(linear(), one, Y), one)
    rows = 2 * one.blocks[0][1]
    plain = OneVsRestClassifier(linear()).fit(rows, Y).decision_function(rows)
    np.testing.assert_allclose(found, plain, rtol=1e-6)


@pytest.mark.parametrize("name", [n for n, spec in HEADS.items() if spec.tuned])
def test_every_head_takes_items_without_posters(data: Any, name: str) -> None:
    matrix, Y = data
    estimator = get_head(name).build(0)
    if name == "boosting":
        estimator.set_params(estimator__max_iter=3)
    scores = head_scores(fit_one(estimator, matrix, Y), matrix)
    absent = missing_blocks(matrix)[:, 0]
    assert absent.any()
    assert np.isfinite(scores).all()
