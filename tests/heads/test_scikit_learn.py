"""scikit-learn's own estimator checks, metadata routing, and weights of items.

scikit-learn checks estimators with arrays of random numbers. Ours take a catalogue's frame with named
columns, so each has an adapter here that makes such a frame of an array; the checks then run the
estimator itself. What is expected to fail is listed with its reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.naive_bayes import BernoulliNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from hybrid.errors import SettingError
from hybrid.features import MetadataFeatures, PosterFeatures, TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads import HybridClassifier, MultilabelLinearSVC
from hybrid.heads.fitting import fit_head, head_scores
from hybrid.heads.head_pipeline import BlockSVD, HeadPipeline
from hybrid.heads.kernel_svm import KernelSVC
from hybrid.heads.knn import MultilabelKNN
from hybrid.heads.logistic import MultilabelLogistic

Labels = NDArray[np.uint8]


def columns(X: Any) -> list[str]:
    return [f"x{i}" for i in range(X.shape[1])]


def as_frame(X: Any) -> pd.DataFrame:
    return pd.DataFrame(X, columns=columns(X))


def as_words(X: Any) -> pd.DataFrame:
    """Numbers as text: a word for each, such as ``x0p1``."""
    words = [[f"x{j}p{round(value)}" for j, value in enumerate(row)] for row in X]
    return pd.DataFrame({"text": [" ".join(row) for row in words]})


class FromArrays(BaseEstimator):
    """Tags of the adapters, which take arrays of numbers without gaps."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.string = tags.input_tags.categorical = tags.input_tags.allow_nan = False
        return tags

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        check_is_fitted(self)
        return self.inner_.get_feature_names_out()


class ArrayMetadata(FromArrays, MetadataFeatures):
    def __init__(self, min_count: int = 2) -> None:
        super().__init__(min_count=min_count)

    def fit(self, X: Any, y: Any = None) -> ArrayMetadata:
        X = validate_data(self, X)
        self.inner_ = MetadataFeatures(columns(X), min_count=self.min_count).fit(as_frame(X))
        return self

    def transform(self, X: Any) -> Any:
        check_is_fitted(self)
        return self.inner_.transform(as_frame(validate_data(self, X, reset=False)))


class ArrayText(FromArrays, TextFeatures):
    def __init__(self, min_df: int = 1) -> None:
        super().__init__(["text"], min_df=min_df)

    def fit(self, X: Any, y: Any = None) -> ArrayText:
        X = validate_data(self, X)
        self.inner_ = TextFeatures(["text"], min_df=self.min_df).fit(as_words(X))
        return self

    def transform(self, X: Any) -> Any:
        check_is_fitted(self)
        return self.inner_.transform(as_words(validate_data(self, X, reset=False)))


class ArrayPosters(FromArrays, PosterFeatures):
    """Embeddings in place of posters."""

    def __init__(self, workers: int = 1) -> None:
        super().__init__(workers=workers)

    def fit(self, X: Any, y: Any = None) -> ArrayPosters:
        X = validate_data(self, X, dtype=np.float32)
        self.inner_ = PosterFeatures().fit(X)
        return self

    def transform(self, X: Any) -> Any:
        check_is_fitted(self)
        return self.inner_.transform(validate_data(self, X, reset=False, dtype=np.float32))


class ArrayFusion(FromArrays, Fusion):
    def __init__(self, weights: Any = None) -> None:
        super().__init__([], weights)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"weights": self.weights}

    def set_params(self, **params: Any) -> ArrayFusion:
        return BaseEstimator.set_params(self, **params)

    def fit(self, X: Any, y: Any = None) -> ArrayFusion:
        X = validate_data(self, X)
        blocks = [("metadata", MetadataFeatures(columns(X)))]
        self.inner_ = Fusion(blocks, self.weights).fit(as_frame(X))
        return self

    def transform(self, X: Any) -> Any:
        check_is_fitted(self)
        return self.inner_.transform(as_frame(validate_data(self, X, reset=False))).tocsr()


class ArrayClassifier(FromArrays, HybridClassifier):
    """Two classes of any name become 0 and 1."""

    def __init__(self, C: float = 1.0, folds: int = 2) -> None:
        self.C = C
        self.folds = folds

    def fit(
        self, X: Any, y: Any, *, sample_weight: Any = None, groups: Any = None
    ) -> ArrayClassifier:
        X, y = validate_data(self, X, y, multi_output=True)
        self.names_ = np.unique(y)
        if len(self.names_) == 2:
            y = y == self.names_[1]
        fusion = Fusion([("metadata", MetadataFeatures(columns(X)))])
        svm = MultilabelLinearSVC(self.C, tol=1e-6, random_state=0)
        self.inner_ = HybridClassifier(fusion, svm, folds=self.folds)
        self.inner_.fit(as_frame(X), y, sample_weight=sample_weight, groups=groups)
        self.classes_ = self.inner_.classes_
        return self

    def predict(self, X: Any) -> Any:
        found = self._inner("predict", X)
        return self.names_[found] if len(self.names_) == 2 else found

    def predict_proba(self, X: Any) -> Any:
        return self._inner("predict_proba", X)

    def decision_function(self, X: Any) -> Any:
        return self._inner("decision_function", X)

    def _inner(self, name: str, X: Any) -> Any:
        check_is_fitted(self)
        return getattr(self.inner_, name)(as_frame(validate_data(self, X, reset=False)))


ONE_COLUMN = "y of shape (n,): labels are 0 and 1 of shape (n, L), as a catalogue has them"
EXPECTED: dict[type, dict[str, str]] = {
    ArrayClassifier: {
        "check_classifier_not_supporting_multiclass": ONE_COLUMN,
        "check_classifiers_classes": ONE_COLUMN,
        "check_classifiers_one_label": ONE_COLUMN,
        "check_classifiers_one_label_sample_weights": ONE_COLUMN,
        "check_classifiers_regression_target": ONE_COLUMN,
        "check_classifiers_train": ONE_COLUMN,
        "check_decision_proba_consistency": ONE_COLUMN,
        "check_classifier_multioutput": "it expects a label where the score is above 0; here where the "
        "probability reaches the genre's threshold",
        "check_sample_weight_equivalence_on_dense_data": "weights are those of the head's loss; blocks, "
        "folds, calibration and thresholds count each item once",
    },
}


def expected(estimator: Any) -> dict[str, str]:
    return EXPECTED.get(type(estimator), {})


@parametrize_with_checks(
    [ArrayMetadata(), ArrayText(), ArrayPosters(), ArrayFusion(), ArrayClassifier()],
    expected_failed_checks=expected,
)
@pytest.mark.filterwarnings("ignore")
def test_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


# Tags and names


def film_features() -> Fusion:
    return Fusion(
        [
            ("text", TextFeatures(["overview"], max_ngram=1, max_chars=0)),
            ("metadata", MetadataFeatures(["runtime"])),
        ]
    )


def film_classifier(**options: Any) -> HybridClassifier:
    estimator = MultilabelLinearSVC(class_weight="balanced", random_state=0)
    options = {"grid": {"C": [0.3]}, "block_weights": (), "folds": 2, **options}
    return HybridClassifier(film_features(), estimator, **options)


@pytest.fixture(scope="module")
def films() -> tuple[pd.DataFrame, Labels]:
    random = np.random.default_rng(0)
    y = (random.random((80, 2)) < 0.4).astype(np.uint8)
    noise = random.choice(["love", "city", "road"], size=80)
    pairs = zip(y.tolist(), noise, strict=True)
    words = [f"{'ghost' if a else 'day'} {'laugh' if b else 'night'} {n}" for (a, b), n in pairs]
    frame = pd.DataFrame(
        {"title": "A film", "overview": words, "runtime": random.normal(100, 9, 80)}
    )
    return frame, y


@pytest.mark.parametrize(
    "estimator", [film_classifier(), film_features(), TextFeatures(), PosterFeatures()]
)
def test_tags_say_that_frames_are_taken(estimator: Any) -> None:
    found = get_tags(estimator).input_tags
    assert (found.two_d_array, found.sparse) == (False, False)
    assert found.string
    assert found.categorical
    assert found.allow_nan


def test_tags_say_that_several_labels_are_given() -> None:
    tags = get_tags(film_classifier())
    assert tags.classifier_tags is not None
    assert (tags.classifier_tags.multi_label, tags.classifier_tags.multi_class) == (True, False)
    target = tags.target_tags
    assert (target.required, target.multi_output, target.single_output) == (True, True, False)


def test_names_of_the_columns_are_known_after_fit(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    for estimator in (film_classifier(), film_features(), *dict(film_features().blocks).values()):
        fitted = estimator.fit(X, y)
        assert fitted.n_features_in_ == 3
        assert fitted.feature_names_in_.tolist() == ["title", "overview", "runtime"]
    # As with ColumnTransformer, columns that are not used need not be there again.
    film_classifier().fit(X, y).predict(X[["runtime", "overview"]])


def test_every_column_of_the_features_has_a_name(films: tuple[pd.DataFrame, Labels]) -> None:
    fusion = film_features().fit(films[0])
    matrix = fusion.transform(films[0])
    assert len(fusion.get_feature_names_out()) == matrix.shape[1]
    for (_, block), (_, part) in zip(fusion.fitted_, matrix.blocks, strict=True):
        assert len(block.get_feature_names_out()) + 1 == part.shape[1]


def test_features_can_be_data_frames(films: tuple[pd.DataFrame, Labels]) -> None:
    embeddings = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    posters = PosterFeatures().set_output(transform="pandas")
    found = posters.fit_transform(embeddings)
    assert found.columns.tolist() == ["0", "1", "2"]
    with pytest.raises(ValueError, match="outputs a scipy sparse matrix"):
        TextFeatures(["overview"]).set_output(transform="pandas").fit_transform(films[0])


def test_the_output_that_is_set_for_others_changes_nothing(
    films: tuple[pd.DataFrame, Labels],
) -> None:
    X, y = films
    expected = film_classifier().fit(X, y).predict_proba(X)
    with config_context(transform_output="pandas"):
        found = film_classifier().fit(X, y)
        np.testing.assert_array_equal(found.predict_proba(X), expected)
        assert isinstance(found.fusion_.transform(X), FusionMatrix)


# Metadata routing


class Spy(HybridClassifier):
    """Remembers what it was fitted with."""

    given: list[dict[str, Any]] = []  # noqa: RUF012

    def fit(self, X: Any, y: Any, *, groups: Any = None, sample_weight: Any = None) -> Spy:
        self.given.append({"items": X.index.to_numpy(), "groups": groups, "weight": sample_weight})
        super().fit(X, y, groups=groups, sample_weight=sample_weight)
        return self


def test_groups_and_weights_are_routed(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    groups, weight = np.arange(80) // 4, np.linspace(0.5, 2, 80)
    Spy.given.clear()
    with config_context(enable_metadata_routing=True):
        model = Spy(**film_classifier().get_params(deep=False))
        model.set_fit_request(groups=True, sample_weight=True)
        routed = {"groups": groups, "sample_weight": weight}
        scorer = make_scorer(f1_score, average="macro").set_score_request(sample_weight=False)
        scores = cross_validate(model, X, y, cv=GroupKFold(2), scoring=scorer, params=routed)
        assert (scores["test_score"] > 0.8).all()
        grid = {"estimator__C": [0.001, 0.3]}
        search = GridSearchCV(model, grid, cv=GroupKFold(2), scoring=scorer)
        search.fit(X, y, **routed)
    assert search.best_estimator_.groups_.tolist() == groups.tolist()
    assert len(Spy.given) == 2 + 2 * 2 + 1
    for fit in Spy.given:
        items = fit["items"]
        np.testing.assert_array_equal(fit["groups"], groups[items])
        np.testing.assert_array_equal(fit["weight"], weight[items])
    assert not set(groups[Spy.given[0]["items"]]) & set(groups[Spy.given[1]["items"]])


def test_groups_are_routed_through_a_pipeline(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    with config_context(enable_metadata_routing=True):
        model = film_classifier().set_fit_request(groups=True)
        pipeline = make_pipeline(FunctionTransformer(), model).fit(X, y, groups=np.arange(80) // 4)
    assert f1_score(y, pipeline.predict(X), average="macro") > 0.8
    assert pipeline[-1].groups_ is not None


# Weights of items


def make_matrix(n: int = 60) -> tuple[FusionMatrix, Labels, NDArray[np.float64]]:
    random = np.random.default_rng(0)
    dense = random.standard_normal((n, 4)).astype(np.float32)
    words = sparse.random(n, 12, 0.3, "csr", dtype=np.float32, rng=random)
    y = (dense[:, :3] + random.standard_normal((n, 3)) > 0.3).astype(np.uint8)
    weight = random.integers(0, 4, n).astype(np.float64)
    return FusionMatrix.from_blocks([dense, words], ["poster", "text"]), y, weight


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize(
    "head",
    [
        MultilabelLinearSVC(tol=1e-9, random_state=0),
        MultilabelLogistic(tol=1e-9, max_iter=1000),
        RidgeClassifier(solver="sparse_cg", tol=1e-9),
        LogisticRegression(tol=1e-6, max_iter=1000),
        HeadPipeline(BlockSVD(20), MultilabelLinearSVC(tol=1e-9, random_state=0)),
    ],
    ids=lambda head: type(head).__name__,
)
def test_weights_are_as_repeated_items(head: Any, class_weight: str | None) -> None:
    matrix, y, weight = make_matrix()
    if class_weight and isinstance(head, RidgeClassifier):
        pytest.skip("scikit-learn's balanced weights of RidgeClassifier count each item once")
    name = "estimator__class_weight" if isinstance(head, HeadPipeline) else "class_weight"
    head = clone(head).set_params(**{name: class_weight})
    rows = np.repeat(np.arange(len(y)), weight.astype(int))
    weighted = fit_head(head, matrix, y, sample_weight=weight)
    repeated = fit_head(head, matrix[rows], y[rows])
    expected = head_scores(repeated, matrix)
    np.testing.assert_allclose(head_scores(weighted, matrix), expected, atol=1e-3)
    plain = head_scores(fit_head(head, matrix, y), matrix)
    assert np.abs(plain - expected).max() > 0.01


@pytest.mark.parametrize("head", [BernoulliNB(), KernelSVC(gamma=0.5, class_weight=None)])
def test_equal_weights_change_nothing_where_they_must_not(head: Any) -> None:
    matrix, y, _ = make_matrix()
    found = fit_head(head, matrix, y, sample_weight=np.ones(len(y)))
    expected = head_scores(fit_head(head, matrix, y), matrix)
    np.testing.assert_allclose(head_scores(found, matrix), expected, rtol=1e-9)


@pytest.mark.parametrize("head", [MultilabelKNN(5), KNeighborsClassifier(3)])
def test_a_head_that_cannot_weigh_items_says_so(head: Any) -> None:
    matrix, y, weight = make_matrix()
    with pytest.raises(SettingError, match="sample_weight: expected a head that can weigh items"):
        fit_head(head, matrix, y, sample_weight=weight)


def test_the_classifier_weighs_the_loss_of_its_head(films: tuple[pd.DataFrame, Labels]) -> None:
    X, y = films
    options = {"grid": None}
    model = film_classifier(**options).set_params(estimator__class_weight=None, estimator__tol=1e-9)
    plain = clone(model).set_params(estimator__C=2.0).fit(X, y)
    doubled = clone(model).set_params(estimator__C=1.0).fit(X, y, sample_weight=np.full(80, 2.0))
    np.testing.assert_allclose(doubled.head_.coef_, plain.head_.coef_, atol=1e-4)
    np.testing.assert_allclose(doubled.oof_scores_, plain.oof_scores_, atol=1e-4)
    ones = clone(model).fit(X, y, sample_weight=np.ones(80))
    np.testing.assert_array_equal(ones.predict_proba(X), clone(model).fit(X, y).predict_proba(X))
    # An item without weight teaches the head nothing, in no fold.
    weight = np.ones(80)
    weight[5] = 0
    flipped = y.copy()
    flipped[5] = 1 - flipped[5]
    folds = {"groups": np.arange(80) % 4}
    one, other = (clone(model).fit(X, t, sample_weight=weight, **folds) for t in (y, flipped))
    if (one.fold_ == other.fold_).all():
        np.testing.assert_array_equal(one.oof_scores_, other.oof_scores_)
    np.testing.assert_array_equal(one.head_.coef_, other.head_.coef_)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0], r"sample_weight: expected shape \(80,\), found \(1,\)"),
        (np.full(80, -1.0), "sample_weight: expected finite numbers from 0"),
        (np.full(80, np.nan), "sample_weight: expected finite numbers from 0"),
        (np.zeros(80), "sample_weight: expected a weight above zero"),
    ],
)
def test_wrong_weights_are_errors(
    films: tuple[pd.DataFrame, Labels], weight: Any, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        film_classifier().fit(*films, sample_weight=weight)
