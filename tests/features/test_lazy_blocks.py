"""Blocks of a fusion that stay on disk: embeddings of the cache, sparse shards, and what is computed."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone

from hybrid.cache import EmbeddingCache
from hybrid.errors import RowsError, SettingError
from hybrid.extraction.import_embeddings import import_embeddings
from hybrid.features import (
    ImportedFeatures,
    MetadataFeatures,
    PosterFeatures,
    TextEmbeddingFeatures,
    TextFeatures,
    sparse_shards,
)
from hybrid.features.embeddings import EmbeddingFeatures, StoredRows
from hybrid.features.fusion import Fusion
from hybrid.features.fusion_matrix import FusionMatrix, missing_blocks
from hybrid.features.indicator import add_indicator
from hybrid.features.lazy_block import ComputedBlock, LazyBlock, spans
from hybrid.features.sparse_shards import INDEX, SparseShards, write_shards
from hybrid.utils.context import Context
from hybrid.utils.key_index import KEY_BYTES


def draw(n: int, columns: int, seed: int = 0) -> Any:
    """Some rows of few numbers; some are empty."""
    random = np.random.default_rng(seed)
    return sparse.csr_matrix(
        np.where(random.random((n, columns)) < 0.3, random.standard_normal((n, columns)), 0),
        dtype=np.float32,
    )


# Shards


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(0, 40),
    columns=st.integers(1, 9),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    most=st.integers(1, 12),
    seed=st.integers(0, 10**6),
)
def test_rows_of_shards_are_those_that_were_written(
    tmp_path_factory: Any, n: int, columns: int, cuts: list[int], most: int, seed: int
) -> None:
    matrix = draw(n, columns, seed)
    bounds = [0, *sorted(min(cut, n) for cut in cuts), n]
    folder = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_shards, "SHARD_ROWS", most)
        parts = (matrix[a:b] for a, b in pairwise(bounds))
        write_shards(folder, parts, columns)
    found = SparseShards(folder)
    assert found.shape == (n, columns)
    assert all(shard.rows <= most for shard in found.shards)
    rows = np.random.default_rng(seed).integers(0, n, 15) if n else np.zeros(0, int)
    for chosen in (
        slice(None),
        slice(1, None, 3),
        rows,
        np.sort(rows),
        rows - n,
        np.arange(n) % 2 == 0,
    ):
        read = found[chosen]
        assert (read != matrix[chosen]).nnz == 0
        assert read.shape == matrix[chosen].shape
        assert read.dtype == np.float32
        read.check_format(full_check=True)


def test_entries_given_twice_are_one_and_come_in_order(tmp_path: Path) -> None:
    twice = sparse.csr_matrix(([1.0, 2.0, 4.0], ([2, 0, 2]), [0, 3]), shape=(1, 3))
    [[*row]] = write_shards(tmp_path, [twice], 3)[:].toarray().tolist()
    assert row == [2, 0, 5]


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (np.array([[np.nan, 0]]), "expected finite numbers"),
        (np.array([[1e39, 0]]), "expected finite numbers"),  # beyond float32
        (np.array([[1.0]]), "expected 2 columns, found 1"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_what_cannot_be_a_shard_is_refused_and_leaves_no_index(
    block: Any, error: str, tmp_path: Path
) -> None:
    rows = (sparse.csr_matrix(part) for part in ([[1.0, 0]], block))
    with pytest.raises(SettingError, match=error):
        write_shards(tmp_path, rows, 2)
    with pytest.raises(RowsError, match="Remove the folder and write it again"):
        SparseShards(tmp_path)


def test_shards_are_not_written_over(tmp_path: Path) -> None:
    write_shards(tmp_path, [draw(3, 2)], 2)
    with pytest.raises(SettingError, match="expected a folder without shards"):
        write_shards(tmp_path, [draw(3, 2)], 2)


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(b"")
    with pytest.raises(RowsError, match=r"cannot write .*words"):
        write_shards(tmp_path / "a file" / "words", [draw(3, 2)], 2)


def change_bytes(folder: Path, at: int) -> None:
    [path] = folder.glob("*.csr")
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def cut_short(folder: Path) -> None:
    [path] = folder.glob("*.csr")
    path.write_bytes(path.read_bytes()[:-1])


def remove(folder: Path) -> None:
    [path] = folder.glob("*.csr")
    path.unlink()


def put_a_folder(folder: Path) -> None:
    [path] = folder.glob("*.csr")
    path.unlink()
    path.mkdir()


def change_index(folder: Path, **changes: Any) -> None:
    """Change what the index says, and seal it as the writer does."""
    content = json.loads((folder / INDEX).read_bytes())
    del content["sha256"]
    for name, value in changes.items():
        if name in content:
            content[name] = value
        else:
            content["shards"][0][name] = value
    (folder / INDEX).write_bytes(sparse_shards._seal(content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: change_bytes(folder, 9),
        lambda folder: change_bytes(folder, -1),
        cut_short,
        remove,
        put_a_folder,
        lambda folder: (folder / INDEX).write_bytes(b"{"),
        lambda folder: (folder / INDEX).write_bytes(b"[]"),
        lambda folder: (folder / INDEX).write_bytes(b'{"sha256": "\\ud800", "columns": "\\ud800"}'),
        lambda folder: change_index(folder, rows=10**15),
        lambda folder: change_index(folder, rows=-1),
        lambda folder: change_index(folder, rows=True),
        lambda folder: change_index(folder, entries=1.0),
        lambda folder: change_index(folder, columns=2**31),
        lambda folder: change_index(folder, columns=1),  # entries lie beyond it
        lambda folder: change_index(folder, format=2),
        lambda folder: change_index(folder, shards=None),
        lambda folder: change_index(folder, shards=[{}]),
        lambda folder: change_index(folder, file="../../etc/passwd"),
        lambda folder: change_index(folder, file=7),
    ],
)
def test_damaged_shards_are_refused(damage: Any, tmp_path: Path) -> None:
    write_shards(tmp_path, [draw(6, 4)], 4)
    damage(tmp_path)
    with pytest.raises(RowsError, match=r"expected .*, found"):
        SparseShards(tmp_path)[:]


@pytest.mark.parametrize(
    "arrays",
    [
        ([0, 2, 1], [0, 1, 2], [1.0, 1, 1]),  # a row ends before it starts
        ([1, 2, 3], [0, 1, 2], [1.0, 1, 1]),
        ([0, 1, 2], [0, 1, 2], [1.0, 1, 1]),  # an entry of no row
        ([0, 3, 3], [0, 2, 1], [1.0, 1, 1]),  # not in order
        ([0, 3, 3], [0, 1, 1], [1.0, 1, 1]),  # twice
        ([0, 3, 3], [0, 1, 4], [1.0, 1, 1]),  # beyond the columns
        ([0, 3, 3], [-1, 1, 2], [1.0, 1, 1]),
        ([0, 3, 3], [0, 1, 2], [1.0, np.inf, 1]),
        ([0, 2**62, 3], [0, 1, 2], [1.0, 1, 1]),
    ],
)
def test_a_shard_with_a_right_hash_and_wrong_entries_is_refused(
    arrays: Any, tmp_path: Path
) -> None:
    starts, columns, values = arrays
    data = (
        np.array(starts, "<i8").tobytes()
        + np.array(columns, "<i4").tobytes()
        + np.array(values, "<f4").tobytes()
    )
    name = sparse_shards.shard_name(data)
    (tmp_path / name).write_bytes(data)
    shard = {"file": name, "rows": 2, "entries": 3}
    content = {"format": 1, "columns": 4, "shards": [shard]}
    (tmp_path / INDEX).write_bytes(sparse_shards._seal(content))
    with pytest.raises(RowsError, match=r"that start where they cannot|that were never written"):
        SparseShards(tmp_path)[0:1]


def test_a_shard_that_is_removed_while_it_is_read(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, [draw(6, 4)], 4)
    assert shards[:3].shape == (3, 4)
    shutil.rmtree(tmp_path)
    with pytest.raises(RowsError, match="cannot be read: No such file"):
        shards[:3]


# Embeddings


@pytest.mark.parametrize("block", [PosterFeatures, TextEmbeddingFeatures])
@pytest.mark.parametrize("unit_length", [True, False])
def test_embeddings_that_are_read_row_by_row_are_standardised_as_those_in_memory(
    block: type[EmbeddingFeatures], unit_length: bool
) -> None:
    random = np.random.default_rng(0)
    rows = (random.standard_normal((700, 5)) * [1, 10, 1e-3, 1, 0] + 100).astype(np.float32)
    rows[[0, 300, 301]] = np.nan
    rows[4, :] = rows[5:].mean(axis=0)
    stored = StoredRows(np.arange(700), lambda keys: rows[np.asarray(keys)])
    expected = block(unit_length=unit_length).fit(rows)  # type: ignore[call-arg]
    found = block(unit_length=unit_length).fit(stored)  # type: ignore[call-arg]
    np.testing.assert_allclose(found.mean_, expected.mean_, rtol=1e-6)
    np.testing.assert_allclose(found.scale_, expected.scale_, rtol=1e-5)
    lazy = expected.lazy_block(stored)
    whole = add_indicator(expected.transform(rows), expected.missing(rows))
    assert lazy.shape == whole.shape
    for chosen in (slice(None), [699, 0, 300], np.arange(700) % 7 == 0):
        np.testing.assert_allclose(lazy[chosen], whole[chosen], rtol=1e-5, atol=1e-6)
    assert lazy[[0]].tolist() == [[0, 0, 0, 0, 0, 1]]


def test_stored_rows_that_are_all_missing_are_no_features() -> None:
    stored = StoredRows([0, 1], lambda keys: np.full((len(keys), 3), np.nan, np.float32))
    with pytest.raises(Exception, match="expected posters to learn from, found none usable"):
        PosterFeatures().fit(stored)


def test_rows_in_storage_order_are_read_part_by_part(tmp_path: Path) -> None:
    store = EmbeddingCache(tmp_path).make({"dimension": 1})
    keys = [bytes([i]) * KEY_BYTES for i in range(9)]
    for some in ([5, 2, 8], [0], [7, 1, 3]):
        store.append([keys[i] for i in some], np.array(some, float)[:, None])
    wanted = [None, *keys]
    order = store.storage_order(wanted)
    assert sorted(order.tolist()) == list(range(10))
    assert set(order[-3:].tolist()) == {0, 5, 7}  # without an embedding
    places = [int(i) - 1 for i in order[:7]]
    for some in ([5, 2, 8], [0], [7, 1, 3]):
        at = [places.index(i) for i in some]
        assert at == list(range(at[0], at[0] + len(some)))


# The fusion


@pytest.fixture
def pair(tmp_path: Path) -> tuple[FusionMatrix, FusionMatrix]:
    """A fusion in memory, and the same one with its blocks on disk."""
    random = np.random.default_rng(0)
    absent = np.arange(5000) % 9 == 0
    X = add_indicator(random.standard_normal((5000, 3)).astype(np.float32), absent)
    T = add_indicator(draw(5000, 12), absent[::-1])
    blocks, names, weights = [X, T, T[:, -1:]], ["poster", "text", "metadata"], [1.0, 0.5, 2.0]
    lazy = [
        ComputedBlock(5000, 4, lambda rows: X[rows]),
        write_shards(tmp_path, [T], 13),
        blocks[2],
    ]
    return (
        FusionMatrix.from_blocks(blocks, names, weights),
        FusionMatrix.from_blocks(lazy, names, weights),
    )


def test_products_with_rows_on_disk(pair: tuple[FusionMatrix, FusionMatrix]) -> None:
    memory, disk = pair
    assert disk.shape == memory.shape
    assert disk.dtype == memory.dtype
    assert (memory.is_lazy, disk.is_lazy, disk[:9].is_lazy) == (False, True, False)
    random = np.random.default_rng(1)
    W, V = random.standard_normal((18, 2)), random.standard_normal((5000, 2))
    np.testing.assert_allclose(disk @ W, memory @ W, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(disk @ W[:, 0], memory @ W[:, 0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(disk.T @ V, memory.T @ V, rtol=1e-6, atol=1e-6)
    assert (disk.tocsr() != memory.tocsr()).nnz == 0
    np.testing.assert_array_equal(missing_blocks(disk), missing_blocks(memory))
    rows = random.integers(0, 5000, 30)
    np.testing.assert_array_equal(disk[rows].tocsr().toarray(), memory[rows].tocsr().toarray())
    with pytest.raises(SettingError, match="expected 18 rows"):
        disk @ W[:-1]


def test_rows_alone_are_taken_of_a_block_on_disk() -> None:
    block: LazyBlock = ComputedBlock(3, 1, lambda rows: rows[:, None].astype(np.float32))
    assert block[[-1, 0]].tolist() == [[2], [0]]
    assert block[[]].shape == (0, 1)
    with pytest.raises(SettingError, match="expected rows as a slice"):
        block[:, 0]
    with pytest.raises(IndexError, match="3 rows, found 3"):
        block[[3]]


@pytest.fixture
def films(tmp_path: Path) -> tuple[Fusion, pd.DataFrame]:
    """A fusion of imported embeddings, words and metadata, and 60 films, some of which lack a block."""
    random = np.random.default_rng(0)
    words = np.array(["ghost", "story", "ship", "west", "rides", "sheriff"])
    ids = [f"f{i}" for i in random.permutation(60)]
    frame = pd.DataFrame(
        {
            "overview": [" ".join(random.choice(words, 4)) if i % 11 else "" for i in range(60)],
            "year": random.integers(1950, 2020, 60).astype(float),
        },
        index=ids,
    )
    frame.loc[ids[5], "year"] = np.nan
    context = Context(cache=str(tmp_path / "cache"))
    rows = pd.DataFrame(random.standard_normal((50, 4)), index=random.permutation(ids)[:50])
    made = import_embeddings(rows, block="clip", context=context)
    blocks = [
        ("text", TextFeatures(["overview"], max_chars=0)),
        ("clip", ImportedFeatures(context.cache, made.fingerprint)),
        ("metadata", MetadataFeatures(["year"])),
    ]
    return Fusion(blocks, weights={"text": 2.0}), frame


def test_a_fusion_that_stays_on_disk_is_that_in_memory(
    films: tuple[Fusion, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fusion, frame = films
    order = fusion.storage_order(frame)
    assert sorted(order.tolist()) == list(range(60))
    assert fusion.storage_order(fusion.look_up(frame)).tolist() == order.tolist()
    frame = frame.iloc[order]
    memory = clone(fusion).fit(frame)
    monkeypatch.setattr("hybrid.features.fusion.spans", lambda n: spans(n, 7))
    disk = clone(fusion).fit_lazily(frame)
    matrix, expected = disk.transform_lazily(frame, tmp_path / "rows"), memory.transform(frame)
    assert matrix.is_lazy
    assert matrix.weights == expected.weights
    assert [name for name, _ in matrix.blocks] == ["text", "clip", "metadata"]
    assert all(isinstance(block, LazyBlock) for _, block in matrix.blocks)
    found = matrix.tocsr().toarray()
    np.testing.assert_allclose(found, expected.tocsr().toarray(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(missing_blocks(matrix), missing_blocks(expected))
    assert missing_blocks(matrix).sum(axis=0).tolist() == [6, 10, 1]
    assert (missing_blocks(matrix)[:, 1] == (np.arange(60) >= 50)).all()  # they come last
    assert sorted(path.name for path in (tmp_path / "rows").iterdir()) == ["metadata", "text"]


def test_the_storage_order_of_a_fusion_without_embeddings_is_that_of_the_items() -> None:
    frame = pd.DataFrame({"overview": ["a ghost", "a ship"]})
    fusion = Fusion([("text", TextFeatures(["overview"]))])
    assert fusion.storage_order(frame).tolist() == [0, 1]
    assert fusion.storage_order(fusion.look_up(frame)).tolist() == [0, 1]
