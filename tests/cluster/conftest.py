"""One local cluster of two workers for the tests of a process: it takes seconds to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason='needs pip install ".[cluster]"')

from hybrid import load_catalogue, write_sample
from hybrid.catalogue import Catalogue
from hybrid.cluster import division
from hybrid.cluster.connection import Cluster, _open, use_cluster
from hybrid.utils.context import Context
from tests.cluster.outside import wait_until


@pytest.fixture(scope="session")
def local_cluster() -> Iterator[Cluster]:
    """Not the current one: tests that ask for none must not find it."""
    with use_cluster(Context(workers=2, cluster="local:2")) as found:
        assert found is not None
        token = _open.set(None)
        yield found
        _open.reset(token)


@pytest.fixture
def cluster(local_cluster: Cluster) -> Iterator[Cluster]:
    """With both workers, whatever died before."""
    wait_until(lambda: len(local_cluster.workers()) == 2)
    token = _open.set(local_cluster)
    yield local_cluster
    _open.reset(token)


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """In a project of its own, whose posters make several blocks."""
    monkeypatch.chdir(tmp_path)
    write_sample("films", n_items=90)
    monkeypatch.setattr(division, "LEAST_BLOCK", 8)
    return load_catalogue("films/catalogue.csv")
