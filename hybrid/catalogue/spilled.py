"""Large packed columns in temporary files that are mapped to memory; pages are read as they are needed.

Arrow's arrays lie on the maps, so that pandas and Arrow use them as they use others.
"""

from __future__ import annotations

import mmap
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

from hybrid.utils.refusals import describe_refusal

SPILL = 2**26  # bytes of a column that are in memory before they are written to a file

_maps = WeakValueDictionary[int, mmap.mmap]()  # as long as an array needs them


class PackedParts:
    """Collects the packed parts of a column; those of a large one are moved to temporary files.

    The files have no names, and are gone with the last array that lies on them. Where the disk refuses one,
    a warning tells so, and the parts stay in memory.

    Attributes
    ----------
    parts : list of pyarrow.Array
        In the order in which they came.

    Examples
    --------
    >>> from hybrid.catalogue.packed import pack
    >>> column = PackedParts()
    >>> column.add(pack(["Jaws"]))
    >>> [part.to_pylist() for part in column.parts]
    [['Jaws']]
    """

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self._new: list[int] = []  # those that are in memory, since the last file
        self._size = 0
        self._spills = hasattr(mmap.mmap, "madvise")  # not on Windows

    def add(self, part: Any) -> None:
        """Add a part that nothing else holds."""
        self._new.append(len(self.parts))
        self.parts.append(part)
        self._size += part.nbytes
        if self._size >= SPILL and self._spills:
            self._spill()

    def keep(self, part: Any) -> None:
        """Add a part of another column, which stays where it is."""
        self.parts.append(part)

    def _spill(self) -> None:
        new, self._new, self._size = self._new, [], 0
        try:
            spilled = spill([self.parts[i] for i in new])
        except OSError as error:
            self._spills = False
            where = f"a temporary file in {tempfile.tempdir or 'any temporary folder'}"
            warnings.warn(
                f"{describe_refusal(where, error)} Texts of the catalogue are held in memory instead; TMPDIR "
                "names another folder.",
                stacklevel=2,
            )
            return
        for i, part in zip(new, spilled, strict=True):
            self.parts[i] = part


def spill(parts: Sequence[Any]) -> list[Any]:
    """Write packed strings to a temporary file, and map it.

    Parameters
    ----------
    parts : sequence of pyarrow.Array
        Of large strings.

    Returns
    -------
    list of pyarrow.Array
        The same, on the map.

    Raises
    ------
    OSError
        If the disk is full, or refuses for another reason.

    Examples
    --------
    >>> from hybrid.catalogue.packed import pack
    >>> [part.to_pylist() for part in spill([pack(["Jaws", ""]), pack(["Heat"])])]
    [['Jaws', ''], ['Heat']]
    """
    import pyarrow

    schema = pyarrow.schema([("cells", pyarrow.large_string())])
    with tempfile.TemporaryFile(prefix="hybrid-cells-") as file:
        with pyarrow.ipc.new_file(file, schema) as writer:
            for part in parts:
                writer.write_batch(pyarrow.record_batch([part], schema=schema))
        file.flush()
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _maps[id(pages)] = pages
    reader = pyarrow.ipc.open_file(pyarrow.py_buffer(pages))
    return [reader.get_batch(i).column(0) for i in range(reader.num_record_batches)]


def let_pages_go() -> None:
    """Let the memory go that holds pages of spilled columns: they are read again when they are needed.

    For use after some thousand cells were read. The system would let them go, too, when it needs memory, but
    until then they count as memory of the process.

    Examples
    --------
    >>> let_pages_go()
    """
    for reference in _maps.valuerefs():
        if (pages := reference()) is not None:
            pages.madvise(mmap.MADV_DONTNEED)
