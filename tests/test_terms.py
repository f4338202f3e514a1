"""Counts of terms, beside scikit-learn's CountVectorizer."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from hybrid.features.terms import CharTerms, Terms, WordTerms, plain_text

# Few letters, so that words repeat; accents, capitals, digits, marks and all kinds of space.
TEXT = st.text(alphabet="aAbécİ1_'. \t\n\u00a0\u00a8", max_size=40)
TEXTS = st.lists(TEXT, min_size=1, max_size=12)


def compare(terms: Terms, vectorizer: Any, learn: list[str], new: list[str]) -> None:
    """The same names and counts, or no term for both."""
    plain = [plain_text(text) for text in learn]
    try:
        expected = vectorizer.fit_transform(learn)
    except ValueError:
        with pytest.raises(ValueError, match=r"no term is in \d texts"):
            terms.fit(plain)
        return
    terms.fit(plain)
    assert terms.names_.tolist() == vectorizer.get_feature_names_out().tolist()
    again = [plain_text(text) for text in new]
    for texts, counts in ((plain, expected), (again, vectorizer.transform(new))):
        found = terms.count(texts)
        assert found.dtype == np.float32
        assert found.has_canonical_format
        np.testing.assert_array_equal(found.toarray(), counts.toarray())


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
    assert terms.count(["night", "of"]).toarray().tolist() == [[0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]


def test_a_rare_word_parts_its_neighbours() -> None:
    terms = WordTerms(2, 2).fit(["a1 b1 rare c1", "a1 b1 other c1"])
    assert terms.names_.tolist() == ["a1", "a1 b1", "b1", "c1"]
    assert terms.count(["b1 unknown c1"]).toarray().tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize("terms", [WordTerms(3, 1), CharTerms(3, 5, 1)])
def test_terms_travel_in_a_pickle(terms: Terms) -> None:
    texts = ["the haunted house", "house of the dead"]
    expected = terms.fit(texts).count(texts).toarray()
    again = pickle.loads(pickle.dumps(terms))
    np.testing.assert_array_equal(again.count(texts).toarray(), expected)
