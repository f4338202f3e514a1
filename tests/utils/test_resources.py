"""What a stage cost."""

from __future__ import annotations

import mmap
import platform
import sys
from pathlib import Path

import pytest

from hybrid.utils.resources import CostRecorder, return_memory


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can forget a peak")
def test_each_stage_has_a_peak_of_its_own() -> None:
    costs = CostRecorder()
    with costs.stage("large"), mmap.mmap(-1, 40 * 2**20) as block:
        # Not from the heap, where a long run of tests has left as much memory free.
        block.write(bytes([1]) * len(block))
    with costs.stage("small"):
        pass
    large, small = costs.stages
    assert (large.name, small.name) == ("large", "small")
    assert large.peak_mib > small.peak_mib + 30
    assert large.seconds > 0


def test_a_stage_that_fails_is_not_recorded() -> None:
    costs = CostRecorder()
    with pytest.raises(ZeroDivisionError, match="division"), costs.stage("bad"):
        1 / 0  # noqa: B018
    assert costs.stages == []


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less")
def test_memory_that_was_freed_is_returned() -> None:
    def resident() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    blocks = [bytes([1]) * 2000 for _ in range(50_000)]  # of the heap
    last = blocks.pop()  # stays, so that the C library keeps what is below it
    del blocks
    before = resident()
    return_memory()
    assert before - resident() > 50_000  # KiB, of 100 MB
    assert len(last) == 2000
