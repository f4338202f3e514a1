"""The fingerprint of a store: SHA-256 of all that changes an embedding."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def fingerprint_of(stands_for: Mapping[str, Any]) -> str:
    """Hash what changes an embedding: SHA-256, in hex, of its canonical JSON.

    Examples
    --------
    >>> fingerprint_of({"dimension": 2, "dtype": "float16"})[:8]
    '26579741'
    """
    return hashlib.sha256(canonical(stands_for)).hexdigest()


def canonical(value: Mapping[str, Any]) -> bytes:
    """Write canonical JSON: sorted keys, no spaces, UTF-8; the same bytes for the same content.

    Examples
    --------
    >>> canonical({"b": 1, "a": "é"}).decode()
    '{"a":"é","b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Compare what two stores stand for.

    Returns
    -------
    dict of str to (object, object)
        Key → (ours, theirs); nested keys are joined by dots, None stands for a missing key.

    Examples
    --------
    >>> differences({"weights": {"sha256": "a"}}, {"weights": {"sha256": "b"}})
    {'weights.sha256': ('a', 'b')}
    """
    mine, other = _flat(ours), _flat(theirs)
    return {
        key: (mine.get(key), other.get(key))
        for key in sorted(mine.keys() | other.keys())
        if mine.get(key) != other.get(key)
    }


def describe_differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What differs between what two stores stand for, for a message; empty where nothing does.

    Examples
    --------
    >>> describe_differences({"pooling": "avg", "dtype": "float16"}, {"pooling": "max", "dtype": "float32"})
    'dtype: expected float16, found float32; pooling: expected avg, found max'
    """
    listed = differences(expected, found).items()
    return "; ".join(f"{key}: expected {wanted}, found {other}" for key, (wanted, other) in listed)


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, part in value.items():
        if isinstance(part, Mapping):
            flat |= _flat(part, f"{prefix}{key}.")
        else:
            flat[prefix + key] = part
    return flat
