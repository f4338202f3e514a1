"""The measured throughput of the extraction that wrote a store; see FORMAT.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hybrid.utils.files import write_atomically

NAME = "throughput.json"
RATE = "posters_per_second"
MIN_IMAGES = 256  # a shorter extraction says little about the rate


def write_throughput(
    folder: Path, images: int, posters_per_second: float, **settings: str | float
) -> None:
    """Save the throughput of an extraction in the folder of its store.

    Nothing is written for fewer than 256 images or a rate of 0, and no error is raised if the folder
    cannot be written: the cost of a run is then unknown.

    Parameters
    ----------
    folder : Path
        ``EmbeddingStore.folder``.
    images : int
        Embedded by this extraction.
    posters_per_second : float
        Over the whole extraction, including reading and decoding.
    **settings
        What the rate depends on: engine, precision, device, and the like.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_throughput(Path(folder), 1000, 41.5, engine="keras")
    ...     read_throughput(Path(folder))
    {'engine': 'keras', 'posters_per_second': 41.5}
    """
    if images < MIN_IMAGES or posters_per_second <= 0:
        return
    text = json.dumps({RATE: posters_per_second, **settings}, indent=2, sort_keys=True)
    try:
        write_atomically(folder / NAME, text.encode() + b"\n")
    except OSError:
        return


def read_throughput(folder: Path) -> dict[str, Any] | None:
    """Read the throughput of the last extraction into a store.

    Parameters
    ----------
    folder : Path
        ``EmbeddingStore.folder``.

    Returns
    -------
    dict or None
        ``"posters_per_second"`` (a positive number) and the settings it was measured with; None if no
        extraction was long enough or the file is damaged.

    Examples
    --------
    >>> read_throughput(Path("no-such-store")) is None
    True
    """
    try:
        found = json.loads((folder / NAME).read_bytes())
    except (OSError, ValueError):
        return None
    rate = found.get(RATE) if isinstance(found, dict) else None
    return found if isinstance(rate, int | float) and rate > 0 else None
