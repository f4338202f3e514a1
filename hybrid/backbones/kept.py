"""What is kept on this machine between two commands, because making it anew takes long.

All of it can be deleted at any time. It stands in ``hybrid`` below ``XDG_CACHE_HOME`` or ``~/.cache``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hybrid.files import make_folder, write_atomically

BATCH_SIZES = "batch-sizes.json"
RATES = "rates.json"
ENOUGH = 256  # posters: of fewer, the rate says little


def kept_folder() -> Path:
    """The folder; it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "hybrid"


def recall_batch_size(key: str) -> int | None:
    """The batch size that was measured for a backbone on a device; None if none was."""
    found = _recall(BATCH_SIZES).get(key)
    return found if isinstance(found, int) and found > 0 else None


def keep_batch_size(key: str, batch_size: int) -> None:
    """Keep a measured batch size; where the folder cannot be written, it is measured again."""
    _keep(BATCH_SIZES, key, batch_size)


def recall_rate(fingerprint: str) -> dict[str, Any] | None:
    """What the last extraction on this machine reached for these embeddings; None if none was kept."""
    found = _recall(RATES).get(fingerprint)
    known = isinstance(found, dict) and found.get("posters_per_second")
    return found if known else None


def keep_rate(fingerprint: str, images: int, rate: float, **said: Any) -> None:
    """Keep what an extraction of enough posters reached, for the cost of the runs that use it."""
    if images >= ENOUGH and rate > 0:
        _keep(RATES, fingerprint, {"posters_per_second": rate, **said})


def _keep(name: str, key: str, value: Any) -> None:
    try:
        make_folder(kept_folder())
        text = json.dumps({**_recall(name), key: value}, indent=2, sort_keys=True)
        write_atomically(kept_folder() / name, text.encode() + b"\n")
    except OSError:
        return


def _recall(name: str) -> dict[str, Any]:
    try:
        found = json.loads((kept_folder() / name).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
