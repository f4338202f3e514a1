"""Arrays of a model file: an npz archive with all numbers of a type together, or each byte of them.

Numbers of several bytes are written as planes, where that packs them about as small: the lowest byte of each
in an entry of its own, then the next. A plane that can hardly be packed, as the last digits of coefficients,
is stored as it is: to unpack it would take most of the time. Columns of a matrix that are the same, as those
of words that come in the same texts, are written once.
"""

from __future__ import annotations

import contextlib
import math
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
# Of a matrix of floats with so many columns, if such a share of them differ, these are written once; fewer
# are packed well anyway.
WIDE = 2**12
DIFFERENT = 0.25, 0.95
WORSE = 1.05  # times the size that planes may take, as they are read faster
PACKED = 0.97  # of its size to which a plane must be packed
PIECES, PIECE = 8, 2**13  # of the longest array, by which that is told
BLOCK = 2**16  # numbers that are put together from their planes at a time
SAMPLE = 2**8  # numbers of a small array that tell how it is best packed
LEVEL = 3  # of the compression; more takes several times as long for a few percent
MOST = 2**28  # bytes that an array may take, whatever it is packed to
RATIO = 100  # else so many times its packed size: numbers are not packed better, bombs are
LONGEST = 2**59  # lengths above 0, multiplied, of an array without numbers: NumPy refuses 2^60
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
        same = _same_columns(array)
        if same is not None:
            columns, numbers = same
            where = {**self._append(columns), "shape": list(array.shape)}
            return {**where, "columns": self._append(numbers)}
        return self._append(array)

    def _append(self, array: NDArray[Any]) -> dict[str, Any]:
        name = array.dtype.name
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
                wanted = np.dtype(name).newbyteorder("<")
                parts = [part.astype(wanted, copy=False) for part in self._parts[name]]
                if wanted.itemsize > 1 and _are_small_in_planes(parts):
                    for plane in range(wanted.itemsize):
                        _write(archive, f"{name}.{plane}.npy", np.dtype(np.uint8), parts, plane)
                else:
                    _write(archive, f"{name}.npy", wanted, parts, None)


def _write(
    archive: zipfile.ZipFile,
    name: str,
    dtype: np.dtype[Any],
    parts: Sequence[NDArray[Any]],
    plane: int | None,
) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (sum(map(len, parts)),),
    }
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    if plane is not None and not _is_packed(parts, plane):
        entry.compress_type = zipfile.ZIP_STORED
    with archive.open(entry, "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(_bytes_of(part, plane))


def _same_columns(array: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int32]] | None:
    """Its columns that differ, and the number of each; None where it is no wide matrix, or most differ."""
    wide = array.ndim == 2 and array.shape[1] >= WIDE and array.shape[0] > 0
    if not wide or array.dtype.kind != "f" or not array.flags.c_contiguous:
        return None
    columns = np.ascontiguousarray(array.T)
    whole = columns.view(np.dtype((np.void, columns.itemsize * columns.shape[1]))).ravel()
    _, first, numbers = np.unique(whole, return_index=True, return_inverse=True)
    if not DIFFERENT[0] <= len(first) / len(numbers) <= DIFFERENT[1]:
        return None
    order = np.argsort(first)  # as they come
    ranks = np.empty(len(order), dtype=np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return np.ascontiguousarray(array[:, first[order]]), ranks[numbers.ravel()]


def _bytes_of(numbers: NDArray[Any], plane: int | None) -> memoryview:
    """The bytes of numbers one after the other; those of one plane alone."""
    each = numbers.view(np.uint8)
    if plane is None:
        return each.data
    return np.ascontiguousarray(each.reshape(-1, numbers.itemsize)[:, plane]).data


def _are_small_in_planes(parts: Sequence[NDArray[Any]]) -> bool:
    """Tell by a sample, in which each array has its share."""
    sample = np.concatenate([part[len(part) // 2 :][: len(part) // 16 + SAMPLE] for part in parts])
    planes = b"".join(_bytes_of(sample, plane) for plane in range(sample.itemsize))
    packed = len(zlib.compress(planes, LEVEL))
    return packed < WORSE * len(zlib.compress(sample.tobytes(), LEVEL))


def _is_packed(parts: Sequence[NDArray[Any]], plane: int) -> bool:
    """Tell by pieces of its longest array whether a plane is packed to less."""
    longest = max(parts, key=len)
    step = max(PIECE, len(longest) // PIECES)
    pieces = [longest[at : at + PIECE] for at in range(0, len(longest), step)]
    sample = b"".join(_bytes_of(piece, plane) for piece in pieces)
    return len(zlib.compress(sample, LEVEL)) < PACKED * len(sample)


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
                found = {entry.filename.removesuffix(".npy"): entry for entry in entries}
                for name in DTYPES:
                    if name in found:
                        with archive.open(found[name]) as file:
                            self._arrays[name] = self._read(file, name, found[name].file_size)
                    elif f"{name}.0" in found:
                        planes = [found[plane] for plane in _planes(name)]
                        self._arrays[name] = self._read_planes(archive, name, planes)
            self._left = sum(map(len, self._arrays.values()))
        except (OSError, EOFError, ValueError, zlib.error, RuntimeError, MemoryError) as error:
            raise self._damaged(str(error) or type(error).__name__) from error
        except (zipfile.BadZipFile, SyntaxError, TypeError, RecursionError) as error:
            raise self._damaged(str(error)) from error

    def take(
        self, dtype: str, start: int, shape: Sequence[int], order: str = "C"
    ) -> NDArray[Any] | None:
        """An array; None where the file has no such place, or where more is taken than it has."""
        whole = self._arrays.get(dtype, np.empty(0))
        size = int(np.prod(shape, dtype=object))  # of Python's integers, which do not overflow
        if start < 0 or min(shape, default=0) < 0 or start + size > len(whole):
            return None
        if not size and math.prod(filter(None, shape)) > LONGEST:
            return None
        self._left -= size
        if self._left < 0:
            return None
        array = whole[start : start + size].reshape(shape, order="F" if order == "F" else "C")
        return array.copy(order="K")  # aligned as it was, and free of the others

    def _check(self, entries: list[zipfile.ZipInfo]) -> None:
        names = [entry.filename.removesuffix(".npy") for entry in entries]
        known = {plane: name for name in DTYPES for plane in (name, *_planes(name))}
        wrong = {name for name in names if name not in known or names.count(name) > 1}
        wrong |= {entry.filename for entry in entries if not entry.filename.endswith(".npy")}
        for name in DTYPES:
            there = [each for each in names if known.get(each) == name]
            if there not in ([], [name], _planes(name)):
                wrong.update(there)
        if wrong:
            raise self._damaged(f"{', '.join(map(repr, sorted(wrong)[:5]))}")
        for name in DTYPES:
            own = [entry for entry, each in zip(entries, names, strict=True) if known[each] == name]
            size, packed = (sum(e.file_size for e in own), sum(e.compress_size for e in own))
            if size > max(MOST, RATIO * packed):
                raise self._damaged(f"{size:,} bytes packed into {packed:,}")

    def _read_planes(
        self, archive: zipfile.ZipFile, name: str, entries: Sequence[zipfile.ZipInfo]
    ) -> NDArray[Any]:
        """Put numbers together from an entry for each of their bytes."""
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(archive.open(entry)) for entry in entries]
            lengths = set()
            for file, entry in zip(files, entries, strict=True):
                shape, _, dtype = self._header(file, name)
                left = entry.file_size - file.tell()
                if dtype != np.uint8 or shape != (left,):
                    raise self._damaged(f"{entry.filename} with {dtype} of shape {shape}")
                lengths.add(left)
            if len(lengths) > 1:
                raise self._damaged(f"planes of {name} that are not equally long")
            array = np.empty(lengths.pop(), np.dtype(name).newbyteorder("<"))
            numbers = array.view(np.uint8).reshape(-1, len(files))
            for start in range(0, len(array), BLOCK):
                block = numbers[start : start + BLOCK]
                for plane, file in enumerate(files):
                    block[:, plane] = np.frombuffer(_read_exactly(file, len(block), name), np.uint8)
            if any(file.read(1) for file in files):
                raise self._damaged(f"planes of {name} with more than their headers say")
        return array.astype(np.dtype(name), copy=False)

    def _header(self, file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        if np.lib.format.read_magic(file) != (1, 0):
            raise self._damaged(f"{name}.npy of another version")
        return np.lib.format.read_array_header_1_0(file, max_header_size=HEADER)

    def _read(self, file: IO[bytes], name: str, size: int) -> NDArray[Any]:
        wanted = np.dtype(name).newbyteorder("<")
        shape, by_columns, dtype = self._header(file, name)
        left, width = size - file.tell(), wanted.itemsize
        # Format 2 has all planes in one array.
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


def _planes(name: str) -> list[str]:
    """Names of the planes of a type of numbers; none of bytes."""
    width = np.dtype(name).itemsize
    return [f"{name}.{plane}" for plane in range(width)] if width > 1 else []


def _read_exactly(file: IO[bytes], size: int, name: str) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError(f"{name}.npy ends early")
    return data
