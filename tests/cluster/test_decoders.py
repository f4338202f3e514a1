"""Processes that decode for a GPU are kept from block to block of a worker, and no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hybrid import load_catalogue, write_sample
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import Catalogue
from hybrid.cluster import division
from hybrid.cluster.address import parse_address
from hybrid.cluster.connection import _open
from hybrid.errors import ExtractionError
from hybrid.extraction import cluster_blocks, on_cluster
from hybrid.extraction.decoding_processes import DecodingProcesses
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.lookup import hash_catalogue
from hybrid.extraction.plan import ExtractSettings
from hybrid.images import on_cluster as images_on_cluster
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context
from hybrid.utils.interrupt import Interrupts

pytestmark = pytest.mark.filterwarnings("ignore:random weights")


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    monkeypatch.chdir(tmp_path)
    write_sample("films", n_items=60)
    monkeypatch.setattr(division, "LEAST_BLOCK", 8)
    return load_catalogue("films/catalogue.csv")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[DecodingProcesses]]:
    """A worker with a GPU in this process, and the processes that it has started."""
    made: list[DecodingProcesses] = []

    def decoders_for(jobs: Any, workers: int) -> DecodingProcesses:
        made.append(DecodingProcesses(1))
        return made[-1]

    turn: Any = SimpleNamespace(threads=1, interrupts=Interrupts())

    def run_here(cluster: Any, function: Callable[..., Any], blocks: Any, *rest: Any) -> Any:
        yield from (function(block, turn) for block in blocks)

    monkeypatch.setattr(on_cluster, "decoders_for", decoders_for)
    monkeypatch.setattr(cluster_blocks, "BlockRun", run_here)
    monkeypatch.setattr(images_on_cluster, "BlockRun", run_here)
    cluster: Any = SimpleNamespace(address=parse_address("local:2"), workers=lambda: ["a", "b"])
    token = _open.set(cluster)
    yield made
    _open.reset(token)
    for each in list(on_cluster._processes.values()):
        each.close()
    on_cluster._processes.clear()


def extract(films: Catalogue, cache: str, cluster: bool = True, size: int = 32) -> None:
    options = EmbeddingOptions(precision="float32", input_size=(size, size))
    context = Context(cache, workers=1, cluster="local:2" if cluster else None)
    extract_embeddings(films, "small", weights="random", options=options, context=context)


def rows(films: Catalogue, cache: str) -> np.ndarray:
    (store,) = EmbeddingCache(cache).stores()
    found = hash_catalogue(films, Context("none"))
    return store.read([key for key in found if isinstance(key, bytes)])


def is_running(decoders: DecodingProcesses) -> bool:
    return all(process.poll() is None for process in decoders._processes)


def test_processes_are_kept_until_another_order_comes(
    films: Catalogue, started: list[DecodingProcesses]
) -> None:
    extract(films, "alone", cluster=False)
    assert not started
    extract(films, "together")
    assert len(started) == 1  # for all blocks
    np.testing.assert_array_equal(rows(films, "together"), rows(films, "alone"))
    extract(films, "again", size=48)
    assert list(map(is_running, started)) == [False, True]


def test_processes_are_not_kept_where_a_block_failed(
    films: Catalogue, started: list[DecodingProcesses], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any, decoders: Any, **more: Any) -> None:
        with decoders:
            raise ExtractionError("no memory left")

    monkeypatch.setattr(on_cluster, "embed_here", fail)
    with pytest.raises(ExtractionError, match="no memory left"):
        extract(films, "cache")
    assert list(map(is_running, started)) == [False]


def test_images_of_parquet_files_are_not_copied_by_each_process(
    started: list[DecodingProcesses],
) -> None:
    order = on_cluster.Order("cache", (), ExtractSettings())
    kept = DecodingProcesses(1)
    on_cluster._processes[(1,)] = kept
    block = on_cluster.Block(0, ({b"k" * 32: "films.parquet#7"},))
    with on_cluster._kept_decoders(order, block, [], Context(workers=1)) as found:
        assert found is started[0]  # as `decoders_for` chooses
    assert not is_running(kept)
