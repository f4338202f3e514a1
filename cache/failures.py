"""Failures: images that cannot be embedded, in immutable JSON Lines files named for their bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hybrid.cache.verified_files import (
    UNPARSABLE,
    DamageError,
    check_hash,
    hashed_name,
    open_regular,
    stamp_of,
)
from hybrid.utils.key_index import KEY_BYTES
from hybrid.utils.reading import parse_json


@dataclass(frozen=True)
class Failure:
    """Why an image has no embedding, and when that was found, in seconds since 1970 (default=0.0)."""

    reason: str
    time: float = 0.0


def pack_failures(reasons: Mapping[bytes, str], time: float) -> tuple[str, bytes]:
    r"""Pack a batch of failures: its file name and its bytes.

    Examples
    --------
    >>> name, data = pack_failures({bytes(32): "too small"}, 5.0)
    >>> data[-38:]
    b', "reason": "too small", "time": 5.0}\n'
    """
    lines = [
        json.dumps({"key": key.hex(), "reason": reason, "time": round(time, 3)})
        for key, reason in sorted(reasons.items())
    ]
    data = "".join(line + "\n" for line in lines).encode()
    return hashed_name("", data, ".jsonl"), data


def read_failures(path: Path) -> dict[bytes, Failure]:
    """Read a batch of failures.

    Returns
    -------
    dict of bytes to Failure

    Raises
    ------
    DamageError
        If it is not what was written.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name, data = pack_failures({bytes(32): "too small"}, 5.0)
    ...     _ = (Path(folder) / name).write_bytes(data)
    ...     read_failures(Path(folder) / name)[bytes(32)]
    Failure(reason='too small', time=5.0)
    """
    with open_regular(path) as file:
        check_hash(path, file, stamp_of(file))
        data = file.read()
    try:
        return dict(_parse(line) for line in data.decode().split("\n") if line)
    except UNPARSABLE as error:
        raise DamageError(f"it is no list of failures: {error}") from error


def _parse(line: str) -> tuple[bytes, Failure]:
    entry = parse_json(line)
    key, reason = bytes.fromhex(entry["key"]), entry["reason"]
    if len(key) != KEY_BYTES or not isinstance(reason, str):
        raise ValueError(f"found {line[:80]!r}")
    return key, Failure(reason, float(entry.get("time", 0.0)))
