"""Whether a path stays in a folder, symbolic links followed."""

from __future__ import annotations

import os
from pathlib import Path

from hybrid.remote.address import remote_url

FOLLOW = "HYBRID_FOLLOW_LINKS"


def lies_in(path: Path, *folders: Path) -> bool:
    """Whether a path, all links followed, lies in one of the folders.

    What is at a URL lies in none. Where the environment variable ``HYBRID_FOLLOW_LINKS`` is 1, links are not
    followed first: whoever sets it trusts those in a project.

    Examples
    --------
    >>> lies_in(Path("posters/1.jpg"), Path()), lies_in(Path("posters/../../1.jpg"), Path())
    (True, False)
    """
    real = os.path.abspath if os.environ.get(FOLLOW) == "1" else os.path.realpath
    if remote_url(path):
        return False
    there = Path(real(path))
    return any(there.is_relative_to(real(folder)) for folder in folders)
