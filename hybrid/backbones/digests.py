"""Hashes of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hybrid.errors import WeightsError
from hybrid.utils.reading import WEIGHTS, open_file


def digests(path: Path) -> dict[str, str]:
    """Compute SHA-256 and MD5 of a file in one pass.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict
        ``"sha256"`` and ``"md5"``, in hex.

    Raises
    ------
    WeightsError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     digests(Path(file.name))["md5"]
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        with open_file(path, WEIGHTS) as file:
            while block := file.read(2**20):
                sha256.update(block)
                md5.update(block)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}.") from error
    return {"sha256": sha256.hexdigest(), "md5": md5.hexdigest()}
