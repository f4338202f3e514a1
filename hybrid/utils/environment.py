"""The environment of a run: the machine and the versions of the libraries."""

from __future__ import annotations

import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("hybrid-posters", "keras", "tensorflow", "numpy", "scipy", "scikit-learn", "pandas",
             "h5py", "pillow", "joblib")  # fmt: skip


def home_folder() -> Path:
    """Return the user's home; where there is none, as in many containers, a folder for temporary files.

    Examples
    --------
    >>> home_folder() == Path.home()
    True
    """
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and no such user
        return Path(tempfile.gettempdir())


def user_cache_folder() -> Path:
    """Return the folder of this package in the user's cache; it need not exist.

    Examples
    --------
    >>> user_cache_folder().name
    'hybrid'
    """
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else home_folder() / ".cache") / "hybrid"


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a result depends on.

    Returns
    -------
    dict of str to str
        Library → version; ``"not installed"`` where it is missing.

    Examples
    --------
    >>> sorted(library_versions())[:3]
    ['h5py', 'hybrid-posters', 'joblib']
    """
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def hardware() -> dict[str, Any]:
    """The machine, as far as the standard library knows it.

    Examples
    --------
    >>> sorted(hardware())
    ['cores', 'processor', 'system']
    """
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
