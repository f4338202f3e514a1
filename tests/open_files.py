"""The open files of this process: other tests' threads open and close theirs meanwhile."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

DESCRIPTORS = Path("/proc/self/fd")
counts_open_files = pytest.mark.skipif(
    not DESCRIPTORS.is_dir(), reason="counts the open files of Linux"
)


def open_files(folder: Path) -> list[str]:
    """The files of a folder that are open, once for each time; also those without a name."""
    found = []
    for each in DESCRIPTORS.iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            found.append(str(each.readlink()))
    return sorted(file for file in found if file.startswith(f"{folder.resolve()}/"))
