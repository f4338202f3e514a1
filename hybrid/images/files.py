"""Files of posters: their bytes, their content keys, and what comes of those of one item."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from hybrid.images.decode import BadPoster, decode_poster
from hybrid.images.memory import FILES
from hybrid.images.picture import Pixels
from hybrid.images.references import MemberReference, file_of, parse_reference
from hybrid.images.stored import is_stored, read_stored
from hybrid.remote.address import remote_url
from hybrid.remote.objects import Listings, read_whole
from hybrid.utils.reading import IMAGE, FileKind, UnusableFileError, read_bytes

MAX_BYTES = IMAGE.limit

Decoded = TypeVar("Decoded")


def read_poster(path: str | Path) -> bytes | BadPoster:
    """Read the bytes of a poster: a file of at most 256 MiB, or an image that another file holds.

    Parameters
    ----------
    path : str or Path
        Of a regular file, or a URL; or a reference to a member of a tar file, or to a row of a Parquet file,
        that is there (`hybrid.images.references`).

    Returns
    -------
    bytes or BadPoster

    Raises
    ------
    RemoteError
        If the server of a URL does not answer: that is no fault of the poster.

    Examples
    --------
    >>> read_poster("no-such-file.jpg")
    BadPoster(reason='file not found')
    """
    return _read(Path(path), bool)


@contextlib.contextmanager
def held_poster(path: str | Path) -> Iterator[bytes | BadPoster]:
    """Read the bytes of a poster file, of which all threads together have a limited amount at a time.

    A thread waits until there is room for them, and gives it back at the end of the block.

    Parameters
    ----------
    path : str or Path
        As for `read_poster`; ``""`` stands for an item without a poster.

    Yields
    ------
    bytes or BadPoster

    Examples
    --------
    >>> with held_poster("") as data:
    ...     data
    BadPoster(reason='no poster named')
    """
    if not path:
        yield BadPoster("no poster named")
        return
    with contextlib.ExitStack() as room:
        yield _read(Path(path), lambda size: room.enter_context(FILES.reserve(size)))


def _read(path: Path, hold: Callable[[int], object]) -> bytes | BadPoster:
    """Read the bytes of a poster; `hold` is called with their number before."""
    reference, url = parse_reference(str(path)), remote_url(path)
    if reference is not None and (url or os.path.lexists(reference.file)):
        found = read_stored(reference, hold)
        return BadPoster(found) if isinstance(found, str) else found
    try:
        if url:
            data = read_whole(url, MAX_BYTES, hold)
        else:
            hold(min(path.stat().st_size, MAX_BYTES))
            data = read_bytes(path, FileKind(IMAGE.name, MAX_BYTES))
    except FileNotFoundError:
        in_tar = isinstance(reference, MemberReference)
        return BadPoster("tar file not found" if in_tar else "file not found")
    except (OSError, ValueError) as error:
        return BadPoster(_reason(error))
    return data or BadPoster("the file is empty")


def _reason(error: OSError | ValueError) -> str:
    code = getattr(error, "errno", None)
    if code == errno.EFBIG:
        return f"the file is larger than {MAX_BYTES // 2**20} MiB"
    if isinstance(error, UnusableFileError):
        return "is a folder, not a file" if code == errno.EISDIR else "is not a regular file"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def is_there(path: str, listings: Listings | None = None) -> bool:
    """Whether a poster is a file, or an image that another file holds; it is not read.

    Parameters
    ----------
    path : str
        As for `read_poster`. Of a tar file at a URL only the file is looked for.
    listings : Listings, optional
        Of folders at URLs, for many posters.

    Examples
    --------
    >>> is_there("no-such-file.jpg")
    False
    """
    if url := remote_url(file_of(path)):
        return (listings or Listings()).find(url) is not None
    reference = parse_reference(path)
    return (reference is not None and is_stored(reference)) or Path(path).is_file()


def poster_key(data: bytes) -> bytes:
    """Content key of a poster in the cache: SHA-256 of its bytes, 32 bytes.

    Examples
    --------
    >>> poster_key(b"").hex()[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).digest()


def hash_poster(path: str) -> bytes | BadPoster:
    """Content key of a poster file.

    Parameters
    ----------
    path : str
        ``""`` stands for an item without a poster.

    Returns
    -------
    bytes or BadPoster
        32 bytes, or why the file cannot be read.

    Examples
    --------
    >>> hash_poster("")
    BadPoster(reason='no poster named')
    """
    with held_poster(path) as data:
        return data if isinstance(data, BadPoster) else poster_key(data)


def load_poster(path: str, size: tuple[int, int], fit: str = "squash") -> Pixels | BadPoster:
    """Read and decode a poster file.

    Parameters
    ----------
    path : str
        ``""`` stands for an item without a poster.
    size, fit
        As in `decode_poster`.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, RGB; or BadPoster

    Examples
    --------
    >>> load_poster("no-such-file.jpg", (224, 224))
    BadPoster(reason='file not found')
    """
    with held_poster(path) as data:
        return data if isinstance(data, BadPoster) else decode_poster(data, size, fit)


def first_good(
    paths: Iterable[str], use: Callable[[str], Decoded | BadPoster]
) -> Decoded | BadPoster:
    """What comes of the first poster of an item that is good.

    Parameters
    ----------
    paths : iterable of str
        The poster files of the item.
    use : callable
        Takes a path; what it returns is good unless it is a `BadPoster`.

    Returns
    -------
    object or BadPoster
        Why the first is bad, where all are.

    Examples
    --------
    >>> first_good(["no-such-file.jpg", ""], lambda path: load_poster(path, (8, 8)))
    BadPoster(reason='file not found')
    """
    worst = None
    for path in paths:
        found = use(path)
        if not isinstance(found, BadPoster):
            return found
        worst = worst or found
    return worst or BadPoster("no poster named")
