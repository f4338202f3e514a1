"""Measurements of this machine that commands reuse: batch sizes and the faster engine.

They are JSON files in ``hybrid`` below ``XDG_CACHE_HOME``, or below ``~/.cache`` if that is unset, and can
be deleted at any time.
"""

from __future__ import annotations

import json

from hybrid.utils.environment import user_cache_folder
from hybrid.utils.files import make_folder, write_atomically
from hybrid.utils.reading import TEXT, read_json

# Each file holds one JSON object: what was measured, by a key that names machine, versions and network.
BATCH_SIZES = "batch-sizes.json"
ENGINES = "engines.json"


def load_measurement(file: str, key: str) -> object:
    """Return what was saved under a key, or None.

    The file may have been edited or damaged, so the caller checks the type of what is returned.

    Parameters
    ----------
    file : {"batch-sizes.json", "engines.json"}
    key : str
        What the measurement depends on.

    Examples
    --------
    >>> load_measurement("engines.json", "no such machine") is None
    True
    """
    return _read(file).get(key)


def save_measurement(file: str, key: str, value: object) -> None:
    """Save a measurement; if the folder cannot be written, nothing is saved and it is measured again.

    Parameters
    ----------
    file : {"batch-sizes.json", "engines.json"}
    key : str
        What the measurement depends on.
    value : object
        Anything that JSON can hold.

    Examples
    --------
    >>> import os, tempfile
    >>> from unittest.mock import patch
    >>> with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, XDG_CACHE_HOME=folder):
    ...     save_measurement("batch-sizes.json", "a GPU; inception", 256)
    ...     load_measurement("batch-sizes.json", "a GPU; inception")
    256
    """
    try:
        make_folder(user_cache_folder())
        text = json.dumps({**_read(file), key: value}, indent=2, sort_keys=True)
        write_atomically(user_cache_folder() / file, text.encode() + b"\n")
    except OSError:
        return


def _read(file: str) -> dict[str, object]:
    try:
        found = read_json(user_cache_folder() / file, TEXT)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
