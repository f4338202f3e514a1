"""What is opened for reading: regular files of a sensible size, and nothing that is waited for."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid.errors import HybridError
from hybrid.utils import reading
from hybrid.utils.reading import (
    POINTER,
    SYSTEM,
    UnparsableError,
    UnusableFileError,
    checked,
    hash_file,
    open_file,
    open_text,
    parse_json,
    read_bytes,
    read_json,
    read_text,
)
from tests.open_files import counts_open_files, open_files

WAYS: dict[str, Callable[[Path], Any]] = {
    "open_file": lambda path: open_file(path, POINTER),
    "open_text": lambda path: open_text(path, POINTER),
    "checked": lambda path: checked(path, POINTER),
    "read_bytes": lambda path: read_bytes(path, POINTER),
    "read_text": lambda path: read_text(path, POINTER),
    "read_json": lambda path: read_json(path, POINTER),
    "hash_file": lambda path: hash_file(path, POINTER),
}
THINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "found a pipe"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "found a device"),
    "folder": (Path.mkdir, "found a folder"),
    "large": (lambda path: path.write_bytes(bytes(2**16 + 1)), "found 65,537 bytes"),
}


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("thing", THINGS)
def test_what_is_no_regular_file_of_its_size_is_refused(thing: str, way: str) -> None:
    make, found = THINGS[thing]
    make(Path("there"))
    expected = (
        f"there: expected a small file of the cache, a regular file of at most 64 KiB, {found}"
    )
    with pytest.raises(UnusableFileError, match=expected) as caught:
        WAYS[way](Path("there"))
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, HybridError)
    again = pickle.loads(pickle.dumps(caught.value))  # as worker processes send it
    assert (str(again), again.errno) == (str(caught.value), caught.value.errno)


@counts_open_files
def test_no_file_stays_open() -> None:
    os.mkfifo("pipe")
    for _ in range(5):
        with pytest.raises(UnusableFileError, match="pipe"):
            open_file("pipe", POINTER)
    assert not open_files(Path.cwd())


def test_a_file_of_the_largest_size_is_read() -> None:
    Path("there").write_bytes(b"x" * 2**16)
    assert read_bytes("there", POINTER) == b"x" * 2**16


def test_a_file_that_says_nothing_of_its_size_is_read() -> None:
    assert Path("/proc/self/status").stat().st_size == 0
    assert "Name:" in read_text("/proc/self/status", SYSTEM)


def test_a_file_that_grows_is_not_read_beyond_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("there").write_bytes(bytes(2**17))
    real = os.fstat

    def before_it_grew(descriptor: int) -> os.stat_result:
        values = list(real(descriptor))
        values[6] = 1  # st_size
        return os.stat_result(values)

    monkeypatch.setattr(os, "fstat", before_it_grew)
    with pytest.raises(UnusableFileError, match="more than 65,536 bytes"):
        read_bytes("there", POINTER)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "", "{", b"\xff", "1" * 5000, '"\\u12"', "nul"]
)
def test_what_is_no_json_is_one_kind_of_error(text: str | bytes) -> None:
    with pytest.raises(UnparsableError, match=r".") as caught:
        parse_json(text)
    assert isinstance(caught.value, ValueError)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_the_system_is_refused(way: str) -> None:
    """It says that it has no bytes, and some have as many as there are addresses in the memory."""
    if not Path("/proc/self/pagemap").exists():
        pytest.skip("no /proc here")
    Path("there").symlink_to("/proc/self/pagemap")
    with pytest.raises(UnusableFileError, match="found a file of the system"):
        WAYS[way](Path("there"))
    assert read_text("/proc/self/status", SYSTEM).startswith("Name:")


def test_a_file_that_is_written_at_this_moment_is_no_file_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lease"
    path.touch()
    has_bytes = reading._has_bytes_without_size

    def write_and_look(descriptor: int) -> bool:
        path.write_bytes(b"text")  # as another process may, after its size was asked for
        return has_bytes(descriptor)

    monkeypatch.setattr(reading, "_has_bytes_without_size", write_and_look)
    assert reading.read_bytes(path, reading.TEXT) == b"text"
