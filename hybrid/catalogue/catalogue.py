"""The catalogue: a table of items, the roles of its columns, its label matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.column_findings import NO_POSTER
from hybrid.catalogue.columns import POSTER, find_name
from hybrid.catalogue.dates import parse_dates
from hybrid.catalogue.label_sets import LabelSets
from hybrid.catalogue.numbers import parse_numbers
from hybrid.catalogue.packed import Cells, chunks, keep_rows, pack_many
from hybrid.catalogue.poster_paths import Links, join_paths, poster_problem, split_posters
from hybrid.errors import CatalogueError, SettingError, did_you_mean
from hybrid.images.references import file_of, join_folder
from hybrid.types import BadRow, CellFormat, ColumnRole, Columns, Finding
from hybrid.utils.counts import counted


@dataclass(frozen=True, eq=False)
class Catalogue:
    r"""A validated catalogue: one row per item.

    Parameters
    ----------
    path : Path
        The file it was read from; posters are relative to its folder.
    sha256 : str
        Hash of the file's bytes.
    table : DataFrame of shape (n, columns)
        The items that can be used, every cell a stripped string, ``""`` where it is missing.
    rows : ndarray of shape (n,), int
        Position of each item in the file, from 1.
    columns : Columns
        The role of each column.
    bad_rows : tuple of BadRow
        Rows that were left out (no id, a repeated id, not JSON) and rows without labels (not left out).
    findings : tuple of Finding, default=()
        How the table was understood, and what looks wrong about it.
    roles : tuple of ColumnRole, default=()
        The role of each column of the file, and why it has it.
    left_out : tuple of BadRow, default=()
        Those of `bad_rows` that are no items.
    posters_folder : Path, optional
        Folder that the posters are relative to. By default that of the file.
    posters_told : bool, default=False
        Whether no poster cell of the file names a file, as a finding tells: no poster is listed then.
    posters_trusted : bool, default=True
        Whether links out of `posters_folder` are followed, as it was named by the user, and not by a run.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "catalogue.csv"
    >>> text = "id,title,genres\n1,Jaws,Horror|Adventure\n2,Heat,Drama\n"
    >>> _ = path.write_text(text)
    >>> catalogue = load_catalogue(path)
    >>> catalogue.genres
    ('Adventure', 'Drama', 'Horror')
    >>> catalogue.labels.tolist()
    [[1, 0, 1], [0, 1, 0]]
    >>> folder.cleanup()
    """

    path: Path
    sha256: str
    table: pd.DataFrame
    rows: NDArray[np.int64]
    columns: Columns
    bad_rows: tuple[BadRow, ...]
    findings: tuple[Finding, ...] = ()
    roles: tuple[ColumnRole, ...] = ()
    left_out: tuple[BadRow, ...] = ()
    posters_folder: Path | None = None
    posters_told: bool = False
    posters_trusted: bool = True

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def ids(self) -> NDArray[Any]:
        """Item ids, shape (n,), str."""
        parts = chunks(self.table[self.columns.id])
        return np.concatenate([part.to_numpy().astype(str) for part in parts])

    def only(self, ids: Iterable[str]) -> Catalogue:
        """Select the items with these ids, in the order of the file.

        Parameters
        ----------
        ids : iterable of str

        Raises
        ------
        SettingError
            If an id is not in the catalogue; the message lists close matches.
        """
        wanted, known = set(ids), set(self.ids)
        absent = sorted(wanted - known)
        if absent:
            raise SettingError(
                f"--ids: expected ids of {self.path}, found {len(absent)} that it does not have: "
                f"{', '.join(absent[:5])}{', …' if len(absent) > 5 else ''}.{did_you_mean(absent[0], known)}"
            )
        return self.where(np.array([name in wanted for name in self.ids], dtype=bool))

    def where(self, keep: NDArray[np.bool_]) -> Catalogue:
        """Select some of the items, in the order of the file.

        Parameters
        ----------
        keep : ndarray of shape (n,), bool

        Returns
        -------
        Catalogue
        """
        return replace(self, table=keep_rows(self.table, keep), rows=self.rows[keep])

    def without_texts(self, but: Iterable[str | None] = ()) -> Catalogue:
        """Leave out the text columns, most of a catalogue's memory, but for these, whatever their case."""
        stay = {self.find_column(name) for name in but if name}
        texts = [name for name in self.columns.text if name not in stay]
        return replace(self, table=self.table.drop(columns=texts))

    def find_column(self, wanted: str) -> str | None:
        """The name of a column of the table whatever its case; None where there is none."""
        return find_name(map(str, self.table.columns), wanted)

    @cached_property
    def folded(self) -> pd.DataFrame:
        """The table with the names of its columns in lower case, where no other column has that name."""
        first: dict[str, str] = {}
        for name in map(str, self.table.columns):
            if name == name.casefold() or name.casefold() not in first:
                first[name.casefold()] = name
        return self.table.rename(columns={name: lower for lower, name in first.items()})

    @property
    def posters(self) -> tuple[str, ...]:
        """The poster cell of each item, as it is in the file; n str."""
        return tuple(self._each_poster)

    @property
    def _each_poster(self) -> Iterator[str]:
        if self.columns.poster is None:
            return iter(("",) * len(self))
        return iter(Cells(self.table[self.columns.poster]))

    @cached_property
    def poster_problems(self) -> dict[int, str]:
        """Items whose poster cell cannot name a file: index → reason."""
        each = ((i, [self._problem(cell) for cell in cells]) for i, cells in self._poster_cells)
        return {i: reasons[0] for i, reasons in each if all(reasons)}

    @cached_property
    def part_problems(self) -> dict[int, list[str]]:
        """Items of whose posters some, but not all, are no files: index → ``name: reason`` of each."""
        found = {}
        for i, cells in self._poster_cells:
            if len(cells) > 1 and i not in self.poster_problems:
                wrong = [f"{cell}: {why}" for cell in cells if (why := self._problem(cell))]
                if wrong:
                    found[i] = wrong
        return found

    @property
    def _poster_cells(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Each item, and the posters that its cell names."""
        return enumerate(map(self._split, self._each_poster))

    def _split(self, cell: str) -> tuple[str, ...]:
        return split_posters(cell, self.columns.poster, self.columns.label_separator)

    def _poster_of(self, index: int) -> str:
        column = self.columns.poster
        return "" if column is None else str(self.table[column].iloc[index])

    def _problem(self, cell: str) -> str:
        named = self.posters_folder is not None
        problem = poster_problem(cell, self._root, named)
        if problem or (named and self.posters_trusted) or self._is_own(cell):
            return problem
        return self._links.problem(cell)

    def bad_row(self, index: int, reason: str) -> BadRow:
        """Describe what is wrong with the poster of an item.

        Parameters
        ----------
        index : int
            Position of the item.
        reason : str
        """
        row, name = int(self.rows[index]), str(self.ids[index])
        return BadRow(row, name, self._poster_of(index), reason)

    @cached_property
    def poster_paths(self) -> tuple[str, ...]:
        """The poster file of each item, ``""`` where the cell cannot name one; n str.

        Of several the first; `several_posters` has all.
        """
        return tuple(self.each_poster_path())

    def each_poster_path(self) -> Iterator[str]:
        """Yield what `poster_paths` holds, which many items need not hold at once."""
        return (paths[0] if paths else "" for paths in self._poster_sets())

    def poster_files(self, index: int) -> tuple[str, ...]:
        """All poster files that the cell of an item names, in its order; none where it cannot name one.

        Parameters
        ----------
        index : int
            Position of the item.

        Returns
        -------
        tuple of str
        """
        return tuple(self._files(index, self._split(self._poster_of(index))))

    @cached_property
    def several_posters(self) -> dict[int, list[str]]:
        """Items with more than one poster file: index → all of them."""
        if self.columns.poster is None or self.columns.poster.casefold() == POSTER:
            return {}
        return {i: paths for i, paths in enumerate(self._poster_sets()) if len(paths) > 1}

    def _poster_sets(self) -> Iterator[list[str]]:
        """Yield the poster files of each item."""
        return (self._files(i, cells) for i, cells in self._poster_cells)

    def _files(self, index: int, cells: tuple[str, ...]) -> list[str]:
        """The files of an item whose posters these are."""
        if index in self.poster_problems:
            return []
        here, root = self.path.parent, self._root
        return [
            join_folder(here if self._is_own(cell) else root, cell)
            for cell in cells
            if len(cells) == 1 or not self._problem(cell)
        ]

    def _is_own(self, cell: str) -> bool:
        """Whether a cell names an image that the file of the catalogue holds itself."""
        return file_of(cell) == self.path.name != cell

    @cached_property
    def _links(self) -> Links:
        return Links(self._root)

    @property
    def _root(self) -> Path:
        return self.posters_folder or self.path.parent

    @cached_property
    def _label_cells(self) -> LabelSets:
        column = self.columns.label
        cells = pd.Series([""] * len(self)) if column is None else self.table[column]
        return LabelSets.of(cells, self.columns.label_separator)

    @cached_property
    def genres(self) -> tuple[str, ...]:
        """The L labels, sorted: the columns of `labels`."""
        return self._label_cells.names

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """Label matrix of shape (n, L), uint8, 1 where the item has the label.

        Where a label was not looked at, it is a masked array, and masked there.
        """
        return self.label_matrix(self.genres)

    @cached_property
    def labelled(self) -> NDArray[np.bool_]:
        """Whether a label of each item is known, shape (n,)."""
        return self._label_cells.known

    def label_matrix(self, genres: Iterable[str]) -> NDArray[np.uint8]:
        """Make the label matrix of given labels; others are left out.

        Where a label was not looked at, it is a masked array, and masked there.

        Parameters
        ----------
        genres : iterable of str
            The L labels, in the order of the columns.

        Returns
        -------
        ndarray of shape (n, L), uint8
        """
        return self._label_cells.matrix(tuple(genres))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The input of the features: one row per item, indexed by id.

        Columns are ``poster`` (path of the file, ``""`` where there is none; of several, joined by
        `hybrid.catalogue.poster_paths.join_paths`), then text, categorical
        and list columns (str, ``""`` where missing), numeric columns (float64, NaN where missing) and
        date columns (ISO dates as far as they are known, str, ``""`` where missing). Of many items, columns
        of str are packed as in `table`: some rows of the frame become Python strings when they are read.
        """
        return self.frame_for(self.columns)

    def frame_for(self, columns: Columns) -> pd.DataFrame:
        """Make the frame of other column roles; columns that are not in this catalogue are missing.

        Parameters
        ----------
        columns : Columns
            Roles of another catalogue.

        Returns
        -------
        DataFrame of shape (n, columns)
        """
        n = len(self)
        data: dict[str, Any] = {POSTER: pack_many(map(join_paths, self._poster_sets()))}
        for name in columns.text + columns.categorical + columns.list:
            cells = self._cells(name)
            data[name] = [""] * n if cells is None else cells.array
        for name in columns.numeric:
            cells, reading = self._cells(name), columns.formats.get(name, CellFormat())
            data[name] = np.full(n, np.nan) if cells is None else parse_numbers(cells, reading)
        for name in columns.date:
            cells, reading = self._cells(name), columns.formats.get(name, CellFormat())
            data[name] = [""] * n if cells is None else parse_dates(cells, reading.order)
        ids = self.table[self.columns.id].array
        return pd.DataFrame(data, index=pd.Index(ids, name=columns.id))

    def _cells(self, column: str) -> pd.Series | None:
        """The cells of a column whatever its case; None where there is none."""
        name = self.find_column(column)
        return None if name is None else self.table[name]

    def require_posters(self) -> None:
        """Check that there are posters to read, before any work.

        Raises
        ------
        CatalogueError
            If there is no poster column, or none of its cells can name a file.
        """
        if self.columns.poster is None:
            close = [quote(told.column) for told in self.findings if told.kind == NO_POSTER]
            raise CatalogueError(
                f"{self.path}: expected a column 'poster' with the image files, found "
                f"{', '.join(self.table.columns)}. Name it with --poster-column"
                f"{' ' + close[0] if close else ''}."
            )
        if len(self.poster_problems) == len(self):
            (reason, count), *_ = Counter(self.poster_problems.values()).most_common(1)
            example = next(
                cell
                for i, cell in enumerate(self._each_poster)
                if self.poster_problems[i] == reason
            )
            raise CatalogueError(
                f"{self.path}: expected files in the poster column {self.columns.poster!r}, found none: "
                f"{count:,} of {counted(len(self), 'cell')}, such as {example!r}: {reason}. Name another "
                "column with --poster-column, or the folder of the files with --posters; URLs and TMDB's "
                f"paths are fetched by: hybrid fetch-posters --url-column {quote(self.columns.poster)}"
            )

    def require_labels(self) -> None:
        """Check that there are labels to learn from.

        Raises
        ------
        CatalogueError
            If there is no label column, or fewer than two items have a label.
        """
        if self.columns.label is None:
            raise CatalogueError(
                f"{self.path}: expected a column 'genres' with the labels, found "
                f"{', '.join(self.table.columns)}. Name it with --label-column."
            )
        if self.labelled.sum() < 2:
            raise CatalogueError(
                f"{self.path}: expected at least 2 items with a label in column "
                f"{self.columns.label!r}, found {int(self.labelled.sum())} of {len(self)}."
            )
