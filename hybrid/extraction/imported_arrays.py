"""Embeddings in files of NumPy, ``.npy`` and ``.npz``: large matrices are not held in memory."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.extraction.imported_values import matrix, unlike
from hybrid.utils.reading import EMBEDDINGS, open_file
from hybrid.utils.row_file import BLOCK, RowFile, block_length
from hybrid.utils.spilled import map_file

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class _Header(NamedTuple):
    """What stands before the numbers of an array."""

    shape: tuple[int, ...]
    by_column: bool
    dtype: np.dtype[Any]

    @property
    def is_matrix(self) -> bool:
        """Whether its numbers come row by row."""
        return len(self.shape) == 2 and not self.by_column

    @property
    def size(self) -> int:
        """Bytes of all numbers."""
        return self.dtype.itemsize * math.prod(self.shape)


def read_npy(path: Path) -> NDArray[Any]:
    """Map the matrix of a ``.npy`` file to memory.

    Raises
    ------
    ExtractionError
        If it is something else. A pickle is not opened.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> np.save("clip.npy", np.eye(2))
    >>> read_npy(Path("clip.npy")).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    with open_file(path, EMBEDDINGS) as file:
        header = _read_header(file)
        start = file.tell()
        if header is not None and start + header.size <= os.fstat(file.fileno()).st_size:
            numbers = np.frombuffer(map_file(file), header.dtype, math.prod(header.shape), start)
            if header.by_column:
                return matrix(numbers.reshape(header.shape[::-1]).T, path)
            return matrix(numbers.reshape(header.shape), path)
        file.seek(0)
        try:
            array = np.load(file, allow_pickle=False)
        except OSError:
            raise
        except Exception as error:
            raise unlike(path, "a .npy file of numbers", describe_unreadable(error)) from error
    if not isinstance(array, np.ndarray):
        raise unlike(path, "one array", "several: name it .npz")
    return matrix(array, path)


def unpack_array(arrays: np.lib.npyio.NpzFile, name: str) -> NDArray[Any]:
    """Unpack an array of a ``.npz`` file; a large matrix into a temporary file.

    Parameters
    ----------
    arrays : NpzFile
        As `numpy.load` opens it.
    name : str

    Raises
    ------
    TemporaryFileError
        If the disk refuses.
    Exception
        Of many kinds, by NumPy and `zipfile`, if the file is broken.

    Examples
    --------
    >>> np.savez("clip.npz", embeddings=np.eye(2))
    >>> with np.load("clip.npz") as arrays:
    ...     unpack_array(arrays, "embeddings").tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    archive: Any = arrays.zip
    with archive.open(f"{name}.npy") as member:
        header = _read_header(member)
        if header is not None and header.is_matrix and header.size > BLOCK:
            return _stream(member, header)
    return np.asarray(arrays[name])


def _stream(member: IO[bytes], header: _Header) -> NDArray[Any]:
    """The rows of a matrix, as they are unpacked."""
    rows, width = RowFile(), header.shape[1]
    size = block_length((width,), header.dtype)
    for start in range(0, header.shape[0], size):
        count = min(size, header.shape[0] - start) * width
        data = member.read(count * header.dtype.itemsize)
        rows.add(np.frombuffer(data, header.dtype, count).reshape(-1, width))
    if member.read(1):
        raise ValueError("more numbers than the array's header says")
    return rows.matrix()


def _read_header(file: IO[bytes]) -> _Header | None:
    """The header of an array of numbers, as far as this reads them; NumPy tells what is wrong with others."""
    try:
        read = _HEADERS.get(np.lib.format.read_magic(file))
        header = None if read is None else _Header(*read(file))
    except Exception:  # NumPy's own reader comes to the same, and its error is told
        return None
    if header is None or header.dtype.kind not in "fiu" or min(header.shape, default=0) < 0:
        return None
    return header


def describe_unreadable(error: BaseException) -> str:
    """What is wrong with a file of NumPy, and what to do about objects.

    Examples
    --------
    >>> describe_unreadable(EOFError("No data left in file."))
    'No data left in file'
    """
    said = str(error) or type(error).__name__
    if "allow_pickle" in said or "pickled" in said:
        return (
            "objects, which are stored as a pickle and not opened. Save ids.astype(str), and the embeddings "
            "as one matrix of numbers"
        )
    return said.rstrip(".")
