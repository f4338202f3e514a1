"""A cluster whose workers have mirrors of their own of a cache on S3, as on other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed", reason='needs pip install ".[cluster]"')

from hybrid import load_catalogue, write_sample
from hybrid.cache import EmbeddingCache
from hybrid.cluster import division
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.lookup import hash_catalogue
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context
from tests.cluster.outside import Outside
from tests.remote.conftest import Bucket


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:random weights")
def test_workers_send_what_they_compute_and_fetch_no_rows(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(division, "LEAST_BLOCK", 8)
    write_sample("films", n_items=60)
    films = load_catalogue("films/catalogue.csv")
    url = f"{s3.url}/cache"

    def extract(cache: str, cluster: str | None = None, **settings: Any) -> int:
        return extract_embeddings(
            films,
            "small",
            weights="random",
            options=EmbeddingOptions(precision="float32", input_size=(32, 32)),
            context=Context(cache, workers=1, cluster=cluster),
        ).computed

    def rows(cache: str) -> np.ndarray:
        (store,) = EmbeddingCache(cache).stores()
        found = hash_catalogue(films, Context("none"))
        return store.read([key if isinstance(key, bytes) else None for key in found])

    def parts(machine: str) -> set[str]:
        return {path.name for path in (tmp_path / machine).rglob("parts/part-*")}

    computed = extract("alone")
    outside = Outside(tmp_path)
    try:
        for worker in ("worker 0", "worker 1"):
            monkeypatch.setenv("HYBRID_REMOTE", str(tmp_path / worker))
            outside.start_worker()
        monkeypatch.setenv("HYBRID_REMOTE", str(tmp_path / "here"))
        assert extract(url, str(outside.file)) == computed
    finally:
        outside.close()
    np.testing.assert_array_equal(rows(url), rows("alone"))
    sent = [parts("worker 0"), parts("worker 1")]
    assert sent[0] | sent[1] == parts("here")
    assert not sent[0] & sent[1]
