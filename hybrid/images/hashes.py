"""Content hashes of posters; a file whose path, size and times are unchanged is not read again."""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, compress, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.images.decode import BadPoster
from hybrid.images.files import hash_poster
from hybrid.images.memo import ENTRY, STAMP, Memo, load_memo, remember
from hybrid.images.references import Reference, parse_reference
from hybrid.remote.address import remote_url
from hybrid.remote.objects import Listings
from hybrid.utils.key_index import KEY_BYTES, key_array
from hybrid.utils.local_copy import local_copy
from hybrid.utils.read_only import is_read_only
from hybrid.utils.threads import map_ahead

_PACKED = struct.Struct("<qqqQQ")  # of a stamp
_NONE = _PACKED.pack(-1, 0, 0, 0, 0)
_TAG = struct.Struct("<QQ")  # of the tag of a file at a URL, in the place of device and inode
_BLOCK = 256
_POSTER = 1_000_000  # bytes; few posters are larger
_STAT_SECONDS = 3e-5  # for one file; reading one takes longer
# A file that changed less than so long ago could change again without a new time of change.
_SETTLED_NS = 2_000_000_000
_REQUESTS = 16  # threads that read posters at URLs, where there are fewer workers: they wait most of the time


Hashed = tuple[list[bytes | BadPoster], NDArray[np.void]]


def hash_posters(
    cache: str | Path, paths: Iterable[str], workers: int, count: int | None = None
) -> Iterator[bytes | BadPoster]:
    """Hash poster files: yield, in order, the content key of each, or why it cannot be read.

    A file whose path, size and times are unchanged is not read, nor one at a URL whose size and tag are,
    unless the files are so few that reading them is faster than reading the memo. Where there is no cache
    yet, nothing is remembered.

    Parameters
    ----------
    cache : str or Path
        Folder of the cache.
    paths : iterable of n str
        ``""`` stands for an item without a poster. It is read as far as is yielded, and a little further.
    workers : int
        Number of threads.
    count : int, optional
        The number n, which an iterator does not tell.

    Yields
    ------
    bytes or BadPoster

    Examples
    --------
    >>> list(hash_posters("no-cache", [""], workers=1))
    [BadPoster(reason='no poster named')]
    """
    file = local_copy(cache) / "memo" / "keys"
    before = _stamp(str(file))
    size, *_ = _PACKED.unpack(before)
    if count is None:
        paths = list(paths)
        count = len(paths)
    if size > _POSTER * count:
        with ThreadPoolExecutor(workers) as pool:
            yield from (key for _, key in map_ahead(pool, hash_poster, paths))
        return
    memo, new_entries, coming = load_memo(file), list[NDArray[np.void]](), iter(paths)
    remembers = not is_read_only()
    blocks = iter(lambda: list(islice(coming, _BLOCK)), [])
    try:
        for keys, new in _hash_blocks(memo, blocks, workers):
            yield from keys
            new_entries += [new] if remembers else []
    finally:  # also where a server went away after hours
        if any(len(new) for new in new_entries):
            unchanged = _stamp(str(file)) == before
            remember(file, np.concatenate(new_entries), memo if unchanged else None)


def _hash_blocks(memo: Memo, coming: Iterator[Sequence[str]], workers: int) -> Iterator[Hashed]:
    """`_hash_block` of each, in threads from the first slow block on.

    Remembered files on a local disk are checked in so short a time that threads would only wait for the
    interpreter lock.
    """
    fast, listings = True, Listings()
    while fast and (block := next(coming, None)):
        if any(map(remote_url, block)):
            workers, coming = max(workers, _REQUESTS), chain([block], coming)
            break
        start = time.perf_counter()
        found = _hash_block(memo, listings, block)
        fast = time.perf_counter() - start < _STAT_SECONDS * len(block)
        yield found
    hashed = partial(_hash_block, memo, listings)
    with ThreadPoolExecutor(workers) as pool:
        yield from (found for _, found in map_ahead(pool, hashed, coming))


def _hash_block(memo: Memo, listings: Listings, paths: Sequence[str]) -> Hashed:
    """Content keys of some files, and entries of those that were read and may be remembered."""
    now = time.time_ns()
    remembered, same, entries = look_up(memo, paths, listings)
    keys = [
        key if known else hash_poster(path)
        for path, key, known in zip(paths, remembered, same.tolist(), strict=True)
    ]
    if same.all():
        return keys, entries[:0]
    return keys, rememberable(entries[~same], list(compress(keys, (~same).tolist())), now)


def look_up(
    memo: Memo, paths: Sequence[str], listings: Listings | None = None
) -> tuple[list[bytes], NDArray[np.bool_], NDArray[np.void]]:
    """Look at some files, and look them up.

    Parameters
    ----------
    memo : Memo
    paths : sequence of n str
    listings : Listings, optional
        Of folders at URLs, for several calls.

    Returns
    -------
    keys : list of n bytes
        What is remembered; of no meaning for the others.
    same : ndarray of shape (n,), bool
        Whether path, size and times are unchanged; at a URL, its size and tag.
    entries : ndarray of shape (n,), `ENTRY`
        The files as they are, without keys.
    """
    entries = _stat_entries(paths, listings or Listings())
    remembered, same = memo.recall(entries)
    data = remembered.tobytes()
    return [data[KEY_BYTES * i : KEY_BYTES * (i + 1)] for i in range(len(paths))], same, entries


def rememberable(
    entries: NDArray[np.void], keys: Sequence[bytes | BadPoster], now: int
) -> NDArray[np.void]:
    """Those of some entries that may be remembered, with their keys.

    Parameters
    ----------
    entries : ndarray of shape (n,), `ENTRY`
    keys : sequence of n bytes or BadPoster
    now : int
        Nanoseconds since 1970, before the files were read.
    """
    good = np.array([isinstance(key, bytes) for key in keys], dtype=bool)
    found = entries.copy()
    found["key"] = key_array([key if isinstance(key, bytes) else None for key in keys])
    settled = now - np.maximum(found["mtime_ns"], found["ctime_ns"]) > _SETTLED_NS
    return found[good & settled & (found["size"] >= 0)]


def _stat_entries(paths: Sequence[str], listings: Listings) -> NDArray[np.void]:
    """Entries with path, size and times of files; a size of -1 where there is no file."""
    entries = np.zeros(len(paths), dtype=ENTRY)
    # `os.path.abspath` asks for the current folder each time, which takes as long as all else.
    here = os.path.join(os.path.abspath(""), "")
    references = list(map(parse_reference, paths))
    places = map(partial(_place, here), paths, references)
    entries["path"] = key_array(
        [hashlib.sha256(place.encode(errors="surrogatepass")).digest() for place in places]
    )
    of_files: dict[str, bytes] = {}  # a tar file is looked at once, not for each of its members
    for file in {reference.file for reference in references if reference is not None}:
        of_files[file] = _stamp(file, listings)
    packed = [
        _stamp(path, listings) if each is None or (there := of_files[each.file]) == _NONE else there
        for path, each in zip(paths, references, strict=True)
    ]
    stamps = np.frombuffer(b"".join(packed), dtype=[(n, ENTRY[n]) for n in STAMP])
    for name in STAMP:
        entries[name] = stamps[name]
    return entries


def _place(here: str, path: str, reference: Reference | None) -> str:
    """What stands for a path in the memo: absolute, without detours but in the name of a member."""
    if reference is not None:
        return str(reference._replace(file=_place(here, reference.file, None)))
    if url := remote_url(path):
        return url
    return os.path.normpath(path if path.startswith(os.path.sep) else here + path)


def _stamp(path: str, listings: Listings | None = None) -> bytes:
    """Size and times of a file, packed; a size of -1 where there is none, and `read_poster` says why.

    At a URL the tag stands for the times; without one the file is read each time.
    """
    if url := remote_url(path):
        found = (listings or Listings()).find(url)
        if found is None or found.size is None or not found.tag:
            return _NONE
        tag = _TAG.unpack(hashlib.sha256(found.tag.encode()).digest()[: _TAG.size])
        return _PACKED.pack(found.size, 0, 0, *tag)
    try:
        s = os.stat(path)
        return _PACKED.pack(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_dev, s.st_ino)
    except (OSError, ValueError, struct.error):
        return _NONE
