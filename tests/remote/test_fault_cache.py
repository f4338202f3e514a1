"""`kill -9` and a server that is cut off, while two machines extract to one cache on S3."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_acknowledged_is_lost(
    tmp_path: Path, fault_counts: dict[str, int], tally: Callable[[str], None]
) -> None:
    faults = fault_counts["machines at a URL"]
    command = ["-m", "tests.remote.fault_cache", f"--faults={faults}", str(tmp_path / "films")]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout)
    tally(
        f"two machines, a cache on S3: {counts['kills']} kills, {counts['cuts']} times cut off, "
        f"{counts['acknowledged']} acknowledged rows, {counts['lost']} lost, {counts['wrong']} wrong; "
        f"{counts['completed']} times the same content as an undisturbed run"
    )
    assert counts["kills"] + counts["cuts"] >= faults
    assert (counts["lost"], counts["wrong"]) == (0, 0)
    assert counts["completed"] > 0
