"""Sealed JSON: an object in canonical JSON that holds the SHA-256 of its own content."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid.cache.fingerprint import canonical, fingerprint_of
from hybrid.cache.quarantine import tell_damage, write_over
from hybrid.cache.verified_files import UNPARSABLE, DamageError, read_small
from hybrid.errors import CacheError
from hybrid.utils.reading import PROVENANCE as PROVENANCE_FILE
from hybrid.utils.reading import parse_json

SEAL = "sha256"
STORE = "store"  # key of the fingerprint that a provenance is bound to
PROVENANCE = "provenance.json"  # of a store: what the weights have learnt from


def seal(data: Mapping[str, Any]) -> bytes:
    """Write canonical JSON with the SHA-256 of its content under the key ``sha256``.

    Parameters
    ----------
    data : mapping
        As `json.dumps` takes it, without that key.

    Examples
    --------
    >>> unseal(seal({"a": 1}))
    {'a': 1}
    """
    return canonical({**data, SEAL: fingerprint_of(data)}) + b"\n"


def unseal(content: bytes) -> dict[str, Any]:
    """Read what `seal` wrote, without the key ``sha256``.

    Raises
    ------
    DamageError
        If it is damaged.

    Examples
    --------
    >>> unseal(seal({"a": 1}).replace(b"1", b"2"))
    Traceback (most recent call last):
    ...
    hybrid.cache.verified_files.DamageError: its content does not hash to its sha256
    """
    try:
        data: dict[str, Any] = parse_json(content)
        expected, found = data.pop(SEAL), fingerprint_of(data)
    except UNPARSABLE as error:
        raise DamageError(f"it is no sealed JSON: {error}") from error
    if found != expected:
        raise DamageError("its content does not hash to its sha256")
    if content != seal(data):
        raise DamageError("it is not as it was written, byte by byte")
    return data


def bound_provenance(content: bytes, store: str) -> bytes:
    """Sealed JSON as a store keeps it: with its fingerprint, so that it is of no use to another store.

    Parameters
    ----------
    content : bytes
        As `seal` writes it.
    store : str
        Fingerprint.

    Examples
    --------
    >>> unseal(bound_provenance(seal({"a": 1}), "4f0c"))
    {'a': 1, 'store': '4f0c'}
    """
    return seal({**unseal(content), STORE: store})


def check_provenance(path: Path) -> bytes:
    """Read the provenance of a store.

    Raises
    ------
    DamageError
        If it is damaged, or of another store.
    OSError
        If there is none, or it cannot be read.
    """
    content = read_small(path, PROVENANCE_FILE)
    store = unseal(content).get(STORE, path.parent.name)  # earlier versions wrote none
    if store != path.parent.name:
        raise DamageError(f"it is of the store {str(store)[:12]}")
    return content


def read_provenance(folder: Path) -> bytes | None:
    """Read what the weights of a store have learnt from; None where there is none, or it cannot be used.

    What is damaged or cannot be read is told by a warning.

    Parameters
    ----------
    folder : Path
        Of the store.
    """
    try:
        return check_provenance(folder / PROVENANCE)
    except FileNotFoundError:
        return None
    except DamageError as error:
        problem = f"was damaged ({error})"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    warnings.warn(
        f"{PROVENANCE} in {folder} {problem}: what the weights have learnt from is unknown. hybrid extract, "
        "with the same --backbone and --weights, writes it again.",
        stacklevel=2,
    )
    return None


def mend_provenance(folder: Path, content: bytes | None) -> None:
    """Write the provenance of a store where another one, or none, is there; a damaged one goes to quarantine.

    Parameters
    ----------
    folder : Path
        Of the store.
    content : bytes or None
        As `seal` writes it; None where nothing is known, and nothing is written.

    Raises
    ------
    OSError
        If the disk refuses.
    CacheError
        If what is there cannot be read.
    """
    wanted = None if content is None else bound_provenance(content, folder.name)
    again = "It is written again." if wanted else "What its weights have learnt from is unknown."
    try:
        if check_provenance(folder / PROVENANCE) == wanted:
            return
    except FileNotFoundError:
        pass
    except DamageError as error:
        tell_damage(folder / PROVENANCE, folder, str(error), again)
    except OSError as error:
        raise CacheError(
            f"{folder / PROVENANCE}: cannot be read: {error.strerror}. Nothing was changed."
        ) from error
    if wanted is not None:
        write_over(folder / PROVENANCE, wanted, folder)
