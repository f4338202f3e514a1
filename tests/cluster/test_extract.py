"""Extraction on a cluster: the same embeddings as in one process, whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hybrid import load_catalogue, write_sample
from hybrid.backbones import get_backbone, resolve_weights
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import Catalogue
from hybrid.cluster import connection, division
from hybrid.cluster.blocks import SetAside
from hybrid.cluster.connection import Cluster, _open, one_connection, use_cluster
from hybrid.errors import CacheError, ClusterError, MissingExtraError, SettingError, WeightsError
from hybrid.extraction import cluster_blocks, on_cluster
from hybrid.extraction.cluster_blocks import set_aside_error
from hybrid.extraction.extract import extract_embeddings, plan_extraction
from hybrid.extraction.extract_texts import extract_texts
from hybrid.extraction.lookup import hash_catalogue
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.share import Shard
from hybrid.extraction.texts import item_texts, text_keys
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.images import hashes, hashes_on_cluster
from hybrid.images.hashes import hash_posters
from hybrid.images.memo import load_memo
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.predict import predict_catalogue
from hybrid.splitting.methods import split_catalogue
from hybrid.text_encoders.folder import read_text_encoder
from hybrid.types import EmbeddingOptions, ExtractSummary, TextEmbeddingOptions
from hybrid.utils.context import Context

pytestmark = pytest.mark.filterwarnings("ignore:random weights")
ITEMS = 90


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    monkeypatch.chdir(tmp_path)
    write_sample("films", n_items=ITEMS)
    monkeypatch.setattr(division, "LEAST_BLOCK", 8)
    return load_catalogue("films/catalogue.csv")


def extract(films: Catalogue, cache: str, cluster: bool, **settings: Any) -> ExtractSummary:
    return extract_embeddings(
        films,
        "small",
        weights="random",
        options=EmbeddingOptions(precision="float32", input_size=(32, 32)),
        settings=ExtractSettings(**settings),
        context=Context(cache, workers=2, cluster="local:2" if cluster else None),
    )


def keys(films: Catalogue) -> list[bytes]:
    return [key for key in hash_catalogue(films, Context("none")) if isinstance(key, bytes)]


def rows(cache: str, films: Catalogue) -> np.ndarray:
    (store,) = EmbeddingCache(cache).stores()
    return store.read(keys(films))


def test_the_embeddings_are_those_of_one_process(films: Catalogue, cluster: Cluster) -> None:
    alone = extract(films, "alone", cluster=False)
    some = extract(films, "together", cluster=True, limit=20)
    assert some.computed + len(some.bad) >= 20
    together = extract(films, "together", cluster=True)
    assert (together.hits, together.computed) == (some.computed, alone.computed - some.computed)
    assert (together.embedded, together.bad) == (alone.embedded, alone.bad)
    np.testing.assert_array_equal(rows("together", films), rows("alone", films))
    (store,) = EmbeddingCache("together").stores()
    embedded = [key for key in keys(films) if key in store]
    assert store.row_costs(embedded).seconds.min() > 0  # each worker records what its rows cost
    assert extract(films, "together", cluster=True).computed == 0


def test_posters_that_the_workers_read_have_the_same_keys(
    films: Catalogue, cluster: Cluster
) -> None:
    next(Path("films/posters").glob("*.jpg")).unlink()
    alone = hash_catalogue(films, Context("none"))
    EmbeddingCache("memory").make({"dimension": 2})
    context = Context("memory", workers=2, cluster="local:2")
    assert hash_catalogue(films, context) == alone
    assert hash_catalogue(films, context) == alone


def test_a_poster_that_kills_those_who_read_it_is_told_and_all_others_are_remembered(
    films: Catalogue, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = hash_catalogue(films, Context("none"))
    poison = films.poster_paths[20]
    monkeypatch.setattr(hashes, "_SETTLED_NS", -1)  # files this young are not remembered
    hash_block = hashes_on_cluster._hash_block

    def hash_or_die(block: Any, turn: Any) -> Any:
        if any(path.endswith(poison) for path in block.paths):
            os._exit(9)
        return hash_block(block, turn)

    monkeypatch.setattr(hashes_on_cluster, "_hash_block", hash_or_die)
    EmbeddingCache("memory").make({"dimension": 2})
    context = Context("memory", workers=2, cluster="local:2")
    with pytest.raises(
        ClusterError, match=r"1 block set aside:\n  \d+ posters, from .*3 workers died"
    ):
        hash_catalogue(films, context)
    read: list[str] = []

    def note(cluster: Any, function: Any, blocks: Any, interrupted: Any) -> Any:
        for block in blocks:
            read.extend(block.paths)
            yield hash_block(block, turn)

    turn: Any = SimpleNamespace(threads=1, interrupts=SimpleNamespace(obey=lambda: None))
    monkeypatch.setattr(hashes_on_cluster, "BlockRun", note)
    assert hash_catalogue(films, context) == alone
    assert any(path.endswith(poison) for path in read)
    assert len(read) < 20  # the block, and posters that cannot be read


def test_what_another_process_remembers_meanwhile_is_kept(
    films: Catalogue, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    EmbeddingCache("memory").make({"dimension": 2})
    paths = list(films.each_poster_path())
    now, recall = hashes.time.time_ns, hashes_on_cluster._recall
    monkeypatch.setattr(hashes.time, "time_ns", lambda: now() + 60 * 10**9)  # files have settled

    def recall_and_wait(*given: Any) -> Any:
        found = recall(*given)
        list(hash_posters("memory", paths[:5], workers=1))  # as another process
        return found

    monkeypatch.setattr(hashes_on_cluster, "_recall", recall_and_wait)
    hashes_on_cluster.hash_on_cluster(cluster, Context("memory"), paths[20:30], lambda n: None)
    same = hashes.look_up(load_memo(Path("memory/memo/keys")), paths[:5] + paths[20:30])[1]
    assert same.sum() >= 12
    assert same[:5].any()


def test_a_worker_that_is_killed_loses_no_row(
    films: Catalogue, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = []
    read = cluster_blocks.BlockRun._deliveries

    def read_and_kill(self: Any) -> Any:
        found = read(self)
        if found and not killed:
            busy = cluster.client.processing()
            (worker, *_) = [each for each, tasks in busy.items() if tasks] or list(busy)
            killed.append(cluster.client.run(os.getpid, workers=[worker])[worker])
            os.kill(killed[0], signal.SIGKILL)
        return found

    monkeypatch.setattr(cluster_blocks.BlockRun, "_deliveries", read_and_kill)
    summary = extract(films, "killed", cluster=True)
    assert len(killed) == 1
    alone = extract(films, "alone", cluster=False)
    assert (summary.embedded, summary.bad) == (alone.embedded, alone.bad)
    np.testing.assert_array_equal(rows("killed", films), rows("alone", films))


def test_texts_are_embedded_as_in_one_process(
    films: Catalogue, cluster: Cluster, text_encoder: Path
) -> None:
    options = TextEmbeddingOptions(precision="float32")
    found = {}
    for name, where in (("alone", None), ("together", "local:2")):
        context = Context(name, workers=2, cluster=where)
        summary = extract_texts(
            films, os.path.relpath(text_encoder), options=options, context=context
        )
        (store,) = EmbeddingCache(name).stores()
        found[name] = summary, store
    alone, together = found["alone"][0], found["together"][0]
    assert together.computed == alone.computed > 0
    assert together.longer == alone.longer
    assert together.findings == alone.findings
    texts = item_texts(films.frame, films.columns.text)
    of_texts = text_keys(texts, read_text_encoder(text_encoder).prefix)
    alone_rows, together_rows = (store.read(of_texts) for _, store in found.values())
    np.testing.assert_array_equal(together_rows, alone_rows)


def test_a_worker_without_the_cache_or_with_other_weights_is_refused(tmp_path: Path) -> None:
    spec = get_backbone("small")
    weights = resolve_weights(spec, "random", seed=3)
    encoding = on_cluster.Encoding(spec, weights, "float32", "f" * 64)
    order = on_cluster.Order(str(tmp_path / "cache"), (encoding,), ExtractSettings())
    turn: Any = None
    with pytest.raises((CacheError, AttributeError)):
        on_cluster.embed_block(order, on_cluster.Block(0, ({bytes(32): "x.jpg"},)), turn)
    other = encoding._replace(weights=replace(weights, digest="0" * 64))
    with pytest.raises(
        WeightsError, match=r"expected the weights of small with SHA-256 000000000000"
    ):
        on_cluster._own_weights(other)
    assert on_cluster._own_weights(encoding) == weights


def test_what_was_set_aside_is_named() -> None:
    block = on_cluster.Block(7, ({bytes([i]) * 32: f"/films/{i}.jpg" for i in range(5)},))
    said = str(
        set_aside_error([SetAside(block, "3 workers died while they worked at it")], "poster")
    )
    assert (
        "block 7 of 5 posters (/films/0.jpg, /films/1.jpg, /films/2.jpg, …): 3 workers died" in said
    )


def test_what_does_not_go_with_a_cluster_is_refused(films: Catalogue) -> None:
    context = Context("cache", cluster="local:2")
    with pytest.raises(SettingError, match=r"--shard: expected none with --cluster.*2/3"):
        extract_embeddings(
            films, "small", settings=ExtractSettings(shard=Shard(2, 3)), context=context
        )
    with pytest.raises(SettingError, match=r"--dry-run: expected none with --cluster"):
        plan_extraction(films, ["small"], context=context)


def test_a_command_connects_once(
    films: Catalogue, monkeypatch: pytest.MonkeyPatch, cluster: Cluster
) -> None:
    opened = []
    shared, opening = _open.get(), connection._opened
    monkeypatch.setattr(
        connection, "_opened", lambda *given: opened.append(given) or opening(*given)
    )
    context = Context(cluster="local:1")
    with one_connection():
        for _ in range(2):
            with use_cluster(context) as first, use_cluster(context) as nested:
                assert first is nested
        assert first is not None
        assert not first.is_lost
    assert len(opened) == 1
    assert first.is_lost
    assert _open.get() is shared


def test_a_prediction_embeds_new_posters_on_the_cluster(films: Catalogue, cluster: Cluster) -> None:
    context = Context("cache", workers=2)
    extract(films, "cache", cluster=False)
    model = make_hybrid(films, blocks=["poster"], grid={"C": [1.0]}, context=context)
    fit_head(Experiment(films, split_catalogue(films), Path("runs/svm"), context=context), model)
    said = {}
    for name, where in (("alone", None), ("together", "local:2")):
        there = Context(name, workers=2, cluster=where)
        predict_catalogue("runs/svm", "films/catalogue.csv", f"{name}.csv", context=there)
        said[name] = Path(f"{name}.csv").read_bytes()
    assert said["alone"] == said["together"]


def test_dask_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(MissingExtraError, match=r'pip install "hybrid-posters\[cluster\]"'),
        use_cluster(Context(cluster="local:3")),
    ):
        pass
