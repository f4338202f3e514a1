"""A run is replaced whole: processes killed before each call of the system, and two that write at once."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.errors import RunError
from hybrid.runs import replacement
from hybrid.runs.folder import find_runs, new_run, read_run
from hybrid.runs.predictions_file import write_predictions
from hybrid.runs.record import RunRecord
from hybrid.runs.replacement import hold_run
from hybrid.types import Predictions

KILLED, DONE = 9, 0
CALLS = (
    "open",
    "os.mkdir",
    "os.link",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "shutil.rmtree",
    "os.listdir",
    "fcntl.flock",
)


def write_run(folder: Path, seed: int) -> None:
    """A run whose three files all tell its seed."""
    predictions = Predictions(
        np.array([f"item {seed}"]), np.array(["test"]), ("Drama",), np.ones((1, 1), np.uint8),
        np.ones((1, 1)),
    )  # fmt: skip
    with new_run(folder) as new:
        (new / "model.npz").write_text(str(seed))
        write_predictions(new / "predictions.csv", predictions)
        RunRecord(seed=seed).write(new)


def seed_of(folder: Path) -> int:
    """The seed of a run, of which each file must tell the same."""
    run = read_run(folder)
    seed = run.record.seed
    assert seed is not None
    assert run.predictions.ids.tolist() == [f"item {seed}"]
    assert (folder / "model.npz").read_text() == str(seed)
    return seed


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def in_a_child(work: Callable[[], None], kill_before: int, exchange: Callable[..., bool]) -> int:
    """Run something in a process that is killed before one of its calls of the system: how it ended."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # fork beside threads: the child starts none
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    calls = 0

    def count(event: str, arguments: Any = ()) -> None:
        nonlocal calls
        if event in CALLS:
            calls += 1
            if calls == kill_before:
                os.kill(os.getpid(), KILLED)

    def exchanged(first: Path, second: Path) -> bool:
        count("os.rename")
        return exchange(first, second)

    try:
        replacement.exchange = exchanged
        sys.addaudithook(count)
        work()
    except BaseException:
        os._exit(1)
    os._exit(DONE)


def no_exchange(first: Path, second: Path) -> bool:
    """As on a file system that cannot exchange names."""
    return False


@pytest.mark.parametrize("exchange", [replacement.exchange, no_exchange])
def test_a_kill_leaves_the_old_or_the_new_run(
    exchange: Callable[..., bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for kill_before in range(1, 1000):
        folder = tmp_path / str(kill_before) / "svm"
        write_run(folder, 1)
        ended = in_a_child(lambda folder=folder: write_run(folder, 2), kill_before, exchange)  # type: ignore[misc]
        if ended == DONE:
            break
        assert ended == -KILLED
        if exchange is not no_exchange:
            assert (folder / "run.json").exists()
        assert find_runs(folder.parent) == [folder]
        found.append(seed_of(folder))
        monkeypatch.setattr(replacement, "exchange", exchange)
        write_run(folder, 3)
        assert seed_of(folder) == 3
        assert names(folder.parent) == ["svm"]
    assert found == sorted(found)
    assert found.count(1) > 10
    assert found.count(2) > 3
    assert seed_of(folder) == 2


@pytest.mark.parametrize(
    ("exchange", "links"), [(replacement.exchange, True), (no_exchange, False)]
)
def test_a_kill_loses_no_file_of_the_user(
    exchange: Callable[..., bool], links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError("no links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    own = {"notes.txt": "mine", "studies/why.md": "because", "plots/a/b.svg": "<svg/>"}
    found = []
    for kill_before in range(1, 1000):
        folder = tmp_path / str(kill_before) / "svm"
        for name, text in (own | {"run.json": "1"}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        (folder / "latest").symlink_to("plots")
        new = replacement.temporary_folder(folder)
        new.mkdir()
        (new / "run.json").write_text("2")
        work = lambda new=new, folder=folder: replacement.put_in_place(new, folder)  # type: ignore[misc]  # noqa: E731
        ended = in_a_child(work, kill_before, exchange)
        replacement.recover_run(folder)
        found.append((folder / "run.json").read_text())
        assert {name: (folder / name).read_text() for name in own} == own
        assert (folder / "latest").readlink() == Path("plots")
        assert names(folder.parent) == ["svm"]
        if ended == DONE:
            break
        assert ended == -KILLED
    assert found == sorted(found)
    assert found.count("1") > 5
    assert found.count("2") > 5


def test_what_hybrid_wrote_is_not_kept_and_what_cannot_be_kept_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "svm"
    write_run(folder, 1)
    (folder / "studies" / "curve.partial").mkdir(parents=True)
    for name in ("stages.csv", "model.joblib", "studies/curve.json", "studies/curve.partial/0.npz"):
        (folder / name).write_text("of the old model")
    os.mkfifo(folder / "pipe")
    write_run(folder, 2)
    assert {"stages.csv", "model.joblib", "studies"}.isdisjoint(names(folder))
    assert (folder / "pipe").is_fifo()

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(RunError, match=r"cannot write the run .*svm: .*pipe.*"):
        write_run(folder, 3)
    assert seed_of(folder) == 2
    assert (folder / "pipe").is_fifo()


def test_a_kill_leaves_no_part_of_a_first_run(tmp_path: Path) -> None:
    found = []
    for kill_before in range(1, 1000):
        folder = tmp_path / str(kill_before) / "svm"
        folder.parent.mkdir()
        work = lambda folder=folder: write_run(folder, 2)  # noqa: E731
        if in_a_child(work, kill_before, replacement.exchange) == DONE:
            break
        found.append(folder.exists())
        if folder.exists():
            assert seed_of(folder) == 2
        write_run(folder, 3)
        assert seed_of(folder) == 3
        assert names(folder.parent) == ["svm"]
    assert found == sorted(found)
    assert found.count(False) > 10


def test_of_two_writers_one_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "svm"
    with new_run(folder) as new:
        RunRecord(seed=1).write(new)
        assert in_a_child(lambda: write_run(folder, 2), -1, replacement.exchange) == 1

        def other() -> None:
            with pytest.raises(RunError, match=r"svm: expected no other process to write this run"):
                write_run(folder, 2)

        assert in_a_child(other, -1, replacement.exchange) == DONE
    assert RunRecord.read(folder).seed == 1
    assert in_a_child(lambda: write_run(folder, 2), -1, replacement.exchange) == DONE
    assert seed_of(folder) == 2
    assert names(tmp_path / "runs") == ["svm"]


def test_something_else_that_took_the_name_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "svm"

    def write() -> None:
        with new_run(folder) as new:
            RunRecord(seed=1).write(new)
            folder.mkdir()
            (folder / "photo.jpg").touch()

    with pytest.raises(RunError, match="expected a run or nothing, found something else"):
        write()
    assert names(tmp_path) == ["svm"]
    assert names(folder) == ["photo.jpg"]


def test_a_link_to_a_run_is_replaced(tmp_path: Path) -> None:
    write_run(tmp_path / "elsewhere" / "svm", 1)
    (tmp_path / "runs").mkdir()
    folder = tmp_path / "runs" / "svm"
    folder.symlink_to(tmp_path / "elsewhere" / "svm")
    write_run(folder, 2)
    assert seed_of(folder) == 2
    assert not folder.is_symlink()
    assert seed_of(tmp_path / "elsewhere" / "svm") == 1
    assert names(tmp_path / "runs") == ["svm"]


def test_a_run_is_held_by_one_thread_several_times(tmp_path: Path) -> None:
    with hold_run(tmp_path / "runs" / "svm"), hold_run(tmp_path / "runs" / "svm"):
        assert names(tmp_path / "runs") == [".svm.lock"]
    assert not (tmp_path / "runs").exists()


REFUSED = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
UNREAD = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "posters/1.jpg")


@pytest.mark.parametrize(
    ("error", "match"),
    [
        (REFUSED, r"cannot write the run .*runs/svm: No space"),
        (
            RuntimeError(f"errno = {errno.EIO}"),
            r"cannot write the run .*runs/svm: Input/output error",
        ),
        (RunError("read that: no"), "^read that: no$"),
        (UNREAD, r"posters/1\.jpg"),
    ],
)
def test_what_a_disk_refuses_is_told_of_the_run_and_what_cannot_be_read_is_not(
    error: Exception, match: str, tmp_path: Path
) -> None:
    """The folder that a run is written in has a name of its own, which means nothing to the user."""
    folder = tmp_path / "runs/svm"
    kind = PermissionError if error is UNREAD else RunError
    with pytest.raises(kind, match=match), new_run(folder):
        raise error
    assert not folder.exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_name_that_cannot_be_synced_is_given_back(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit that is told to have failed has changed nothing."""
    folder = tmp_path / "runs/svm"
    if there:
        with new_run(folder) as temporary:
            RunRecord(name="old").write(temporary)
    real = replacement.sync

    def refuse(path: Path) -> None:
        if path == folder.parent:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        real(path)

    monkeypatch.setattr(replacement, "sync", refuse)
    with pytest.raises(RunError, match="Input/output error"), new_run(folder) as temporary:
        RunRecord(name="new").write(temporary)
    assert [path.name for path in folder.parent.glob("*")] == (["svm"] if there else [])
    if there:
        assert RunRecord.read(folder).name == "old"
