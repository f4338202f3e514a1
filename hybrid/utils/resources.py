"""What a process may use, and what a stage costs: cores, seconds, peak memory."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hybrid.errors import SettingError
from hybrid.types import StageCost
from hybrid.utils.progress import current_progress
from hybrid.utils.reading import SYSTEM, read_text

CGROUP = Path("/sys/fs/cgroup")
MEMORY_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # of version 2, of version 1
# How many threads a library takes that is loaded, or computes for the first time, later.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)

_limit: int | None = None


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Number of cores that this process may use, which can be less than the machine has.

    Counts the cores of the process's affinity mask (``taskset``), and no more than the CPU quota of its
    control group (containers, ``docker --cpus``) rounded up, and than ``PYTHON_CPU_COUNT``.

    Parameters
    ----------
    cgroup : Path, default=/sys/fs/cgroup
        Where the control groups are mounted.

    Returns
    -------
    int
        1 or more.

    Examples
    --------
    >>> import os
    >>> from hybrid.utils.resources import usable_cores
    >>> 1 <= usable_cores() <= os.cpu_count()
    True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [cores or 1, _cpu_quota(cgroup)]
    if (said := os.environ.get("PYTHON_CPU_COUNT", "")).isdecimal():
        limits.append(int(said))
    return max(1, math.ceil(min(limits)))


def _cpu_quota(cgroup: Path) -> float:
    """Cores' worth of time that the control group grants: version 2, then version 1; else infinite."""
    try:
        quota, period = read_text(cgroup / "cpu.max", SYSTEM).split()
    except (OSError, ValueError):
        try:
            quota = read_text(cgroup / "cpu" / "cpu.cfs_quota_us", SYSTEM)
            period = read_text(cgroup / "cpu" / "cpu.cfs_period_us", SYSTEM)
        except OSError:
            return math.inf
    try:
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (ValueError, ZeroDivisionError):
        return math.inf  # "max": no quota


def usable_memory(cgroup: Path = CGROUP) -> int:
    """Bytes of memory that this process may use: those of the machine, or fewer where its control group says.

    Parameters
    ----------
    cgroup : Path, default=/sys/fs/cgroup
        Where the control groups are mounted.

    Examples
    --------
    >>> from hybrid.utils.resources import usable_memory
    >>> usable_memory() > 2**20
    True
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, *(_memory_limit(cgroup / name) for name in MEMORY_LIMITS))


def _memory_limit(path: Path) -> int:
    """Bytes in a file of a control group; where it has no limit, more than any machine has."""
    try:
        return int(read_text(path, SYSTEM))
    except (OSError, ValueError):
        return sys.maxsize  # "max": no limit


def default_workers() -> int:
    """Number of threads to use: that of the innermost `limit_workers`, else `usable_cores`."""
    return usable_cores() if _limit is None else _limit


@contextmanager
def limit_workers(workers: int) -> Iterator[None]:
    """Let everything in the ``with`` block use at most so many threads each; also BLAS and OpenMP.

    The limit is the process's: it holds in all of its threads. It changes how long something takes, no
    result.

    Parameters
    ----------
    workers : int
        1 or more.

    Raises
    ------
    SettingError
        If it is less than 1.

    Examples
    --------
    >>> from hybrid.utils.resources import default_workers, limit_workers
    >>> with limit_workers(1):
    ...     default_workers()
    1
    """
    global _limit
    if workers < 1:
        raise SettingError(f"--workers: expected 1 or more, found {workers}.")
    before, _limit = _limit, workers
    try:
        with _limit_libraries(workers):
            yield
    finally:
        _limit = before


@contextmanager
def _limit_libraries(workers: int) -> Iterator[None]:
    """Bound the thread pools of libraries, loaded or not; a bound that is tighter already stays."""
    from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

    large = {pool["prefix"]: workers for pool in threadpool_info() if pool["num_threads"] > workers}
    names = THREAD_VARIABLES if workers < usable_cores() else ()
    before = {name: os.environ.get(name) for name in names}
    for name, said in before.items():
        if said is None or (said.isdecimal() and int(said) > workers):
            os.environ[name] = str(workers)
    try:
        with threadpool_limits(large):
            yield
    finally:
        for name, said in before.items():
            if said is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = said


class CostRecorder:
    """Collects the stages of a run.

    Attributes
    ----------
    stages : list of StageCost
        In the order in which they ended.

    Examples
    --------
    >>> costs = CostRecorder()
    >>> with costs.stage("fit"):
    ...     pass
    >>> costs.stages[0].name
    'fit'
    """

    def __init__(self) -> None:
        self.stages: list[StageCost] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside the ``with`` block, and show that it is under way."""
        _forget_peak()
        start = time.perf_counter()
        with current_progress().step(name):
            yield
        self.stages.append(StageCost(name, time.perf_counter() - start, peak_mib()))


def peak_mib() -> float:
    """Peak resident memory of this process in MiB: since the stage began, where Linux can tell.

    Elsewhere, since the process began.

    Examples
    --------
    >>> peak_mib() > 1
    True
    """
    try:
        status = read_text("/proc/self/status", SYSTEM)
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


def return_memory() -> None:
    """Return memory that was freed to the system, where the C library keeps it for later (glibc).

    For use after much was freed, which later allocations would not fill.

    Examples
    --------
    >>> return_memory()
    """
    with suppress(OSError, AttributeError):  # other systems have no such function
        ctypes.CDLL(None).malloc_trim(0)
