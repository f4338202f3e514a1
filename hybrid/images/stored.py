"""Images that another file holds: members of a tar file, rows of a Parquet file.

Those of a Parquet file are copied to a temporary file by row groups, and read in any order.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
import weakref
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from hybrid.images.references import MemberReference, Reference, RowReference
from hybrid.images.tar_members import has_member, read_member
from hybrid.remote.address import remote_url
from hybrid.remote.objects import status
from hybrid.utils.parquet import open_parquet
from hybrid.utils.reading import CATALOGUE, IMAGE, checked, open_file
from hybrid.utils.temporary import writing_temporary_file
from hybrid.utils.unpacking import unpack

FILES = 64  # Parquet files that are open at a time
BATCH = 16  # images of a row group that are in memory at a time


def read_stored(reference: Reference, hold: Callable[[int], object] = bool) -> bytes | str:
    """Read an image within another file.

    The first time that a row group of a Parquet file is asked for, its images are copied to a temporary file,
    which the system removes when the process ends: an extraction reads posters in the order of their hashes.

    Parameters
    ----------
    reference : MemberReference or RowReference
    hold : callable, optional
        Called with the number of bytes before they are read.

    Returns
    -------
    bytes or str
        The bytes of the image file, or why they cannot be read.

    Raises
    ------
    TemporaryFileError
        If the disk refuses the copy: that is no fault of the poster.
    RemoteError
        If the server of a URL does not answer.

    Examples
    --------
    >>> read_stored(RowReference("no-such-file.parquet", "image", 0))
    'file not found'
    """
    try:
        if isinstance(reference, MemberReference):
            data = read_member(reference, hold)
            return data or "the file is empty"
        return _read_row(reference, hold) or "the row holds no image"
    except FileNotFoundError:
        return "file not found"
    except ImportError:
        return "cannot be read: Parquet needs pyarrow (pip install 'hybrid-posters[parquet]')"
    except (OSError, ValueError, LookupError, NotImplementedError) as error:
        return f"cannot be read: {error}"


def is_stored(reference: Reference) -> bool:
    """Whether an image is there within another file; of a Parquet file only the file is looked for.

    Examples
    --------
    >>> is_stored(MemberReference("no-such-file.tar", "1.jpg"))
    False
    """
    if isinstance(reference, MemberReference):
        return has_member(reference)
    return Path(reference.file).is_file()


def is_image(kind: Any) -> bool:
    """Whether an Arrow type is that of Hugging Face's images: a struct of ``bytes`` and ``path``."""
    import pyarrow.types as types

    kind = getattr(kind, "storage_type", kind)
    names = {kind.field(i).name for i in range(kind.num_fields)} if types.is_struct(kind) else set()
    return names == {"bytes", "path"}


def is_bytes(kind: Any) -> bool:
    """Whether an Arrow type is that of bytes."""
    import pyarrow.types as types

    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    )


def _only_column(schema: Any) -> str:
    """The column of images of a Parquet file; of bytes, where it has none of images."""
    for test in (is_image, is_bytes):
        names = [field.name for field in schema if test(field.type)]
        if len(names) > 1:
            raise LookupError(
                f"its columns {', '.join(names)} hold images; name one: FILE#COLUMN#ROW"
            )
        if names:
            return str(names[0])
    raise LookupError("no column of it holds images")


def _read_row(reference: RowReference, hold: Callable[[int], object]) -> bytes:
    images = _open(reference.file, reference.column, _stamp(reference.file), os.getpid())
    start, size = images.find(reference.row)
    if size > IMAGE.limit:
        raise ValueError(f"the image is larger than {IMAGE.limit // 2**20} MiB")
    hold(size)
    return os.pread(images.copy.fileno(), size, start)


def _stamp(file: str) -> tuple[Any, ...]:
    """Tells a file from what it was, and from one in its place."""
    if url := remote_url(file):
        return status(url)
    found = Path(file).stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache(maxsize=FILES)
def _open(file: str, column: str, stamp: tuple[Any, ...], process: int) -> _StoredImages:
    """The images of a file as it is now; a process that another one forked opens its own."""
    return _StoredImages(file, column)


class _StoredImages:
    """The images of one column of a Parquet file."""

    def __init__(self, file: str, column: str) -> None:
        content: Any = (
            open_file(file, CATALOGUE) if remote_url(file) else checked(Path(file), CATALOGUE)
        )
        if file.lower().endswith(".gz"):
            with open_file(file, CATALOGUE) as packed, unpack(packed, file) as unpacked:
                content = io.BytesIO(unpacked.read())
        self.file = open_parquet(content, file)
        self.column = column or _only_column(self.file.schema_arrow)
        if self.column not in self.file.schema_arrow.names:
            raise LookupError(f"no column {self.column!r}")
        metadata = self.file.metadata
        rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self.starts = [0, *accumulate(rows)]
        self.places: dict[int, list[tuple[int, int]]] = {}
        with writing_temporary_file():
            # Without a buffer, which a full disk would refuse once more when it is closed.
            self.copy = tempfile.TemporaryFile(prefix="hybrid-images-", buffering=0)  # noqa: SIM115
        self.size = 0
        weakref.finalize(self, self.copy.close)  # with this object, once no thread reads it
        self.guard = threading.Lock()  # else every thread would read the same row group

    def find(self, row: int) -> tuple[int, int]:
        """Where the bytes of a row's image are in the copy, and how many; 0 where it has none."""
        group = bisect_right(self.starts, row) - 1
        if not 0 <= group < len(self.starts) - 1:
            raise LookupError(f"no row {row + 1} in a file of {self.starts[-1]}")
        with self.guard:
            if group not in self.places:
                self.places[group] = self._copy(group)
        return self.places[group][row - self.starts[group]]

    def _copy(self, group: int) -> list[tuple[int, int]]:
        """Copy the images of a row group: the place of each in the copy, and its size."""
        places = []
        for batch in self.file.iter_batches(BATCH, row_groups=[group], columns=[self.column]):
            images = batch.column(self.column)
            while hasattr(images, "storage"):  # of an extension type
                images = images.storage
            for image in images.field("bytes") if hasattr(images, "field") else images:
                data = image.as_buffer() if image.is_valid else b""
                places.append((self.size, len(data)))
                self._append(memoryview(data))
        return places

    def _append(self, data: memoryview) -> None:
        """Write bytes behind what is in the copy."""
        while data:
            with writing_temporary_file():
                done = os.pwrite(self.copy.fileno(), data, self.size)
            self.size, data = self.size + done, data[done:]
