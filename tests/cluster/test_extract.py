"""Extraction on a cluster: the same embeddings as in one process, whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.backbones import get_backbone, resolve_weights
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import Catalogue
from hybrid.cluster import connection
from hybrid.cluster.blocks import SetAside
from hybrid.cluster.connection import Cluster, _open, one_connection, use_cluster
from hybrid.errors import CacheError, MissingExtraError, SettingError, WeightsError
from hybrid.extraction import cluster_blocks, on_cluster
from hybrid.extraction.cluster_blocks import set_aside_error
from hybrid.extraction.extract import extract_embeddings, plan_extraction
from hybrid.extraction.extract_texts import extract_texts
from hybrid.extraction.lookup import hash_catalogue
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.share import Shard
from hybrid.extraction.texts import item_texts, text_keys
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.predict import predict_catalogue
from hybrid.splitting.methods import split_catalogue
from hybrid.text_encoders.folder import read_text_encoder
from hybrid.types import EmbeddingOptions, ExtractSummary, TextEmbeddingOptions
from hybrid.utils.context import Context

pytestmark = pytest.mark.filterwarnings("ignore:random weights")


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
