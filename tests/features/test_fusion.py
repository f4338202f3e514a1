"""Blocks side by side, against numpy's hstack by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import NotFittedError

from hybrid.errors import SettingError
from hybrid.features import MetadataFeatures, TextFeatures
from hybrid.features.fusion import Fusion, take_rows
from hybrid.features.fusion_matrix import FusionMatrix


class Numbers(TransformerMixin, BaseEstimator):
    """A block of given numbers: rows of NaN are missing. It counts how often it is read."""

    reads = 0

    def __init__(self, columns: tuple[str, ...] = ("a", "b"), scale: float = 1.0) -> None:
        self.columns = columns
        self.scale = scale

    def read(self, X: pd.DataFrame) -> NDArray[np.float32]:
        self.reads += 1
        return X[list(self.columns)].to_numpy(dtype=np.float32)

    def fit(self, X: Any, y: Any = None) -> Numbers:
        self.shift_ = np.nanmean(X, axis=0)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        return np.asarray((X - self.shift_) * self.scale, dtype=np.float32)

    def missing(self, X: Any) -> NDArray[np.bool_]:
        return np.isnan(X[:, 0])

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        return np.array(self.columns, dtype=object)


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "a": [1.0, np.nan, 3.0, 5.0],
            "b": [2.0, np.nan, 6.0, 1.0],
            "title": ["ghost town", "ghost", "", "wild town"],
            "language": ["en", "en", "fr", ""],
        },
        index=list("wxyz"),
    )


@pytest.fixture
def fusion() -> Fusion:
    return Fusion(
        [
            ("numbers", Numbers()),
            ("text", TextFeatures(["title"], min_df=1, max_chars=0)),
            ("metadata", MetadataFeatures(categorical=["language"], min_count=1)),
        ]
    )


# Encoding


def test_dense_stays_dense_and_sparse_stays_sparse(fusion: Fusion, frame: pd.DataFrame) -> None:
    matrix = fusion.fit_transform(frame)
    (_, numbers), (_, text), (_, metadata) = matrix.blocks
    assert isinstance(numbers, np.ndarray)
    assert text.format == metadata.format == "csr"
    assert {numbers.dtype, text.dtype, metadata.dtype} == {np.dtype(np.float32)}


def test_fusion_is_each_block_and_its_indicator(fusion: Fusion, frame: pd.DataFrame) -> None:
    numbers = frame[["a", "b"]].to_numpy() - [3.0, 3.0]
    numbers[1] = 0
    text = TextFeatures(["title"], min_df=1, max_chars=0).fit_transform(frame).toarray()
    language = [[1, 0], [1, 0], [0, 1], [0, 0]]
    expected = np.hstack(
        [
            np.column_stack([numbers, [0, 1, 0, 0]]),
            np.column_stack([text, [0, 0, 1, 0]]),
            np.column_stack([language, [0, 0, 0, 1]]),
        ]
    )
    matrix = fusion.fit_transform(frame)
    assert matrix.shape == expected.shape
    assert len(matrix) == 4
    np.testing.assert_allclose(matrix.tocsr().toarray(), expected, rtol=1e-6)


def test_missing_items_are_zeros_with_the_indicator_set(
    fusion: Fusion, frame: pd.DataFrame
) -> None:
    frame.loc["y", ["a", "b", "language"]] = [np.nan, np.nan, ""]  # nothing is known of y
    matrix = fusion.fit_transform(frame)
    row = matrix.tocsr()[2].toarray().ravel()
    names = fusion.get_feature_names_out()
    assert set(names[row != 0]) == {"numbers:missing", "text:missing", "metadata:missing"}
    assert set(row[row != 0]) == {1.0}


def test_each_column_has_a_name(fusion: Fusion, frame: pd.DataFrame) -> None:
    names = fusion.fit(frame).get_feature_names_out()
    assert list(names) == [
        *["numbers:a", "numbers:b", "numbers:missing"],
        *["text:ghost", "text:ghost town", "text:town", "text:wild", "text:wild town"],
        *["text:missing", "metadata:language=en", "metadata:language=fr", "metadata:missing"],
    ]
    assert len(names) == fusion.transform(frame).shape[1]


def test_blocks_are_fitted_on_train_only(fusion: Fusion, frame: pd.DataFrame) -> None:
    train, test = frame.iloc[:2], frame.iloc[2:]
    found = fusion.fit(train).transform(test).tocsr().toarray()
    names = list(fusion.get_feature_names_out())
    assert "text:wild" not in names
    assert found[:, names.index("numbers:a")].tolist() == [3.0 - 1.0, 5.0 - 1.0]


def test_what_was_read_stands_for_the_frame(fusion: Fusion, frame: pd.DataFrame) -> None:
    data = fusion.read(frame)
    assert data["text"] is frame
    from_data = clone(fusion).fit(data).transform(data).tocsr()
    from_frame = fusion.fit(frame).transform(frame).tocsr()
    np.testing.assert_array_equal(from_data.toarray(), from_frame.toarray())


def test_the_disk_is_read_once_for_each_step(fusion: Fusion, frame: pd.DataFrame) -> None:
    fusion.fit(frame)
    assert fusion.blocks[0][1].reads == 1
    fusion.transform(frame)
    assert fusion.fitted_[0][1].reads == 1


def test_rows_of_what_was_read(fusion: Fusion, frame: pd.DataFrame) -> None:
    rows = np.array([3, 0])
    data = take_rows(fusion.read(frame), rows)
    pd.testing.assert_frame_equal(data["text"], frame.iloc[rows])
    np.testing.assert_array_equal(data["numbers"], frame[["a", "b"]].iloc[rows])


def test_fitting_again_reads_with_the_new_blocks(fusion: Fusion, frame: pd.DataFrame) -> None:
    fusion.fit(frame).set_params(blocks=[("words", TextFeatures(["title"], min_df=1))])
    assert fusion.fit(frame).get_feature_names_out()[0] == "words:ghost"


def test_the_frame_is_not_changed(fusion: Fusion, frame: pd.DataFrame) -> None:
    before = frame.copy(deep=True)
    fusion.fit(frame).transform(frame)
    pd.testing.assert_frame_equal(frame, before)


# Matrix


@st.composite
def matrices(draw: st.DrawFn) -> tuple[FusionMatrix, NDArray[np.float64]]:
    """A fusion of dense and sparse blocks, and the same by numpy."""
    n = draw(st.integers(1, 5))
    blocks, weights, parts = [], [], []
    for i in range(draw(st.integers(1, 4))):
        shape = (n, draw(st.integers(1, 4)))
        block = draw(arrays(np.float32, shape, elements=st.integers(-4, 4).map(float)))
        weight = draw(st.sampled_from([0.25, 0.5, 1.0, 3.0]))
        blocks.append((f"b{i}", sparse.csr_matrix(block) if draw(st.booleans()) else block))
        weights.append(weight)
        parts.append(block.astype(np.float64) * weight)
    return FusionMatrix(tuple(blocks), tuple(weights)), np.hstack(parts)


@given(matrices(), st.data())
@settings(deadline=None, max_examples=75)
def test_matrix_is_hstack_by_hand(case: Any, data: st.DataObject) -> None:
    matrix, expected = case
    found = matrix.tocsr()
    assert found.format == "csr"
    assert found.dtype == np.float64
    assert matrix.shape == found.shape
    np.testing.assert_array_equal(found.toarray(), expected)
    rows = np.array(data.draw(st.lists(st.integers(0, len(matrix) - 1), min_size=1, max_size=6)))
    np.testing.assert_array_equal(matrix[rows].tocsr().toarray(), expected[rows])
    chosen = expected[:, 0] > 0
    np.testing.assert_array_equal(matrix[chosen].tocsr().toarray(), expected[chosen])


def test_weights_scale_their_blocks(fusion: Fusion, frame: pd.DataFrame) -> None:
    plain = fusion.fit_transform(frame)
    weighted = clone(fusion).set_params(weights={"text": 3.0}).fit_transform(frame)
    columns = [name.startswith("text:") for name in fusion.get_feature_names_out()]
    expected = plain.tocsr().toarray() * np.where(columns, 3.0, 1.0)
    np.testing.assert_allclose(weighted.tocsr().toarray(), expected)
    assert weighted.with_weights({"numbers": 2.0}).weights == (2.0, 3.0, 1.0)
    assert weighted.with_weights({"text": 0.5}).weights == (1.0, 0.5, 1.0)
    assert weighted.weights == (1.0, 3.0, 1.0)


# scikit-learn's interface


def test_parameters_of_the_blocks_can_be_set(fusion: Fusion) -> None:
    assert fusion.set_params(text__min_df=4, numbers__scale=2.0) is fusion
    assert fusion.get_params()["text__min_df"] == 4
    assert fusion.blocks[0][1].scale == 2.0
    fusion.set_params(text=TextFeatures(max_ngram=1))
    assert fusion.get_params()["text__max_ngram"] == 1
    assert fusion.names == ("numbers", "text", "metadata")
    with pytest.raises(ValueError, match="Invalid parameter 'colour'"):
        fusion.set_params(text__colour=1)


def test_a_clone_shares_nothing(fusion: Fusion, frame: pd.DataFrame) -> None:
    copy = clone(fusion.fit(frame))
    copy.set_params(text__min_df=4, weights={"text": 2.0})
    assert fusion.get_params()["text__min_df"] == 1
    assert fusion.weights is None
    with pytest.raises(NotFittedError, match="not fitted yet"):
        copy.transform(frame)


def test_fitting_leaves_the_given_blocks_alone(fusion: Fusion, frame: pd.DataFrame) -> None:
    fusion.fit(frame)
    assert not hasattr(fusion.blocks[1][1], "tokens_")


def test_all_wrong_weights_are_listed(frame: pd.DataFrame) -> None:
    weights = {"text": 0.0, "poster": 1.0, "metadata": np.nan, "sound": -1.0}
    fusion = Fusion([("text", TextFeatures(["title"])), ("metadata", Numbers())], weights)
    with pytest.raises(SettingError, match="fusion: ") as error:
        fusion.fit(frame)
    assert str(error.value).split("fusion: ")[1].splitlines() == [
        "weights: expected a positive number for text, found 0.0.",
        "weights: block 'poster' is not among text, metadata.",
        "weights: expected a positive number for metadata, found nan.",
        "weights: block 'sound' is not among text, metadata.",
        "weights: expected a positive number for sound, found -1.0.",
    ]


def test_a_fusion_of_nothing_is_an_error(frame: pd.DataFrame) -> None:
    with pytest.raises(SettingError, match="blocks: expected at least one, found none"):
        Fusion([]).fit(frame)


@pytest.mark.parametrize("chunk", [1, 20])
def test_products_piece_by_piece_are_those_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    random = np.random.default_rng(0)
    dense, words = random.random((13, 4), np.float32), sparse.random(13, 5, 0.4, random_state=0)
    matrix = FusionMatrix.from_blocks([dense, words], weights=[0.5, 2.0])
    whole = np.hstack([0.5 * dense, 2 * words.toarray()])
    W, V = random.random((9, 3)), random.random((13, 2))
    monkeypatch.setattr("hybrid.features.fusion_matrix.CHUNK", chunk)
    monkeypatch.setattr("hybrid.features.fusion_matrix.MANY", chunk)
    for n_jobs in (1, 2, 5):
        np.testing.assert_allclose(matrix.times(W, n_jobs), whole @ W, rtol=1e-12)
    np.testing.assert_allclose(matrix @ W, whole @ W, rtol=1e-12)
    np.testing.assert_allclose(matrix.T @ V, whole.T @ V, rtol=1e-12)
