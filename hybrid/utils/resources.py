"""What a stage costs: seconds and peak memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid.types import StageCost


class CostRecorder:
    """Collects the stages of a run.

    Attributes
    ----------
    stages : list of StageCost
        In the order in which they ended.
    """

    def __init__(self) -> None:
        self.stages: list[StageCost] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside the ``with`` block."""
        _forget_peak()
        start = time.perf_counter()
        yield
        self.stages.append(StageCost(name, time.perf_counter() - start, peak_mib()))


def peak_mib() -> float:
    """Peak resident memory of this process in MiB: since the stage began, where Linux can tell.

    Elsewhere, since the process began.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 2**10
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _forget_peak() -> None:
    """Let the kernel's high-water mark start anew: proc(5), /proc/pid/clear_refs, value 5."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # not Linux, or not allowed: the peak is then that of the whole process
