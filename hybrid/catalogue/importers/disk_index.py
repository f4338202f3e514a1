"""Rows of a file by id, on the disk: joins need the same memory for a thousand rows and for millions."""

from __future__ import annotations

import ctypes
import errno
import itertools
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from hybrid.utils.files import write_new
from hybrid.utils.refusals import ADVICE

_NUMBERS = itertools.count()
Table = TypeVar("Table", bound="_Table")
# What SQLite says of a disk → the closest number of the system; its other errors are faults of ours.
_REFUSALS = {
    "database or disk is full": errno.ENOSPC,
    "disk I/O error": errno.EIO,
    "unable to open database file": errno.EIO,
    "database disk image is malformed": errno.EIO,
    "attempt to write a readonly database": errno.EROFS,
}


def _system_number() -> int | None:
    """The number of this thread's last error of the system (errno), if a disk refuses with it.

    SQLite knows the reason of a refusal (sqlite3_system_errno); Python does not hand it on.
    """
    try:
        ctypes.pythonapi.PyErr_SetFromErrno(ctypes.py_object(OSError))
    except OSError as error:
        return error.errno if error.errno in ADVICE else None
    return None


class _Table:
    """A temporary file with one table; it is removed at the end of its ``with`` block.

    What SQLite says of a disk that refuses is raised as an `OSError` with the reason of the system.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f".tmp-index-{next(_NUMBERS)}"
        self._base = self._connect()
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-8000"):
            self._run(f"PRAGMA {setting}")

    def __enter__(self: Table) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()
        with suppress(OSError):  # the folder of an import is removed with all that is left in it
            self._path.unlink(missing_ok=True)

    def _connect(self) -> sqlite3.Connection:
        with suppress(sqlite3.OperationalError):
            return sqlite3.connect(self._path, isolation_level=None)
        # SQLite has tried to read it since, and lost the reason: the system is asked, then SQLite again.
        write_new(self._path, b"")
        try:
            return sqlite3.connect(self._path, isolation_level=None)
        except sqlite3.DatabaseError as error:
            raise self._refusal(error) from error

    def _run(self, statement: str, *values: Any) -> int:
        """Run a statement; the number of rows that it changed."""
        try:
            return self._base.execute(statement, values).rowcount
        except sqlite3.DatabaseError as error:
            raise self._refusal(error) from error

    def _first(self, statement: str, *values: Any) -> Any:
        """The first row that is found, or None."""
        try:
            return self._base.execute(statement, values).fetchone()
        except sqlite3.DatabaseError as error:
            raise self._refusal(error) from error

    def _rows(self, statement: str, *values: Any) -> Iterator[Any]:
        """The rows that are found, one by one."""
        try:
            # `yield from` would close the cursor, which fails where the database is closed already.
            for row in self._base.execute(statement, values):  # noqa: UP028
                yield row
        except sqlite3.DatabaseError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: sqlite3.DatabaseError) -> Exception:
        """The error as one of the system; itself, where it does not tell of a disk."""
        last, number = _system_number(), _REFUSALS.get(str(error))
        if number is None:
            return error
        if last is not None and number != errno.ENOSPC:
            number = last
        return OSError(number, os.strerror(number), str(self._path))


class DiskIndex(_Table):
    """Values by id in a temporary file; it also knows which were never asked for.

    Parameters
    ----------
    folder : Path
        For the file.
    in_order : bool, default=False
        Whether `values` or `unused` will be asked for: SQLite would sort them in a file elsewhere.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with DiskIndex(Path(folder.name), in_order=True) as index:
    ...     index.add("862", 1, ["Tom Hanks"]), index.add("862", 2), index.add("8", 3)
    ...     index.get("862"), index.get("9"), list(index.unused())
    (True, False, True)
    (['Tom Hanks'], None, [('8', 3)])
    >>> folder.cleanup()
    """

    def __init__(self, folder: Path, in_order: bool = False) -> None:
        super().__init__(folder)
        self._run(
            "CREATE TABLE rows (id TEXT PRIMARY KEY, row INT, value TEXT, used INT) WITHOUT ROWID"
        )
        if in_order:
            self._run("CREATE INDEX in_order ON rows (row)")
        self._run("BEGIN")

    def add(self, key: str, row: int, value: Any = None) -> bool:
        """Keep a row's value, unless the id is there; returns whether it was kept."""
        text = None if value is None else json.dumps(value, ensure_ascii=False)
        return (
            self._run("INSERT OR IGNORE INTO rows VALUES (?, ?, ?, 0)", _text(key), row, text) == 1
        )

    def put(self, key: str, row: int, value: Any) -> None:
        """Keep a row's value in place of what the id had."""
        text = json.dumps(value, ensure_ascii=False)
        self._run("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, 0)", _text(key), row, text)

    def __contains__(self, key: str) -> bool:
        return self._first("SELECT 1 FROM rows WHERE id = ?", _text(key)) is not None

    def values(self) -> Iterator[tuple[str, int, Any]]:
        """Ids, rows and values, in the order of the rows."""
        for key, row, value in self._rows("SELECT id, row, value FROM rows ORDER BY row"):
            yield key, row, None if value is None else json.loads(value)

    def get(self, key: str) -> Any:
        """The value of an id, or None."""
        found = self._first("SELECT value, used FROM rows WHERE id = ?", _text(key))
        if found is None:
            return None
        if not found[1]:
            self._run("UPDATE rows SET used = 1 WHERE id = ?", _text(key))
        return None if found[0] is None else json.loads(found[0])

    def row(self, key: str) -> int:
        """The row of an id."""
        return int(self._first("SELECT row FROM rows WHERE id = ?", _text(key))[0])

    def unused(self) -> Iterator[tuple[str, int]]:
        """Ids that were never asked for, and their rows, in the order of the rows."""
        yield from self._rows("SELECT id, row FROM rows WHERE used = 0 ORDER BY row")


class DiskCounter(_Table):
    """Counts words by id in a temporary file.

    Parameters
    ----------
    folder : Path
        For the file.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with DiskCounter(Path(folder.name)) as counter:
    ...     for word in ("toy", "pixar", "pixar"):
    ...         counter.count("1", word)
    ...     counter.most("1"), counter.most("2")
    (['pixar', 'toy'], [])
    >>> folder.cleanup()
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.unused = 0  # counts that `most` has not given
        self._run(
            "CREATE TABLE words (id TEXT, word TEXT, n INT, PRIMARY KEY (id, word)) WITHOUT ROWID"
        )
        self._run("BEGIN")

    def count(self, key: str, word: str) -> None:
        """Count a word of an id once more."""
        self.unused += 1
        self._run(
            "INSERT INTO words VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1",
            _text(key),
            _text(word),
        )

    def most(self, key: str) -> list[str]:
        """The words of an id, the most frequent first."""
        found = [
            *self._rows("SELECT word, n FROM words WHERE id = ? ORDER BY n DESC, word", _text(key))
        ]
        self.unused -= sum(n for _, n in found)
        return [word for word, _ in found if word]


def _text(key: str) -> str:
    """Half an emoji cannot be written as UTF-8; no id that is looked up has one."""
    return key.encode("utf-8", "replace").decode("utf-8")
