"""`kill -9` while extracting, and going on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("fault_kill.py")


@pytest.mark.parametrize(
    ("workers", "processes", "shards"),
    [(1, 1, False), (4, 1, False), (1, 4, False), (1, 3, True)],
    ids=["1 worker", "4 workers", "4 processes", "3 shards"],
)
def test_nothing_acknowledged_is_lost_by_kill(
    workers: int,
    processes: int,
    shards: bool,
    tmp_path: Path,
    fault_counts: dict[str, int],
    tally: Callable[[str], None],
    loaded: Any,
) -> None:
    options = {"kills": fault_counts["kills"], "workers": workers, "processes": processes}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    arguments += ["--shards"] * shards
    done = loaded.run(PROGRAM.read_text(), tmp_path / "films", *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    counts, what = json.loads(done.stdout), "shards" if shards else "processes"
    tally(
        f"kill -9, {workers} workers, {processes} {what}: {counts['kills']} kills, "
        f"{counts['acknowledged']} acknowledged rows, {counts['lost']} lost, {counts['wrong']} wrong; "
        f"{counts['completed']} times the same content as an undisturbed run"
    )
    assert counts["kills"] >= fault_counts["kills"]
    assert (counts["lost"], counts["wrong"]) == (0, 0)
    assert counts["completed"] > 0
    assert counts["acknowledged"] > 100
