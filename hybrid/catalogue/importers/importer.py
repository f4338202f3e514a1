"""What an importer gives: rows of the catalogue, rows that fell away, and what there is to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hybrid.types import Finding
from hybrid.utils.counts import agree

PUBLISHED = "published"
EXAMPLES = 3  # of a finding
# The parts of a published split, by the names that data sets give them.
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import; each kind takes some of them.

    Parameters
    ----------
    genre_names : {"published", "tmdb", "imdb"}, default="published"
        The names that genres are given: those of the data set, or those of TMDB or IMDb, by the table in
        `hybrid.catalogue.importers.genre_names`.
    posters : Path, optional
        Folder of image files that are named by an id of their item, as in ``862.jpg``.
    title_types : tuple of str, default=()
        Of ``imdb``: the types of titles to import. Without any: movies.
    mapping : tuple of (str, str), default=()
        Of ``csv`` and ``huggingface``: column → what it is called in the catalogue; ``""``: left out.
    label_separator : str, optional
        Of ``csv`` and ``huggingface``: what separates labels in a cell.
    encoding : str, optional
        Of ``csv``: text encoding of the file.
    join : Path, optional
        Folder of an earlier import. Items are given the columns and posters that they lack, of the item there
        that has one of their ids.

    Examples
    --------
    >>> ImportOptions(genre_names="tmdb").mapping
    ()
    """

    genre_names: str = PUBLISHED
    posters: Path | None = None
    title_types: tuple[str, ...] = ()
    mapping: tuple[tuple[str, str], ...] = ()
    label_separator: str | None = None
    encoding: str | None = None
    join: Path | None = None


@dataclass(frozen=True)
class Item:
    """One row of the catalogue.

    Parameters
    ----------
    file : str
        The file of the data set that it is from.
    row : int
        Its position there, from 1.
    cells : dict of str to str
        By column. ``id`` must be there; a column that is not is empty.
    genres : tuple of str, default=()
        Labels, as the data set has them.
    poster : Path, bytes, tuple of these, or None, default=None
        An image file, or its content; several for a column ``posters``.
    part : {"", "train", "validation", "test", "unused"}, default=""
        The part of the published split.
    other_ids : dict of str to str, default={}
        Ids in other data sets, such as ``imdb_id``. They are written to ``ids.csv``, since they would be
        metadata in the catalogue.
    """

    file: str
    row: int
    cells: dict[str, str]
    genres: tuple[str, ...] = ()
    poster: Path | bytes | tuple[Path | bytes, ...] | None = None
    part: str = ""
    other_ids: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """A row of the data set that did not become a row of the catalogue, or part of one.

    Parameters
    ----------
    file : str
    row : int
        Position in the file, from 1.
    id : str
    reason : str
        One of few, so that they can be counted.
    found : str, default=""
        What was found there.
    """

    file: str
    row: int
    id: str
    reason: str
    found: str = ""


class Notes:
    """Counts what there is to tell, with examples, while rows are read.

    Examples
    --------
    >>> notes = Notes()
    >>> notes.add("mended rows", "{count} {rows were|row was} in two halves", "82663")
    >>> [finding.message for finding in notes.findings()]
    ['1 row was in two halves, such as 82663']
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[str, int, list[str]]] = {}

    def add(
        self, kind: str, message: str, example: str = "", column: str = "", count: int = 1
    ) -> None:
        """Count one more case; in `message`, ``{count}`` is their number, ``{rows|row}`` agrees with it."""
        _, before, examples = self._found.get((kind, column), ("", 0, []))
        if example and len(examples) < EXAMPLES and example not in examples:
            examples = [*examples, example]
        self._found[kind, column] = (message, before + count, examples)

    def tell(self, finding: Finding, file: str) -> None:
        """Add a finding on a file; a later one of its kind takes its place."""
        message, examples = f"{file}: {finding.message}", list(finding.examples)
        self._found[finding.kind, file] = (message, finding.count, examples)

    def findings(self) -> tuple[Finding, ...]:
        """All that was counted, in the order of its first case."""
        return tuple(
            Finding(kind, _sentence(message, count, examples), count, column, tuple(examples))
            for (kind, column), (message, count, examples) in self._found.items()
        )


def _sentence(message: str, count: int, examples: list[str]) -> str:
    text = agree(count, message).replace("{count}", f"{count:,}")
    return f"{text}, such as {examples[0]}" if examples and "{count}" in message else text


@dataclass(frozen=True)
class Source:
    """An opened data set.

    Parameters
    ----------
    columns : tuple of str
        Of the catalogue, in their order.
    rows : iterator of Item or LeftOut
        To be read once. Rows of joined files that have no partner come last.
    notes : Notes
        Filled while rows are read.
    total : int, default=0
        How much there is to read.
    unit : str, default="files"
    done : callable, optional
        Returns how much was read.
    many_files : bool, default=False
        Whether each item is in a file of its own, so that left out rows are not counted by file.
    """

    columns: tuple[str, ...]
    rows: Iterator[Item | LeftOut]
    notes: Notes
    total: int = 0
    unit: str = "files"
    done: Callable[[], int] = lambda: 0
    many_files: bool = False


@dataclass(frozen=True)
class Importer:
    """A kind of data set that can be imported.

    Parameters
    ----------
    kind : str
        Its name on the command line.
    summary : str
        What it is.
    open : callable
        (source, options, folder for temporary files) → `Source`.
    options : frozenset of str, default=frozenset()
        The options that it takes, of ``title-type``, ``map``, ``label-separator``, ``encoding``, ``posters``
        and ``join``.
    id_kind : str, default=""
        What ``ids.csv`` calls its ids, for instance ``"tmdb_id"``.
    """

    kind: str
    summary: str
    open: Callable[[str, ImportOptions, Path], Source]
    options: frozenset[str] = frozenset()
    id_kind: str = ""
