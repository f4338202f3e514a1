"""Sealed JSON: an object in canonical JSON that holds the SHA-256 of its own content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid.cache.fingerprint import canonical, fingerprint_of
from hybrid.cache.verified_files import UNPARSABLE, DamageError
from hybrid.utils.reading import PROVENANCE as PROVENANCE_FILE
from hybrid.utils.reading import parse_json, read_bytes

SEAL = "sha256"
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
    return data


def read_provenance(folder: Path) -> bytes | None:
    """Read what the weights of a store have learnt from; None where there is no such file, or it is damaged.

    Parameters
    ----------
    folder : Path
        Of the store.
    """
    try:
        content = read_bytes(folder / PROVENANCE, PROVENANCE_FILE)
        unseal(content)
    except (OSError, DamageError):
        return None
    return content
