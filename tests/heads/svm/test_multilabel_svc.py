"""All labels' SVMs in one solve, against LinearSVC, and their certificates by hand."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads import MultilabelLinearSVC
from hybrid.heads.svm.base import signed_weights, with_ones
from hybrid.heads.svm.solver import solve

Floats = NDArray[np.float64]


def make_items(
    n: int = 300, dense: int = 12, words: int = 40, labels: int = 4, seed: int = 0
) -> tuple[Floats, sparse.csr_matrix, NDArray[np.int64]]:
    """Dense and sparse features, and labels that depend on both; each label varies."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, dense)) / np.sqrt(dense)
    T = sparse.csr_matrix(sparse.random(n, words, 0.1, "csr", rng=random))
    scores = X @ random.standard_normal((dense, labels)) + T @ random.standard_normal(
        (words, labels)
    )
    scores += 0.5 * random.standard_normal(scores.shape)
    Y = (scores > np.quantile(scores, np.linspace(0.5, 0.9, labels), axis=0).diagonal()).astype(int)
    Y[0], Y[1] = 0, 1
    return X, T, Y


def objectives(X: Any, Y: Any, coef: Any, intercept: Any, C: float = 1.0, c: Any = 1.0) -> Any:
    """Of LinearSVC with squared hinge, dense and naive."""
    slack = np.maximum(0, 1 - np.where(Y, 1, -1) * (X @ coef.T + intercept))
    return ((coef**2).sum(axis=1) + intercept**2) / 2 + C * (c * slack**2).sum(axis=0)


def plain(X: Any, Y: Any, **options: Any) -> tuple[Floats, Floats]:
    """Coefficients and intercepts of LinearSVC, one label after the other."""
    options = {"C": 1.0, "tol": 1e-10, "max_iter": 1_000_000, "random_state": 0, **options}
    weight = options.pop("sample_weight", None)
    svms = [LinearSVC(**options).fit(X, y, sample_weight=weight) for y in Y.T]
    return np.vstack([s.coef_ for s in svms]), np.ravel([s.intercept_ for s in svms])


def assert_near(
    model: MultilabelLinearSVC, coef: Floats, intercept: Floats, objective: Floats
) -> None:
    """Within the distance that the certified gap allows: |w - w*|² <= 2 gap primal."""
    distance = ((model.coef_ - coef) ** 2).sum(axis=1) + (model.intercept_ - intercept) ** 2
    bound = 2 * model.dual_gap_ * objective
    assert (np.sqrt(distance) <= np.sqrt(bound) + 1e-4 * np.sqrt(objective)).all()


def forms(X: Floats, T: sparse.csr_matrix) -> dict[str, Any]:
    """The same features in each form that is taken."""
    both = np.hstack([X, T.toarray()])
    return {
        "dense": both,
        "dense float32": both.astype(np.float32),
        "csr": sparse.csr_matrix(both),
        "csr float32": sparse.csr_matrix(both.astype(np.float32)),
        "fused": FusionMatrix.from_blocks([X, T]),
        "fused float32": FusionMatrix.from_blocks([X.astype(np.float32), T.astype(np.float32)]),
    }


# Against LinearSVC


@pytest.mark.parametrize("form", forms(*make_items(10)[:2]))
@pytest.mark.parametrize("tol", [1e-3, 1e-9])
def test_it_is_linear_svc(form: str, tol: float) -> None:
    X, T, Y = make_items(600)
    both = np.hstack([X, T.toarray()])
    features = forms(X, T)[form]
    model = MultilabelLinearSVC(tol=tol, random_state=0).fit(features, Y)
    coef, intercept = plain(both, Y)
    assert (model.dual_gap_ <= tol).all()
    assert_near(model, coef, intercept, objectives(both, Y, model.coef_, model.intercept_))
    best = objectives(both, Y, coef, intercept)
    assert (objectives(both, Y, model.coef_, model.intercept_) <= best * (1 + 1.01 * tol)).all()
    expected = both @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(model.decision_function(features), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.predict(features), model.decision_function(features) > 0)


@pytest.mark.parametrize("labels", [1, 2, 3, 17, 33, 80])
def test_any_number_of_labels(labels: int) -> None:
    X, _, Y = make_items(280, labels=labels)
    model = MultilabelLinearSVC(tol=1e-8).fit(X, Y)
    assert model.coef_.shape == (labels, X.shape[1])
    assert model.n_iter_.shape == model.dual_gap_.shape == model.intercept_.shape == (labels,)
    coef, intercept = plain(X, Y)
    assert_near(model, coef, intercept, objectives(X, Y, coef, intercept))


@pytest.mark.parametrize("options", [{"C": 0.01}, {"C": 3.0}, {"fit_intercept": False}])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 0.5, 1: 3.0}])
def test_settings_mean_what_they_mean_there(options: dict[str, Any], class_weight: Any) -> None:
    X, _, Y = make_items(400)
    options = {"class_weight": class_weight, **options}
    model = MultilabelLinearSVC(tol=1e-8, **options).fit(X, Y)
    coef, intercept = plain(X, Y, **options)
    atol = 1e-3 * abs(coef).max()
    np.testing.assert_allclose(model.coef_, coef, atol=atol)
    np.testing.assert_allclose(model.intercept_, intercept, atol=atol)


@given(
    n=st.integers(4, 60),
    columns=st.integers(1, 90),
    labels=st.integers(1, 4),
    C=st.sampled_from([0.01, 1.0, 10.0]),
    balanced=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_any_small_problem(
    n: int, columns: int, labels: int, C: float, balanced: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    X = random.integers(-3, 4, (n, columns)) / np.sqrt(columns)  # with duplicate and zero rows
    Y = random.integers(0, 2, (n, labels))
    Y[0], Y[1] = 0, 1
    options: dict[str, Any] = {"C": C, "class_weight": "balanced" if balanced else None}
    model = MultilabelLinearSVC(tol=1e-8, **options).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        coef, intercept = plain(X, Y, tol=1e-8, max_iter=20_000, **options)
    c = 1.0
    if balanced:
        c = np.where(Y, n / (2 * Y.sum(axis=0)), n / (2 * (n - Y.sum(axis=0))))
    found = objectives(X, Y, model.coef_, model.intercept_, C, c)
    assert (found <= objectives(X, Y, coef, intercept, C, c) * (1 + 1e-7)).all()


@pytest.mark.parametrize(("labels", "epochs"), [(1, 60), (8, 30)])
def test_rows_sorted_by_class_do_not_stall_it(labels: int, epochs: int) -> None:
    X, _, Y = make_items(3000, labels=labels)
    order = np.argsort(Y[:, 0], kind="stable")
    model = MultilabelLinearSVC(tol=1e-6).fit(X[order], Y[order])
    assert model.n_iter_.max() <= epochs


def test_duplicate_and_zero_rows() -> None:
    X, _, Y = make_items(300)
    X, Y = np.vstack([X, X, np.zeros((50, X.shape[1]))]), np.vstack([Y, Y, Y[:50]])
    model = MultilabelLinearSVC(tol=1e-8).fit(X, Y)
    coef, intercept = plain(X, Y)
    assert_near(model, coef, intercept, objectives(X, Y, coef, intercept))


def test_csr_with_entries_given_twice() -> None:
    X, _, Y = make_items(40)
    twice = sparse.csr_matrix(np.hstack([X / 2, X / 2]))
    twice = sparse.csr_matrix((twice.data, twice.indices % X.shape[1], twice.indptr), X.shape)
    before = twice.data.copy()
    assert not twice.has_canonical_format
    found = MultilabelLinearSVC(tol=1e-9).fit(twice, Y)
    expected = MultilabelLinearSVC(tol=1e-9).fit(X, Y)
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-4)
    np.testing.assert_array_equal(twice.data, before)


def test_block_weights_are_column_scales() -> None:
    X, T, Y = make_items()
    matrix = FusionMatrix.from_blocks([X, T], weights=[0.5, 3.0])
    found = MultilabelLinearSVC(tol=1e-9).fit(matrix, Y)
    expected = MultilabelLinearSVC(tol=1e-9).fit(matrix.tocsr(), Y)
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-4)
    np.testing.assert_allclose(
        found.decision_function(matrix), expected.decision_function(matrix.tocsr()), atol=1e-3
    )


# The certificate


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("max_iter", [1, 3])
def test_the_gap_is_a_proof(dtype: Any, max_iter: int) -> None:
    X, T, Y = make_items(700)
    X = X.astype(dtype)
    both = np.hstack([X, T.toarray()]).astype(np.float64)
    model = MultilabelLinearSVC(tol=1e-7, max_iter=max_iter)
    with pytest.warns(ConvergenceWarning):
        model.fit(FusionMatrix.from_blocks([X, T]), Y)
    best = objectives(both, Y, *plain(both, Y))
    found = objectives(both, Y, model.coef_, model.intercept_)
    # The dual is primal (1 - gap), and no dual is above the optimum; nor is it far below.
    assert (found * (1 - model.dual_gap_) <= best * (1 + 1e-9)).all()
    assert (found >= best * (1 - 1e-9)).all()
    assert (found - best <= model.dual_gap_ * found).all()
    assert (model.dual_gap_ > 1e-7).all()


def test_the_gap_by_hand() -> None:
    """One item x = 2 with label 1, one epoch: a = |B| / (1 + B² |x|²) in closed form."""
    matrix = FusionMatrix.from_blocks([np.array([[2.0]])])
    found = solve(matrix, np.array([[np.sqrt(2.0)]]), tol=1e-12)
    w = 4 / (1 + 2 * 4)
    np.testing.assert_allclose(found.coef, [[w]], rtol=1e-12)
    assert found.gap[0] <= 1e-12


def test_a_warning_says_the_gap() -> None:
    X, _, Y = make_items(600, labels=3)
    with pytest.warns(ConvergenceWarning) as caught:
        model = MultilabelLinearSVC(C=100, tol=1e-6, max_iter=2).fit(X, Y)
    worst = int(model.dual_gap_.argmax())
    text = str(caught[0].message)
    assert f"3 of 3 SVMs have a duality gap above tol=1e-06; the largest, number {worst}" in text
    assert f"has {model.dual_gap_[worst]:.2g}. Raise max_iter (now 2)" in text
    assert (model.n_iter_ == 2).all()
    assert caught[0].filename == __file__


def test_columns_that_are_done_are_left_alone() -> None:
    X, _, Y = make_items(800, labels=20)
    matrix = with_ones(FusionMatrix.from_blocks([X]))
    B = np.concatenate([signed_weights(Y > 0, np.ones(800), C, None) for C in (1e-3, 10.0)])
    found = solve(matrix, B, tol=1e-4, random_state=0)
    assert found.n_iter[:20].max() < found.n_iter[20:].min()
    coef, _ = plain(X, Y, C=1e-3)
    np.testing.assert_allclose(found.coef[:20, :-1], coef, atol=0.02 * abs(coef).max())


@pytest.mark.parametrize("n", [200, 900])
def test_the_threads_do_not_change_a_bit(n: int) -> None:
    X, T, Y = make_items(n, labels=37)
    matrix = FusionMatrix.from_blocks([X.astype(np.float32), T])
    one, two, five = (
        MultilabelLinearSVC(n_jobs=k, random_state=3).fit(matrix, Y) for k in (1, 2, 5)
    )
    np.testing.assert_array_equal(one.coef_, two.coef_)
    np.testing.assert_array_equal(one.coef_, five.coef_)
    np.testing.assert_array_equal(one.dual_gap_, two.dual_gap_)
    other = MultilabelLinearSVC(random_state=4).fit(matrix, Y)
    assert (n < 256) or (one.coef_ != other.coef_).any()


# Weights and labels


def test_weight_two_is_the_row_twice() -> None:
    X, _, Y = make_items(290)
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    for class_weight in (None, "balanced"):
        model = MultilabelLinearSVC(tol=1e-10, class_weight=class_weight)
        weighed = clone(model).fit(X, Y, sample_weight=weight)
        repeated = clone(model).fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight, axis=0))
        np.testing.assert_allclose(weighed.coef_, repeated.coef_, atol=1e-4)


def test_sample_weights_are_those_of_linear_svc() -> None:
    X, _, Y = make_items(290)
    weight = np.random.default_rng(0).random(len(X))
    options: dict[str, Any] = {"class_weight": "balanced"}
    model = MultilabelLinearSVC(tol=1e-10, **options).fit(X, Y, sample_weight=weight)
    coef, intercept = plain(X, Y, sample_weight=weight, **options)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-4)
    np.testing.assert_allclose(model.intercept_, intercept, atol=1e-4)


def test_constant_labels_are_those_of_one_vs_rest() -> None:
    X, _, Y = make_items(100, labels=4)
    Y[:, 1], Y[:, 3] = 0, 1
    model = MultilabelLinearSVC(tol=1e-9)
    with pytest.warns(UserWarning, match="Label .* is present in all training examples") as ours:
        model.fit(X, Y)
    with pytest.warns(UserWarning, match="Label .* is present in all training") as theirs:
        other = OneVsRestClassifier(LinearSVC(tol=1e-9, max_iter=100_000)).fit(X, Y)
    assert [str(w.message) for w in ours] == [str(w.message) for w in theirs]
    np.testing.assert_array_equal(model.coef_[[1, 3]], 0)
    np.testing.assert_allclose(model.decision_function(X), other.decision_function(X), atol=1e-3)
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    np.testing.assert_array_equal(model.dual_gap_[[1, 3]], 0)


def test_binary_and_multiclass() -> None:
    X, _, Y = make_items(300, labels=3)
    names = np.array(["drama", "comedy", "horror"])
    y = names[np.argmax(Y, axis=1)]
    model = MultilabelLinearSVC(tol=1e-9, class_weight="balanced").fit(X, y)
    other = OneVsRestClassifier(LinearSVC(tol=1e-9, class_weight="balanced", max_iter=10**6))
    other.fit(X, y)
    assert list(model.classes_) == list(other.classes_)
    np.testing.assert_allclose(model.decision_function(X), other.decision_function(X), atol=1e-3)
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    two = MultilabelLinearSVC(tol=1e-9, class_weight={"yes": 2.0}).fit(
        X, np.where(Y[:, 0], "yes", "no")
    )
    svm = LinearSVC(tol=1e-9, class_weight={0: 1, 1: 2.0}, max_iter=10**6).fit(X, Y[:, 0])
    assert two.decision_function(X).shape == (300,)
    np.testing.assert_allclose(two.coef_, svm.coef_, atol=1e-3)
    assert set(two.predict(X)) == {"yes", "no"}


def test_sparse_labels_and_one_column() -> None:
    X, _, Y = make_items(100)
    expected = MultilabelLinearSVC(random_state=0).fit(X, Y)
    found = MultilabelLinearSVC(random_state=0).fit(X, sparse.csr_matrix(Y))
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    assert MultilabelLinearSVC().fit(X, Y[:, :1]).predict(X).shape == (100,)


def test_inputs_are_left_alone() -> None:
    X, T, Y = make_items(300)
    before = X.copy(), T.copy(), Y.copy()
    for array in (X, T.data, Y):
        array.setflags(write=False)
    MultilabelLinearSVC().fit(FusionMatrix.from_blocks([X, T]), Y)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(T.toarray(), before[1].toarray())


def test_all_wrong_settings_are_listed() -> None:
    X, _, Y = make_items(20)
    model = MultilabelLinearSVC(C=-1.0, class_weight={0: -1.0}, tol=0.0, max_iter=0, n_jobs=0)
    with pytest.raises(SettingError) as error:
        model.fit(X, Y)
    assert sorted(line.split(":")[0] for line in str(error.value).splitlines()) == [
        *["C", "class_weight", "max_iter", "n_jobs", "tol"]
    ]


def test_invalid_input_is_an_error() -> None:
    X, T, Y = make_items(20)
    with pytest.raises(SettingError, match="found one class"):
        MultilabelLinearSVC().fit(X, np.ones(20, dtype=int))
    with pytest.raises(
        ValueError, match=r"a weight above 0, found none|at least one non-zero number"
    ):
        MultilabelLinearSVC().fit(X, Y, sample_weight=np.zeros(20))
    model = MultilabelLinearSVC().fit(FusionMatrix.from_blocks([X, T]), Y)
    with pytest.raises(SettingError, match=r"X has 12 features, but .* is expecting 52"):
        model.predict(FusionMatrix.from_blocks([X]))
    X[3, 4] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        MultilabelLinearSVC().fit(FusionMatrix.from_blocks([X, T]), Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        MultilabelLinearSVC().fit(FusionMatrix.from_blocks([T]), Y[:10])


# scikit-learn's own checks


# Weights and repeated rows are told apart by 1e-7: at the default tol the two fits need agree only to a
# thousandth of the objective.
@parametrize_with_checks([MultilabelLinearSVC(tol=1e-14)])
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        # Rounding is above that tol for some data.
        warnings.simplefilter("ignore")
        check(estimator)


# Beside the rest of scikit-learn, and of the house


def test_splitters_and_grid_search_take_a_fusion() -> None:
    X, T, Y = make_items(120)
    matrix = FusionMatrix.from_blocks([X, T])
    model = MultilabelLinearSVC(tol=1e-8, random_state=0)
    scores = cross_val_predict(model, matrix, Y, cv=KFold(3), method="decision_function")
    expected = cross_val_predict(model, matrix.tocsr(), Y, cv=KFold(3), method="decision_function")
    np.testing.assert_allclose(scores, expected, atol=1e-3)
    search = GridSearchCV(model, {"C": [0.1, 1.0]}, cv=2).fit(matrix, Y)
    assert search.best_estimator_.coef_.shape == (4, 52)


def test_numba_is_loaded_only_to_fit() -> None:
    code = "import sys, hybrid.heads; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
