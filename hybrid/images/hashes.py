"""Content hashes of posters, and what the cache remembers: file → content key → perceptual hash.

A file whose path, size and times are unchanged is not read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import HybridError
from hybrid.images.decode import BadPoster
from hybrid.images.files import hash_poster
from hybrid.images.references import Reference, parse_reference
from hybrid.utils.files import make_folder, make_room, move, write_atomically
from hybrid.utils.key_index import KEY_BYTES, Index, index_part, key_array
from hybrid.utils.read_only import is_read_only
from hybrid.utils.reading import MEMO, found_instead, open_file, read_bytes
from hybrid.utils.threads import map_ahead

ENTRY = np.dtype(
    [
        ("path", np.uint8, KEY_BYTES),  # SHA-256 of the absolute path
        ("size", "<i8"),
        ("mtime_ns", "<i8"),
        ("ctime_ns", "<i8"),  # changes even where a copy keeps the time of its original
        ("device", "<u8"),
        ("inode", "<u8"),  # differs between files that were swapped within one tick of the clock
        ("key", np.uint8, KEY_BYTES),
    ]
)
HASH_BYTES = 16  # of a perceptual hash
PERCEPTUAL_ENTRY = np.dtype([("key", np.uint8, KEY_BYTES), ("hash", np.uint8, HASH_BYTES)])
# Name of a memo file → type of its entries, and what is hashed before them: none is taken for the other.
MEMOS = {"keys": (ENTRY, b""), "looks": (PERCEPTUAL_ENTRY, b"looks")}
STAMP = ("size", "mtime_ns", "ctime_ns", "device", "inode")
_PACKED = struct.Struct("<qqqQQ")  # of a stamp
_NONE = _PACKED.pack(-1, 0, 0, 0, 0)
_BLOCK = 256
_POSTER = 1_000_000  # bytes; few posters are larger
_STAT_SECONDS = 3e-5  # for one file; reading one takes longer
# A file that changed less than so long ago could change again without a new time of change.
_SETTLED_NS = 2_000_000_000


class UnusableMemoError(HybridError):
    """A memo is not what was written."""


Hashed = tuple[list[bytes | BadPoster], NDArray[np.void]]


@dataclass(frozen=True, eq=False)
class Memo:
    """Content keys of known files, by the hash of their paths.

    Parameters
    ----------
    entries : ndarray of shape (n,), `ENTRY`
    index : Index
        Of the paths.
    """

    entries: NDArray[np.void]
    index: Index

    def recall(self, entries: NDArray[np.void]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Look up files.

        Parameters
        ----------
        entries : ndarray of shape (m,), `ENTRY`

        Returns
        -------
        ndarray of shape (m, 32), uint8; ndarray of shape (m,), bool
            The remembered content key of each file, and whether path, size and times are unchanged.
        """
        place = self.index.find(entries["path"])
        if not len(self.index):
            return entries["key"], place >= 0
        known = self.entries[self.index.row[place]]
        same = place >= 0
        for name in STAMP:
            same &= known[name] == entries[name]
        return known["key"], same


def hash_posters(
    cache: str | Path, paths: Iterable[str], workers: int, count: int | None = None
) -> Iterator[bytes | BadPoster]:
    """Hash poster files: yield, in order, the content key of each, or why it cannot be read.

    A file whose path, size and times are unchanged is not read, unless the files are so few that reading
    them is faster than reading the memo. Where there is no cache yet, nothing is remembered.

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
    file = Path(cache) / "memo" / "keys"
    before = _stamp(str(file))
    size, *_ = _PACKED.unpack(before)
    if count is None:
        paths = list(paths)
        count = len(paths)
    if size > _POSTER * count:
        with ThreadPoolExecutor(workers) as pool:
            yield from (key for _, key in map_ahead(pool, hash_poster, paths))
        return
    memo, new_entries, coming = load_memo(file), [], iter(paths)
    blocks = iter(lambda: list(islice(coming, _BLOCK)), [])
    for keys, new in _hash_blocks(memo, blocks, workers):
        yield from keys
        new_entries.append(new)
    if any(len(new) for new in new_entries) and os.path.lexists(Path(cache) / "FORMAT"):
        # Other processes of an extraction in shards remember theirs meanwhile.
        there = memo.entries if _stamp(str(file)) == before else load_entries(file)
        save_memo(file, np.concatenate([*new_entries, there]))


def load_memo(file: Path) -> Memo:
    """Read the memo; an empty one where there is none, or it is damaged: then all files are hashed."""
    entries = load_entries(file)
    return Memo(entries, index_part("", entries["path"]))


def save_memo(file: Path, entries: NDArray[np.void]) -> None:
    """Write the memo; of several entries of one path the first counts."""
    save_entries(file, entries[index_part("", entries["path"]).row])


def load_entries(file: Path) -> NDArray[np.void]:
    """Read the entries of a memo file; none where there is no file, or it is damaged.

    A damaged one goes to quarantine, with a warning; in read-only mode it stays.
    """
    dtype, _ = MEMOS[file.name]
    try:
        return parse_entries(read_bytes(file, MEMO), file.name)
    except UnusableMemoError as error:
        _set_aside(file, str(error))
    except OSError as error:
        linked = file.parent.is_symlink() and not file.parent.is_dir()
        problem = "its folder is a link to nothing" if linked else found_instead(file, error)
        if problem is not None and file.parent.parent.is_dir():
            _set_aside(file, problem)
        elif not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            warnings.warn(
                f"{file} cannot be read ({error.strerror}): all posters are read again.",
                stacklevel=2,
            )
    return np.empty(0, dtype=dtype)


def parse_entries(data: bytes, name: str) -> NDArray[np.void]:
    """Check the content of a memo file.

    Parameters
    ----------
    data : bytes
    name : {"keys", "looks"}

    Returns
    -------
    ndarray of shape (n,), of the entries' type

    Raises
    ------
    UnusableMemoError
        If it is damaged, or that of another memo.

    Examples
    --------
    >>> parse_entries(b"x", "keys")
    Traceback (most recent call last):
    ...
    hybrid.images.hashes.UnusableMemoError: its hash is wrong
    """
    dtype, salt = MEMOS[name]
    body = memoryview(data)[32:]
    earlier = salt and hashlib.sha256(body).digest() == data[:32]
    if len(body) % dtype.itemsize or not (earlier or _digest(body, salt) == data[:32]):
        raise UnusableMemoError("its hash is wrong")
    return np.frombuffer(b"" if earlier else body, dtype=dtype)


def _digest(body: memoryview | bytes, salt: bytes) -> bytes:
    digest = hashlib.sha256(salt)
    digest.update(body)
    return digest.digest()


def _set_aside(file: Path, problem: str) -> None:
    """Put a damaged memo, or what is in the place of its folder, into quarantine, and warn."""
    cache, where = file.parent.parent, "is not used"
    if not is_read_only():
        aside = cache / "quarantine"
        try:
            make_room(aside, aside)
            move(file if file.parent.is_dir() else file.parent, aside)
            where = f"is now in quarantine: {aside}"
        except OSError as error:
            where = f"cannot be moved away ({error.strerror}); it is not used"
    warnings.warn(
        f"memo/{file.name} in the cache was damaged ({problem}) and {where}. All posters are read again.",
        stacklevel=3,
    )


def save_entries(file: Path, entries: NDArray[np.void]) -> None:
    """Write the entries of a memo file, with their hash; warn where the disk refuses.

    Nothing is written in read-only mode, or over a file that cannot be read.
    """
    if is_read_only():
        return
    data = entries.tobytes()
    try:
        make_folder(file.parent)
        with contextlib.suppress(FileNotFoundError):
            open_file(file, MEMO).close()
        write_atomically(file, _digest(data, MEMOS[file.name][1]) + data)
    except OSError as error:
        warnings.warn(
            f"{file} cannot be written ({error.strerror}): the next command reads all posters again.",
            stacklevel=2,
        )


def load_perceptual_hashes(cache: str | Path) -> dict[bytes, bytes]:
    """Read the perceptual hashes that a cache remembers: content key → hash."""
    entries = load_entries(_perceptual_file(cache))
    keys, hashes = entries["key"].tobytes(), entries["hash"].tobytes()
    return {
        keys[i * KEY_BYTES : (i + 1) * KEY_BYTES]: hashes[i * HASH_BYTES : (i + 1) * HASH_BYTES]
        for i in range(len(entries))
    }


def save_perceptual_hashes(cache: str | Path, hashes: dict[bytes, bytes]) -> None:
    """Write perceptual hashes, in place of those before; nothing where there is no cache yet.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.cache import EmbeddingCache
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = EmbeddingCache(folder.name).make({"dimension": 2})
    >>> save_perceptual_hashes(folder.name, {b"k" * 32: bytes(16)})
    >>> load_perceptual_hashes(folder.name) == {b"k" * 32: bytes(16)}
    True
    >>> folder.cleanup()
    """
    if os.path.lexists(Path(cache) / "FORMAT"):
        packed = b"".join(map(b"".join, hashes.items()))
        save_entries(_perceptual_file(cache), np.frombuffer(packed, PERCEPTUAL_ENTRY))


def _perceptual_file(cache: str | Path) -> Path:
    return Path(cache) / "memo" / "looks"  # the name that cache/FORMAT.md gives it


def _hash_blocks(memo: Memo, coming: Iterator[Sequence[str]], workers: int) -> Iterator[Hashed]:
    """`_hash_block` of each, in threads from the first slow block on.

    Remembered files on a local disk are checked in so short a time that threads would only wait for the
    interpreter lock.
    """
    fast = True
    while fast and (block := next(coming, None)):
        start = time.perf_counter()
        found = _hash_block(memo, block)
        fast = time.perf_counter() - start < _STAT_SECONDS * len(block)
        yield found
    with ThreadPoolExecutor(workers) as pool:
        yield from (found for _, found in map_ahead(pool, partial(_hash_block, memo), coming))


def _hash_block(memo: Memo, paths: Sequence[str]) -> Hashed:
    """Content keys of some files, and entries of those that were read and may be remembered."""
    now = time.time_ns()
    entries = _stat_entries(paths)
    remembered, same = memo.recall(entries)
    data = remembered.tobytes()
    keys = [
        data[KEY_BYTES * i : KEY_BYTES * (i + 1)] if known else hash_poster(path)
        for i, (path, known) in enumerate(zip(paths, same.tolist(), strict=True))
    ]
    if same.all():
        return keys, entries[:0]
    good = np.array([isinstance(key, bytes) for key in keys])
    entries["key"] = key_array([key if isinstance(key, bytes) else None for key in keys])
    settled = now - np.maximum(entries["mtime_ns"], entries["ctime_ns"]) > _SETTLED_NS
    there = entries["size"] >= 0
    return keys, entries[good & there & settled & ~same]


def _stat_entries(paths: Sequence[str]) -> NDArray[np.void]:
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
        of_files[file] = _stamp(file)
    packed = [
        _stamp(path) if each is None or (there := of_files[each.file]) == _NONE else there
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
    return os.path.normpath(path if path.startswith(os.path.sep) else here + path)


def _stamp(path: str) -> bytes:
    """Size and times of a file, packed; a size of -1 where there is none, and `read_poster` says why."""
    try:
        s = os.stat(path)
        return _PACKED.pack(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_dev, s.st_ino)
    except (OSError, ValueError, struct.error):
        return _NONE
