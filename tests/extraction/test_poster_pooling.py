"""How the embeddings of an item's posters become one: hand-computed, in every place that pools."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from hybrid.cache import EmbeddingCache
from hybrid.cache.costs import RowCosts
from hybrid.catalogue import load_catalogue
from hybrid.errors import SettingError
from hybrid.extraction.cache_report import export_embeddings
from hybrid.extraction.lookup import load_embeddings
from hybrid.features.posters import PosterFeatures
from hybrid.heads.make_hybrid import FeatureOptions, make_hybrid
from hybrid.images.files import poster_key
from hybrid.images.thumbnails import encode_jpeg
from hybrid.utils.context import Context

VALUES = np.array([[0, 8, -1], [2, 5, -3], [7, 7, 7], [9, 3, 1]], dtype=np.float32)
SETS = [(0, 1), (2,), (3, 0, 1)]  # the posters of the items, by number
EXPECTED = {
    "mean": [VALUES[list(each)].mean(axis=0) for each in SETS],
    "max": [VALUES[list(each)].max(axis=0) for each in SETS],
    "first": [VALUES[each[0]] for each in SETS],
}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Three items of two, one and three posters; the last item's first file is missing."""
    (tmp_path / "posters").mkdir()
    for i in range(4):
        (tmp_path / "posters" / f"{i}.jpg").write_bytes(_picture(i))
    path = tmp_path / "films.csv"
    rows = ["|".join(f"posters/{i}.jpg" for i in each) for each in SETS]
    path.write_text(
        "id,genres,title,posters\n"
        f"a,Drama,A night,{rows[0]}\nb,Horror,Ghosts,{rows[1]}\nc,Drama,A night,gone.jpg|{rows[2]}\n"
    )
    return path


def _picture(i: int) -> bytes:
    return encode_jpeg(np.full((24, 16, 3), 60 * i, dtype=np.uint8))


@pytest.fixture
def context(films: Path, tmp_path: Path) -> Context:
    context = Context(cache=str(tmp_path / "cache"), workers=1)
    store = EmbeddingCache(context.cache).make({"dimension": 3, "dtype": "float32"})
    store.append([poster_key(_picture(i)) for i in range(4)], VALUES)
    return context


@pytest.mark.parametrize("pooling", ["mean", "max", "first"])
def test_embeddings_are_pooled_as_numpy_does(
    pooling: str, films: Path, context: Context, tmp_path: Path
) -> None:
    catalogue, expected = load_catalogue(films), np.array(EXPECTED[pooling])
    found = load_embeddings(catalogue, context=context, pooling=pooling)
    np.testing.assert_array_equal(found, expected)
    (store,) = EmbeddingCache(context.cache).stores()
    block = PosterFeatures(context.cache, store.fingerprint, pooling=pooling)
    np.testing.assert_array_equal(block.read(catalogue.frame), expected)
    summary = export_embeddings(catalogue, tmp_path / "e.npz", context=context, pooling=pooling)
    assert (summary.items, summary.missing) == (3, 0)
    np.testing.assert_array_equal(np.load(tmp_path / "e.npz")["embeddings"], expected)


def test_a_model_has_the_pooling_that_it_was_made_with(films: Path, context: Context) -> None:
    catalogue = load_catalogue(films)
    model = make_hybrid(
        catalogue, blocks=["poster"], features=FeatureOptions(poster_pooling="max"), context=context
    )
    ((_, block),) = model.fusion.blocks
    again = pickle.loads(pickle.dumps(block))
    np.testing.assert_array_equal(again.read(catalogue.frame), EXPECTED["max"])


def test_a_block_of_an_earlier_version_pools_by_the_mean(films: Path, context: Context) -> None:
    (store,) = EmbeddingCache(context.cache).stores()
    block = PosterFeatures(context.cache, store.fingerprint)
    state = block.__getstate__()
    del state["pooling"]
    old = PosterFeatures.__new__(PosterFeatures)
    old.__setstate__(state)
    np.testing.assert_array_equal(old.read(load_catalogue(films).frame), EXPECTED["mean"])


def test_an_unknown_pooling_is_refused(films: Path, context: Context) -> None:
    catalogue = load_catalogue(films)
    wrong = FeatureOptions(poster_pooling="median")
    with pytest.raises(SettingError, match="--poster-pooling: unknown pooling 'median'"):
        make_hybrid(catalogue, features=wrong, context=context)
    with pytest.raises(SettingError, match="unknown pooling 'median'"):
        load_embeddings(catalogue, context=context, pooling="median")
    (store,) = EmbeddingCache(context.cache).stores()
    with pytest.raises(SettingError, match="unknown pooling 'median'"):
        PosterFeatures(context.cache, store.fingerprint, pooling="median").read(catalogue.frame)


def test_what_an_item_cost_is_what_all_its_posters_cost(
    films: Path, tmp_path: Path, context: Context
) -> None:
    (tmp_path / "cache").rename(tmp_path / "unknown")
    store = EmbeddingCache(context.cache).make({"dimension": 3, "dtype": "float32"})
    keys = [poster_key(_picture(i)) for i in range(4)]
    seconds = np.array([0.5, 1, 2, 4], dtype=np.float32)
    store.append(keys, VALUES, RowCosts(seconds, np.zeros(4, dtype=np.uint8), ("cpu",)))
    export_embeddings(load_catalogue(films), tmp_path / "e.npz", context=context)
    exported = np.load(tmp_path / "e.npz")
    assert exported["seconds"].tolist() == [1.5, 2.0, 5.5]
    assert set(exported["device"].tolist()) == {"cpu"}
