"""A run's learning curve → the places of its points and whiskers in a chart."""

from __future__ import annotations

import math
from typing import Any

from hybrid.report.summary_text import METRIC_NAMES
from hybrid.runs.study_records import LearningCurveRecord

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 48, 24, 16, 34
LINES = (("f1_weighted", "first"), ("map_macro", "second"))  # metric, and its class in the page
STEP = 0.1  # between two lines of the grid


def draw_curve(curve: LearningCurveRecord) -> dict[str, Any]:
    """Places, in a chart of `WIDTH` x `HEIGHT`, of a learning curve.

    The axis of the items is logarithmic, since each size is twice the last; that of the metrics goes
    from one line of the grid to another.
    """
    points = curve.points
    intervals = [getattr(p, name) for p in points for name, _ in LINES]
    bounds = [bound for found in intervals for bound in (found.low, found.high)]
    low = STEP * math.floor(min(bounds, default=0.0) / STEP + 1e-9)
    high = max(STEP * math.ceil(max(bounds, default=1.0) / STEP - 1e-9), low + STEP)
    items = [p.items for p in points]
    span = math.log(max(items, default=2) / min(items, default=1)) or 1.0

    def x(count: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(count / min(items)) / span

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    lines = [
        {
            "name": METRIC_NAMES[metric][0],
            "class": kind,
            "marks": [
                {"x": x(p.items), "y": y(found.value), "low": y(found.low), "high": y(found.high)}
                for p in points
                for found in [getattr(p, metric)]
            ],
        }
        for metric, kind in LINES
    ]
    grid = [low + STEP * i for i in range(round((high - low) / STEP) + 1)]
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": HEIGHT - BOTTOM,
        "ticks": [(x(count), f"{count:,}") for count in items],
        "grid": [(y(value), f"{value:.1f}") for value in grid],
        "lines": lines,
    }
