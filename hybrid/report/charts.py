"""A comparison → the geometry of its charts: numbers that the page draws as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid.evaluation import pareto_front
from hybrid.report.comparison import MAIN, ComparedRun

WIDTH, HEIGHT = 640.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 16.0, 12.0, 44.0


@dataclass(frozen=True)
class Axis:
    """A line of the chart: what is at `low` and `high`, on a logarithmic scale or not."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value is, from 0 to 1."""
        scale = math.log10 if self.log else float
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))

    def ticks(self) -> list[float]:
        """A few round values: powers of ten, or fifths to tenths."""
        if self.log:
            powers = range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)
            return [10.0**power for power in powers]
        step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2) if (self.high - self.low) / s <= 8)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(i * step, 10) for i in range(first, last + 1)]


def cost_chart(runs: Sequence[ComparedRun]) -> dict[str, Any] | None:
    """Weighted F1 against seconds; None where no run says what it cost.

    Each point has its run's position, its place and interval; `front` are the places of the runs that no
    other one beats, from cheap to dear.
    """
    shown = [i for i, run in enumerate(runs) if (run.cost_seconds or 0) > 0]
    if not shown:
        return None
    cost = [float(runs[i].cost_seconds or 0) for i in shown]
    f1 = [runs[i].evaluation.metrics[MAIN] for i in shown]
    x = Axis(10.0 ** math.floor(math.log10(min(cost))), 10.0 ** _above(math.log10(max(cost))), True)
    low, high = min(v.low for v in f1), max(v.high for v in f1)
    y = Axis(max(math.floor(low * 20) / 20, 0.0), max(math.ceil(high * 20) / 20, low + 0.05))
    points: list[dict[str, Any]] = [
        {
            "run": i,
            "x": _across(x.share(c)),
            "y": _down(y.share(v.value)),
            "low": _down(y.share(v.low)),
            "high": _down(y.share(v.high)),
            "seconds": c,
            "value": v,
        }
        for i, c, v in zip(shown, cost, f1, strict=True)
    ]
    best = pareto_front(cost, [v.value for v in f1])
    front = sorted((points[k] for k in np.flatnonzero(best).tolist()), key=lambda p: float(p["x"]))
    for point in points:
        point["front"] = point in front
    return {"points": points, "front": front, **_frame(x, y)}


def reliability_chart(runs: Sequence[ComparedRun]) -> dict[str, Any] | None:
    """Observed share against predicted probability, one line a run; None where no run says anything."""
    axis = Axis(0.0, 1.0)
    lines = [
        {
            "run": i,
            "places": [
                (_across(p), _down(o))
                for p, o in zip(run.reliability.predicted, run.reliability.observed, strict=True)
            ],
            "error": run.reliability.error,
            "debiased": run.reliability.debiased,
        }
        for i, run in enumerate(runs)
        if run.reliability.count
    ]
    return {"lines": lines, **_frame(axis, axis)} if lines else None


def _frame(x: Axis, y: Axis) -> dict[str, Any]:
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "top": TOP,
        "bottom": HEIGHT - BOTTOM,
        "x_ticks": [(_across(x.share(v)), f"{v:g}") for v in x.ticks()],
        "y_ticks": [(_down(y.share(v)), f"{v:g}") for v in y.ticks()],
    }


def _above(power: float) -> int:
    """The next whole power above, so that the highest point is not on the edge."""
    return math.floor(power) + 1


def _across(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _down(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)
