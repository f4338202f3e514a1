"""The cache: a folder of stores, one for each fingerprint. See FORMAT.md."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid.cache.config import NAME as CONFIG
from hybrid.cache.config import DamagedConfigError, mend_config, read_config
from hybrid.cache.contents import list_files
from hybrid.cache.fingerprint import fingerprint_of
from hybrid.cache.marker import check_format, mend_format
from hybrid.cache.parts import DTYPES
from hybrid.cache.quarantine import QUARANTINE, clear_folder
from hybrid.cache.remote import cache_of, open_mirror
from hybrid.cache.sealed import mend_provenance
from hybrid.cache.store import EmbeddingStore
from hybrid.errors import CacheError
from hybrid.utils.files import make_folder, sync
from hybrid.utils.read_only import is_read_only
from hybrid.utils.refusals import describe_refusal

FINGERPRINT = re.compile("[0-9a-f]{64}")


class EmbeddingCache:
    """A folder of embedding stores, one for each fingerprint.

    Parameters
    ----------
    folder : str or Path
        Made when the first store is made; need not exist to be read. Of a cache at a URL, which can be given
        instead, the attribute of this name is the folder of its mirror (`hybrid.cache.mirror`).

    Raises
    ------
    CacheError
        If the folder is not a cache, or of a newer format, or its FORMAT cannot be read. A damaged FORMAT is
        told by a warning.
    RemoteError
        If it is at a URL whose server does not answer.

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
        self.folder = open_mirror(folder)
        check_format(self.folder)

    def folders(self) -> list[Path]:
        """List the folders of all stores, by fingerprint; also of one that lacks its config.json.

        Raises
        ------
        CacheError
            If the cache cannot be read.
        """
        return [
            folder
            for folder in map(self.folder.joinpath, sorted(list_files(self.folder)))
            if os.path.lexists(folder / CONFIG)
            or (FINGERPRINT.fullmatch(folder.name) and list_files(folder / "parts"))
        ]

    def stores(self) -> list[EmbeddingStore]:
        """Open all stores, by fingerprint; one whose config.json is damaged is left out, with a warning."""
        stores = []
        for folder in self.folders():
            try:
                stores.append(EmbeddingStore(folder))
            except DamagedConfigError as error:
                warnings.warn(f"{error} Until then they are not used.", stacklevel=1)
        return stores

    def damaged(self) -> list[DamagedConfigError]:
        """List the stores that `stores` leaves out, by what is wrong with them."""
        damaged = []
        for folder in self.folders():
            try:
                read_config(folder)
            except DamagedConfigError as error:
                damaged.append(error)
        return damaged

    def look_up(self, stands_for: Mapping[str, Any]) -> EmbeddingStore | None:
        """Open the store of what it stands for, if there is one, even where its config.json is damaged.

        Nothing is written: `make` writes a config.json again.
        """
        folder = self.folder / fingerprint_of(stands_for)
        if folder not in self.folders():
            return None
        try:
            return EmbeddingStore(folder)
        except DamagedConfigError as error:
            warnings.warn(f"{error}", stacklevel=1)
            return EmbeddingStore(folder, stands_for)

    def find(self, fingerprint: str, only_append: bool = False) -> EmbeddingStore:
        """Open the store of a fingerprint.

        Parameters
        ----------
        fingerprint : str
        only_append : bool, default=False
            Rows are not looked for: of a cache at a URL they are not fetched.

        Raises
        ------
        CacheError
            If the cache holds none.
        """
        folder = self.folder / fingerprint
        if folder not in self.folders():
            raise CacheError(
                f"{cache_of(folder)}: expected embeddings under fingerprint {fingerprint[:12]}…, found "
                "none. Make them with hybrid extract, or name their cache with --cache."
            )
        return EmbeddingStore(folder, only_append=only_append)

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
            return self.look_up(stands_for) or EmbeddingStore(folder, stands_for)
        try:
            self._make_folders(folder)
            mend_format(self.folder)
            mend_provenance(folder, provenance)
            mend_config(folder, stands_for, recorded)
            if os.access(folder / "parts", os.W_OK):
                # A process that was killed may have left names that are not on the disk yet.
                for made in (folder / "parts", folder / "failed", folder, self.folder):
                    sync(made)
                sync(self.folder.absolute().parent)
        except OSError as error:
            raise CacheError(describe_refusal(f"the cache {self.folder}", error)) from error
        return EmbeddingStore(folder)

    def _make_folders(self, folder: Path) -> None:
        """Make the folders of a store; what is in their place, and is none, goes to quarantine."""
        clear_folder(folder, self.folder)
        for name in ("parts", "failed", "gen", "claims", QUARANTINE):
            clear_folder(folder / name, folder)
        for name in ("parts", "failed"):
            make_folder(folder / name)
