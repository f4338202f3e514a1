"""The folder of a tuned encoder, of texts or of posters: its record, its files, the items of each fold."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.cache.sealed import PROVENANCE, seal, unseal
from hybrid.cache.verified_files import DamageError
from hybrid.errors import WeightsError
from hybrid.utils.files import write_new
from hybrid.utils.reading import PROVENANCE as PROVENANCE_FILE
from hybrid.utils.reading import TEXT, WEIGHTS, hash_file, read_bytes

FORMAT = 1
TUNED, BASE = "tuned.json", "base"
ALL = "all"  # in place of the number of a fold: the encoder that has learnt from all items
ENCODERS = "encoders"  # folder of the tuned encoders of a project
REMEDY = "Copy the folder again, or make it with hybrid tune."
NUMBER_BYTES = 8  # of the hash that identifies a text or a poster
UNSEEN = -1  # fold of what was not learnt from
# Key of tuned.json → what is expected there.
_KINDS: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "base": dict,
    "labels": list,
    "layers": int,
    "folds": int,
    "options": dict,
    "files": dict,
}
# What the errors of a record that is not as expected are.
UNREADABLE = (OSError, DamageError, ValueError, KeyError, TypeError)


def is_tuned(folder: Path) -> bool:
    """Whether a folder is that of a tuned encoder.

    Examples
    --------
    >>> is_tuned(Path("no-such-folder"))
    False
    """
    return (folder / TUNED).is_file()


def find_tuned(name: str) -> Path | None:
    """The folder of a tuned encoder by its path, or by the name that ``hybrid tune --name`` gave it.

    Examples
    --------
    >>> find_tuned("all-MiniLM-L6-v2") is None
    True
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = Path(ENCODERS) / name
    return folder if is_tuned(folder) else None


def tuned_name(folder: Path) -> str:
    """The name that a tuned encoder was given; that of its folder where its record does not say.

    Examples
    --------
    >>> tuned_name(Path("encoders/no-such-folder"))
    'no-such-folder'
    """
    try:
        return str(unseal(read_bytes(folder / TUNED, TEXT))["name"])
    except UNREADABLE:
        return folder.absolute().name


def tuned_digest(name: str) -> str | None:
    """The digest of a tuned encoder by its name or folder; None where there is none.

    Examples
    --------
    >>> tuned_digest("all-MiniLM-L6-v2") is None
    True
    """
    folder = find_tuned(name)
    return hash_file(folder / TUNED, TEXT) if folder else None


def read_record(folder: Path, kind: str, **more: type) -> tuple[dict[str, Any], str]:
    """Read ``tuned.json``.

    Parameters
    ----------
    folder : Path
    kind : {"text", "poster"}
        What the encoder is expected to read.
    **more : type
        Further keys, and what is expected there.

    Returns
    -------
    dict, str
        The record, and the SHA-256 of its file.

    Raises
    ------
    WeightsError
        If the encoder reads something else.
    OSError, DamageError, ValueError, KeyError, TypeError
        See `UNREADABLE`; `unreadable` makes the error of it that a user sees.
    """
    content = read_bytes(folder / TUNED, TEXT)
    data = unseal(content)
    if data.get("format") != FORMAT:
        raise ValueError(f"expected format {FORMAT}, found {data.get('format')!r}")
    if (found := data.get("kind", "text")) != kind:
        raise WeightsError(
            f"{folder}: expected a tuned encoder of {kind}s, found one of {found}s. Name it with "
            f"{'--backbone' if found == 'poster' else '--text-encoder'}."
        )
    for name, wanted in (_KINDS | more).items():
        if not isinstance(data[name], wanted) or isinstance(data[name], bool):
            raise ValueError(f"{name} is {type(data[name]).__name__}")
    if data["folds"] < 1 or not data["labels"]:
        raise ValueError("expected one fold or more, and labels")
    return data, hashlib.sha256(content).hexdigest()


def unreadable(folder: Path, kind: str, error: Exception) -> WeightsError:
    """The error of a record that is not as expected."""
    return WeightsError(
        f"{folder / TUNED}: expected the record of a tuned encoder of {kind}s, found: {error}. {REMEDY}"
    )


def write_record(folder: Path, data: Mapping[str, Any]) -> str:
    """Write ``tuned.json`` into a folder that has all other files of a tuned encoder.

    Parameters
    ----------
    folder : Path
    data : mapping
        Without format and files, which are added.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    files = {name: hash_file(folder / name, WEIGHTS) for name in names}
    content = seal({"format": FORMAT, **data, "files": files})
    write_new(folder / TUNED, content)
    return hashlib.sha256(content).hexdigest()


def check_files(folder: Path, files: Mapping[str, str], wanted: set[str]) -> None:
    """Check each file of a tuned encoder against its SHA-256.

    Parameters
    ----------
    folder : Path
    files : mapping of str to str
        Of the record: name → SHA-256.
    wanted : set of str
        Names that must be among them.

    Raises
    ------
    WeightsError
        If a file is missing or damaged; the message names it.
    """
    if missing := sorted(wanted - set(files)):
        raise WeightsError(f"{folder / TUNED}: expected {', '.join(missing)} among its files.")
    for name, digest in files.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise WeightsError(f"{folder / TUNED}: expected files within {folder}, found {name!r}.")
        try:
            found = hash_file(path, WEIGHTS)
        except OSError as error:
            raise WeightsError(
                f"{path}: expected a file of a tuned encoder, found: {error.strerror}. {REMEDY}"
            ) from error
        if found != digest:
            raise WeightsError(
                f"{path}: expected the SHA-256 {digest[:12]}…, found {found[:12]}…: it is damaged. {REMEDY}"
            )


def encoder_files(name: str, folds: int, refit: bool) -> list[str]:
    """Names of the files of a tuned encoder's encoders.

    Parameters
    ----------
    name : str
        With {} for the number of a fold.
    folds : int
    refit : bool
        Whether there is one more, which has learnt from all items.

    Examples
    --------
    >>> encoder_files("fold-{}.npz", 2, True)
    ['fold-0.npz', 'fold-1.npz', 'fold-all.npz']
    """
    return [name.format(number) for number in (*range(folds), *[ALL] * refit)]


def hash_numbers(hashes: Iterable[bytes]) -> NDArray[np.uint64]:
    """Identify texts or posters by the first 8 bytes of their hashes.

    Examples
    --------
    >>> hash_numbers([bytes([1]) + bytes(31)]).tolist()
    [1]
    """
    first = b"".join(each[:NUMBER_BYTES] for each in hashes)
    return np.frombuffer(first, dtype="<u8").astype(np.uint64)


def find_folds(learnt: Mapping[int, int], numbers: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The fold of each of n texts or posters, shape (n,); `UNSEEN` where it was not learnt from.

    Examples
    --------
    >>> find_folds({7: 1}, np.array([7, 9], np.uint64)).tolist()
    [1, -1]
    """
    return np.array([learnt.get(each, UNSEEN) for each in numbers.tolist()], dtype=np.int64)


def pack_folds(numbers: NDArray[np.uint64], fold: NDArray[np.int64]) -> dict[str, str]:
    """What was learnt from, and its folds, as JSON has them.

    Parameters
    ----------
    numbers : ndarray of shape (n,), uint64
        Each once, in ascending order.
    fold : ndarray of shape (n,), int

    Examples
    --------
    >>> unpack_folds(pack_folds(np.array([7, 9], np.uint64), np.array([1, 0])), 2)
    {7: 1, 9: 0}
    """
    return {
        "numbers": base64.b64encode(numbers.astype("<u8").tobytes()).decode(),
        "folds": base64.b64encode(fold.astype("<u2").tobytes()).decode(),
    }


def unpack_folds(packed: Mapping[str, str], folds: int) -> dict[int, int]:
    """Read what `pack_folds` made: number → fold.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it is something else, or a fold is not below `folds`.
    """
    numbers = np.frombuffer(base64.b64decode(packed["numbers"], validate=True), "<u8")
    fold = np.frombuffer(base64.b64decode(packed["folds"], validate=True), "<u2")
    if not (fold < folds).all():
        raise ValueError("an item is in a fold that does not exist")
    return dict(zip(numbers.tolist(), fold.tolist(), strict=True))


def read_learnt(folder: Path) -> bytes:
    """What a tuned encoder has learnt from; see `hybrid.backbones.provenance.Provenance.from_bytes`.

    Raises
    ------
    WeightsError
        If the file is missing.
    """
    path = folder / PROVENANCE
    try:
        return read_bytes(path, PROVENANCE_FILE)
    except OSError as error:
        raise WeightsError(
            f"{path}: expected what {folder.name} has learnt from, found: {error.strerror}. {REMEDY}"
        ) from error
