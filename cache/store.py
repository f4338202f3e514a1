"""The embeddings of one fingerprint: read and append. See FORMAT.md."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.cache.config import REMEDY, StoreConfig, check_layout, read_config
from hybrid.cache.contents import Contents, View, in_threads, list_files
from hybrid.cache.costs import EmbeddingCost, RowCosts, sum_costs
from hybrid.cache.failures import Failure, pack_failures
from hybrid.cache.parts import PART_ROWS, Layout, write_part
from hybrid.cache.quarantine import write_over
from hybrid.cache.remote import FRESH_SECONDS, cache_of, pull
from hybrid.cache.row_reader import RowReader, find_keys
from hybrid.errors import CacheError
from hybrid.utils.counts import counted
from hybrid.utils.key_index import KEY_BYTES, Keys, are_named, key_array, sort_keys

INFINITY_BITS = 0x7C00  # of float16; what is not a number lies above


class EmbeddingStore:
    """The embeddings of one fingerprint: a map from content keys to vectors.

    The disk is read when it is first needed, and again by `refresh`; rows that were appended through this
    object are found at once.

    Parameters
    ----------
    folder : Path
        ``<cache>/<fingerprint>``.
    known : mapping, optional
        What it stands for, where that is known: its config.json is not read then, and need not be there.
    only_append : bool, default=False
        See `hybrid.cache.folder.EmbeddingCache.find`.

    Raises
    ------
    CacheError
        If its config.json cannot be read, or is damaged (`hybrid.cache.config.DamagedConfigError`).

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.cache import EmbeddingCache
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = EmbeddingCache(folder.name).make({"architecture": "test", "dimension": 2})
    >>> key = hashlib.sha256(b"the bytes of a poster").digest()
    >>> store.append([key], np.array([[0.5, 1.0]]))
    >>> len(store), key in store
    (1, True)
    >>> store.read([key, None]).tolist()
    [[0.5, 1.0], [nan, nan]]
    >>> folder.cleanup()
    """

    def __init__(
        self, folder: Path, known: Mapping[str, Any] | None = None, only_append: bool = False
    ) -> None:
        self.folder = folder
        self._only_append = only_append
        self.fingerprint = folder.name
        config = read_config(folder) if known is None else StoreConfig(dict(known), {})
        if config.problem:
            warnings.warn(
                f"config.json in {folder} was damaged ({config.problem}), and is not used. {REMEDY}",
                stacklevel=2,
            )
        self.stands_for = config.stands_for
        self.recorded = config.recorded
        self.dimension, self.dtype = check_layout(folder, self.stands_for)

    @cached_property
    def contents(self) -> Contents:
        """The contents of the store on the disk."""
        self._pull(FRESH_SECONDS)
        return Contents(self.folder, Layout(self.fingerprint, self.dimension, self.dtype))

    @property
    def view(self) -> View:
        """The contents as they were last read."""
        return self.contents.view

    @property
    def cache(self) -> str:
        """The cache that it lies in, as a user names it: a folder, or a URL."""
        return cache_of(self.folder)

    def refresh(self, max_age: float = FRESH_SECONDS) -> None:
        """Read what other processes have added since the disk was last read.

        Parameters
        ----------
        max_age : float, default=10.0
            Of a cache at a URL: seconds for which an earlier listing counts.
        """
        self._pull(max_age)
        self.contents.refresh()

    def _pull(self, max_age: float) -> None:
        if not self._only_append:
            pull(self.folder, max_age)

    def verify(self, keys: Sequence[bytes | None]) -> None:
        """Verify the hashes of the parts with these keys; damaged ones go to quarantine, with a warning.

        Parameters
        ----------
        keys : sequence of bytes or None
        """
        names: set[str] = set()
        for index in self.view.indexes:
            place = index.find(key_array(keys))
            numbers = np.unique(index.part[place[place >= 0]])
            names |= {index.parts[number] for number in numbers}
        self.contents.verify_parts(names)

    def __len__(self) -> int:
        return sum(len(index) for index in self.view.indexes)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and len(key) == KEY_BYTES and bool(self.has([key])[0])

    def has(self, keys: Sequence[bytes | None]) -> NDArray[np.bool_]:
        """Tell which keys have an embedding.

        Parameters
        ----------
        keys : sequence of n keys of 32 bytes, or None

        Returns
        -------
        ndarray of shape (n,), bool
        """
        return find_keys(self.view, key_array(keys), are_named(keys))

    def knows(self, keys: Sequence[bytes | None]) -> NDArray[np.bool_]:
        """Tell which keys have an embedding or a known failure.

        Parameters
        ----------
        keys : sequence of n keys of 32 bytes, or None

        Returns
        -------
        ndarray of shape (n,), bool
        """
        found, failed = self.has(keys), self.view.failed
        if failed:
            found |= np.fromiter((k in failed for k in keys), bool, len(keys))
        return found

    def failures(self) -> dict[bytes, str]:
        """List the images that cannot be embedded: key → the latest reason."""
        failed = self.view.failed
        embedded = self.has(list(failed)).tolist()
        pairs = zip(failed.items(), embedded, strict=True)
        return {key: failure.reason for (key, failure), known in pairs if not known}

    def digest(self) -> str:
        """SHA-256 of the fingerprint and the sorted keys, whichever parts hold them."""
        digest = hashlib.sha256(bytes.fromhex(self.fingerprint))
        digest.update(np.ascontiguousarray(self.view.index.keys).data)
        return digest.hexdigest()

    def bytes_on_disk(self) -> int:
        """Size of all parts in bytes, with those that `gc` will remove."""
        total = 0
        for name in list_files(self.folder / "parts"):
            with contextlib.suppress(FileNotFoundError):  # removed by another process
                total += os.lstat(self.folder / "parts" / name).st_size
        return total

    def read(self, keys: Sequence[bytes | None]) -> NDArray[np.float32]:
        """Read embeddings by key.

        Parameters
        ----------
        keys : sequence of n keys of 32 bytes, or None
            None stands for an item without a usable poster.

        Returns
        -------
        ndarray of shape (n, D), float32
            Rows of NaN where the store holds nothing for the key.

        Raises
        ------
        CacheError
            If a part turns out to be damaged or cannot be read.
        """
        return RowReader(self.contents).read(keys, self.dimension)

    def storage_order(self, keys: Sequence[bytes | None]) -> NDArray[np.int64]:
        """Order in which keys lie on the disk: rows that are read in it are read part by part.

        Parameters
        ----------
        keys : sequence of n keys of 32 bytes, or None

        Returns
        -------
        ndarray of shape (n,), int64
            A permutation; keys without an embedding come last.

        Examples
        --------
        >>> import tempfile
        >>> from hybrid.cache import EmbeddingCache
        >>> folder = tempfile.TemporaryDirectory()
        >>> store = EmbeddingCache(folder.name).make({"dimension": 1})
        >>> store.append([b"b" * 32, b"a" * 32], np.array([[1.0], [2.0]]))
        >>> store.storage_order([None, b"a" * 32, b"b" * 32]).tolist()
        [2, 1, 0]
        >>> folder.cleanup()
        """
        return RowReader(self.contents).storage_order(keys)

    def row_costs(self, keys: Sequence[bytes | None]) -> RowCosts:
        """Read what embeddings cost when they were made, key by key.

        Parameters
        ----------
        keys : sequence of n keys of 32 bytes, or None

        Returns
        -------
        RowCosts
            Of n rows; not known where the store holds nothing for the key, or no cost.

        Raises
        ------
        CacheError
            As for `read`.
        """
        return RowReader(self.contents).read_costs(keys)

    def cost(self, keys: Sequence[bytes]) -> EmbeddingCost:
        """Sum what the embeddings of some keys cost when they were made.

        Parameters
        ----------
        keys : sequence of n keys of 32 bytes
            Those without an embedding are left out; one that is there twice counts once.

        Returns
        -------
        EmbeddingCost

        Raises
        ------
        CacheError
            As for `read`.
        """
        once = list(dict.fromkeys(keys))
        there = [key for key, has in zip(once, self.has(once).tolist(), strict=True) if has]
        return sum_costs(self.row_costs(there))

    def append(
        self,
        keys: Sequence[bytes],
        embeddings: NDArray[np.floating],
        costs: RowCosts | None = None,
    ) -> None:
        """Write embeddings, in parts; when this returns, they are on the disk.

        Keys that the store has already are left out.

        Parameters
        ----------
        keys : sequence of n keys of 32 bytes
        embeddings : ndarray of shape (n, D), float, finite
        costs : RowCosts, optional
            What each of the n embeddings cost; by default not known.

        Raises
        ------
        CacheError
            If shapes or values are wrong: then nothing is written. Or if the disk refuses: parts that
            were written before are kept, and the message says how many rows are safe.
        """
        self._check(keys, embeddings)
        array = key_array(keys)
        order, again = sort_keys(array)
        new = ~self.has(keys)
        new[order[again]] = False
        rows = np.flatnonzero(new)
        blocks = [rows[start : start + PART_ROWS] for start in range(0, len(rows), PART_ROWS)]
        written = in_threads(
            lambda block: self._write_part(array, embeddings, costs, block), blocks
        )
        self.contents.add([part for part in written if not isinstance(part, OSError)])
        for part in written:
            if isinstance(part, OSError):
                raise self._write_error(part) from part

    def _write_part(
        self,
        keys: Keys,
        embeddings: NDArray[np.floating],
        costs: RowCosts | None,
        rows: NDArray[np.int64],
    ) -> tuple[str, Keys] | OSError:
        """Name and keys of a part that was written, or why the disk refused it."""
        gapless = rows[-1] - rows[0] == len(rows) - 1
        chosen: Any = slice(rows[0], rows[-1] + 1) if gapless else rows  # a slice is no copy
        stored = embeddings[chosen].astype(self.dtype, copy=False)
        try:
            name = write_part(
                self.folder / "parts",
                self.contents.layout,
                keys[chosen],
                stored,
                None if costs is None else costs.take(chosen),
            )
        except OSError as error:
            return error
        return name, keys[chosen]

    def _check(self, keys: Sequence[bytes], embeddings: NDArray[np.floating]) -> None:
        """Raise where shapes or values are wrong."""
        if embeddings.shape != (len(keys), self.dimension) or {len(k) for k in keys} - {KEY_BYTES}:
            raise CacheError(
                f"expected {counted(len(keys), 'key')} of {KEY_BYTES} bytes and embeddings of shape "
                f"({len(keys)}, {self.dimension}), found {embeddings.shape}."
            )
        limit = np.finfo(self.dtype).max
        blocks = [embeddings[i : i + PART_ROWS] for i in range(0, len(keys), PART_ROWS)]
        if all(in_threads(lambda block: _is_within(block, limit), blocks)):
            return
        wrong = int((~np.isfinite(embeddings)).sum())
        if wrong:
            raise CacheError(
                f"expected finite embeddings, found {counted(wrong, 'value that is', 'values that are')} "
                "not; nothing was written. Are the weights the right ones for this backbone?"
            )
        raise CacheError(
            f"expected embeddings within {limit:g}, the range of {self.dtype}; found "
            f"{counted(int((np.abs(embeddings) > limit).sum()), 'value')} beyond; nothing was written. Use "
            "--dtype float32."
        )

    def append_failures(self, reasons: Mapping[bytes, str]) -> None:
        """Record images that cannot be embedded.

        Parameters
        ----------
        reasons : mapping of bytes to str
            Key → reason.

        Raises
        ------
        CacheError
            If the disk refuses.
        """
        failed = self.view.failed
        new = {k: r for k, r in reasons.items() if k not in failed or failed[k].reason != r}
        if not new:
            return
        now = time.time()
        name, data = pack_failures(new, now)
        try:
            write_over(self.folder / "failed" / name, data, self.folder)
        except OSError as error:
            raise self._write_error(error) from error
        self.contents.add_failures({key: Failure(reason, now) for key, reason in new.items()})

    def _write_error(self, error: OSError) -> CacheError:
        return CacheError(
            f"cannot write to the cache {self.folder.parent}: {error.strerror}. "
            f"{counted(len(self), 'embedding is', 'embeddings are')} safe there; make room and run the "
            "command again to go on."
        )


def _is_within(values: NDArray[np.floating], limit: np.floating) -> bool:
    """Tell whether all values are numbers between -limit and limit, several times faster than one by one."""
    if values.dtype == np.float16:
        # float16 compares slowly; without the sign, its bits sort as its values.
        return bool((values.view(np.uint16) & 0x7FFF).max() < INFINITY_BITS)
    return bool(-limit <= values.min() and values.max() <= limit)
