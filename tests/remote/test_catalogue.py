"""A catalogue at a URL is the same as its copy here; what is written stays here."""

from __future__ import annotations

import errno
import gzip
import os
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import pandas as pd
import pytest

from hybrid import load_catalogue
from hybrid.cli.main import COMMANDS, hybrid
from hybrid.cli.path_types import LocalPath, Location
from hybrid.errors import CatalogueError, RunError, SettingError, TemporaryFileError
from hybrid.images import stored
from hybrid.images.files import read_poster
from hybrid.remote import copies
from hybrid.remote.errors import RemoteFileError
from hybrid.types import ColumnOptions
from hybrid.utils.reading import CATALOGUE, TEXT, checked, open_file, read_text
from hybrid.utils.writable import check_new_file, check_new_folder
from tests.remote.conftest import Bucket

FORMATS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "csv.gz": lambda frame, path: path.write_bytes(gzip.compress(frame.to_csv().encode())),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "parquet": lambda frame, path: frame.to_parquet(path),
    "xlsx": lambda frame, path: frame.to_excel(path, index=False),
}


@pytest.mark.parametrize("form", FORMATS)
def test_it_is_read_as_the_file_here(form: str, sample: Path, s3: Bucket, tmp_path: Path) -> None:
    pytest.importorskip({"parquet": "pyarrow", "xlsx": "python_calamine"}.get(form, "json"))
    path = tmp_path / f"films.{form}"
    FORMATS[form](pd.read_csv(sample / "catalogue.csv", dtype=str), path)
    here, there = load_catalogue(path), load_catalogue(s3.put(path.name, path.read_bytes()))
    assert there.sha256 == here.sha256
    assert there.columns == here.columns
    pd.testing.assert_frame_equal(there.table, here.table)
    assert (there.labels == here.labels).all()


def test_one_copy_serves_all_that_read_it_until_it_changes(
    s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()
    read = copies.read_range
    monkeypatch.setattr(copies, "BLOCK", 1000)
    monkeypatch.setattr(copies, "read_range", lambda *a: asked.append(a[1]) or read(*a))
    content = bytes(range(256)) * 20
    url = s3.put("a.bin", content)
    with open_file(url, TEXT) as one, open_file(Path(url), TEXT) as other:
        assert one.read(10) == content[:10]
        assert other.read() == content
        assert one.read() == content[10:]
        one.seek(-5, 2)
        assert one.read() == content[-5:]
    assert asked == [0, 1000, 2000, 3000, 4000, 5000]
    s3.put("a.bin", b"other")
    assert read_text(url, TEXT) == "other"


def test_what_is_wrong_with_it_is_told(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CatalogueError, match=rf"catalogue at {s3.url}/no.csv, found no such file"):
        load_catalogue(f"{s3.url}/no.csv")
    url = s3.put("large.txt", bytes(2000))
    with pytest.raises(RemoteFileError, match="its size in bytes, 2,000, is more than 1,000"):
        copies.open_copy(url, 1000)
    with pytest.raises(OSError, match=r"found a URL\. Put the file itself there"):
        checked(Path(url), CATALOGUE)
    states = iter([copies.Status(2000, "a"), copies.Status(2000, "b")])
    monkeypatch.setattr(copies, "status", lambda _: next(states))
    with pytest.raises(RemoteFileError, match="it changed while it was read; try again"):
        copies.open_copy(url, 10_000)


class Full:
    """A file on a full disk."""

    def fileno(self) -> int:
        return 0

    def write(self, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """There is nothing to close."""


def test_a_disk_here_that_refuses_the_copy_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = copies.Status(2000, "a")
    monkeypatch.setattr(copies, "status", lambda _: state)
    monkeypatch.setattr(stored, "status", lambda _: state)
    monkeypatch.setattr(copies, "read_range", lambda *_: bytes(2000))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    url = "http://films.example/posters.parquet"
    told = rf"{url}: cannot copy it to a temporary file in {tmp_path / 'gone'}: "
    with pytest.raises(TemporaryFileError, match=f"{told}No such file .* TMPDIR"):
        load_catalogue(url)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(TemporaryFileError, match=f"{told}No space left .* TMPDIR"):
        read_poster(f"{url}#image#0")


def test_a_folder_of_posters_that_is_not_there_is_told(s3: Bucket, sample: Path) -> None:
    s3.put("posters/a.jpg", b"image")
    path = sample / "catalogue.csv"
    assert load_catalogue(path, ColumnOptions(posters=Path(f"{s3.url}/posters")))
    with pytest.raises(SettingError, match="--posters: expected a folder"):
        load_catalogue(path, ColumnOptions(posters=Path(f"{s3.url}/no")))


def parameters() -> Iterator[tuple[str, click.Parameter]]:
    context = click.Context(hybrid)
    for name in COMMANDS:
        command = hybrid.get_command(context, name)
        assert command is not None
        inner = [command]
        if isinstance(command, click.Group):
            inner = [command.commands[each] for each in command.list_commands(context)]
        yield from ((name, one) for each in inner for one in each.params)


def test_only_what_is_read_may_be_at_a_url() -> None:
    named = [(name, one) for name, one in parameters() if isinstance(one.type, click.Path)]
    open_to_urls = {str(one.name) for _, one in named if type(one.type) is Location}
    assert open_to_urls == {"catalogue", "posters", "label_map"}
    for name, one in named:
        assert isinstance(one.type, Location), name
        assert one.type.convert("file:///a/b.csv", one, None) == Path("/a/b.csv")
        if isinstance(one.type, LocalPath):
            with pytest.raises(click.BadParameter, match="expected a path of this machine"):
                one.type.convert("s3://bucket/a", one, None)
        else:
            with pytest.raises(click.BadParameter, match="found ftp"):
                one.type.convert("ftp://host/a", one, None)


def test_python_programs_write_here_too() -> None:
    for check in (lambda *a: check_new_file(*a, "predictions"), check_new_folder):
        with pytest.raises(
            RunError, match="--out: expected a path of this machine, found s3://b/a"
        ):
            check("--out", Path("s3://b/a"))


def test_a_catalogue_and_its_posters_on_a_web_server(sample: Path, tmp_path: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "large.bin").write_bytes(
        bytes(range(256)) * 5000
    )  # more than is asked for at first
    (tmp_path / "films").symlink_to(sample)
    here = load_catalogue(sample / "catalogue.csv")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        there = load_catalogue(f"{url}/films/catalogue.csv")
        assert there.sha256 == here.sha256
        for path, other in zip(there.poster_paths, here.poster_paths, strict=True):
            assert not path or read_poster(path) == read_poster(other)
        assert read_poster(f"{url}/large.bin") == bytes(range(256)) * 5000
        server.shutdown()
