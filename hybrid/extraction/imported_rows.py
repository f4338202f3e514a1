"""Checks of embeddings that were made elsewhere: arrays in, arrays and findings out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import ExtractionError
from hybrid.extraction.imported_values import RawEmbeddings
from hybrid.types import Finding
from hybrid.utils.counts import agree, counted, first_few
from hybrid.utils.row_file import row_blocks, take_rows
from hybrid.utils.spilled import let_pages_go

CHUNK = 4096  # rows of the digest
SHOWN = 3  # ids in a message


@dataclass(frozen=True)
class CheckedEmbeddings:
    """Embeddings that can be stored.

    Parameters
    ----------
    ids : list of n str
        Each once.
    rows : ndarray of shape (n, D), float16 or float32
        Finite; not to be changed.
    read, missing, unnamed, repeated : int
        Rows of the file: all, those without a vector, those without an id, those that were there before.
    findings : tuple of Finding
    """

    ids: list[str]
    rows: NDArray[np.floating]
    read: int
    missing: int
    unnamed: int
    repeated: int
    findings: tuple[Finding, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of ids and values, in hex, whatever their order."""
        digest = hashlib.sha256()
        for number, i in enumerate(sorted(range(len(self.ids)), key=self.ids.__getitem__)):
            if number % CHUNK == 0:
                let_pages_go()
            name = self.ids[i].encode("utf-8", "surrogatepass")
            digest.update(len(name).to_bytes(8, "little") + name)
            digest.update(self.rows[i].astype(self.rows.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()


def check_rows(raw: RawEmbeddings, where: str, dtype: str | None = None) -> CheckedEmbeddings:
    """Check ids and values; what has no id or no vector is left out, and told.

    Parameters
    ----------
    raw : RawEmbeddings
    where : str
        For the messages.
    dtype : {"float16", "float32"}, optional
        By default float16 where that is the matrix's, else float32.

    Raises
    ------
    ExtractionError
        If nothing is left, a vector is NaN or infinite in parts or beyond the data type, or an id has two
        vectors that differ; the message lists all.

    Examples
    --------
    >>> found = check_rows(RawEmbeddings(["a", "b", "a"], np.array([[1, 2], [3, 4], [1, 2]])), "x.npz")
    >>> found.ids, found.rows.tolist(), found.repeated
    (['a', 'b'], [[1.0, 2.0], [3.0, 4.0]], 1)
    """
    ids, rows = np.array(raw.ids, dtype=object), raw.rows
    if not rows.size:
        raise ExtractionError(
            f"{where}: expected vectors of at least one number, found shape {rows.shape}."
        )
    kind = np.dtype(dtype or ("float16" if rows.dtype == np.float16 else "float32"))
    missing, broken, beyond = _examine(rows, kind)
    named = ids != ""
    used = named & ~missing
    problems = _value_problems(ids, used & broken, used & beyond & ~broken, kind)
    keep, repeated, differing = _first_of_each(ids, rows, used)
    if differing:
        problems.append(
            f"expected one vector for each id, found two that differ for "
            f"{counted(len(differing), 'id')}, such as {first_few(differing, SHOWN)}"
        )
    if not len(keep):
        problems.append(f"expected vectors with an id, found none in {counted(len(rows), 'row')}")
    if problems:
        raise ExtractionError("\n".join(f"{where}: {problem}." for problem in problems))
    kept = take_rows(rows, keep, kind)
    unnamed, absent = int((~named).sum()), int((named & missing).sum())
    findings = [
        *_lost_rows(ids, missing, named, unnamed, absent),
        *_conversion(rows.dtype, kind, len(keep)),
        *_suspicions(ids[keep], kept),
    ]
    if repeated:
        again = agree(repeated, "{repeat|repeats}")
        message = f"{counted(repeated, 'row')} {again} an id with the same vector"
        findings.append(Finding("repeated rows", message, repeated))
    return CheckedEmbeddings(
        ids[keep].tolist(), kept, len(rows), absent, unnamed, repeated, tuple(findings)
    )


def _examine(
    rows: NDArray[np.generic], kind: np.dtype
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows are all NaN, hold a NaN or infinity, and exceed the data type: each of shape (n,)."""
    found = np.zeros((3, len(rows)), dtype=bool)
    for part in row_blocks(rows):
        some = rows[part] if rows.dtype.kind == "f" else rows[part].astype(np.float64)
        absent = np.isnan(some)
        found[0, part] = absent.all(axis=1)
        found[1, part] = ~np.isfinite(some).all(axis=1)
        with np.errstate(invalid="ignore"):
            found[2, part] = (np.abs(some) > np.finfo(kind).max).any(axis=1)
    return found[0], found[1], found[2]


def _value_problems(
    ids: NDArray[np.object_],
    broken: NDArray[np.bool_],
    beyond: NDArray[np.bool_],
    kind: np.dtype,
) -> list[str]:
    problems = []
    if broken.any():
        problems.append(
            "expected finite numbers, or NaN in all of a vector that is missing, found NaN or infinity in "
            f"{counted(int(broken.sum()), 'vector')}, such as that of "
            f"{first_few(ids[broken][:SHOWN].tolist(), SHOWN)}"
        )
    if beyond.any():
        remedy = ". Use --dtype float32" if kind == np.float16 else ""
        problems.append(
            f"expected numbers within {np.finfo(kind).max:g}, the range of {kind}, found larger ones in "
            f"{counted(int(beyond.sum()), 'vector')}, such as that of "
            f"{first_few(ids[beyond][:SHOWN].tolist(), SHOWN)}{remedy}"
        )
    return problems


def _first_of_each(
    ids: NDArray[np.object_], rows: NDArray[np.generic], used: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], int, list[str]]:
    """Rows of the first vector of each id, how many are the same again, and ids with another one."""
    first: dict[str, int] = {}
    repeated, differing = 0, dict[str, None]()
    for i in np.flatnonzero(used).tolist():
        before = first.setdefault(ids[i], i)
        if before == i:
            continue
        if np.array_equal(rows[i], rows[before]):
            repeated += 1
        else:
            differing[ids[i]] = None
    return np.fromiter(first.values(), np.int64, len(first)), repeated, list(differing)


def _lost_rows(
    ids: NDArray[np.object_],
    missing: NDArray[np.bool_],
    named: NDArray[np.bool_],
    unnamed: int,
    absent: int,
) -> list[Finding]:
    found = []
    if unnamed:
        said = agree(unnamed, "{have|has} no id and {are|is} left out")
        message = f"{counted(unnamed, 'row')} {said}"
        found.append(Finding("rows without an id", message, unnamed))
    if absent:
        some = tuple(ids[named & missing][:SHOWN].tolist())
        message = (
            f"{counted(absent, 'id has', 'ids have')} no vector (NaN), such as {', '.join(some)}: "
            f"{agree(absent, '{they lack|it lacks}')} the block"
        )
        found.append(Finding("missing vectors", message, absent, examples=some))
    return found


def _conversion(given: np.dtype, kind: np.dtype, count: int) -> list[Finding]:
    if given.itemsize <= kind.itemsize and given.kind == "f":
        return []
    remedy = "; --dtype float32 keeps more digits" if kind == np.float16 else ""
    return [Finding("converted", f"{given} is stored as {kind}{remedy}", count)]


def _suspicions(ids: NDArray[np.object_], rows: NDArray[np.floating]) -> list[Finding]:
    """Vectors of zeros, which often stand for none; and vectors that are all the same."""
    found = []
    zero, same = np.zeros(len(rows), dtype=bool), True
    for part in row_blocks(rows):
        zero[part] = ~rows[part].any(axis=1)
        same = same and not (rows[part] != rows[0]).any()
    if zero.any():
        some = tuple(ids[zero][:SHOWN].tolist())
        message = (
            f"{counted(int(zero.sum()), 'vector')} {agree(int(zero.sum()), '{hold|holds}')} zeros only, such "
            f"as that of {', '.join(some)}, and {agree(int(zero.sum()), '{are|is}')} used so: where none is "
            "meant, write NaN"
        )
        found.append(Finding("vectors of zeros", message, int(zero.sum()), examples=some))
    if len(rows) > 1 and same:
        message = f"all {len(rows):,} vectors are the same, and tell nothing"
        found.append(Finding("equal vectors", message, len(rows)))
    return found


def check_same_key(
    keys: Sequence[bytes | None], ids: Sequence[str], rows: NDArray[np.floating], of: str
) -> list[int]:
    """The rows of different keys, of items that share a poster or text the first.

    Parameters
    ----------
    keys : sequence of n bytes or None
        A row without one is left out.
    ids : sequence of n str
    rows : ndarray of shape (n, D)
    of : str
        What the keys are of, for the message.

    Raises
    ------
    ExtractionError
        If such items have vectors that differ.

    Examples
    --------
    >>> check_same_key([b"p", b"q", b"p"], ["1", "2", "3"], np.ones((3, 2)), "poster")
    [0, 1]
    """
    first: dict[bytes, int] = {}
    wrong = []
    for i, key in enumerate(keys):
        if key is None:
            continue
        before = first.setdefault(key, i)
        if before != i and not np.array_equal(rows[i], rows[before]):
            wrong.append((ids[before], ids[i]))
    if wrong:
        raise ExtractionError(
            f"--of {of}: expected one vector for each different {of}, found two that differ for "
            f"{counted(len(wrong), 'pair')} of items with the same {of}, such as {' and '.join(wrong[0])}. "
            "Use --of item."
        )
    return list(first.values())
