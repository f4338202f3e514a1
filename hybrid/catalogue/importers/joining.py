"""Join an imported data set with another one by the ids that both know."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from hybrid.catalogue.importers.delimited import Delimited
from hybrid.catalogue.importers.disk_index import DiskIndex
from hybrid.catalogue.importers.importer import Notes
from hybrid.catalogue.readers.dialect import Dialect
from hybrid.errors import SettingError
from hybrid.utils.csv_text import unescape_formula
from hybrid.utils.links import lies_in

OWN = ("id", "genres", "poster")  # an item keeps its id and labels; a poster is copied


class JoinedCatalogue:
    """An earlier import, whose columns items of a new one are given.

    Parameters
    ----------
    folder : Path
        Of the earlier import: ``catalogue.csv`` and ``ids.csv``.
    scratch : Path
        For temporary files.
    stack : ExitStack
        That removes them.
    notes : Notes

    Attributes
    ----------
    columns : tuple of str
        That items can be given.
    has_posters : bool

    Raises
    ------
    SettingError
        If the folder is none of an import, or its items have no ids of other data sets.
    """

    def __init__(self, folder: Path, scratch: Path, stack: ExitStack, notes: Notes) -> None:
        catalogue, ids = folder / "catalogue.csv", folder / "ids.csv"
        if not (catalogue.is_file() and ids.is_file()):
            raise SettingError(
                f"--join {folder}: expected the folder of an earlier import, with catalogue.csv and ids.csv, "
                "found none. Import the other data set first, and name its folder."
            )
        self._folder, self._notes = folder, notes
        self._rows = stack.enter_context(DiskIndex(scratch))
        self._ids = stack.enter_context(DiskIndex(scratch))
        table = Delimited(catalogue, notes, Dialect())
        self.columns = tuple(name for name in table.names if name not in OWN)
        self.has_posters = "poster" in table.names
        for row, cells in table.records():
            self._rows.add(cells["id"], row, {name: cell for name, cell in cells.items() if cell})
        for row, cells in Delimited(ids, notes, Dialect()).records():
            name, other = unescape_formula(cells["id"]), unescape_formula(cells["other_id"])
            self._ids.add(f"{cells['kind']}:{other}", row, name)

    def find(self, ids: Mapping[str, str]) -> tuple[dict[str, str], Path | None]:
        """The cells of the item with one of these ids, and its poster; nothing where there is none.

        Parameters
        ----------
        ids : mapping of str to str
            By kind, as in ``ids.csv``.
        """
        for kind, value in ids.items():
            name = self._ids.get(f"{kind}:{value}")
            if name is not None:
                cells: dict[str, str] = dict(self._rows.get(name) or {})
                self._notes.add(
                    "joined", f"{{count}} {{items were|item was}} joined with {self._folder}"
                )
                poster = cells.pop("poster", "")
                given = {name: cell for name, cell in cells.items() if name not in OWN}
                image = self._folder / poster
                return given, image if poster and lies_in(image, self._folder) else None
        self._notes.add(
            "not joined", f"{{count}} {{items have|item has}} no partner in {self._folder}"
        )
        return {}, None
