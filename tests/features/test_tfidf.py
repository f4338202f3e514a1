"""Terms and their weights, beside scikit-learn's vectorizers."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from hybrid.errors import SettingError
from hybrid.features.text import TextFeatures, fold_before
from hybrid.features.tfidf import CODE_POINTS
from hybrid.features.tfidf.terms import UNKNOWN, CharTerms, Terms, WordTerms
from hybrid.features.tfidf.vocabulary import Sequences, join_texts, replace_texts
from hybrid.utils.scripts import fold_text

# Few letters, so that words repeat; accents, capitals, digits, marks and all kinds of space.
TEXT = st.text(alphabet="aAbécİ1_'. \t\n\u00a0\u00a8", max_size=40)
TEXTS = st.lists(TEXT, min_size=1, max_size=12)


def count(terms: Terms, texts: list[str]) -> NDArray[np.int64]:
    """How often each text has each term, shape (texts, terms), added up one by one."""
    found = terms.find(*join_texts(texts))
    counts = np.zeros((len(texts), len(terms.names_)), np.int64)
    for text in range(len(texts)):
        for word in found.order[found.bounds[text] : found.bounds[text + 1]]:
            for term in found.lists[found.list_bounds[word] : found.list_bounds[word + 1]]:
                if term != UNKNOWN:
                    counts[text, term] += 1
    return counts


def compare(terms: Terms, vectorizer: Any, learn: list[str], new: list[str]) -> None:
    """The same names and counts, or no term for both."""
    plain = [fold_text(text) for text in learn]
    try:
        expected = vectorizer.fit_transform(learn)
    except ValueError:
        assert not len(terms.fit(plain).names_)
        return
    terms.fit(plain)
    assert terms.names_.tolist() == vectorizer.get_feature_names_out().tolist()
    again = [fold_text(text) for text in new]
    for texts, counts in ((plain, expected), (again, vectorizer.transform(new))):
        np.testing.assert_array_equal(count(terms, texts), counts.toarray())


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS, st.integers(1, 3), st.integers(1, 3), st.none() | st.integers(1, 6))
@example(["aa bb aa", "aa bb"], ["bb aa bb", ""], 2, 2, None)
def test_words_are_counted_as_scikit_learn_does(
    learn: list[str], new: list[str], longest: int, min_df: int, most: int | None
) -> None:
    vectorizer = CountVectorizer(
        ngram_range=(1, longest),
        min_df=min(min_df, len(learn)),
        max_features=most,
        strip_accents="unicode",
        dtype=np.float32,
    )
    compare(WordTerms(longest, min(min_df, len(learn)), most), vectorizer, learn, new)


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS, st.integers(1, 5), st.integers(1, 3), st.none() | st.integers(1, 6))
@example(["a b", "ab abc"], ["abcd a"], 5, 1, None)
def test_characters_are_counted_as_scikit_learn_does(
    learn: list[str], new: list[str], longest: int, min_df: int, most: int | None
) -> None:
    shortest = min(3, longest)
    vectorizer = CountVectorizer(
        analyzer="char_wb",
        ngram_range=(shortest, longest),
        min_df=min(min_df, len(learn)),
        max_features=most,
        strip_accents="unicode",
        dtype=np.float32,
    )
    compare(CharTerms(shortest, longest, min(min_df, len(learn)), most), vectorizer, learn, new)


def test_an_n_gram_ends_with_its_text() -> None:
    terms = WordTerms(2, 1).fit(["night of", "of fear"])
    assert terms.names_.tolist() == ["fear", "night", "night of", "of", "of fear"]
    assert count(terms, ["night", "of"]).tolist() == [[0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]


def test_a_rare_word_parts_its_neighbours() -> None:
    terms = WordTerms(2, 2).fit(["a1 b1 rare c1", "a1 b1 other c1"])
    assert terms.names_.tolist() == ["a1", "a1 b1", "b1", "c1"]
    assert count(terms, ["b1 unknown c1"]).tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize("terms", [WordTerms(3, 1), CharTerms(3, 5, 1)])
def test_terms_travel_in_a_pickle(terms: Terms) -> None:
    texts = ["the haunted house", "house of the dead"]
    expected = count(terms.fit(texts), texts)
    again = pickle.loads(pickle.dumps(terms))
    np.testing.assert_array_equal(count(again, texts), expected)


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS, st.integers(1, 3), st.integers(3, 5), st.booleans(), st.integers(1, 5))
@example(["aa bb aa", "aa a"], ["", "bb aa bb aa", "zz"], 2, 3, True, 2)
def test_both_kinds_are_weighed_as_scikit_learn_does(
    learn: list[str], new: list[str], words: int, chars: int, sublinear: bool, chunk: int
) -> None:
    """However few texts, and phrases, are looked at together, and whether words are written to a file."""
    given = {"strip_accents": "unicode", "sublinear_tf": sublinear, "dtype": np.float32}
    expected = [
        TfidfVectorizer(ngram_range=(1, words), **given),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, chars), **given),
    ]
    try:
        known = [vectorizer.fit(learn) for vectorizer in expected]
    except ValueError:
        return  # no word in any text: `compare` sees to it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hybrid.features.tfidf.terms.CHUNK", chunk)
        patch.setattr("hybrid.features.tfidf.terms.AT_ONCE", chunk)
        patch.setattr("hybrid.utils.spilled.SPILL", 8 * chunk)
        block = TextFeatures(("text",), words, chars, min_df=1, sublinear_tf=sublinear)
        found = block.fit(pd.DataFrame({"text": learn})).transform(pd.DataFrame({"text": new}))
    plain = np.hstack([vectorizer.transform(new).toarray() for vectorizer in known])
    np.testing.assert_allclose(found.toarray(), plain, rtol=2e-6)
    assert (found.dtype, found.has_canonical_format) == (np.float32, True)
    for start, stop in pairwise(found.indptr):
        assert (np.diff(found.indices[start:stop]) > 0).all()


def test_a_table_grows_as_sequences_come() -> None:
    random = np.random.default_rng(0)
    symbols = random.integers(0, 9, 20_000).astype(np.int32)
    starts = np.arange(0, 19_000, 3)
    ends = starts + random.integers(0, 7, len(starts))
    table, numbers = Sequences(), {}
    for part in np.array_split(np.arange(len(starts)), 5):
        found = table.number(symbols, starts[part], ends[part], learn=True)
        for i, number in zip(part, found, strict=True):
            assert number == numbers.setdefault(
                symbols[starts[i] : ends[i]].tobytes(), len(numbers)
            )
    assert len(table) == len(numbers) > 1000
    unseen = np.full(3, 9, np.int32)
    assert table.number(unseen, np.zeros(1, int), np.array([3]), learn=False).tolist() == [UNKNOWN]


def fitted(texts: list[str], **options: Any) -> tuple[TextFeatures, list[str]]:
    block = TextFeatures(("text",), min_df=1, **options).fit(pd.DataFrame({"text": texts}))
    return block, block.get_feature_names_out().tolist()


IDEOGRAPHS = st.text(alphabet="鬼魂校ホー々", min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.lists(IDEOGRAPHS, min_size=1, max_size=8), st.integers(1, 3))
def test_scripts_without_spaces_have_n_grams_of_characters(texts: list[str], longest: int) -> None:
    expected = TfidfVectorizer(analyzer="char", ngram_range=(1, longest), sublinear_tf=True)
    matrix = expected.fit_transform(texts).toarray()
    block, names = fitted(texts, max_ngram=longest, max_chars=0)
    assert names == expected.get_feature_names_out().tolist()
    found = block.transform(pd.DataFrame({"text": texts})).toarray()
    np.testing.assert_allclose(found, matrix, rtol=2e-6)


def test_a_script_without_spaces_has_single_characters_beside_its_n_grams() -> None:
    names = fitted(["看NBA比赛"])[1]
    quoted = [name for name in names if name.startswith("'")]
    words = [name for name in names if name not in quoted]
    assert words == ["nba", "nba 比", "比", "比赛", "看", "看 nba", "赛"]
    latin = ["' nb'", "' nba'", "' nba '", "'ba '", "'nba'", "'nba '"]
    assert quoted == [*latin, "'比'", "'看'", "'赛'"]


def test_marks_are_whole_in_words_and_n_grams() -> None:
    names = fitted(["हिन्दी"])[1]
    assert names == ["हिन्दी", "' हिन्दी'", "' हिन्दी '", "'हिन्दी '"]
    assert fitted(["น้ำดี"])[1] == ["ดี", "น้ำ", "น้ำดี", "'ดี'", "'น้ำ'"]
    assert fitted(["ทำดี"])[1] == ["ดี", "ทำ", "ทำดี", "'ดี'", "'ทำ'"]


def test_a_syllable_alone_is_a_word_of_korean() -> None:
    assert fitted(["밤 기차 a"], max_ngram=1, max_chars=0)[1] == ["기차", "밤"]


def test_n_grams_suffice_where_no_word_is_shared() -> None:
    """As in a language of long words: no whole word is in two texts, but parts are."""
    texts = pd.DataFrame({"text": ["Geisterhaus", "Geisterschiff", "Liebesbrief", "Liebesfilm"]})
    block = TextFeatures(("text",), min_df=2).fit(texts)
    assert "' geis'" in block.get_feature_names_out()
    assert block.transform(texts).nnz > 0
    with pytest.raises(SettingError, match="words that 2 or more items share"):
        TextFeatures(("text",), min_df=2, max_chars=0).fit(texts)


def test_a_model_from_before_reads_as_it_did() -> None:
    """What was fitted sign by sign has no other way to read: neither marks nor characters are words."""
    texts = pd.DataFrame({"text": ["हिन्दी 恐怖电影 été", "恐怖电影 हिन्दी"]})
    vectorizers = [
        TfidfVectorizer(strip_accents="unicode", sublinear_tf=True, ngram_range=(1, 2)),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), strip_accents="unicode", sublinear_tf=True
        ),
    ]
    expected = np.hstack([each.fit_transform(texts["text"]).toarray() for each in vectorizers])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hybrid.features.tfidf.terms.CHARACTERS", CODE_POINTS)
        patch.setattr("hybrid.features.text.fold_text", fold_before)
        block = TextFeatures(("text",), min_df=1).fit(texts)
    for terms in block.terms_:
        del terms.reading  # it had none
    again = pickle.loads(pickle.dumps(block))
    np.testing.assert_allclose(again.transform(texts).toarray(), expected, rtol=2e-6)


def test_words_of_a_dictionary_where_there_are_no_spaces() -> None:
    texts = ["ภาพยนตร์ตลก 2 NBA", "关于鬼魂"]
    options: dict[str, Any] = {"max_ngram": 2, "max_chars": 0}
    names = fitted(texts, segmenter="icu", **options)[1]
    assert names == sorted(
        ["nba", "关于", "关于 鬼魂", "ตลก", "ตลก nba", "ภาพยนตร์", "ภาพยนตร์ ตลก", "鬼魂"]
    )


def test_a_dictionary_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hybrid.utils.dictionary_words.find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r"--segmenter icu: .*hybrid-posters\[icu\]"):
        fitted(["关于鬼魂"], segmenter="icu")
    assert "鬼魂" in fitted(["关于鬼魂"])[1]


def test_an_unknown_segmenter_is_named() -> None:
    with pytest.raises(SettingError, match="segmenter: expected characters or icu, found 'jieba'"):
        fitted(["关于鬼魂"], segmenter="jieba")


@given(TEXTS, st.lists(st.none() | TEXT, min_size=12, max_size=12))
def test_some_texts_are_replaced_as_if_all_were_joined_again(
    texts: list[str], others: list[str | None]
) -> None:
    changed = [text if new is None else new for text, new in zip(texts, others, strict=False)]
    found = replace_texts(*join_texts(texts), texts, changed)
    for array, expected in zip(found, join_texts(changed), strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
