"""The index of an import on a disk that refuses: SQLite keeps the reason to itself, the user is told it."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hybrid.catalogue.importers import import_catalogue
from hybrid.catalogue.importers.disk_index import DiskCounter, DiskIndex
from hybrid.errors import CatalogueError


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """The system refuses to write more into a file of this process: EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "text", [50, 5_000_000]
)  # written when it is full; a row larger than memory
def test_a_refused_write_has_the_reason_of_the_system(text: int, tmp_path: Path) -> None:
    def fill(index: DiskIndex) -> None:
        for number in range(100_000):
            index.add(str(number * 7919 % 200_003), number, "x" * text)

    with (
        DiskIndex(tmp_path) as index,
        files_up_to(1 << 16),
        pytest.raises(OSError, match="File too large") as raised,
    ):
        fill(index)
    assert (raised.value.errno, Path(raised.value.filename).parent) == (errno.EFBIG, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_refused_write_of_a_counter(tmp_path: Path) -> None:
    def fill(counter: DiskCounter) -> None:
        for number in range(100_000):
            counter.count(str(number * 7919 % 200_003), "word" * 20)

    with (
        DiskCounter(tmp_path) as counter,
        files_up_to(1 << 16),
        pytest.raises(OSError, match="File too large"),
    ):
        fill(counter)


def test_a_file_that_cannot_be_made_has_the_reason_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No such file or directory") as raised:
        DiskIndex(tmp_path / "gone")
    assert Path(raised.value.filename).parent == tmp_path / "gone"


@pytest.mark.parametrize("refused", [1, 2])
def test_a_file_that_sqlite_cannot_open_and_the_system_can(
    refused: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that is away for a moment, and one that is away for longer."""
    connect, asked = sqlite3.connect, []

    def away(path: Path, **options: None) -> sqlite3.Connection:
        asked.append(path)
        if len(asked) <= refused:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(path, **options)

    monkeypatch.setattr(sqlite3, "connect", away)
    if refused == 2:
        with pytest.raises(OSError, match="Input/output error"):
            DiskIndex(tmp_path)
    else:
        with DiskIndex(tmp_path) as index:
            assert index.add("862", 1)
    assert len({*asked}) == 1


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("database or disk is full", errno.ENOSPC),
        ("disk I/O error", errno.EIO),
        ("database disk image is malformed", errno.EIO),
        ("attempt to write a readonly database", errno.EROFS),
    ],
)
def test_what_sqlite_says_without_a_number_of_the_system(
    said: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        shutil.disk_usage(tmp_path)  # the system's last number is none of a refusal
        raise sqlite3.DatabaseError(said)

    monkeypatch.setattr("hybrid.catalogue.importers.disk_index._system_number", lambda: None)
    with DiskIndex(tmp_path) as index:
        base = index._base
        index._base = type("Base", (), {"execute": refuse, "close": base.close})()  # type: ignore[assignment]
        with pytest.raises(OSError, match=os.strerror(number).replace("/", ".")) as raised:
            index.add("862", 1)
        assert raised.value.errno == number


def test_a_full_disk_by_sqlite_itself(tmp_path: Path) -> None:
    with DiskIndex(tmp_path) as index:
        index._base.execute("PRAGMA max_page_count=2")
        index.add("1", 1)
        with pytest.raises(OSError, match="No space left on device") as raised:
            index.add("2", 2, "x" * 100_000)
    assert raised.value.errno == errno.ENOSPC


def test_an_error_that_is_none_of_the_disk_stays_what_it_is(tmp_path: Path) -> None:
    with DiskIndex(tmp_path) as index:
        index._base.execute("DROP TABLE rows")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            index.get("862")


def test_nothing_is_written_elsewhere_to_sort(tmp_path: Path) -> None:
    """Where that is refused, the message would name the wrong folder."""

    def opened() -> set[str]:
        return {
            str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()
        }

    before = opened()
    with DiskIndex(tmp_path, in_order=True) as index:
        for row in range(100_000):
            index.add(str(row * 7919 % 200_003), row, "x" * 100)
        values, unused = index.values(), index.unused()
        assert (next(values)[:2], next(unused)) == (("0", 0), ("0", 0))
        assert opened() - before <= {str(index._path)}


def test_an_import_tells_the_reason_and_what_to_do(tmp_path: Path) -> None:
    rows = (f"{number * 7919 % 200_003},title,Comedy\n" for number in range(100_000))
    source = tmp_path / "table.csv"
    source.write_text("id,title,genres\n" + "".join(rows))
    said = r"File too large\. A file may not become so large"
    with files_up_to(1 << 20), pytest.raises(CatalogueError, match=said):
        import_catalogue("csv", source, tmp_path / "films")
    assert not (tmp_path / "films").exists()
