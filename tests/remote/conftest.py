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

from hybrid.remote import filesystem
from tests.remote.server import S3Server


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
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = "/".join(filter(None, (self.name, to, str(path.relative_to(folder)))))
                self.fs.pipe_file(name, path.read_bytes())
        return f"{self.url}/{to}".rstrip("/")

    def put(self, name: str, content: bytes) -> str:
        self.fs.pipe_file(f"{self.name}/{name}", content)
        return f"{self.url}/{name}"


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    settings = {
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(filesystem, "PAUSES", (0.0,))
    yield Bucket(s3_server)
    # They remember the address of the server and the credentials.
    fsspec.get_filesystem_class("s3").clear_instance_cache()
