"""Rows of a file by id, on the disk: joins need the same memory for a thousand rows and for millions."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

_NUMBERS = itertools.count()
Table = TypeVar("Table", bound="_Table")


class _Table:
    """A temporary file with one table; it is removed at the end of its ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f".tmp-index-{next(_NUMBERS)}"
        self._base = sqlite3.connect(self._path, isolation_level=None)
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-8000"):
            self._base.execute(f"PRAGMA {setting}")

    def __enter__(self: Table) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()
        self._path.unlink(missing_ok=True)


class DiskIndex(_Table):
    """Values by id in a temporary file; it also knows which were never asked for.

    Parameters
    ----------
    folder : Path
        For the file.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with DiskIndex(Path(folder.name)) as index:
    ...     index.add("862", 1, ["Tom Hanks"]), index.add("862", 2), index.add("8", 3)
    ...     index.get("862"), index.get("9"), list(index.unused())
    (True, False, True)
    (['Tom Hanks'], None, [('8', 3)])
    >>> folder.cleanup()
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._base.execute(
            "CREATE TABLE rows (id TEXT PRIMARY KEY, row INT, value TEXT, used INT) WITHOUT ROWID"
        )
        self._base.execute("BEGIN")

    def add(self, key: str, row: int, value: Any = None) -> bool:
        """Keep a row's value, unless the id is there; returns whether it was kept."""
        text = None if value is None else json.dumps(value, ensure_ascii=False)
        done = self._base.execute(
            "INSERT OR IGNORE INTO rows VALUES (?, ?, ?, 0)", (_text(key), row, text)
        )
        return done.rowcount == 1

    def put(self, key: str, row: int, value: Any) -> None:
        """Keep a row's value in place of what the id had."""
        text = json.dumps(value, ensure_ascii=False)
        self._base.execute(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, 0)", (_text(key), row, text)
        )

    def __contains__(self, key: str) -> bool:
        found = self._base.execute("SELECT 1 FROM rows WHERE id = ?", (_text(key),)).fetchone()
        return found is not None

    def values(self) -> Iterator[tuple[str, int, Any]]:
        """Ids, rows and values, in the order of the rows."""
        for key, row, value in self._base.execute("SELECT id, row, value FROM rows ORDER BY row"):
            yield key, row, None if value is None else json.loads(value)

    def get(self, key: str) -> Any:
        """The value of an id, or None."""
        found = self._base.execute(
            "SELECT value, used FROM rows WHERE id = ?", (_text(key),)
        ).fetchone()
        if found is None:
            return None
        if not found[1]:
            self._base.execute("UPDATE rows SET used = 1 WHERE id = ?", (_text(key),))
        return None if found[0] is None else json.loads(found[0])

    def row(self, key: str) -> int:
        """The row of an id."""
        found = self._base.execute("SELECT row FROM rows WHERE id = ?", (_text(key),)).fetchone()
        return int(found[0])

    def unused(self) -> Iterator[tuple[str, int]]:
        """Ids that were never asked for, and their rows, in the order of the rows."""
        yield from self._base.execute("SELECT id, row FROM rows WHERE used = 0 ORDER BY row")


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
        self._base.execute(
            "CREATE TABLE words (id TEXT, word TEXT, n INT, PRIMARY KEY (id, word)) WITHOUT ROWID"
        )
        self._base.execute("BEGIN")

    def count(self, key: str, word: str) -> None:
        """Count a word of an id once more."""
        self.unused += 1
        self._base.execute(
            "INSERT INTO words VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1",
            (_text(key), _text(word)),
        )

    def most(self, key: str) -> list[str]:
        """The words of an id, the most frequent first."""
        found = self._base.execute(
            "SELECT word, n FROM words WHERE id = ? ORDER BY n DESC, word", (_text(key),)
        ).fetchall()
        self.unused -= sum(n for _, n in found)
        return [word for word, _ in found if word]


def _text(key: str) -> str:
    """Half an emoji cannot be written as UTF-8; no id that is looked up has one."""
    return key.encode("utf-8", "replace").decode("utf-8")
