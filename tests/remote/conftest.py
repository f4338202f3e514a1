"""A local S3 server, and a bucket of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("s3fs", reason='needs pip install ".[remote]"')
pytest.importorskip("moto", reason="needs moto[s3]")

import fsspec

from hybrid.datasets.sample import write_sample
from hybrid.remote import filesystem
from tests.remote.server import S3Server, settings


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.kill()


class Bucket:
    """An empty bucket, and the file system of fsspec to look into it with."""

    def __init__(self, server: S3Server) -> None:
        self.name = f"test-{uuid.uuid4().hex}"
        self.url = f"s3://{self.name}"
        self.server = server
        self.fs: Any = fsspec.filesystem("s3", use_listings_cache=False)
        self.fs.mkdir(self.name)

    def upload(self, folder: Path, to: str = "") -> str:
        """Put every file of a folder into the bucket; gives the URL of the folder there."""
        files = (path for path in folder.rglob("*") if path.is_file())
        place = "/".join(filter(None, (self.name, to)))
        self.fs.pipe({f"{place}/{path.relative_to(folder)}": path.read_bytes() for path in files})
        return f"{self.url}/{to}".rstrip("/")

    def put(self, name: str, content: bytes) -> str:
        self.fs.pipe_file(f"{self.name}/{name}", content)
        return f"{self.url}/{name}"


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in settings(s3_server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(filesystem, "PAUSES", (0.0,))
    yield Bucket(s3_server)
    # They remember the address of the server and the credentials.
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample, of 60 films, not to be changed."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, n_items=60)
    return folder


@pytest.fixture(scope="session")
def remote_sample(sample: Path, s3_server: S3Server) -> str:
    """The URL of the same folder, not to be changed; a test that reads it needs `s3`, too."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings(s3_server).items():
            patch.setenv(name, value)
        url = Bucket(s3_server).upload(sample, "films")
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        return url
