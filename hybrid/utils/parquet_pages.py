"""The pages of a Parquet file, as their headers tell them."""

from __future__ import annotations

from typing import Any, BinaryIO, NamedTuple

from hybrid.utils.counts import counted

HEADER = 2**14  # bytes that are read for the header of a page; statistics in it may be longer
LONGEST = 2**22  # bytes of a header
ELEMENTS = 1000  # of a list in a header
PADDING = 100  # bytes that parquet-mr before 1.2.9 does not count, as it forgot the header of the dictionary
PAGES, BYTES_A_PAGE = 100_000, 256  # of a file: more would take long to be looked at
# Kinds of page; further kinds are of no rows.
_DATA, _DATA_2 = 0, 3
_DEEP = 16  # structures in one another


class DamagedParquetError(OSError):
    """What the end of a Parquet file says of its rows or sizes is not what its pages say."""


class Chunk(NamedTuple):
    """The pages of a column in a row group.

    Parameters
    ----------
    values : int
        Cells of all data pages, empty ones too.
    bytes : int
        What the pages unpack to.
    pages : int
    """

    values: int
    bytes: int
    pages: int


def read_chunk(file: BinaryIO, start: int, size: int, most: int = PAGES) -> Chunk:
    """Read the headers of the pages of a column in a row group; the pages themselves are skipped.

    Parameters
    ----------
    file : BinaryIO
    start, size : int
        Where the pages are in the file, and how many bytes they take.
    most : int
        How many pages there may be.

    Raises
    ------
    DamagedParquetError
        If the headers cannot be read, the pages do not fill the bytes, or are too many.
    """
    at, end, values, unpacked, pages = start, start + size, 0, 0, 0
    while at < end:
        pages += 1
        if pages > most:
            raise DamagedParquetError("it is in too many pages (a decompression bomb?)")
        header, length = _read_header(file, at, end)
        kind, inflated, packed = (_count(header.get(i), at) for i in (1, 2, 3))
        if kind in (_DATA, _DATA_2):
            told = header.get(5 if kind == _DATA else 8)
            values += _count(told.get(1) if isinstance(told, dict) else None, at)
        unpacked += inflated + length
        at += length + packed
    if at > end + PADDING:
        raise DamagedParquetError(
            f"the pages from byte {start:,} on take {counted(at - start, 'byte')}, and its end says {size:,}"
        )
    return Chunk(values, unpacked, pages)


def _count(value: Any, at: int) -> int:
    """A number from 0 in the header of a page."""
    if not isinstance(value, int) or value < 0:
        raise DamagedParquetError(f"the header of the page at byte {at:,} cannot be read")
    return value


def _read_header(file: BinaryIO, at: int, end: int) -> tuple[dict[int, Any], int]:
    """The fields of a page's header by number, and its length."""
    size = min(HEADER, end - at)
    while True:
        file.seek(at)
        data = file.read(size)
        try:
            reader = _Compact(data)
            return reader.struct(), reader.at
        except IndexError:  # it is longer, or damaged
            if size == end - at or size >= LONGEST or len(data) < size:
                break
            size = min(size * 16, end - at)
        except ValueError:
            break
    raise DamagedParquetError(f"the header of the page at byte {at:,} cannot be read")


class _Compact:
    """Reads Thrift's compact protocol, in which Parquet writes headers; bytes are skipped.

    IndexError where the data ends, ValueError where it is something else.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _DEEP:
            raise ValueError("nested too deeply")
        found: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            found[number] = self._value(kind & 15, depth + 1, in_field=True)
        return found

    def _value(self, kind: int, depth: int, *, in_field: bool = False) -> Any:
        if kind in (1, 2):  # a field holds the truth in its kind, an element of a list in a byte
            return kind == 1 if in_field else self._byte() == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            self._skip(8)
        elif kind == 8:
            self._skip(self._varint())
        elif kind in (9, 10):
            head = self._byte()
            number = head >> 4 if head >> 4 < 15 else self._varint()
            if number > ELEMENTS or depth > _DEEP:
                raise ValueError("a list of too many elements")
            for _ in range(number):
                self._value(head & 15, depth + 1)
        elif kind == 12:
            return self.struct(depth)
        else:
            raise ValueError("no kind of Thrift that a page has")
        return None

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self.data):
            raise IndexError

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if not byte & 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number of too many bytes")

    def _signed(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
