"""Commands with a cache at a URL. What its mirror does, call by call: tests/cache/test_mirror.py."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hybrid.cache import EmbeddingCache, remote
from tests.remote.conftest import Bucket

Run = Callable[..., Any]
NET = ("--backbone", "mobilenet-075", "--weights", "random")
EXTRACT = ("extract", *NET, "--input-size", "64x48", "--precision", "float32")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Go on at another machine, in a new process."""

    def go_on(name: str) -> None:
        remote._mirrors.clear()
        monkeypatch.setenv("HYBRID_REMOTE", str(tmp_path / name))

    go_on("here")
    yield go_on
    remote._mirrors.clear()


def ok(done: Any) -> str:
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def exported(hybrid: Run, cache: object) -> tuple[list[str], bytes]:
    ok(hybrid("cache", "export", "--cache", cache, "--out", "e.npz", "--force"))
    with np.load("e.npz") as found:
        return found["ids"].tolist(), found["embeddings"].tobytes()


def test_commands_do_with_a_cache_on_s3_what_they_do_with_a_folder(
    project: Path, s3: Bucket, hybrid_here: Run, machine: Callable[[str], None]
) -> None:
    ok(hybrid_here("split"))
    url = f"{s3.url}/films/cache"
    for cache in ("local", url):
        assert "90 computed" in ok(hybrid_here(*EXTRACT, "--cache", cache))
        assert "90 cached" in ok(hybrid_here(*EXTRACT, "--cache", cache))
        run = ok(hybrid_here("fit-svm", "--blocks", "poster", "--cache", cache, "--runs", "runs"))
    assert f'"path": "{url}"' in Path("runs/svm/run.json").read_text()
    machine("there")
    assert exported(hybrid_here, url) == exported(hybrid_here, "local")
    assert "90 embeddings" in ok(hybrid_here("cache", "ls", "--cache", url))
    predict = ("predict", "runs/svm", "--catalogue", "catalogue.csv", "--cache")
    ok(hybrid_here(*predict, url, "--out", "there.csv"))
    ok(hybrid_here(*predict, "local", "--out", "local.csv"))
    pd.testing.assert_frame_equal(pd.read_csv("there.csv"), pd.read_csv("local.csv"))
    assert run
    ok(hybrid_here("cache", "compact", "--cache", url))
    assert "problems: none" in ok(hybrid_here("cache", "verify", "--deep", "--cache", url))
    ok(hybrid_here("cache", "gc", "--cache", url))
    machine("elsewhere")
    assert exported(hybrid_here, url) == exported(hybrid_here, "local")


def test_a_cache_over_http_is_read_and_not_written(
    project: Path, s3: Bucket, hybrid_here: Run
) -> None:
    ok(hybrid_here(*EXTRACT, "--cache", "served/cache"))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory="served")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/cache"
        assert exported(hybrid_here, url) == exported(hybrid_here, "served/cache")
        assert "90 cached" in ok(hybrid_here(*EXTRACT, "--cache", url))
        (project / "posters" / "0.png").write_bytes(
            (project / "posters" / "1.png").read_bytes()[:-9]
        )
        done = hybrid_here(*EXTRACT, "--cache", url, "--retry-failed", "--seed", "5")
        assert done.returncode != 0
        assert f"--cache: expected a cache that can be written, found {url}" in done.stderr
        server.shutdown()


def test_a_cache_in_a_bucket_that_is_not_there_is_named(
    project: Path, hybrid_here: Run, s3: Bucket
) -> None:
    done = hybrid_here(*EXTRACT, "--cache", "s3://no-such-bucket/cache")
    assert done.returncode == 1
    assert "s3://no-such-bucket/cache: expected an existing bucket" in done.stderr
    done = hybrid_here("cache", "ls", "--cache", f"{s3.url}/nothing/there")
    assert ok(done) == f"{s3.url}/nothing/there: no embeddings\n"


def test_folders_with_similar_names_are_other_caches(s3: Bucket) -> None:
    fields = {"architecture": "test", "dimension": 4}
    EmbeddingCache(f"{s3.url}/cache2").make(fields)
    assert EmbeddingCache(f"{s3.url}/cache").stores() == []
    assert len(EmbeddingCache(f"{s3.url}/cache2/").stores()) == 1
