"""One door to fsspec: what it is asked, and what its errors become."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from hybrid.errors import MissingExtraError, SettingError
from hybrid.remote.address import location, remote_url
from hybrid.remote.errors import NoAnswerError, RemoteError, RemoteFileError
from hybrid.remote.filesystem import ask
from tests.remote.conftest import Bucket


def read(url: str) -> bytes:
    return ask(url, lambda fs, path: fs.cat_file(path))


@pytest.mark.parametrize(
    ("path", "url"),
    [
        (Path("s3://b/x y/1.jpg"), "s3://b/x y/1.jpg"),
        (Path("s3://b") / "x" / "1.jpg", "s3://b/x/1.jpg"),
        ("https://host:8000/a", "https://host:8000/a"),
        ("gs:/b/a", "gs://b/a"),
        *((path, None) for path in ("s3", "s3:", "s3://", "/s3://b/x", "S3.csv", "x/s3:/b", "")),
    ],
)
def test_a_path_stands_for_a_url(path: str | Path, url: str | None) -> None:
    assert remote_url(path) == url


def test_other_schemes_are_refused() -> None:
    assert location("file://localhost/a") == Path("/a")
    assert location("a/b.csv") == Path("a/b.csv")
    with pytest.raises(
        SettingError, match="expected a path or a URL of file, s3, gs, http, https, found az"
    ):
        location("az://c/a.csv")


def test_bytes_come_back(s3: Bucket) -> None:
    assert read(s3.put("a/1.bin", b"content")) == b"content"


def test_a_missing_file_is_an_error_of_that_file(s3: Bucket) -> None:
    with pytest.raises(RemoteFileError, match=f"{s3.url}/no.csv: No such file") as found:
        read(f"{s3.url}/no.csv")
    assert found.value.errno == errno.ENOENT
    again = pickle.loads(pickle.dumps(found.value))
    assert (str(again), again.errno, type(again)) == (str(found.value), 2, type(found.value))
    assert isinstance(again, FileNotFoundError)


def test_a_missing_bucket_is_no_error_of_a_file(s3: Bucket) -> None:
    with pytest.raises(RemoteError, match="expected an existing bucket") as found:
        read("s3://no-such-bucket/a.csv")
    assert not isinstance(found.value, OSError)


def test_without_credentials_it_is_said_where_they_are_looked_for(
    s3: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(RemoteError, match="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        read(f"{s3.url}/a.csv")


@pytest.mark.parametrize("url", ["s3://bucket/a.csv", "http://127.0.0.1:9/a.csv"])
def test_a_server_that_is_away_is_asked_again_and_told(
    s3: Bucket, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    asked = []

    def question(fs: Any, path: str) -> bytes:
        asked.append(path)
        return fs.cat_file(path)

    with pytest.raises(NoAnswerError, match=f"{url}: expected an answer of the server"):
        ask(url, question)
    assert len(asked) == 2


def test_faults_of_the_program_and_of_a_disk_here_are_no_errors_of_the_server(s3: Bucket) -> None:
    def fail(error: Exception, fs: Any, path: str) -> None:
        raise error

    with pytest.raises(ZeroDivisionError, match="mine"):
        ask(s3.url, partial(fail, ZeroDivisionError("mine")))
    with pytest.raises(OSError, match="full") as found:
        ask(s3.url, partial(fail, OSError(errno.ENOSPC, "full")))
    assert not isinstance(found.value, RemoteFileError)


def test_many_threads_and_a_forked_process_ask_at_once(s3: Bucket) -> None:
    url = s3.put("a", b"content")
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, [url] * 40)) == {b"content"}
    code = (
        "import os\n"
        "from hybrid.remote.filesystem import ask\n"
        f"read = lambda: ask({url!r}, lambda fs, path: fs.cat_file(path))\n"
        "read()\n"
        "child = os.fork()\n"
        "if not child: os._exit(0 if read() == b'content' else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert read() == b'content'\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, env=os.environ, timeout=60
    )


def test_a_plain_web_server_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id\n1\n")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        assert read(f"{base}/a.csv") == b"id\n1\n"
        with pytest.raises(RemoteFileError, match="No such file"):
            read(f"{base}/b.csv")
        server.shutdown()


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for missing, extra in (("fsspec", "remote"), ("gcsfs", "gcs")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            with pytest.raises(MissingExtraError, match=rf"hybrid-posters\[{extra}\]"):
                read("gs://bucket/a" if extra == "gcs" else "s3://bucket/a")


def test_nothing_of_fsspec_is_loaded_without_a_url() -> None:
    code = (
        "import sys, hybrid.cli.main, hybrid.remote.filesystem; assert 'fsspec' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
