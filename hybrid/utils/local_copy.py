"""Where this machine keeps its copy of a folder at a URL."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from hybrid.remote.address import location, remote_url
from hybrid.utils.environment import user_cache_folder

VARIABLE = "HYBRID_REMOTE"


def local_copy(folder: str | Path) -> Path:
    """The folder of this machine in which the files of a folder lie: itself, or the copy of a URL.

    Copies lie in ``HYBRID_REMOTE``, by default in ``hybrid/remote`` below ``XDG_CACHE_HOME``, or below
    ``~/.cache`` if that is unset. Nothing is read or made.

    Parameters
    ----------
    folder : str or Path
        A path, or a URL as `hybrid.remote.address.remote_url` knows it.

    Examples
    --------
    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, HYBRID_REMOTE="/copies"):
    ...     str(local_copy("s3://bucket/cache")), str(local_copy("films/cache"))
    ('/copies/s3-bucket-cache-79f015464cf69fe4', 'films/cache')
    """
    url = remote_url(folder)
    if url is None:
        return location(folder)
    url = url.rstrip("/")
    copies = Path(os.environ.get(VARIABLE) or user_cache_folder() / "remote").absolute()
    readable = re.sub("[^A-Za-z0-9.]+", "-", url)[:80]
    return copies / f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:16]}"


def absolute_location(folder: str | Path) -> str:
    """The URL or absolute path of a folder, for a process in another one.

    Examples
    --------
    >>> absolute_location("s3://bucket/cache"), absolute_location("cache") == str(Path.cwd() / "cache")
    ('s3://bucket/cache', True)
    """
    return remote_url(folder) or str(location(folder).absolute())
