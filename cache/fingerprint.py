"""The fingerprint of a store: SHA-256 of all that changes an embedding."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def fingerprint_of(stands_for: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the canonical JSON of what changes an embedding."""
    return hashlib.sha256(canonical(stands_for)).hexdigest()


def canonical(value: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys and no spaces, UTF-8: the same bytes for the same content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between two stores: key → (ours, theirs), nested keys joined by dots."""
    mine, other = _flat(ours), _flat(theirs)
    return {
        key: (mine.get(key), other.get(key))
        for key in sorted(mine.keys() | other.keys())
        if mine.get(key) != other.get(key)
    }


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, part in value.items():
        if isinstance(part, Mapping):
            flat |= _flat(part, f"{prefix}{key}.")
        else:
            flat[prefix + key] = part
    return flat
