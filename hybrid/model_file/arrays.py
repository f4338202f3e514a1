"""Arrays of a model file: an npz archive with one array of each number type, all of that type together.

Numbers of several bytes are written as planes, where that packs them smaller: first the lowest byte of each,
then the next. So are indices, and numbers that seldom come again; coefficients often do.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import RunError
from hybrid.utils.reading import MODEL, open_file

DTYPES = ("bool", "uint8", "uint32", "int32", "int64", "float32", "float64")
SAMPLE = 2**8  # numbers of a small array that tell how it is best packed
LEVEL = 3  # of the compression; more takes several times as long for a few percent
MOST = 2**28  # bytes that an array may take, whatever it is packed to
RATIO = 100  # else so many times its packed size: numbers are not packed better, bombs are
HEADER = 1000  # characters that the header of an array may take


class ArrayWriter:
    """Collects arrays; those of one type become one.

    Examples
    --------
    >>> out = ArrayWriter()
    >>> out.add(np.zeros((2, 3), np.float32)), out.add(np.ones(4, np.float32))["start"]
    ({'dtype': 'float32', 'start': 0, 'shape': [2, 3]}, 6)
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {}
        self._ends: dict[str, int] = {}

    def add(self, array: NDArray[Any]) -> dict[str, Any]:
        """Add an array; where it will be found."""
        name = array.dtype.name
        if name not in DTYPES:
            raise TypeError(f"expected numbers of the types {', '.join(DTYPES)}, found {name}")
        # Products of matrices depend on the order of the memory, in their last bits.
        by_columns = not array.flags.c_contiguous and array.strides[0] < array.strides[-1]
        start = self._ends.get(name, 0)
        self._ends[name] = start + array.size
        self._parts.setdefault(name, []).append(array.ravel(order="F" if by_columns else "C"))
        where = {"dtype": name, "start": start, "shape": list(array.shape)}
        return {**where, "order": "F"} if by_columns else where

    def write(self, path: Path) -> None:
        """Write the archive; the same arrays give the same bytes."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
            for name in sorted(self._parts):
                entry = zipfile.ZipInfo(f"{name}.npy")
                entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w", force_zip64=True) as file:
                    self._write(file, name)

    def _write(self, file: IO[bytes], name: str) -> None:
        wanted = np.dtype(name).newbyteorder("<")
        parts = [part.astype(wanted, copy=False) for part in self._parts[name]]
        width, length = wanted.itemsize, self._ends[name]
        planes = width > 1 and _are_smaller_in_planes(parts)
        kind, shape = (np.dtype(np.uint8), (width, length)) if planes else (wanted, (length,))
        header = {
            "descr": np.lib.format.dtype_to_descr(kind),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(file, header)
        for plane in range(width) if planes else (None,):
            for part in parts:
                file.write(_bytes_of(part, plane))


def _bytes_of(numbers: NDArray[Any], plane: int | None) -> memoryview:
    """The bytes of numbers one after the other; those of one plane alone."""
    each = numbers.view(np.uint8)
    if plane is None:
        return each.data
    return np.ascontiguousarray(each.reshape(-1, numbers.itemsize)[:, plane]).data


def _are_smaller_in_planes(parts: Sequence[NDArray[Any]]) -> bool:
    """Tell by a sample, in which each array has its share."""
    sample = np.concatenate([part[len(part) // 2 :][: len(part) // 16 + SAMPLE] for part in parts])
    planes = b"".join(_bytes_of(sample, plane) for plane in range(sample.itemsize))
    return len(zlib.compress(planes, LEVEL)) < len(zlib.compress(sample.tobytes(), LEVEL))


class ArrayReader:
    """Arrays of an archive; nothing in it is trusted, and nothing but numbers is read.

    Parameters
    ----------
    path : Path
        As `ArrayWriter.write` wrote it.

    Raises
    ------
    RunError
        If the file cannot be read, has other things than such arrays, or is packed suspiciously well.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._arrays = path, dict[str, NDArray[Any]]()
        self._left = 0  # numbers that have not been taken
        try:
            with open_file(path, MODEL) as opened, zipfile.ZipFile(opened) as archive:
                entries = archive.infolist()
                self._check(entries)
                for entry in entries:
                    with archive.open(entry) as file:
                        name = entry.filename.removesuffix(".npy")
                        self._arrays[name] = self._read(file, name, entry.file_size)
            self._left = sum(map(len, self._arrays.values()))
        except (OSError, EOFError, ValueError, zlib.error, RuntimeError, MemoryError) as error:
            raise self._damaged(str(error) or type(error).__name__) from error
        except (zipfile.BadZipFile, SyntaxError, TypeError, RecursionError) as error:
            raise self._damaged(str(error)) from error

    def take(self, dtype: str, start: int, shape: Sequence[int], order: str) -> NDArray[Any] | None:
        """An array; None where the file has no such place, or where more is taken than it has."""
        whole = self._arrays.get(dtype, np.empty(0))
        size = int(np.prod(shape, dtype=object))  # of Python's integers, which do not overflow
        if start < 0 or min(shape, default=0) < 0 or start + size > len(whole):
            return None
        self._left -= size
        if self._left < 0:
            return None
        array = whole[start : start + size].reshape(shape, order="F" if order == "F" else "C")
        return array.copy(order="K")  # aligned as it was, and free of the others

    def _check(self, entries: list[zipfile.ZipInfo]) -> None:
        names = [entry.filename for entry in entries]
        known = {f"{name}.npy" for name in DTYPES}
        wrong = sorted({name for name in names if name not in known or names.count(name) > 1})
        if wrong:
            raise self._damaged(f"{', '.join(map(repr, wrong[:5]))}")
        for entry in entries:
            if entry.file_size > max(MOST, RATIO * entry.compress_size):
                packed = f"{entry.file_size:,} bytes packed into {entry.compress_size:,}"
                raise self._damaged(packed)

    def _read(self, file: IO[bytes], name: str, size: int) -> NDArray[Any]:
        wanted = np.dtype(name).newbyteorder("<")
        if np.lib.format.read_magic(file) != (1, 0):
            raise self._damaged(f"{name}.npy of another version")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=HEADER)
        left, width = size - file.tell(), wanted.itemsize
        planes = dtype == np.uint8 and len(shape) == 2 and shape[0] == width > 1 and not by_columns
        if not (planes or (dtype == wanted and len(shape) == 1)) or shape[-1] * width != left:
            raise self._damaged(f"{name}.npy with {dtype} of shape {shape} in {left} bytes")
        array = np.empty(shape[-1], wanted)
        numbers = array.view(np.uint8).reshape(-1, width)
        if planes:
            for plane in range(width):
                numbers[:, plane] = np.frombuffer(_read_exactly(file, shape[-1], name), np.uint8)
        else:
            numbers.reshape(-1)[:] = np.frombuffer(_read_exactly(file, left, name), np.uint8)
        if file.read(1):  # the archive's check of the content is at its end
            raise self._damaged(f"{name}.npy with more than its header says")
        if name == "bool" and (array.view(np.uint8) > 1).any():
            raise self._damaged("truth values other than 0 and 1")
        return array.astype(np.dtype(name), copy=False)

    def _damaged(self, found: str) -> RunError:
        return RunError(
            f"{self.path}: expected the arrays of a model, found {found}. The file is damaged: fit the run "
            "again."
        )


def _read_exactly(file: IO[bytes], size: int, name: str) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError(f"{name}.npy ends early")
    return data
