"""What a stage cost."""

from __future__ import annotations

import mmap
import sys

import pytest

from hybrid.utils.resources import CostRecorder


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
