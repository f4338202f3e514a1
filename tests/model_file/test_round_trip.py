"""A model that was saved and loaded answers as it did, to the bit, whatever its head and its blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from hybrid.errors import SettingError
from hybrid.features import MetadataFeatures, PosterFeatures, TextEmbeddingFeatures, TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.features.tfidf.vocabulary import Sequences
from hybrid.heads import HybridClassifier
from hybrid.heads.decision_rule import ARGMAX, DecisionOptions
from hybrid.heads.dummy import SingleLabelDummy
from hybrid.heads.head_pipeline import BlockSVD, HeadPipeline
from hybrid.heads.masked_fit import MaskedHead
from hybrid.heads.registry import HEADS
from hybrid.model_file import check_model, load_model, save_model
from hybrid.model_file.schema import registered

N, DIMENSION = 48, 6
RANDOM = np.random.default_rng(0)
WORDS = np.array(
    [
        "ghost",
        "house",
        "sheriff",
        "rides",
        "west",
        "love",
        "paris",
        "war",
        "alien",
        "ship",
        "鬼屋",
        "été",
    ]
)
FRAME = pd.DataFrame(
    {
        "overview": [" ".join(WORDS[RANDOM.integers(0, len(WORDS), 6)]) for _ in range(N)],
        "year": RANDOM.integers(1950, 2020, N).astype(float),
        "cost": np.where(RANDOM.random(N) < 0.1, np.nan, RANDOM.random(N)),
        "language": RANDOM.choice(["en", "fr", ""], N),
        "cast": RANDOM.choice(["Ann|Bob", "Bob", "Cid|Ann", ""], N),
        "released": RANDOM.choice(["1979-05-25", "1984-11", "", "2001"], N),
    }
)
EMBEDDINGS = RANDOM.normal(size=(N, DIMENSION)).astype(np.float32)
EMBEDDINGS[::7] = np.nan
LABELS = np.stack([FRAME.overview.str.contains(w) for w in ("ghost", "west", "love")], 1).astype(
    int
)
CHAINED = [name for name, spec in HEADS.items() if spec.chains]


@pytest.fixture(autouse=True)
def posters(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The embeddings of the items, without a cache."""

    def read(self: Any, X: pd.DataFrame) -> NDArray[np.float32]:
        return EMBEDDINGS[X.index.to_numpy()]

    for block in (PosterFeatures, TextEmbeddingFeatures):
        monkeypatch.setattr(block, "read", read)
        monkeypatch.setattr(block, "look_up", read)
    return


def fusion(blocks: str = "poster text metadata") -> Fusion:
    made = {
        "poster": PosterFeatures(fingerprint="c0ffee", workers=1),
        "text-embedding": TextEmbeddingFeatures("elsewhere", "c0ffee", ["overview"], "query: "),
        "text": TextFeatures(["overview"], max_chars=4),
        "metadata": MetadataFeatures(
            ("year", "cost"), ["language"], ["cast"], dates=("released",), min_count=1
        ),
    }
    names = blocks.split()
    return Fusion([(name, made[name]) for name in names], weights={names[-1]: 0.5})


def small(name: str) -> Any:
    """A registered head with fewer trees."""
    head = HEADS[name].build(0)
    trees = {"forest": {"n_estimators": 4}, "boosting": {"estimator__max_iter": 3}}
    return head.set_params(**trees.get(name, {}))


def fit(estimator: Any, blocks: str = "poster text metadata", **how: Any) -> HybridClassifier:
    labels = how.pop("labels", LABELS)
    model = HybridClassifier(fusion(blocks), estimator, {}, (), folds=2, **how)
    return model.fit(FRAME, labels)


def again(model: Any, folder: Path) -> Any:
    save_model(model, folder / "model.json")
    return load_model(folder / "model.json", type(model))


def assert_same(model: HybridClassifier, folder: Path) -> None:
    """Its answers, and all that a description, an explanation or a study reads of it."""
    loaded = again(model, folder)
    for method in ("decision_function", "predict_proba", "predict"):
        wanted, found = getattr(model, method)(FRAME), getattr(loaded, method)(FRAME)
        assert wanted.tobytes() == found.tobytes(), method
    joblib.dump(model, folder / "before.joblib", compress=3)
    before = joblib.load(folder / "before.joblib")
    assert before.predict_proba(FRAME).tobytes() == loaded.predict_proba(FRAME).tobytes()
    assert_equal(model, loaded, "model")


# What is not written: only needed to fit on, or made anew.
LEFT_OUT = {
    *("_slots", "_opened", "_loss_function_", "_standard_coef", "_standard_intercept"),
    *("_average_coef", "_average_intercept", "_expanded_class_weight", "_n_samples", "_loss"),
    *("_n_samples_bootstrap", "_sample_weight", "_feature_subsample_rng", "_random_seed"),
    *("_is_categorical_remapped", "_scorer", "_use_validation_data", "_bin_mapper", "tree_"),
    *("_predictors", "epsilon", "nu", "shape_fit_", "_metadata_request", "C", "estimator_params"),
    *("estimator", "class_count_", "feature_count_"),
}


def assert_equal(a: Any, b: Any, path: str) -> None:
    """Compare two objects attribute by attribute, by their types and bits."""
    assert type(a) is type(b), path
    if isinstance(a, np.ndarray) and a.dtype != object:
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), path
    elif isinstance(a, Sequences):
        assert_equal(a.parts(), b.parts(), path)
    elif sparse.issparse(a):
        for name in ("data", "indices", "indptr"):
            assert_equal(getattr(a, name), getattr(b, name), f"{path}.{name}")
    elif isinstance(a, np.ndarray | list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{path}[{i}]")
    elif isinstance(a, dict):
        assert list(a) == list(b), path
        for name in a:
            assert_equal(a[name], b[name], f"{path}[{name!r}]")
    elif hasattr(a, "__dict__") and not callable(a):
        for name in vars(a).keys() - LEFT_OUT:
            assert hasattr(b, name), f"{path}.{name}"
            assert_equal(getattr(a, name), getattr(b, name), f"{path}.{name}")
        assert not isinstance(a, BaseEstimator) or repr(a) == repr(b), path
    else:
        assert a == b or (a != a and b != b), path


@pytest.mark.parametrize("name", HEADS)
def test_each_head_answers_the_same(name: str, tmp_path: Path) -> None:
    assert_same(fit(small(name), tuned=HEADS[name].tuned), tmp_path)


@pytest.mark.parametrize("name", CHAINED)
def test_each_chain_answers_the_same(name: str, tmp_path: Path) -> None:
    assert_same(fit(small(name), "metadata", chain=True, labels=LABELS[:, :2]), tmp_path)


@pytest.mark.parametrize("name", HEADS)
def test_one_label_an_item_answers_the_same(name: str, tmp_path: Path) -> None:
    head = small(name)
    if not HEADS[name].tuned:
        head = SingleLabelDummy(head.strategy, 3)
    labels = np.eye(3, dtype=int)[np.arange(N) % 3]
    how = {"labels": labels, "tuned": HEADS[name].tuned}
    assert_same(fit(head, "metadata", decision=DecisionOptions(ARGMAX), **how), tmp_path)


@pytest.mark.parametrize("name", HEADS)
def test_posters_alone_answer_the_same(name: str, tmp_path: Path) -> None:
    """All blocks are dense."""
    assert_same(fit(small(name), "poster", tuned=HEADS[name].tuned), tmp_path)


@pytest.mark.parametrize("name", ["poster", "text-embedding"])
def test_a_file_that_is_older_than_blocks_of_scores_answers_the_same(
    name: str, tmp_path: Path
) -> None:
    """Its rows were of unit length, whatever they are of; those of scores stay as they are."""
    model = fit(small("svm"), f"{name} metadata")
    save_model(model, tmp_path / "model.json")
    text = json.dumps(json.loads((tmp_path / "model.json").read_text()))
    assert ', "unit_length": true' in text
    (tmp_path / "model.json").write_text(text.replace(', "unit_length": true', ""))
    assert "unit_length" not in (tmp_path / "model.json").read_text()
    loaded = load_model(tmp_path / "model.json", type(model))
    assert model.predict_proba(FRAME).tobytes() == loaded.predict_proba(FRAME).tobytes()
    scored = clone(model).set_params(**{f"fusion__{name}__unit_length": False}).fit(FRAME, LABELS)
    assert scored.predict_proba(FRAME).tobytes() != loaded.predict_proba(FRAME).tobytes()
    found = again(scored, tmp_path)
    assert dict(found.fusion_.fitted_)[name].unit_length is False
    assert scored.predict_proba(FRAME).tobytes() == found.predict_proba(FRAME).tobytes()


def test_text_embeddings_answer_the_same_from_the_users_own_cache(tmp_path: Path) -> None:
    """No file leads to a folder of embeddings."""
    model = fit(small("svm"), "text-embedding metadata")
    loaded = again(model, tmp_path)
    for method in ("decision_function", "predict_proba", "predict"):
        assert getattr(model, method)(FRAME).tobytes() == getattr(loaded, method)(FRAME).tobytes()
    block = dict(loaded.fusion_.fitted_)["text-embedding"]
    assert block.cache == TextEmbeddingFeatures().cache
    assert (block.fingerprint, list(block.columns), block.prefix) == (
        "c0ffee",
        ["overview"],
        "query: ",
    )
    data = json.loads((tmp_path / "model.json").read_text())
    text = json.dumps(data)
    assert "elsewhere" not in text
    (tmp_path / "model.json").write_text(text.replace(block.cache, "/somebody/elses"))
    damaged = load_model(tmp_path / "model.json", type(model))
    assert dict(damaged.fusion_.fitted_)["text-embedding"].cache == block.cache


@pytest.mark.parametrize("blocks", ["metadata", "poster metadata"])
@pytest.mark.parametrize("calibration", ["sigmoid", "isotonic"])
def test_blocks_and_calibrations_answer_the_same(
    blocks: str, calibration: str, tmp_path: Path
) -> None:
    options = DecisionOptions(calibration=calibration, shrinkage=2.0, max_labels=2)
    assert_same(fit(small("svm"), blocks, decision=options), tmp_path)


@pytest.mark.parametrize("name", ["svm", "ridge", "forest", "knn"])
def test_labels_that_are_constant_or_unknown_answer_the_same(name: str, tmp_path: Path) -> None:
    constant = np.column_stack([LABELS, np.ones(N, int), np.zeros(N, int)])
    assert_same(fit(small(name), "text", labels=constant), tmp_path)
    unknown = LABELS.astype(float)
    unknown[5:20, 1] = np.nan
    model = fit(small(name), "text", labels=unknown)
    assert isinstance(model.head_, MaskedHead) or name == "svm"
    assert_same(model, tmp_path)


@pytest.mark.parametrize(
    "estimator",
    [LinearSVC(), LogisticRegression(), HeadPipeline(BlockSVD(4), small("forest"))],
    ids=lambda estimator: type(estimator).__name__,
)
def test_estimators_of_a_caller_answer_the_same(estimator: Any, tmp_path: Path) -> None:
    assert_same(fit(estimator, "text"), tmp_path)


def test_one_label_alone_answers_the_same(tmp_path: Path) -> None:
    for name in ("svm", "sgd", "forest"):
        assert_same(fit(small(name), "text", labels=LABELS[:, :1]), tmp_path)


def test_groups_weights_and_searches_come_back(tmp_path: Path) -> None:
    grid = {"C": np.array([0.1, 1.0]), "class_weight": [None, "balanced"]}
    model = HybridClassifier(fusion("text metadata"), small("svm"), grid, (0.5, 2.0), folds=2)
    groups = np.array([f"series {i // 2}" for i in range(N)], dtype=object)
    loaded = again(model.fit(FRAME, LABELS, groups=groups), tmp_path)
    assert loaded.groups_.tolist() == groups.tolist()
    assert loaded.search_results_ == model.search_results_ or len(loaded.search_results_) == len(
        model.search_results_
    )
    assert loaded.chosen_ == model.chosen_
    assert list(loaded.grid["C"]) == [0.1, 1.0]


def test_a_fusion_alone_comes_back(tmp_path: Path) -> None:
    fitted = fusion().fit(FRAME)
    wanted, found = (each.transform(FRAME).tocsr() for each in (fitted, again(fitted, tmp_path)))
    assert_equal(wanted, found, "matrix")


def test_the_same_model_is_the_same_bytes(tmp_path: Path) -> None:
    model = fit(small("svm"), "text")
    written = []
    for name in ("one", "two"):
        save_model(model, tmp_path / f"{name}.json")
        written.append([(tmp_path / f"{name}.{end}").read_bytes() for end in ("json", "npz")])
    assert written[0] == written[1]


def test_what_cannot_be_saved_is_refused_before_it_is_fitted() -> None:
    with pytest.raises(SettingError, match="KNeighborsClassifier cannot be saved"):
        check_model(HybridClassifier(fusion("text"), KNeighborsClassifier()))
    with pytest.raises(SettingError, match="cannot be saved"):
        check_model(
            HybridClassifier(
                fusion("text"), small("svm").set_params(random_state=np.random.RandomState(0))
            )
        )


def test_each_registered_head_can_be_saved() -> None:
    for name in HEADS:
        check_model(HybridClassifier(fusion("text"), HEADS[name].build(0)))


def test_each_parameter_of_our_classes_is_written() -> None:
    """A parameter that is added to a class is added to its schema."""
    for schema in registered():
        if schema.cls.__module__.startswith("hybrid."):
            assert set(signature(schema.cls).parameters) == set(schema.parameters or ()), schema
