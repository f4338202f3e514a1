"""The embedding cache: immutable HDF5 parts under a fingerprint. See FORMAT.md."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hybrid.errors import CacheError
from hybrid.files import write_atomically

FORMAT = 1
KEY_BYTES = 32


def fingerprint_of(stands_for: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the canonical JSON of what changes an embedding."""
    return hashlib.sha256(_canonical(stands_for)).hexdigest()


class EmbeddingCache:
    """A folder of embedding stores, one for each fingerprint.

    Parameters
    ----------
    folder : str or Path
        Made when the first store is made; need not exist to be read.

    Raises
    ------
    CacheError
        If the folder is not a cache, or of a newer format.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._check_format()

    def _check_format(self) -> None:
        marker = self.folder / "FORMAT"
        try:
            found = json.loads(marker.read_bytes())["format"]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CacheError(
                f'{marker}: expected {{"format": {FORMAT}}}, found: {error}.'
            ) from error
        if type(found) is not int or not 1 <= found <= FORMAT:
            raise CacheError(
                f"{self.folder}: expected a cache of format {FORMAT} or older, found {found!r}. "
                "Update hybrid, or name another folder with --cache."
            )

    def stores(self) -> list[EmbeddingStore]:
        """All stores, by fingerprint."""
        found = sorted(self.folder.glob("*/config.json"))
        return [EmbeddingStore(path.parent) for path in found]

    def find(self, fingerprint: str) -> EmbeddingStore:
        """Open the store of a fingerprint.

        Raises
        ------
        CacheError
            If the cache holds none.
        """
        folder = self.folder / fingerprint
        if not (folder / "config.json").exists():
            raise CacheError(
                f"{self.folder}: expected embeddings under fingerprint {fingerprint[:12]}…, found "
                "none. Make them with hybrid extract, or name their cache with --cache."
            )
        return EmbeddingStore(folder)

    def make(
        self, stands_for: Mapping[str, Any], recorded: Mapping[str, Any] | None = None
    ) -> EmbeddingStore:
        """Open the store of what `stands_for` says; make it where there is none.

        Parameters
        ----------
        stands_for : mapping
            All that changes an embedding; holds at least ``dimension``.
        recorded : mapping, optional
            Library versions and the like, written once, not part of the fingerprint.
        """
        if "dimension" not in stands_for:
            raise CacheError("expected 'dimension' in what a store stands for, found none.")
        folder = self.folder / fingerprint_of(stands_for)
        try:
            if not (folder / "config.json").exists():
                for name in ("parts", "failed"):
                    (folder / name).mkdir(parents=True, exist_ok=True)
                write_atomically(self.folder / "FORMAT", _canonical({"format": FORMAT}))
                config = {"stands_for": stands_for, "recorded": recorded or {}}
                text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
                write_atomically(folder / "config.json", text.encode())
        except OSError as error:
            raise CacheError(f"cannot write the cache {self.folder}: {error.strerror}.") from error
        return EmbeddingStore(folder)


class EmbeddingStore:
    """The embeddings of one fingerprint.

    The parts are read and checked once, when first needed; rows appended through this object are
    seen by it, those that another process adds later are not.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fingerprint = folder.name
        try:
            config = json.loads((folder / "config.json").read_bytes())
            self.stands_for: dict[str, Any] = config["stands_for"]
            self.recorded: dict[str, Any] = config["recorded"]
            self.dimension = int(self.stands_for["dimension"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CacheError(
                f"{folder}: expected a readable config.json, found: {error}."
            ) from error
        if fingerprint_of(self.stands_for) != self.fingerprint:
            raise CacheError(
                f"{folder}: expected config.json to hash to the folder's name, found "
                f"{fingerprint_of(self.stands_for)}. It was changed by hand; delete the folder."
            )

    @cached_property
    def _index(self) -> dict[bytes, tuple[Path, int]]:
        """Key → (part, row). The part whose name sorts first wins."""
        index: dict[bytes, tuple[Path, int]] = {}
        for path in sorted((self.folder / "parts").glob("part-*.h5")):
            keys = self._read_keys(path)
            for row, key in enumerate(keys):
                index.setdefault(key, (path, row))
        return index

    @cached_property
    def failures(self) -> dict[bytes, str]:
        """Images that cannot be embedded: key → reason."""
        reasons: dict[bytes, str] = {}
        for path in sorted((self.folder / "failed").glob("failed-*.jsonl")):
            data = path.read_bytes()
            if not _is_named_for(path, data):
                self._quarantine(path, "its hash is wrong")
                continue
            for line in data.decode().splitlines():
                entry = json.loads(line)
                reasons[bytes.fromhex(entry["key"])] = entry["reason"]
        return reasons

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def knows(self, key: bytes) -> bool:
        """Whether there is nothing left to do for a key: it has an embedding, or is known as bad."""
        return key in self._index or key in self.failures

    def bytes_on_disk(self) -> int:
        """Bytes of all parts."""
        return sum(path.stat().st_size for path in (self.folder / "parts").glob("part-*.h5"))

    def digest(self) -> str:
        """SHA-256 of the store's contents, by way of the hashes that name its parts."""
        names = sorted(path.name for path in (self.folder / "parts").glob("part-*.h5"))
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def read(self, keys: Sequence[bytes | None]) -> NDArray[np.float32]:
        """Look up embeddings.

        Parameters
        ----------
        keys : sequence of n keys of 32 bytes, or None
            None stands for an item without a usable poster.

        Returns
        -------
        ndarray of shape (n, D), float32
            Rows of NaN where the store holds nothing for the key.
        """
        matrix = np.full((len(keys), self.dimension), np.nan, dtype=np.float32)
        wanted: dict[Path, tuple[list[int], list[int]]] = {}
        for i, key in enumerate(keys):
            if key is not None and key in self._index:
                path, row = self._index[key]
                targets, rows = wanted.setdefault(path, ([], []))
                targets.append(i)
                rows.append(row)
        for path, (targets, rows) in wanted.items():
            with h5py.File(path, "r") as file:
                matrix[targets] = file["embeddings"][:][rows]
        return matrix

    def append(self, keys: Sequence[bytes], embeddings: NDArray[np.float32]) -> None:
        """Write one part; when this returns, its rows are on the disk.

        Parameters
        ----------
        keys : sequence of n keys of 32 bytes
        embeddings : ndarray of shape (n, D), float32, finite

        Raises
        ------
        CacheError
            If shapes or values are wrong, or the disk refuses; no part of the rows is kept then.
        """
        if not len(keys):
            return
        with np.errstate(over="ignore"):  # told of below, as any other value that is not finite
            embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
        if embeddings.shape != (len(keys), self.dimension) or {len(k) for k in keys} != {KEY_BYTES}:
            raise CacheError(
                f"expected {len(keys)} keys of {KEY_BYTES} bytes and embeddings of shape "
                f"({len(keys)}, {self.dimension}), found {embeddings.shape}."
            )
        if not np.isfinite(embeddings).all():
            raise CacheError(
                f"expected finite embeddings, found {int((~np.isfinite(embeddings)).sum())} that are "
                "not; nothing was written. Are the weights the right ones for this backbone?"
            )
        data = self._pack(keys, embeddings)
        path = self.folder / "parts" / f"part-{hashlib.sha256(data).hexdigest()}.h5"
        self._write(path, data)
        for row, key in enumerate(keys):
            self._index.setdefault(key, (path, row))

    def append_failures(self, reasons: Mapping[bytes, str]) -> None:
        """Record images that cannot be embedded: key → reason."""
        if not reasons:
            return
        lines = [
            json.dumps({"key": key.hex(), "reason": reason}, ensure_ascii=False) + "\n"
            for key, reason in sorted(reasons.items())
        ]
        data = "".join(lines).encode()
        self._write(
            self.folder / "failed" / f"failed-{hashlib.sha256(data).hexdigest()}.jsonl", data
        )
        self.failures.update(reasons)

    def _write(self, path: Path, data: bytes) -> None:
        rows = len(self)
        try:
            write_atomically(path, data)
        except OSError as error:
            raise CacheError(
                f"cannot write to the cache {self.folder.parent}: {error.strerror}. "
                f"{rows} embeddings are safe there; make room and run the command again to go on."
            ) from error

    def _pack(self, keys: Iterable[bytes], embeddings: NDArray[np.float32]) -> bytes:
        """The bytes of a part, made in memory so that they can be hashed before they are written."""
        with h5py.File("part", "w", driver="core", backing_store=False) as file:
            file.attrs["format"] = FORMAT
            file.attrs["fingerprint"] = self.fingerprint
            flat = np.frombuffer(b"".join(keys), dtype=np.uint8)
            file.create_dataset("keys", data=flat.reshape(-1, KEY_BYTES))
            file.create_dataset("embeddings", data=embeddings, fletcher32=True)
            file.flush()
            return bytes(file.id.get_file_image())

    def _read_keys(self, path: Path) -> list[bytes]:
        """Keys of a part, once it is proved to be what was written, and written for this store."""
        data = path.read_bytes()
        if not _is_named_for(path, data):
            self._quarantine(path, "its hash is wrong")
            return []
        with h5py.File(io.BytesIO(data), "r") as file:
            keys, embeddings = file["keys"], file["embeddings"]
            if (
                file.attrs["fingerprint"] == self.fingerprint
                and keys.shape == (len(keys), KEY_BYTES)
                and embeddings.shape == (len(keys), self.dimension)
            ):
                return [row.tobytes() for row in keys[:]]
        self._quarantine(path, "it belongs to another store")
        return []

    def _quarantine(self, path: Path, problem: str) -> None:
        folder = self.folder / "quarantine"
        try:
            folder.mkdir(exist_ok=True)
            path.replace(folder / path.name)
        except OSError as error:
            raise CacheError(
                f"{path} is damaged ({problem}) and cannot be moved away: {error.strerror}."
            ) from error
        warnings.warn(
            f"{path.name} in the cache was damaged ({problem}) and is now in quarantine: {folder}. What it "
            "held is missing until hybrid extract computes it again.",
            stacklevel=2,
        )


def _is_named_for(path: Path, data: bytes) -> bool:
    return path.stem.partition("-")[2] == hashlib.sha256(data).hexdigest()


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
