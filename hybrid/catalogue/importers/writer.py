"""Write what an importer reads: a catalogue, its posters, its split, and the rows that fell away."""

from __future__ import annotations

import csv
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from hybrid.catalogue.importers.disk_index import DiskIndex
from hybrid.catalogue.importers.importer import Item, LeftOut, Notes
from hybrid.catalogue.importers.joining import JoinedCatalogue
from hybrid.catalogue.importers.poster_files import NamedPosters, PosterFiles
from hybrid.catalogue.importers.tmdb_film import join
from hybrid.catalogue.lists import join_list
from hybrid.catalogue.poster_paths import POSTER, POSTERS
from hybrid.utils.csv_text import escape_row
from hybrid.utils.files import sync
from hybrid.utils.leftovers import move_out
from hybrid.utils.outputs import SPLIT_OUTPUT, forget_output, remember_output

CATALOGUE, SPLITS, IDS, LEFT_OUT = "catalogue.csv", "splits.csv", "ids.csv", "left-out.csv"
FILES = (CATALOGUE, SPLITS, IDS, LEFT_OUT, "posters")
LABELS = "genres"


@dataclass
class Counts:
    """What was written, so far."""

    items: int = 0
    labelled: int = 0
    posters: int = 0
    poster_urls: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)  # by reason


class CatalogueWriter:
    """Writes rows as they come, so that the memory does not depend on their number.

    Parameters
    ----------
    folder : Path
        Where the files are written.
    columns : tuple of str
        Of the catalogue; ``poster`` where the data set has images, ``posters`` if an item may have several.
    rename : callable
        Renames the genres of an item.
    notes : Notes
    posters : Path or None, default=None
        Folder of image files that are named by ids; then there is a column ``poster``, too.
    by_file : bool, default=True
        Whether rows that are left out are counted by file and reason, or by reason alone.
    id_kind : str, default=""
        What ``ids.csv`` calls the ids; empty: they are not in it.
    join : Path or None, default=None
        Folder of an earlier import that gives what items lack.
    """

    def __init__(
        self,
        folder: Path,
        columns: tuple[str, ...],
        rename: Callable[[Iterable[str]], tuple[str, ...]],
        notes: Notes,
        posters: Path | None = None,
        by_file: bool = True,
        id_kind: str = "",
        join: Path | None = None,
    ) -> None:
        self.folder, self.notes, self.counts = folder, notes, Counts()
        self._by_file, self._rename = by_file, rename
        self._poster_column = POSTERS if POSTERS in columns else POSTER
        self._files = PosterFiles(folder, notes)
        self._id_kind = id_kind
        self._joined: JoinedCatalogue | None = None
        self._named: NamedPosters | None = None
        self._tables: dict[str, Any] = {}
        with ExitStack() as self._stack:
            if join is not None:
                self._joined = JoinedCatalogue(join, folder, self._stack, notes)
            self._seen = self._stack.enter_context(DiskIndex(folder))
            if posters is not None:
                index = self._stack.enter_context(DiskIndex(folder))
                self._named = NamedPosters(posters, index)
            self.columns = self._all_columns(columns, posters is not None)
            self._table(CATALOGUE).writerow(self.columns)
            self._table(LEFT_OUT).writerow(("file", "row", "id", "reason", "found"))
            self._stack = self._stack.pop_all()  # nothing failed: closed at the end

    def _all_columns(self, columns: tuple[str, ...], has_posters: bool) -> tuple[str, ...]:
        joined = self._joined.columns if self._joined else ()
        has_posters |= self._poster_column in columns or bool(
            self._joined and self._joined.has_posters
        )
        images = self._poster_column
        names = (name for name in dict.fromkeys((*columns, *joined)) if name != images)
        return (*names, *([images] if has_posters else []))

    def __enter__(self) -> CatalogueWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, rows: Iterable[Item | LeftOut]) -> Iterator[int]:
        """Write rows; yields the number of items after each."""
        for each in rows:
            if isinstance(each, LeftOut):
                self._leave_out(each)
            elif problem := self._id_problem(each):
                self._leave_out(problem)
            else:
                self._write_item(each)
            yield self.counts.items

    def _id_problem(self, item: Item) -> LeftOut | None:
        name = item.cells.get("id", "").strip()
        if not name:
            return LeftOut(item.file, item.row, "", "no id")
        if any(unicodedata.category(letter) == "Cc" for letter in name):
            return LeftOut(item.file, item.row, name, "the id holds a control character")
        if not self._seen.add(name, item.row):
            found = f"row {self._seen.row(name)}"
            return LeftOut(item.file, item.row, name, "the id is used by an earlier row", found)
        return None

    def _write_item(self, item: Item) -> None:
        counts, name = self.counts, item.cells["id"].strip()
        ids = ({self._id_kind: name} if self._id_kind else {}) | item.other_ids
        given, poster = self._joined.find(ids) if self._joined else ({}, None)
        filled = given | {column: cell for column, cell in item.cells.items() if cell}
        cells = {column: self._clean(cell) for column, cell in filled.items()}
        genres = self._rename(item.genres)
        cells[LABELS] = self._clean(join(genres, self.notes))
        cells[self._poster_column] = files = self._poster(item, ids, poster)
        self._table(CATALOGUE).writerow([cells.get(column, "") for column in self.columns])
        counts.items += 1
        counts.labelled += bool(genres)
        counts.labels.update(genres)
        counts.posters += bool(files)
        counts.poster_urls += bool(cells.get("poster_url"))
        if item.part:
            counts.parts[item.part] += 1
            self._table(SPLITS, "id", "split", "group").writerow(
                escape_row((name, item.part, name))
            )
        for kind, other in ids.items():
            self._table(IDS, "id", "kind", "other_id").writerow(escape_row((name, kind, other)))

    def _poster(self, item: Item, ids: dict[str, str], joined: Path | None) -> str:
        """Write the poster: the item's own, or the one that is named by an id, or the joined item's."""
        name, poster = item.cells["id"].strip(), item.poster
        if isinstance(poster, tuple):
            files = dict.fromkeys(self._files.put(each, name) for each in poster)
            if cell := join_list(filter(None, files), "|"):
                return cell
            poster = None
        if poster is None and self._named:
            numbers = [other.removeprefix("tt") for other in ids.values()]
            poster = self._named.find((name, *ids.values(), *numbers))
        poster = joined if poster is None else poster
        return "" if poster is None else self._files.put(poster, name)

    def _leave_out(self, row: LeftOut) -> None:
        cells = (row.file, row.row, row.id, row.reason, row.found)
        self._table(LEFT_OUT).writerow(escape_row(self._clean(str(cell)) for cell in cells))
        self.counts.left_out[f"{row.file}: {row.reason}" if self._by_file else row.reason] += 1

    def _table(self, name: str, *header: str) -> Any:
        """The writer of a file, which is begun when it is first used."""
        if name not in self._tables:
            path = self.folder / name
            file: TextIO = self._stack.enter_context(path.open("x", newline="", encoding="utf-8"))
            self._tables[name] = csv.writer(file, lineterminator="\n")
            if header:
                self._tables[name].writerow(header)
        return self._tables[name]

    def _clean(self, cell: str) -> str:
        """Replace what no UTF-8 file can hold, and what ends a cell for many readers."""
        if cell.isascii() and "\0" not in cell:
            return cell
        clean = cell.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        clean = clean.replace("\0", "\N{REPLACEMENT CHARACTER}")
        if clean != cell:
            message = "{count} {cells hold|cell holds} half an emoji or a NUL character, replaced by U+FFFD"
            self.notes.add("characters replaced", message)
        return clean


def move_files(source: Path, target: Path) -> None:
    """Move the files of an import to their folder, the catalogue last.

    Raises
    ------
    OSError
        If the disk refuses; none of them is there then.
    """
    os.sync()  # a power cut must not leave a catalogue whose posters are empty
    split = source / SPLITS
    if split.exists():
        remember_output(target / SPLITS, SPLIT_OUTPUT, split)
    try:
        move_out(source, FILES[::-1])
    except OSError:
        forget_output(target / SPLITS)
        raise
    try:
        sync(target)
    except OSError as error:  # what is there cannot be taken for missing
        warnings.warn(
            f"{target}: the import is whole, but a power cut may undo it: {error.strerror}.",
            stacklevel=2,
        )
