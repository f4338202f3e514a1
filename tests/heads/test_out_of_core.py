"""Heads on rows that stay on disk: as good as in memory, certified, reading each row once a pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, sparse, special
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from hybrid.errors import RowsError, SettingError
from hybrid.extraction.import_embeddings import import_embeddings
from hybrid.features import ImportedFeatures, TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.features.indicator import add_indicator
from hybrid.features.lazy_block import SPAN, ComputedBlock
from hybrid.features.sparse_shards import write_shards
from hybrid.heads import MultilabelLinearSVC
from hybrid.heads.chain import Chain
from hybrid.heads.fitting import fit_head, head_scores
from hybrid.heads.logistic import MultilabelLogistic
from hybrid.heads.out_of_core.fit import fit_from_disk
from hybrid.heads.out_of_core.loops import maximise_one
from hybrid.heads.out_of_core.losses import SignedItems, SquaredHinge
from hybrid.heads.out_of_core.solver import Pass, solve_from_disk
from hybrid.utils.context import Context

NAMES, WEIGHTS = ["poster", "text"], [1.0, 0.5]


def draw(n: int, seed: int = 0, labels: int = 3) -> tuple[Any, Any, Any]:
    """Dense rows as float16, some missing; sparse rows; labels that depend on both."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, 6)).astype(np.float16)
    X = add_indicator(X, random.random(n) < 0.2)
    T = sparse.csr_matrix(
        np.where(random.random((n, 20)) < 0.2, random.random((n, 20)), 0), dtype=np.float32
    )
    scores = X[:, :6] @ random.standard_normal((6, labels)) + T @ random.standard_normal(
        (20, labels)
    )
    return X, T, (scores + random.standard_normal(scores.shape) > 0.5).astype(np.uint8)


def on_disk(X: Any, T: Any) -> FusionMatrix:
    """Both blocks read row by row."""
    blocks = [ComputedBlock(*b.shape, lambda rows, b=b: b[rows], b.dtype) for b in (X, T)]  # type: ignore[misc]
    return FusionMatrix.from_blocks(blocks, NAMES, WEIGHTS)


def in_memory(X: Any, T: Any) -> FusionMatrix:
    return FusionMatrix.from_blocks([X, T], NAMES, WEIGHTS)


def plain(X: Any, T: Any) -> Any:
    """The weighted blocks as one array."""
    return np.hstack([X.astype(float), 0.5 * T.toarray()])


def svm_objective(head: Any, X: Any, Y: Any, c: Any) -> Any:
    coef, bias = head.coef_, head.intercept_
    slack = np.maximum(0, 1 - np.where(Y, 1, -1) * (X @ coef.T + bias))
    return (np.square(coef).sum(axis=1) + bias**2) / 2 + (c * slack**2).sum(axis=0)


def logistic_objective(head: Any, X: Any, Y: Any, c: Any) -> Any:
    coef, bias = head.coef_, head.intercept_
    losses = np.logaddexp(0, -np.where(Y, 1, -1) * (X @ coef.T + bias))
    return (np.square(coef).sum(axis=1) + bias**2) / 2 + (c * losses).sum(axis=0)


def balanced(Y: Any, weight: Any) -> Any:
    """Weights of items and labels as scikit-learn has them."""
    present, n = weight @ Y, weight.sum()
    return weight[:, None] * np.where(Y, n / (2 * present), n / (2 * (n - present)))


@settings(deadline=None, max_examples=15)
@given(
    n=st.integers(30, 700),
    C=st.sampled_from([0.1, 1.0, 20.0]),
    class_weight=st.sampled_from([None, "balanced"]),
    left_out=st.sampled_from([0.0, 0.3]),
    head=st.sampled_from([MultilabelLinearSVC, MultilabelLogistic]),
    seed=st.integers(0, 1000),
)
def test_the_objective_is_that_of_the_heads_in_memory(
    n: int, C: float, class_weight: Any, left_out: float, head: Any, seed: int
) -> None:
    X, T, Y = draw(n, seed)
    random = np.random.default_rng(seed)
    weight = random.random(n) * (random.random(n) >= left_out)
    used = weight > 0
    if not all(0 < each < used.sum() for each in Y[used].sum(axis=0)):
        return
    made = head(C=C, class_weight=class_weight, tol=1e-8, max_iter=5000)
    memory = fit_head(made, in_memory(X, T), Y, n_jobs=1, sample_weight=weight)
    disk = fit_head(made, on_disk(X, T), Y, n_jobs=1, sample_weight=weight)
    objective = svm_objective if head is MultilabelLinearSVC else logistic_objective
    c = C * (balanced(Y, weight) if class_weight else weight[:, None])
    expected = objective(memory, plain(X, T), Y, c)
    np.testing.assert_allclose(objective(disk, plain(X, T), Y, c), expected, rtol=1e-6)
    assert (disk.dual_gap_ <= 1e-8).all()
    scores = memory.decision_function(in_memory(X, T))
    found = disk.decision_function(on_disk(X, T))
    np.testing.assert_allclose(found, scores, atol=1e-3 * np.abs(scores).max())


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 0.5, 1: 3.0}])
def test_the_svm_is_that_of_scikit_learn(class_weight: Any) -> None:
    X, T, Y = draw(900)
    found = MultilabelLinearSVC(C=0.7, class_weight=class_weight, tol=1e-9, random_state=0)
    found.fit(on_disk(X, T), Y)
    for label in range(3):
        other = LinearSVC(
            C=0.7, class_weight=class_weight, tol=1e-10, max_iter=10**5, random_state=0
        )
        other.fit(plain(X, T), Y[:, label])
        np.testing.assert_allclose(found.coef_[label], other.coef_[0], atol=2e-4)
        np.testing.assert_allclose(found.intercept_[label], other.intercept_[0], atol=2e-4)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_the_logistic_regression_is_that_of_scikit_learn(class_weight: Any) -> None:
    X, T, Y = draw(900)
    found = MultilabelLogistic(C=0.7, class_weight=class_weight, tol=1e-9).fit(on_disk(X, T), Y)
    for label in range(3):
        other = LogisticRegression(
            C=0.7, class_weight=class_weight, solver="liblinear", tol=1e-10, max_iter=10**4
        ).fit(plain(X, T), Y[:, label])
        np.testing.assert_allclose(found.coef_[label], other.coef_[0], atol=2e-4)
        np.testing.assert_allclose(found.intercept_[label], other.intercept_[0], atol=2e-4)


@pytest.mark.parametrize("kind", ["two classes", "three classes", "one column"])
def test_classes_are_learnt_as_in_memory(kind: str) -> None:
    X, T, Y = draw(400)
    y = {"two classes": Y[:, 0], "three classes": Y.argmax(axis=1), "one column": Y[:, :1]}[kind]
    weights = {0: 2.0, 1: 0.7}
    model = MultilabelLinearSVC(class_weight=weights, tol=1e-8, random_state=0)
    disk = model.fit(on_disk(X, T), y).decision_function(on_disk(X, T))
    memory = model.fit(in_memory(X, T), y).decision_function(in_memory(X, T))
    np.testing.assert_allclose(disk, memory, atol=1e-3)


def test_a_gap_bounds_the_distance_to_the_optimum() -> None:
    """Also of coefficients that are far from it, in single precision."""
    X, T, Y = draw(3000)
    best = MultilabelLinearSVC(tol=1e-10, random_state=0, max_iter=5000).fit(in_memory(X, T), Y)
    least = svm_objective(best, plain(X, T), Y, 1.0)
    for max_iter in (1, 2, 4):
        model = MultilabelLinearSVC(tol=1e-6, random_state=0, max_iter=max_iter)
        with pytest.warns(ConvergenceWarning, match="have a duality gap above tol"):
            model.fit(on_disk(X, T), Y)
        reached = svm_objective(model, plain(X, T), Y, 1.0)
        assert ((reached - least) / reached <= model.dual_gap_ + 1e-9).all()
        assert (model.dual_gap_ < 1).all()


def test_the_result_does_not_depend_on_the_threads() -> None:
    X, T, Y = draw(2 * SPAN + 100)
    coefs = [
        MultilabelLinearSVC(random_state=3, n_jobs=jobs).fit(on_disk(X, T), Y) for jobs in (1, 2, 4)
    ]
    for other in coefs[1:]:
        np.testing.assert_array_equal(other.coef_, coefs[0].coef_)
        np.testing.assert_array_equal(other.dual_gap_, coefs[0].dual_gap_)


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_pass_reads_each_row_once_and_some_thousand_at_a_time(jobs: int) -> None:
    X, T, Y = draw(3 * SPAN + 7)
    n = len(X)
    reads: list[Any] = []

    def read(rows: Any) -> Any:
        reads.append(rows)
        return X[rows]

    matrix = FusionMatrix.from_blocks([ComputedBlock(n, X.shape[1], read, np.float16), T])
    passes: list[Pass] = []
    told: list[list[Any]] = []

    def tell(each: Pass) -> None:
        passes.append(each)
        told.append(reads.copy())
        reads.clear()

    loss = SquaredHinge(SignedItems(Y, np.ones(n), np.ones((2, 3))))
    found = solve_from_disk(matrix, loss, n_jobs=jobs, random_state=0, tell=tell)
    assert (found.gap <= 1e-3).all()
    assert [each.certificate for each in passes].count(True) <= 3
    assert passes[-1].certificate
    assert passes[-1].left == 0
    for rows in told:
        assert sorted(np.concatenate(rows).tolist()) == list(range(n))
        assert max(map(len, rows)) <= SPAN
    first, second = (np.concatenate(rows) for rows in told[:2])
    assert (first != second).any()  # in another order


def test_shards_and_float16_rows_are_fitted_as_they_are(tmp_path: Path) -> None:
    X, T, Y = draw(500)
    dense = ComputedBlock(*X.shape, lambda rows: X[rows], np.float16)
    shards = write_shards(tmp_path, [T[:300], T[300:]], T.shape[1])
    matrix = FusionMatrix.from_blocks([dense, shards], NAMES, WEIGHTS)
    found = MultilabelLinearSVC(random_state=0).fit(matrix, Y)
    expected = MultilabelLinearSVC(random_state=0, tol=1e-9).fit(in_memory(X, T), Y)
    best = svm_objective(expected, plain(X, T), Y, 1.0)
    assert (svm_objective(found, plain(X, T), Y, 1.0) <= best / (1 - 1e-3)).all()


def test_a_constant_label_is_not_learnt() -> None:
    X, T, Y = draw(300)
    Y[:, 1] = 1
    with pytest.warns(UserWarning, match="Label 1 is present in all"):
        model = MultilabelLinearSVC(random_state=0).fit(on_disk(X, T), Y)
    assert not model.coef_[1].any()
    assert (model.decision_function(on_disk(X, T))[:, 1] == 1).all()
    logistic = MultilabelLogistic().fit(on_disk(X, T), Y)
    assert not logistic.coef_[1].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named(value: float) -> None:
    X, T, Y = draw(600)
    X[431, 2] = value
    with pytest.raises(SettingError, match=r"poster: expected finite numbers, .* in row 431"):
        MultilabelLinearSVC(random_state=0).fit(on_disk(X, T), Y)


def test_an_error_of_reading_ends_the_fit() -> None:
    X, _, Y = draw(3 * SPAN)

    def read(rows: Any) -> Any:
        raise OSError("the disk is gone")

    matrix = FusionMatrix.from_blocks([ComputedBlock(*X.shape, read)])
    with pytest.raises(OSError, match="the disk is gone"):
        MultilabelLinearSVC(n_jobs=3).fit(matrix, Y)


def test_heads_that_need_all_rows_in_memory_say_so() -> None:
    X, T, Y = draw(60)
    with pytest.raises(SettingError, match="for rows on disk, found Chain"):
        Chain(MultilabelLinearSVC()).fit(on_disk(X, T), Y)
    with pytest.raises(SettingError, match="for rows on disk, found a head of one genre"):
        fit_head(LinearSVC(), on_disk(X, T), Y, n_jobs=1)


@pytest.mark.parametrize("head", [MultilabelLinearSVC, MultilabelLogistic])
def test_labels_that_are_unknown_for_some_items_are_learnt_from_the_others(head: Any) -> None:
    X, T, Y = draw(400)
    random = np.random.default_rng(0)
    unknown = random.random(Y.shape) < [0.3, 0.3, 0.0]
    truth = np.ma.masked_array(Y, mask=unknown)
    estimator = head(tol=1e-8, class_weight="balanced", max_iter=2000)
    weight = random.random(400)
    scores = []
    for matrix in (in_memory(X, T), on_disk(X, T)):
        fitted = fit_head(estimator, matrix, truth, n_jobs=1, sample_weight=weight)
        scores.append(head_scores(fitted, in_memory(X, T)))
    np.testing.assert_allclose(scores[1], scores[0], atol=2e-3)


def test_blocks_and_head_are_fitted_on_items_in_any_order(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ids = np.array([f"f{i}" for i in range(90)])
    genre = random.integers(0, 2, 90)
    words = np.array([["ghost", "house"], ["sheriff", "west"]])
    frame = pd.DataFrame(
        {"overview": [" ".join(random.choice([*words[g], "a", "story"], 5)) for g in genre]},
        index=random.permutation(ids),
    )
    context = Context(cache=str(tmp_path / "cache"))
    rows = pd.DataFrame(random.standard_normal((90, 3)) + genre[:, None], index=frame.index)
    kept = random.permutation(90)[:80]
    made = import_embeddings(rows.iloc[kept], block="clip", context=context)
    fusion = Fusion(
        [
            ("text", TextFeatures(["overview"], max_chars=0)),
            ("clip", ImportedFeatures(context.cache, made.fingerprint)),
        ]
    )
    labels, weight = np.stack([genre, 1 - genre], axis=1), random.random(90)
    svm = MultilabelLinearSVC(tol=1e-8, random_state=0)
    (tmp_path / "scratch").mkdir()
    found = fit_from_disk(
        fusion, svm, frame, labels, folder=tmp_path / "scratch", sample_weight=weight
    )
    assert list((tmp_path / "scratch").iterdir()) == []
    expected = clone(fusion).fit(frame)
    matrix = expected.transform(frame)
    head = clone(svm).fit(matrix, labels, weight)
    scores = found.head.decision_function(found.fusion.transform(frame))
    np.testing.assert_allclose(scores, head.decision_function(matrix), atol=1e-3)


def test_a_folder_for_rows_that_is_not_there_is_told(tmp_path: Path) -> None:
    fusion = Fusion([("text", TextFeatures(["overview"], max_chars=0))])
    frame = pd.DataFrame({"overview": ["a ghost", "a ghost"]})
    with pytest.raises(RowsError, match=r"cannot write .*absent"):
        fit_from_disk(fusion, MultilabelLinearSVC(), frame, np.eye(2), folder=tmp_path / "absent")


@settings(deadline=None, max_examples=200)
@given(
    z=st.floats(-50, 50),
    q=st.floats(0, 100),
    c=st.floats(1e-3, 1e3),
    share=st.floats(0, 1),
)
def test_a_step_of_the_logistic_loss_solves_its_equation(
    z: float, q: float, c: float, share: float
) -> None:
    a = c * share

    def slope(u: float) -> float:
        return u + z + q * (c * special.expit(u) - a)

    u = optimize.brentq(slope, -z - q * c - 1, -z + q * c + 1, xtol=1e-13, rtol=1e-13)
    expected = c * special.expit(u)
    assert maximise_one(z, q, c, a) == pytest.approx(expected, rel=1e-6, abs=1e-9 * c)
