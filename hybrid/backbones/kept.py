"""What is kept on this machine between two commands, because making it anew takes long.

All of it can be deleted at any time. It stands in ``hybrid`` below ``XDG_CACHE_HOME`` or ``~/.cache``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from hybrid.files import make_folder, write_atomically

BATCH_SIZES = "batch-sizes.json"


def kept_folder() -> Path:
    """The folder; it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "hybrid"


def recall_batch_size(key: str) -> int | None:
    """The batch size that was measured for a backbone on a device; None if none was."""
    found = _batch_sizes().get(key)
    return found if isinstance(found, int) and found > 0 else None


def keep_batch_size(key: str, batch_size: int) -> None:
    """Keep a measured batch size; where the folder cannot be written, it is measured again."""
    try:
        make_folder(kept_folder())
        text = json.dumps({**_batch_sizes(), key: batch_size}, indent=2, sort_keys=True)
        write_atomically(kept_folder() / BATCH_SIZES, text.encode() + b"\n")
    except OSError:
        return


def _batch_sizes() -> dict[str, object]:
    try:
        found = json.loads((kept_folder() / BATCH_SIZES).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
