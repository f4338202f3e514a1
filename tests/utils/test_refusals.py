"""Errors of a disk are known by their number, or by their text where a library gives none."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hybrid.utils.files import reserve, sync, write_new, write_unsynced
from hybrid.utils.outputs import write_outputs
from hybrid.utils.refusals import ADVICE, describe_refusal, refusal_number

FULL = os.strerror(errno.ENOSPC)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, FULL),
        # As HDF5, Arrow, TensorFlow and shutil.copytree say it.
        OSError(f"Unable to flush file (errno = {errno.ENOSPC}, error message = '{FULL}')"),
        OSError(f"Error writing bytes to file. Detail: [errno {errno.ENOSPC}] {FULL}"),
        RuntimeError(f"events.out; {FULL}"),
        shutil.Error([("a", "b", f"[Errno {errno.ENOSPC}] {FULL}: 'b'")]),
    ],
)
def test_a_full_disk_is_known(error: Exception) -> None:
    assert refusal_number(error) == errno.ENOSPC
    said = describe_refusal("runs/svm", error)
    assert said == f"cannot write runs/svm: {FULL}. {ADVICE[errno.ENOSPC]}"


def test_other_errors_are_no_refusals() -> None:
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "posters/1.jpg")
    assert refusal_number(missing) is None
    assert describe_refusal("runs/svm", missing) == (
        "cannot write runs/svm: posters/1.jpg: No such file or directory."
    )


def test_outputs_that_belong_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of three cannot be synced: none has its name."""
    Path("page.html").write_text("old")
    synced, real = 0, os.fsync

    def refuse_the_third(descriptor: int) -> None:
        nonlocal synced
        synced += 1
        if synced == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_the_third)
    names = ["page.html", "page.csv", "page.json"]
    with pytest.raises(OSError, match=r"page\.json") as found:
        write_outputs([(Path(name), b"new", "page") for name in names])
    assert found.value.filename == "page.json"  # the name that the user knows
    assert {path.name: path.read_text() for path in Path().iterdir()} == {"page.html": "old"}


def test_the_first_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of a file cannot be removed either, on a disk that became read-only."""

    def dead(*args: object, **named: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), *args[:1])

    monkeypatch.setattr(os, "replace", dead)
    monkeypatch.setattr(os, "unlink", dead)
    with pytest.raises(OSError, match=r"poster\.jpg"):
        write_unsynced(Path("poster.jpg"), b"pixels")


def test_mapped_files_are_reserved() -> None:
    """A file of zeros takes no room at first; to write where a full disk has none would kill the process."""
    np.lib.format.open_memmap("a.npy", mode="w+", dtype="<f4", shape=(1 << 18,))
    size = Path("a.npy").stat().st_size
    reserve(Path("a.npy"))
    assert Path("a.npy").stat().st_size == size
    assert Path("a.npy").stat().st_blocks * 512 >= size


@pytest.mark.parametrize("call", [sync, lambda path: write_new(path / "new", b"text")])
def test_a_refusal_on_a_descriptor_names_its_file(
    call: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output error") as raised:
        call(tmp_path)
    assert str(raised.value.filename).startswith(str(tmp_path))
