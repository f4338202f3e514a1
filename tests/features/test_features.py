"""The three blocks, each against what it should give by hand or by plain scikit-learn."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer

from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.errors import CacheError, ExtractionError, SettingError
from hybrid.features import MetadataFeatures, PosterFeatures, TextFeatures
from hybrid.features.indicator import add_indicator, set_missing

NAN = np.nan


# Text


@pytest.fixture
def texts() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "title": ["Amélie in Paris", "The Ghost", "", "Ghost Town", "   "],
            "overview": ["love love love", "a ghost in paris", "love", "", "\n"],
            "language": ["fr", "en", "en", "en", "en"],
        },
        index=list("abcde"),
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_ngram": 1},
        {"max_ngram": 3, "min_df": 1},
        {"min_df": 1, "max_features": 3},
        {"sublinear_tf": False},
    ],
)
def test_text_is_tfidf_of_the_joined_columns(texts: pd.DataFrame, options: dict[str, Any]) -> None:
    options = {"max_chars": 0, **options}
    asked = {"max_ngram": 2, "min_df": 2, "max_features": None, "sublinear_tf": True, **options}
    del asked["max_chars"]
    plain = TfidfVectorizer(
        strip_accents="unicode", ngram_range=(1, asked.pop("max_ngram")), **asked
    )
    expected = plain.fit_transform(texts["title"] + "\n" + texts["overview"])
    block = TextFeatures(**options)
    found = block.fit_transform(texts)
    # In float64, which ours are rounded from.
    np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=2e-7)
    assert found.format == "csr"
    assert found.dtype == np.float32
    assert list(block.get_feature_names_out()) == list(plain.get_feature_names_out())


def test_text_reads_only_its_columns(texts: pd.DataFrame) -> None:
    block = TextFeatures(columns=["overview"], min_df=1, max_ngram=1, max_chars=0).fit(texts)
    assert set(block.get_feature_names_out()) == {"love", "ghost", "in", "paris"}


def test_characters_within_words_stand_beside_the_words(texts: pd.DataFrame) -> None:
    joined = texts["title"] + "\n" + texts["overview"]
    options = {"strip_accents": "unicode", "min_df": 2, "sublinear_tf": True}
    words = TfidfVectorizer(ngram_range=(1, 2), **options)
    chars = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), **options)
    expected = np.hstack([v.fit_transform(joined).toarray() for v in (words, chars)])
    block = TextFeatures(max_chars=4).fit(texts)
    found = block.transform(texts)
    np.testing.assert_allclose(found.toarray(), expected, rtol=2e-7)
    assert (found.format, found.dtype) == ("csr", np.float32)
    names = block.get_feature_names_out().tolist()
    grams = chars.get_feature_names_out()
    assert names == [*words.get_feature_names_out(), *(f"'{gram}'" for gram in grams)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_texts_read_by_chunks_are_the_same(
    texts: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, n_jobs: int | None
) -> None:
    whole = TextFeatures().fit(texts).transform(texts)
    monkeypatch.setattr("hybrid.features.tfidf.terms.CHUNK", 2)
    block = TextFeatures(n_jobs=n_jobs).fit(texts)
    found = block.transform(texts)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert block.transform(texts[:0]).shape == (0, whole.shape[1])


MATRICES = st.integers(0, 6).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.float32, (n, 3), elements=st.sampled_from([0.0, 1.5, -2.0])),
        hnp.arrays(bool, n),
        hnp.arrays(bool, n),
    )
)


@given(MATRICES)
def test_an_absent_block_is_zeros_and_a_mark(drawn: tuple[Any, Any, Any]) -> None:
    matrix, absent, more = drawn
    given = matrix.copy()
    for kept, gone in ((matrix, np.copy), (sparse.csr_matrix(matrix), lambda m: m.toarray())):
        found = add_indicator(kept, absent)
        expected = np.column_stack([np.where(absent[:, None], 0, matrix), absent])
        np.testing.assert_array_equal(gone(found), expected)
        both = absent | more
        expected = np.column_stack([np.where(both[:, None], 0, matrix), both])
        np.testing.assert_array_equal(gone(set_missing(found, more)), expected)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(gone(kept), given)


def test_words_of_one_stem_share_characters() -> None:
    learn = pd.DataFrame({"title": ["haunted house", "haunted hill"]})
    new = pd.DataFrame({"title": ["haunting"]})
    words, both = (TextFeatures(["title"], max_chars=k).fit(learn) for k in (0, 5))
    assert words.transform(new).nnz == 0
    shared = both.get_feature_names_out()[both.transform(new).indices]
    assert "' haun'" in shared


def test_all_wrong_settings_of_the_text_are_listed(texts: pd.DataFrame) -> None:
    with pytest.raises(
        SettingError, match=r"(?s)expected at least one column.*max_ngram: .*max_chars: .*found 2"
    ):
        TextFeatures([], max_ngram=0, max_chars=2).fit(texts)


def test_an_item_without_text_is_missing(texts: pd.DataFrame) -> None:
    assert TextFeatures().missing(texts).tolist() == [False, False, False, False, True]
    assert TextFeatures(["title"]).missing(texts).tolist() == [False, False, True, False, True]


def test_words_that_are_too_rare_are_an_error(texts: pd.DataFrame) -> None:
    with pytest.raises(SettingError, match=r"words that 9 or more items share.*title, overview"):
        TextFeatures(min_df=9).fit(texts)


def test_text_of_unknown_words_is_an_empty_row(texts: pd.DataFrame) -> None:
    block = TextFeatures(["title"], min_df=1).fit(texts)
    assert block.transform(pd.DataFrame({"title": ["sheriff"]})).nnz == 0


# Metadata


@pytest.fixture
def six() -> pd.DataFrame:
    """Six films. Each is without its language, cast, year or runtime at most once."""
    return pd.DataFrame(
        {
            "year": [1991, 1999, 2001, NAN, 1990, 2009],
            "runtime": [90.5, 100.0, NAN, 110.0, 90.0, 110.0],
            "language": ["en", "en", "fr", "fr", "", "de"],
            "cast": ["Ann|Bob", "Bob", "Ann|Bob|Cy|Dee", "Dee", "", " Ann | Ann "],
        },
        index=list("abcdef"),
    )


@pytest.fixture
def block() -> MetadataFeatures:
    return MetadataFeatures(["year", "runtime"], ["language"], ["cast"])


def as_table(block: Any, frame: pd.DataFrame) -> pd.DataFrame:
    names = block.get_feature_names_out()
    return pd.DataFrame(block.transform(frame).toarray(), frame.index, names)


def test_metadata_by_hand(six: pd.DataFrame, block: MetadataFeatures) -> None:
    runtime = np.array([90.5, 100.0, 110.0, 90.0, 110.0])
    scaled = (runtime - runtime.mean()) / runtime.std()
    expected = {
        # Cy and de are each in one item only, fewer than min_count.
        "cast=Ann": [2**-0.5, 0, 0.5, 0, 0, 1],
        "cast=Bob": [2**-0.5, 1, 0.5, 0, 0, 0],
        "cast=Dee": [0, 0, 0.5, 1, 0, 0],
        "language=en": [1, 1, 0, 0, 0, 0],
        "language=fr": [0, 0, 1, 1, 0, 0],
        "year=1990-1999": [1, 1, 0, 0, 1, 0],
        "year=2000-2009": [0, 0, 1, 0, 0, 1],
        "runtime": np.insert(scaled, 2, 0.0),
        "runtime missing": [0, 0, 1, 0, 0, 0],
    }
    found = as_table(block.fit(six), six)
    assert list(found.columns) == list(expected)
    for name, column in expected.items():
        np.testing.assert_allclose(found[name], np.array(column) / 2, atol=1e-6, err_msg=name)
    assert block.transform(six).format == "csr"  # divided by 2, the root of the four columns
    assert block.transform(six).dtype == np.float32


def test_only_frequent_tokens_are_kept(six: pd.DataFrame) -> None:
    names = MetadataFeatures(lists=["cast"], min_count=1).fit(six).get_feature_names_out()
    assert list(names) == ["cast=Ann", "cast=Bob", "cast=Cy", "cast=Dee"]
    names = MetadataFeatures(lists=["cast"], min_count=3).fit(six).get_feature_names_out()
    assert list(names) == ["cast=Ann", "cast=Bob"]


@pytest.mark.parametrize(
    ("width", "expected"),
    [(1, "year=1990-1990"), (5, "year=1990-1994"), (100, "year=1900-1999")],
)
def test_years_fall_into_bins(six: pd.DataFrame, width: int, expected: str) -> None:
    block = MetadataFeatures(["year"], min_count=1, year_bin=width).fit(six)
    assert as_table(block, six).loc["e", expected] == 1


@pytest.mark.parametrize(
    ("values", "years"),
    [
        ([1990, 2000, NAN], ("x",)),
        ([1990.5, 2000, 2001], ()),
        ([1799, 2000, 2001], ()),
        ([1990, 2000, 2101], ()),
        ([NAN, NAN, NAN], ()),
    ],
)
def test_whole_numbers_between_1800_and_2100_are_years(
    values: list[float], years: tuple[str, ...]
) -> None:
    assert MetadataFeatures(["x"]).fit(pd.DataFrame({"x": values})).years_ == years


def test_lists_are_split_at_the_separator() -> None:
    frame = pd.DataFrame({"cast": ["A|x, B", "B,,A|x"]})
    block = MetadataFeatures(lists=["cast"], separator=",").fit(frame)
    assert list(block.get_feature_names_out()) == ["cast=A|x", "cast=B"]
    np.testing.assert_allclose(block.transform(frame).toarray(), np.full((2, 2), 2**-0.5))


def test_skewed_numbers_are_read_as_logarithms() -> None:
    votes = np.array([0.0, 1.0, 2.5, 3.0, 5.0, 4.0, 2.0, 1e6])
    block = MetadataFeatures(["votes"])
    found = block.fit(pd.DataFrame({"votes": votes})).transform(pd.DataFrame({"votes": votes}))
    logs = np.log1p(votes)
    np.testing.assert_allclose(found.toarray()[:, 0], (logs - logs.mean()) / logs.std(), rtol=1e-5)
    # A negative number that comes later is read as 0.
    later = block.transform(pd.DataFrame({"votes": [-9.0, 0.0]})).toarray()
    assert later[0, 0] == later[1, 0]


def test_numbers_that_can_be_negative_keep_their_scale() -> None:
    profit = np.array([-0.5, 1.0, 2.5, 3.0, 5.0, 4.0, 2.0, 1e6])
    frame = pd.DataFrame({"profit": profit})
    found = MetadataFeatures(["profit"]).fit_transform(frame).toarray()[:, 0]
    np.testing.assert_allclose(found, (profit - profit.mean()) / profit.std(), atol=1e-6)


def test_odd_numbers_are_clipped() -> None:
    block = MetadataFeatures(["x"]).fit(pd.DataFrame({"x": [-1.0, 1.0, -1.0, 1.0]}))
    found = block.transform(pd.DataFrame({"x": [3.0, 1e9, -1e9]})).toarray()[:, 0]
    np.testing.assert_allclose(found, [3, 5, -5])


def test_what_was_not_seen_in_train_is_zero(six: pd.DataFrame, block: MetadataFeatures) -> None:
    strange = pd.DataFrame(
        {"year": [2077], "runtime": [NAN], "language": ["xx"], "cast": ["Zoe|Ann"]}, index=["z"]
    )
    found = as_table(block.fit(six), strange).loc["z"]
    assert found[found != 0].to_dict() == pytest.approx(
        {"cast=Ann": 2**-0.5 / 2, "runtime missing": 0.5}
    )


@pytest.mark.parametrize("values", [[NAN, NAN, NAN], [2.5, 2.5, NAN]])
def test_numbers_that_say_nothing(values: list[float]) -> None:
    frame = pd.DataFrame({"x": values})
    found = MetadataFeatures(["x"]).fit_transform(frame).toarray()
    np.testing.assert_array_equal(found, np.column_stack([np.zeros(3), np.isnan(values)]))


def test_a_constant_number_whose_mean_is_rounded_says_nothing() -> None:
    frame = pd.DataFrame({"x": [0.1] * 7})
    assert not MetadataFeatures(["x"]).fit_transform(frame).toarray().any()


def test_an_item_without_metadata_is_missing(six: pd.DataFrame, block: MetadataFeatures) -> None:
    six.loc["b"] = [NAN, NAN, "", ""]
    np.testing.assert_array_equal(block.missing(six), six.index == "b")
    np.testing.assert_array_equal(
        MetadataFeatures(["year"]).missing(six), np.isin(six.index, ["b", "d"])
    )


def test_all_wrong_settings_of_metadata_are_listed(six: pd.DataFrame) -> None:
    with pytest.raises(
        SettingError, match=r"(?s)at least one column.*min_count: .* 0\..*year_bin: .* -1\."
    ):
        MetadataFeatures(min_count=0, year_bin=-1).fit(six)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-1e6, 1e6)),
            st.sampled_from(["", "a", "b"]),
            st.lists(st.sampled_from("pqr"), max_size=3).map("|".join),
        ),
        min_size=1,
        max_size=8,
    )
)
@settings(deadline=None, max_examples=50)
def test_each_column_gives_an_item_a_bounded_vector(rows: list[Any]) -> None:
    frame = pd.DataFrame(rows, columns=["x", "c", "l"]).astype({"x": "float64"})
    block = MetadataFeatures(["x"], ["c"], ["l"], min_count=1).fit(frame)
    found = as_table(block, frame) * 3**0.5
    assert np.isfinite(found.to_numpy()).all()
    for column, bound in [("x", 5.0), ("c", 1.0), ("l", 1.0)]:
        part = found[[n for n in found if re.match(f"{column}(=| missing|$)", n)]]
        assert (np.linalg.norm(part, axis=1) <= bound + 1e-5).all()


# Posters


@pytest.fixture
def posters(tmp_path: Path) -> Callable[..., tuple[pd.DataFrame, PosterFeatures]]:
    """Write one small PNG file for each embedding, and cache them; None stands for no poster."""

    def make(
        embeddings: list[list[float] | None], extracted: slice = slice(None)
    ) -> tuple[pd.DataFrame, PosterFeatures]:
        paths, keys = [], []
        for i, embedding in enumerate(embeddings):
            data = io.BytesIO()
            Image.new("RGB", (16, 16), (i, 0, 0)).save(data, "PNG")
            path = tmp_path / f"{i}.png"
            path.write_bytes(data.getvalue())
            paths.append("" if embedding is None else str(path))
            keys.append(hashlib.sha256(data.getvalue()).digest())
        cache = EmbeddingCache(tmp_path / "cache")
        store = cache.make({"architecture": "test", "dimension": 3})
        kept = [(k, e) for k, e in zip(keys, embeddings, strict=True) if e is not None][extracted]
        store.append(
            [k for k, _ in kept], np.array([e for _, e in kept], np.float32).reshape(-1, 3)
        )
        frame = pd.DataFrame({"poster": paths}, index=[f"f{i}" for i in range(len(paths))])
        return frame, PosterFeatures(str(cache.folder), store.fingerprint, workers=1)

    return make


FIVE = [[1.0, 10.0, 7.0], [2.0, -20.0, 7.0], None, [4.0, 0.5, 7.0], [9.0, 3.0, 7.0]]


def test_posters_by_hand(posters: Any) -> None:
    frame, block = posters(FIVE)
    known = np.array([row for row in FIVE if row])
    scaled = known - known.mean(axis=0)
    scaled[:, :2] /= known.std(axis=0)[:2]  # the third dimension is constant: 0, not NaN
    expected = scaled / np.sqrt((scaled**2).sum(axis=1, keepdims=True))
    found = block.fit_transform(frame)
    np.testing.assert_allclose(found[[0, 1, 3, 4]], expected, atol=1e-6)
    assert np.isnan(found[2]).all()
    assert found.dtype == np.float32
    assert found.shape == (5, 3)
    assert list(block.get_feature_names_out()) == ["0", "1", "2"]


def test_posters_are_read_as_they_were_cached(posters: Any) -> None:
    frame, block = posters(FIVE)
    expected = np.array([row or [NAN] * 3 for row in FIVE], np.float32)
    np.testing.assert_array_equal(block.read(frame), expected)
    np.testing.assert_array_equal(block.read(frame.iloc[::-1]), expected[::-1])


def test_posters_that_are_looked_up_are_read_when_some_are_asked_for(
    posters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, block = posters(FIVE)
    expected, asked, read = block.read(frame), [], EmbeddingStore.read
    monkeypatch.setattr(
        EmbeddingStore, "read", lambda self, keys: asked.append(len(keys)) or read(self, keys)
    )
    found = block.look_up(frame)
    assert (len(found), asked) == (5, [])
    np.testing.assert_array_equal(found[1:3], expected[1:3])
    np.testing.assert_array_equal(found[np.array([4, 0, 2])], expected[[4, 0, 2]])
    assert asked == [2, 3]


def test_a_store_is_opened_once_and_looked_at_each_time(
    posters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, block = posters(FIVE, slice(1))
    opened, find = [], EmbeddingCache.find
    monkeypatch.setattr(
        EmbeddingCache, "find", lambda self, name: opened.append(name) or find(self, name)
    )
    block.read(frame[:1])
    with pytest.raises(ExtractionError, match="posters have no embedding"):
        block.read(frame)
    again, _ = posters(FIVE)  # as another process would
    np.testing.assert_array_equal(block.read(again[1:2]), np.array(FIVE[1:2], np.float32))
    assert len(opened) == 1
    assert len(pickle.dumps(block)) == len(pickle.dumps(clone(block)))


def test_what_was_read_stands_for_the_frame(posters: Any) -> None:
    frame, block = posters(FIVE)
    data = block.read(frame)
    np.testing.assert_array_equal(
        clone(block).fit(data).transform(data), block.fit(frame).transform(frame)
    )
    np.testing.assert_array_equal(block.missing(data), block.missing(frame))


def test_items_without_a_usable_poster_are_missing(posters: Any) -> None:
    frame, block = posters(FIVE)
    Path(frame["poster"].iloc[0]).unlink()
    np.testing.assert_array_equal(block.missing(frame), [True, False, True, False, False])


def test_a_poster_that_is_known_to_be_bad_is_missing(posters: Any) -> None:
    frame, block = posters(FIVE, slice(1, None))  # the first has no embedding …
    key = hashlib.sha256(Path(frame["poster"].iloc[0]).read_bytes()).digest()
    store = EmbeddingCache(block.cache).find(block.fingerprint)
    store.append_failures({key: "is a folder"})  # … and the cache knows why
    np.testing.assert_array_equal(block.missing(frame), [True, False, True, False, False])


def test_posters_that_were_not_extracted_are_an_error(posters: Any) -> None:
    frame, block = posters(FIVE, slice(1))
    with pytest.raises(ExtractionError, match=r"3 of 5 posters have no embedding.*hybrid extract"):
        block.fit(frame)


def test_no_usable_poster_is_an_error(posters: Any) -> None:
    frame, block = posters([None, None])
    with pytest.raises(ExtractionError, match="expected posters to learn from, found none"):
        block.fit(frame)


def test_a_store_must_be_named_and_there(posters: Any) -> None:
    frame, block = posters(FIVE)
    with pytest.raises(SettingError, match="fingerprint of a store, found none"):
        PosterFeatures(block.cache).fit(frame)
    with pytest.raises(CacheError, match="found none"):
        PosterFeatures(block.cache, "0" * 64).fit(frame)


def test_an_average_poster_has_no_direction(posters: Any) -> None:
    frame, block = posters([[0.0, 0.0, 1.0], [2.0, 4.0, 1.0], [1.0, 2.0, 1.0]])
    np.testing.assert_allclose(block.fit_transform(frame)[2], [0, 0, 0])


# All blocks


@pytest.fixture(params=["text", "metadata", "poster"])
def any_block(request: pytest.FixtureRequest, posters: Any) -> tuple[Any, pd.DataFrame]:
    """An unfitted block, and six items that it can read."""
    frame, poster = posters([*FIVE, [5.0, 5.0, 1.0]])
    frame["title"] = ["ghost town", "ghost", "town", "wild town", "wild ghost", "rare"]
    frame["year"] = [1991.0, 1999.0, 2001.0, NAN, 1990.0, 2009.0]
    frame["votes"] = [5.0, 1.5, NAN, 2.0, 3.0, 2.0]
    frame["cast"] = ["Ann|Bob", "Bob", "Ann", "Dee", "", "Dee"]
    made = {
        "text": TextFeatures(["title"], min_df=1),
        "metadata": MetadataFeatures(["year", "votes"], ["title"], ["cast"]),
        "poster": poster,
    }
    return made[request.param], frame


def dense(matrix: Any) -> NDArray[np.float64]:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def test_rows_do_not_depend_on_their_neighbours(any_block: tuple[Any, pd.DataFrame]) -> None:
    block, frame = any_block
    block.fit(frame.iloc[:4])
    whole = dense(block.transform(frame))
    one_by_one = [dense(block.transform(frame.iloc[[i]]))[0] for i in range(len(frame))]
    np.testing.assert_array_equal(whole, one_by_one)
    assert whole.shape == (6, len(block.get_feature_names_out()))


def test_only_train_items_are_learnt_from(any_block: tuple[Any, pd.DataFrame]) -> None:
    block, frame = any_block
    train, test = frame.iloc[:4], frame.iloc[4:]
    before = dense(block.fit(train).transform(train))
    block.transform(test)  # looking at other items teaches nothing
    np.testing.assert_array_equal(dense(block.transform(train)), before)
    with_test = dense(clone(block).fit(frame).transform(train))
    assert with_test.shape != before.shape or not np.allclose(with_test, before, equal_nan=True)


def test_fitting_again_forgets(any_block: tuple[Any, pd.DataFrame]) -> None:
    block, frame = any_block
    expected = dense(clone(block).fit(frame.iloc[:4]).transform(frame))
    found = dense(block.fit(frame).fit(frame.iloc[:4]).transform(frame))
    np.testing.assert_array_equal(found, expected)


def test_the_frame_is_not_changed(any_block: tuple[Any, pd.DataFrame]) -> None:
    block, frame = any_block
    before = frame.copy(deep=True)
    block.fit(frame).transform(frame)
    block.missing(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_parameters_survive_a_clone(any_block: tuple[Any, pd.DataFrame]) -> None:
    block, frame = any_block
    copy = clone(block.fit(frame))
    assert copy.get_params() == block.get_params()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        copy.transform(frame)


@pytest.mark.parametrize(
    ("block", "name", "value"),
    [
        (TextFeatures(), "min_df", 7),
        (MetadataFeatures(), "year_bin", 7),
        (PosterFeatures(), "cache", "elsewhere"),
    ],
)
def test_parameters_can_be_set(block: Any, name: str, value: Any) -> None:
    assert block.set_params(**{name: value}) is block
    assert block.get_params()[name] == value
    with pytest.raises(ValueError, match="Invalid parameter 'colour'"):
        block.set_params(colour=1)


def test_columns_that_are_not_there_are_named(any_block: tuple[Any, pd.DataFrame]) -> None:
    block, frame = any_block
    with pytest.raises(
        SettingError, match=r"expected the columns .*found none named (title|poster)"
    ):
        block.fit(frame.drop(columns=["title", "poster"]))


def test_a_block_wants_a_frame(any_block: tuple[Any, pd.DataFrame]) -> None:
    block, frame = any_block
    with pytest.raises(SettingError, match=r"expected a DataFrame.*found list"):
        block.fit(frame.to_numpy().tolist())
