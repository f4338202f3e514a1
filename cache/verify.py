"""Verification of a cache: hashes, layouts, snapshots, values; nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hybrid.cache.config import NAME as CONFIG
from hybrid.cache.config import check_layout, read_config
from hybrid.cache.contents import list_files
from hybrid.cache.failures import read_failures
from hybrid.cache.folder import FINGERPRINT, EmbeddingCache
from hybrid.cache.generations import CURRENT, read_generation
from hybrid.cache.marker import NAME as MARKER
from hybrid.cache.marker import read_format
from hybrid.cache.parts import PART_NAME, Layout, Part, check_values, open_part
from hybrid.cache.quarantine import QUARANTINE
from hybrid.cache.remote import pull, verify_there
from hybrid.cache.sealed import PROVENANCE, check_provenance
from hybrid.cache.verified_files import ChangedError, DamageError, forget_hashes, read_small
from hybrid.errors import CacheError
from hybrid.images.memo import MEMOS, UnusableMemoError, parse_entries
from hybrid.utils.counts import agree, counted
from hybrid.utils.key_index import Keys, index_part, merge, sort_keys
from hybrid.utils.progress import shows_step
from hybrid.utils.read_only import reads_only
from hybrid.utils.reading import MEMO

# Two rows of one image may come from batches of different size. They differ by the rounding of float16
# (0.0005 of a value) and of the backbone's sums; 0.01 of the row's largest value is far above both.
AGREEMENT = 0.01

Problem = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class Verification:
    """Result of a verification.

    Parameters
    ----------
    stores, parts, embeddings, failures : int
        How many were verified.
    duplicates : int
        Rows whose image has a row in another part as well.
    quarantined : int
        Files that were moved to quarantine before.
    problems : tuple of (str, str)
        File, and what is wrong with it.

    Examples
    --------
    >>> Verification(1, 2, 5000, 0, 0, 0, problems=()).problems
    ()
    """

    stores: int
    parts: int
    embeddings: int
    failures: int
    duplicates: int
    quarantined: int
    problems: tuple[Problem, ...]


@shows_step("verifying the cache")
@reads_only
def verify(cache: EmbeddingCache, deep: bool = False) -> Verification:
    """Verify every file of a cache: hashes, layouts, snapshots.

    Parameters
    ----------
    cache : EmbeddingCache
    deep : bool, default=False
        Read every value as well: checksums inside HDF5, finite values, and whether rows of the same
        image in several parts agree; of a cache at a URL, also whether all that is there is as in its mirror.

    Returns
    -------
    Verification
        Without problems if the cache is sound.

    Raises
    ------
    CacheError
        If a folder cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     verify(EmbeddingCache(folder)).problems
    ()
    """
    forget_hashes()
    results = [_verify_store(folder, deep) for folder in cache.folders()]
    problems: list[Problem] = []
    _verify_rest(cache.folder, problems)
    problems += verify_there(cache.folder) if deep else []
    aside = len(list_files(cache.folder / QUARANTINE))
    return Verification(
        stores=len(results),
        parts=sum(r.parts for r in results),
        embeddings=sum(r.embeddings for r in results),
        failures=sum(r.failures for r in results),
        duplicates=sum(r.duplicates for r in results),
        quarantined=aside + sum(r.quarantined for r in results),
        problems=(*problems, *(problem for r in results for problem in r.problems)),
    )


def _verify_rest(cache: Path, problems: list[Problem]) -> None:
    """Verify what lies beside the stores: the marker, the memos, and that each store is a folder."""
    _attempt(cache / MARKER, lambda path: read_format(path.parent), problems)
    for name in MEMOS:
        _attempt(cache / "memo" / name, _verify_memo, problems)
    for name in ("memo", QUARANTINE, *filter(FINGERPRINT.fullmatch, list_files(cache))):
        _attempt(cache / name, _verify_folder, problems)


def _verify_memo(path: Path) -> None:
    if path.parent.is_dir():  # else that is what is told
        parse_entries(read_small(path, MEMO), path.name)


def _verify_folder(path: Path) -> None:
    if os.path.lexists(path) and not path.is_dir():
        raise DamageError("it is no folder")


def _verify_store(folder: Path, deep: bool) -> Verification:
    pull(folder, max_age=0.0)
    problems: list[Problem] = []
    parts: list[tuple[Part, Keys]] = []
    for name in ("parts", "failed", "gen", "claims", QUARANTINE):
        _attempt(folder / name, _verify_folder, problems)
    failures, quarantined = 0, len(_files(folder / QUARANTINE, problems))
    try:
        config = read_config(folder)
    except CacheError as error:
        problems.append((str(folder / CONFIG), str(error)))
        return Verification(1, 0, 0, 0, 0, quarantined, tuple(problems))
    if config.problem:
        problems.append((str(folder / CONFIG), config.problem))
    dimension, dtype = check_layout(folder, config.stands_for)
    layout = Layout(folder.name, dimension, dtype)
    for path in _files(folder / "parts", problems):
        found = _attempt(path, lambda path: _verify_part(path, layout, deep), problems)
        parts += [found] if found else []
    for path in _files(folder / "failed", problems):
        failures += len(_attempt(path, read_failures, problems) or ())
    _attempt(folder / PROVENANCE, check_provenance, problems)
    _attempt(folder / CURRENT, lambda path: _verify_generation(path, parts), problems)
    part, row, again = _duplicates([keys for _, keys in parts])
    if deep:
        problems += _disagreements([p for p, _ in parts], part, row, again)
    rows = sum(len(keys) for _, keys in parts)
    duplicates = int(again.sum())
    return Verification(
        1, len(parts), rows - duplicates, failures, duplicates, quarantined, tuple(problems)
    )


def _files(folder: Path, problems: list[Problem]) -> list[Path]:
    """Files of a folder; none where something else is in its place, which was told."""
    if os.path.lexists(folder) and not folder.is_dir():
        return []
    try:
        return [folder / name for name in sorted(list_files(folder))]
    except CacheError as error:
        problems.append((str(folder), str(error)))
        return []


def _attempt(path: Path, check: Callable[[Path], T], problems: list[Problem]) -> T | None:
    try:
        return check(path)
    except FileNotFoundError:  # removed by another process since it was listed
        return None
    except (DamageError, UnusableMemoError, CacheError) as problem:
        problems.append((str(path), str(problem)))
    except OSError as error:
        problems.append((str(path), f"it cannot be read: {error.strerror}"))
    return None


def _verify_part(path: Path, layout: Layout, deep: bool) -> tuple[Part, Keys]:
    if not PART_NAME.fullmatch(path.name):
        raise DamageError("it is no part of the cache")
    part, keys = open_part(path, layout)
    if deep:
        check_values(part)
    return part, keys


def _verify_generation(path: Path, parts: list[tuple[Part, Keys]]) -> None:
    """Verify that the snapshot, and the parts that came after it, index every row."""
    generation = read_generation(path.parent)
    if generation is None:
        return
    index, keys_of = generation.index, {part.path.name: keys for part, keys in parts}
    gone = [name for name in index.parts if not (path.parent / "parts" / name).exists()]
    if gone:
        raise DamageError(
            f"{len(gone)} of its parts {agree(len(gone), '{are|is}')} gone, the first is {gone[0]}"
        )
    covered = {*index.parts, *generation.superseded}
    visible = merge([index, *(index_part(n, k) for n, k in keys_of.items() if n not in covered)])
    for name, keys in keys_of.items():
        if not index.agrees(name, keys):
            raise DamageError(f"it is wrong about {name}")
        hidden = int((visible.find(keys) < 0).sum())
        if hidden:
            raise DamageError(f"it hides {counted(hidden, 'row')} of {name}")


def _duplicates(
    keys: list[Keys],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """All rows by key: number of the part, number of the row, and whether the key is that before."""
    lengths = [len(k) for k in keys]
    part = np.repeat(np.arange(len(keys)), lengths)
    row = np.concatenate([np.arange(0), *(np.arange(n) for n in lengths)])
    if not len(row):
        return part, row, np.zeros(0, dtype=bool)
    order, again = sort_keys(np.concatenate(keys))
    return part[order], row[order], again


def _disagreements(
    parts: list[Part], part: NDArray[np.int64], row: NDArray[np.int64], again: NDArray[np.bool_]
) -> Iterator[Problem]:
    """Rows of one image that differ by more than rounding."""
    for i in np.flatnonzero(again):
        try:
            one, two = (_row(parts[part[j]], int(row[j])) for j in (i - 1, i))
        except (ChangedError, FileNotFoundError):  # another process is at work on them
            continue
        if np.abs(one - two).max() > AGREEMENT * np.abs(one).max():
            yield (
                str(parts[part[i]].path),
                f"row {row[i]} is not that of {parts[part[i - 1]].path.name}",
            )


def _row(part: Part, row: int) -> NDArray[np.float32]:
    out = np.empty((1, part.dimension), dtype=np.float32)
    part.read(np.array([row]), out, np.array([0]))
    return out
