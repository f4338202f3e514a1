"""The cache: a folder of stores, one for each fingerprint. See FORMAT.md."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid.cache.fingerprint import canonical, fingerprint_of
from hybrid.cache.parts import DTYPES, FORMAT
from hybrid.cache.sealed import PROVENANCE, read_provenance
from hybrid.cache.store import EmbeddingStore
from hybrid.cache.verified_files import UNPARSABLE
from hybrid.errors import CacheError
from hybrid.utils.files import make_folder, sync, write_atomically
from hybrid.utils.read_only import is_read_only
from hybrid.utils.reading import POINTER, read_json
from hybrid.utils.refusals import describe_refusal


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

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> cache = EmbeddingCache(folder.name)
    >>> store = cache.make({"architecture": "test", "dimension": 2, "dtype": "float16"})
    >>> [found.fingerprint == store.fingerprint for found in cache.stores()]
    [True]
    >>> folder.cleanup()
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._check_format()

    def _check_format(self) -> None:
        marker = self.folder / "FORMAT"
        try:
            found = read_json(marker, POINTER)["format"]
        except FileNotFoundError:
            return
        except (OSError, *UNPARSABLE) as error:
            raise CacheError(
                f'{marker}: expected {{"format": {FORMAT}}}, found: {error}.'
            ) from error
        if type(found) is not int or not 1 <= found <= FORMAT:
            raise CacheError(
                f"{marker}: expected a cache of format {FORMAT} or older, found {found!r}. "
                "Update hybrid, or name another folder with --cache."
            )

    def folders(self) -> list[Path]:
        """List the folders of all stores, by fingerprint."""
        return sorted(path.parent for path in self.folder.glob("*/config.json"))

    def stores(self) -> list[EmbeddingStore]:
        """Open all stores, by fingerprint."""
        return [EmbeddingStore(folder) for folder in self.folders()]

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
        self,
        stands_for: Mapping[str, Any],
        recorded: Mapping[str, Any] | None = None,
        provenance: bytes | None = None,
    ) -> EmbeddingStore:
        """Open the store of a fingerprint, and make it where there is none.

        In read-only mode (`hybrid.utils.read_only`) none is made: an empty one stands for it.

        Parameters
        ----------
        stands_for : mapping
            All that changes an embedding; holds at least ``dimension``. ``dtype``, ``"float16"`` or
            ``"float32"`` (where it is missing), is that of the rows on the disk.
        recorded : mapping, optional
            Library versions and the like, written once, not part of the fingerprint.
        provenance : bytes, optional
            What the weights have learnt from, as sealed JSON: `hybrid.backbones.provenance`. Follows from the
            digest of the weights, so that it is the same whenever the store is opened.

        Returns
        -------
        EmbeddingStore

        Raises
        ------
        CacheError
            If `stands_for` lacks something, or the disk refuses.
        """
        if "dimension" not in stands_for:
            raise CacheError("expected 'dimension' in what a store stands for, found none.")
        if stands_for.get("dtype", "float32") not in DTYPES:
            raise CacheError(
                f"expected dtype {' or '.join(DTYPES)}, found {stands_for['dtype']!r}."
            )
        folder = self.folder / fingerprint_of(stands_for)
        if is_read_only():
            there = (folder / "config.json").exists()
            return EmbeddingStore(folder) if there else EmbeddingStore(folder, stands_for)
        try:
            for name in ("parts", "failed"):
                make_folder(folder / name)
            if not (self.folder / "FORMAT").exists():
                write_atomically(self.folder / "FORMAT", canonical({"format": FORMAT}))
            if provenance is not None and read_provenance(folder) != provenance:
                write_atomically(folder / PROVENANCE, provenance)
            if not (folder / "config.json").exists():
                _write_config(folder, stands_for, recorded)
            if os.access(folder / "parts", os.W_OK):
                # A process that was killed may have left names that are not on the disk yet.
                for made in (folder / "parts", folder / "failed", folder, self.folder):
                    sync(made)
                sync(self.folder.absolute().parent)
            try:
                return EmbeddingStore(folder)
            except CacheError as error:
                # Damaged; but the folder's name proves what belongs there.
                warnings.warn(f"{error}\nIt was written again.", stacklevel=2)
                _write_config(folder, stands_for, recorded)
        except OSError as error:
            raise CacheError(describe_refusal(f"the cache {self.folder}", error)) from error
        return EmbeddingStore(folder)


def _write_config(
    folder: Path, stands_for: Mapping[str, Any], recorded: Mapping[str, Any] | None
) -> None:
    config = {"stands_for": stands_for, "recorded": recorded or {}}
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
    write_atomically(folder / "config.json", text.encode())
