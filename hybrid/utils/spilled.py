"""Large packed columns and arrays in temporary files that are mapped to memory; pages are read as needed.

Arrow's arrays and NumPy's lie on the maps, so that all else uses them as it uses others. The files have no
names, and are gone with the last array that lies on them.
"""

from __future__ import annotations

import mmap
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.temporary import describe_temporary_refusal

SPILL = 2**26  # bytes of a column or an array that are in memory before they are written to a file

_maps = WeakValueDictionary[int, mmap.mmap]()  # as long as an array needs them


class PackedParts:
    """Collects the packed parts of a column; those of a large one are moved to temporary files.

    Where the disk refuses one, a warning tells so, and the parts stay in memory.

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
        self._spills = _can_spill()

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
            _tell_refusal(error)
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

    def write(file: Any) -> None:
        with pyarrow.ipc.new_file(file, schema) as writer:
            for part in parts:
                writer.write_batch(pyarrow.record_batch([part], schema=schema))

    reader = pyarrow.ipc.open_file(pyarrow.py_buffer(_map_written(write)))
    return [reader.get_batch(i).column(0) for i in range(reader.num_record_batches)]


def spill_array(values: NDArray[Any]) -> NDArray[Any]:
    """The same array, not to be changed: in a temporary file where it is large, and the disk takes it.

    Examples
    --------
    >>> spill_array(np.arange(3)).tolist()
    [0, 1, 2]
    """
    found = values.view()
    if values.nbytes >= SPILL and _can_spill():
        try:
            pages = _map_written(lambda file: file.write(np.ascontiguousarray(values).data))
            found = np.frombuffer(pages, values.dtype).reshape(values.shape)
        except OSError as error:
            _tell_refusal(error)
    found.flags.writeable = False
    return found


def _can_spill() -> bool:
    """Whether the memory of a map can be let go."""
    return hasattr(mmap.mmap, "madvise")  # not on Windows


def _map_written(write: Callable[[Any], object]) -> mmap.mmap:
    """Map what is written to a temporary file."""
    with tempfile.TemporaryFile(prefix="hybrid-cells-") as file:
        write(file)
        file.flush()
        return map_file(file)


def map_file(file: Any) -> mmap.mmap:
    """Map an open file to memory, to be read; `let_pages_go` knows the map.

    Examples
    --------
    >>> with tempfile.TemporaryFile() as file:
    ...     _ = file.write(b"pages")
    ...     file.flush()
    ...     pages = map_file(file)
    >>> pages[:]
    b'pages'
    """
    pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _maps[id(pages)] = pages
    return pages


def _tell_refusal(error: OSError) -> None:
    told = describe_temporary_refusal(error)
    warnings.warn(
        f"{told} Texts are held in memory instead; TMPDIR names another folder.", stacklevel=3
    )


def let_pages_go() -> None:
    """Let the memory go that holds pages of what is spilled: they are read again when they are needed.

    For use after some thousand cells were read. The system would let them go, too, when it needs memory, but
    until then they count as memory of the process.

    Examples
    --------
    >>> let_pages_go()
    """
    if not _can_spill():
        return
    for reference in _maps.valuerefs():
        if (pages := reference()) is not None:
            pages.madvise(mmap.MADV_DONTNEED)
