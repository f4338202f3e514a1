"""Files that are moved out of a temporary folder: all of them or none, whenever the disk refuses or dies."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from hybrid.utils.leftovers import MOVING, discard, move_out, remove_leftovers

NAMES = ["posters", "left-out.csv", "catalogue.csv"]  # in the order in which they are moved


def fill(folder: Path) -> Path:
    """What a process writes that is gone later: its folder with three files."""
    source = folder / f".tmp-{socket.gethostname()}-{2**40}-{'0' * 32}"
    (source / "posters").mkdir(parents=True)
    (source / "posters/1.jpg").write_text("pixels")
    for name in NAMES[1:]:
        (source / name).write_text(name)
    (source / "scratch").touch()
    return source


def refuse_from(monkeypatch: pytest.MonkeyPatch, number: int, for_good: bool) -> None:
    """The renames from a number on; `for_good`: they and all removals, as on a disk that died."""
    rename, asked = Path.rename, []

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def count(source: Path, target: Path) -> Path:
        asked.append(source)
        if len(asked) == number or (for_good and len(asked) > number):
            for name in ("unlink", "rmdir") if for_good else ():
                monkeypatch.setattr(os, name, refuse)
            refuse()
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", count)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("for_good", [False, True])
def test_of_a_disk_that_refuses_nothing_is_moved(
    number: int, for_good: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path)
    with monkeypatch.context() as patch:
        refuse_from(patch, number, for_good)
        with pytest.raises(OSError, match="Read-only file system"):
            move_out(source, NAMES)
    assert source.exists() == for_good
    assert not (tmp_path / "catalogue.csv").exists()
    remove_leftovers(tmp_path)  # of the next command, when the disk works again
    assert not list(tmp_path.iterdir())
    move_out(fill(tmp_path), NAMES)  # so it can be run again
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_all_that_were_moved_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was killed after the last: what is left of it is removed, and nothing else."""
    source = fill(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("hybrid.utils.leftovers.remove_tree", lambda folder: None)
        move_out(source, NAMES)
    assert (source / MOVING).exists()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    assert (tmp_path / "posters/1.jpg").read_text() == "pixels"


def test_a_file_of_somebody_else_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put in the place of one that was moved, after the process had died; or where none had been."""
    source = fill(tmp_path)
    with monkeypatch.context() as patch:
        refuse_from(patch, 3, for_good=True)
        with pytest.raises(OSError, match="Read-only file system"):
            move_out(source, [*NAMES[:2], "splits.csv", NAMES[2]])
    kept = tmp_path / "left-out.csv"
    kept.rename(tmp_path / "aside")
    kept.write_text("mine")
    (tmp_path / "splits.csv").write_text("mine")
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("aside", "left-out.csv", "splits.csv")
    ]
    assert kept.read_text() == (tmp_path / "splits.csv").read_text() == "mine"


def test_nothing_is_replaced(tmp_path: Path) -> None:
    source = fill(tmp_path)
    (tmp_path / "left-out.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=r"left-out\.csv"):
        move_out(source, NAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["left-out.csv"]
    assert (tmp_path / "left-out.csv").read_text() == "mine"


@pytest.mark.parametrize(
    "record", ["", "posters", "x posters\n", "1 ../kept\n1 catalogue.csv", "\0"]
)
def test_a_record_of_another_form_moves_nothing(record: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    folder = tmp_path / "films"
    source = fill(folder)
    (folder / "posters").mkdir()
    (source / MOVING).write_text(record)
    discard(source)
    assert (tmp_path / "kept").exists()
    assert [path.name for path in folder.iterdir()] == ["posters"]
