"""What is kept on this machine between two commands, because making it anew takes long.

All of it can be deleted at any time. It stands in ``hybrid`` below ``XDG_CACHE_HOME`` or ``~/.cache``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hybrid.files import make_folder, write_atomically

# Each is a file with one JSON object, what was measured by a key that says on what.
BATCH_SIZES = "batch-sizes.json"
ENGINES = "engines.json"
RATES = "rates.json"
ENOUGH = 256  # posters: of fewer, the rate says little


def kept_folder() -> Path:
    """The folder; it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "hybrid"


def recall(file: str, key: str) -> object:
    """What was measured before; None if nothing was. A file may hold anything: check what comes back."""
    return _read(file).get(key)


def recall_rate(fingerprint: str) -> dict[str, Any] | None:
    """What the last extraction on this machine reached for these embeddings; None if none was kept."""
    found = recall(RATES, fingerprint)
    return found if isinstance(found, dict) and found.get("posters_per_second") else None


def keep_rate(fingerprint: str, images: int, rate: float, **said: Any) -> None:
    """Keep what an extraction of enough posters reached, for the cost of the runs that use it."""
    if images >= ENOUGH and rate > 0:
        keep(RATES, fingerprint, {"posters_per_second": rate, **said})


def keep(file: str, key: str, value: object) -> None:
    """Keep what was measured; where the folder cannot be written, it is measured again."""
    try:
        make_folder(kept_folder())
        text = json.dumps({**_read(file), key: value}, indent=2, sort_keys=True)
        write_atomically(kept_folder() / file, text.encode() + b"\n")
    except OSError:
        return


def _read(file: str) -> dict[str, object]:
    try:
        found = json.loads((kept_folder() / file).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
