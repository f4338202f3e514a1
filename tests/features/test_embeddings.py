"""Standardised embeddings."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from hybrid.features import PosterFeatures, TextEmbeddingFeatures
from hybrid.features.embeddings import EmbeddingFeatures


def test_the_rounding_error_of_a_constant_dimension_is_not_blown_up() -> None:
    """As all-MiniLM-L6-v2 has them: one of 384 dimensions varies by 2e-8 in float16."""
    random = np.random.default_rng(0)
    embeddings = random.normal(0, 0.05, size=(50, 3)).astype(np.float32)
    embeddings[:, 1] = random.choice([0, 6e-8], size=50)
    found = TextEmbeddingFeatures().fit(embeddings).transform(embeddings)
    assert np.abs(found[:, 1]).max() < 1e-6
    rest = embeddings[:, [0, 2]].astype(np.float64)
    expected = (rest - rest.mean(axis=0)) / rest.std(axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found[:, [0, 2]], expected, atol=1e-5)


@pytest.mark.parametrize("block", [PosterFeatures, TextEmbeddingFeatures])
def test_rows_of_scores_keep_their_lengths(block: type[EmbeddingFeatures]) -> None:
    scores = np.array([[1.0, 4.0], [3.0, 4.0], [5.0, 10.0], [np.nan, np.nan]], np.float32)
    found = block(unit_length=False).fit(scores).transform(scores)
    # Means 3 and 6, deviations 1.633 and 2.828, divided by the root of 2.
    expected = [[-0.866, -0.5], [0.0, -0.5], [0.866, 1.0], [np.nan, np.nan]]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose((found[:3] ** 2).sum(axis=1).mean(), 1, atol=1e-5)


@pytest.mark.parametrize("block", [PosterFeatures, TextEmbeddingFeatures])
def test_a_block_that_was_pickled_without_the_choice_has_rows_of_unit_length(
    block: type[EmbeddingFeatures],
) -> None:
    rows = np.array([[1.0, 4.0], [3.0, 5.0], [8.0, 4.5]], np.float32)
    old = block().fit(rows)
    del old.unit_length
    found = pickle.loads(pickle.dumps(old)).transform(rows)
    np.testing.assert_array_equal(found, block().fit(rows).transform(rows))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
