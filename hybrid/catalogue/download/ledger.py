"""The ledger of a download: what each URL gave, kept through interruptions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from hybrid.utils.files import remove
from hybrid.utils.outputs import write_output
from hybrid.utils.reading import IMAGE, LEDGER, hash_file, open_file, parse_json, read_bytes

FETCH_LEDGER = "ledger of fetched posters"


@dataclass(frozen=True)
class Fetched:
    """A URL whose poster is on the disk.

    Parameters
    ----------
    url : str
    file : str
        Relative to the folder of the ledger.
    size : int
        Bytes.
    etag, modified : str, default=""
        What the server said of its version.

    Examples
    --------
    >>> Fetched("http://a.org/1.jpg", "posters/0a.jpg", 5).etag
    ''
    """

    url: str
    file: str
    size: int
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True)
class Failed:
    """A URL that gave no poster.

    Parameters
    ----------
    url, reason : str

    Examples
    --------
    >>> Failed("http://a.org/1.jpg", "HTTP 404 (Not Found)").reason
    'HTTP 404 (Not Found)'
    """

    url: str
    reason: str


Entry = Fetched | Failed


class Ledger:
    """A file with one JSON object for each URL, and a journal of what was added since it was written.

    While URLs are fetched nothing waits for the disk. After an interruption, be it a power cut, an entry of
    the journal is believed only where the file has the content that it is named by.

    Parameters
    ----------
    file : Path
        Read if it exists, and its journal, ``….part.jsonl``.

    Attributes
    ----------
    entries : dict of str to Entry
        By URL.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> ledger = Ledger(Path(folder.name) / "ledger.jsonl")
    >>> ledger.add(Failed("http://a.org/1.jpg", "HTTP 404 (Not Found)"))
    >>> ledger.flush()
    >>> list(Ledger(ledger.file).entries)
    ['http://a.org/1.jpg']
    >>> folder.cleanup()
    """

    def __init__(self, file: Path) -> None:
        self.file, self.journal = file, file.with_suffix(".part.jsonl")
        self.entries: dict[str, Entry] = _read(file)
        self._pending: list[Entry] = []
        if new := {u: e for u, e in _read(self.journal).items() if self._is_whole(e)}:
            self.entries |= new
        if self.journal.exists():
            self.rewrite(())  # it may end in the middle of a line

    @property
    def folder(self) -> Path:
        """That files are relative to."""
        return self.file.parent

    def _is_whole(self, entry: Entry) -> bool:
        """Tell whether the file of an entry has the content that its name says."""
        if isinstance(entry, Failed):
            return True
        path = self.file.parent / entry.file
        try:
            digits = hash_file(path, IMAGE)
        except OSError:
            return False
        return digits.startswith(path.stem)

    def add(self, entry: Entry) -> None:
        """Note what a URL gave; `flush` writes it."""
        self.entries[entry.url] = entry
        self._pending.append(entry)

    def flush(self) -> None:
        """Append what is new to the journal."""
        pending, self._pending = self._pending, []
        if pending:
            with self.journal.open("ab") as file:
                file.write(_lines(pending))

    def rewrite(self, order: Iterable[str]) -> None:
        """Write the file anew, one line for each URL: first those in `order`, then the others, sorted.

        So it does not tell in which order the answers came. All that it names is on the disk before.
        """
        self._pending = []
        first = [url for url in dict.fromkeys(order) if url in self.entries]
        others = sorted(self.entries.keys() - set(first))
        if self.journal.exists():
            os.sync()
        lines = _lines(self.entries[url] for url in (*first, *others))
        write_output(self.file, lines, FETCH_LEDGER)
        remove(self.journal)


def _read(file: Path) -> dict[str, Entry]:
    data = read_bytes(file, LEDGER) if file.exists() else b""
    entries = map(_parse, data.split(b"\n"))
    return {entry.url: entry for entry in entries if entry and _stays(entry)}


def _stays(entry: Entry) -> bool:
    """Whether an entry names a file in the folder of its ledger, which someone else may have written."""
    if isinstance(entry, Failed):
        return True
    path = Path(entry.file)
    return not path.is_absolute() and ".." not in path.parts


def is_ledger(file: Path) -> bool:
    """Tell whether a file is a ledger: it is empty, or its first line is an entry."""
    with open_file(file, LEDGER) as lines:
        first = lines.readline(2**20)
    return not first or _parse(first) is not None


def _lines(entries: Iterable[Entry]) -> bytes:
    texts = (json.dumps(asdict(entry), ensure_ascii=False) for entry in entries)
    return "".join(f"{text}\n" for text in texts).encode(errors="surrogatepass")


def _parse(line: bytes) -> Entry | None:
    try:
        found = parse_json(line.decode(errors="surrogatepass"))
        return Failed(**found) if "reason" in found else Fetched(**found)
    except (ValueError, TypeError):
        return None
