"""Hashes of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hybrid.errors import WeightsError


def digests(path: Path) -> dict[str, str]:
    """``"sha256"`` and ``"md5"`` of a file, read once."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                sha256.update(block)
                md5.update(block)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}.") from error
    return {"sha256": sha256.hexdigest(), "md5": md5.hexdigest()}
