"""Remembered perceptual hashes, by content key: no poster is decoded twice for its hash."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hybrid.images.hashes import load_entries, save_entries
from hybrid.utils.key_index import KEY_BYTES

LOOK_BYTES = 16
ENTRY = np.dtype([("key", np.uint8, KEY_BYTES), ("look", np.uint8, LOOK_BYTES)])


def load_looks(cache: str | Path) -> dict[bytes, bytes]:
    """The looks that a cache remembers: key → look."""
    entries = load_entries(_file(cache), ENTRY)
    keys, looks = entries["key"].tobytes(), entries["look"].tobytes()
    return {
        keys[i * KEY_BYTES : (i + 1) * KEY_BYTES]: looks[i * LOOK_BYTES : (i + 1) * LOOK_BYTES]
        for i in range(len(entries))
    }


def save_looks(cache: str | Path, looks: dict[bytes, bytes]) -> None:
    """Remember looks, instead of those before. Where there is no cache yet, nothing is."""
    if (Path(cache) / "FORMAT").exists():
        save_entries(_file(cache), np.frombuffer(b"".join(map(b"".join, looks.items())), ENTRY))


def _file(cache: str | Path) -> Path:
    return Path(cache) / "memo" / "looks"
