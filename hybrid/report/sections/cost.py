"""Cost: weighted F1 against seconds with the Pareto front, and the cost of each stage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from hybrid.evaluation import pareto_front
from hybrid.report.comparison import MAIN, Comparison
from hybrid.report.plots import Curve, draw
from hybrid.types import StageCost


@dataclass(frozen=True)
class StageRow:
    """One stage of a run.

    Parameters
    ----------
    run : int
        Position in the comparison.
    stage : StageCost
    share : float
        Its seconds, as a share of the longest stage, in [0, 1].

    Examples
    --------
    >>> StageRow(0, StageCost("fit", 2.0, 100.0), 1.0).stage.name
    'fit'
    """

    run: int
    stage: StageCost
    share: float


@dataclass(frozen=True)
class CostData:
    """Stages, Pareto front and chart.

    Parameters
    ----------
    stages : tuple of StageRow
    pareto : tuple of int
        Positions of the Pareto-optimal runs, cheapest first.
    chart : Markup or None
        None where no run has a cost.

    Examples
    --------
    >>> CostData((), (0,), None).pareto
    (0,)
    """

    stages: tuple[StageRow, ...]
    pareto: tuple[int, ...]
    chart: Markup | None


def make(comparison: Comparison) -> CostData | None:
    """Stages in the order of the runs, and the chart; None where no run recorded a stage.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    CostData or None

    Examples
    --------
    >>> make(comparison).pareto  # doctest: +SKIP
    (1, 0)
    """
    found = [(i, stage) for i, run in enumerate(comparison.runs) for stage in run.stages]
    longest = max((s.seconds for _, s in found if not math.isnan(s.seconds)), default=0.0) or 1.0
    rows = tuple(
        StageRow(i, s, 0.0 if math.isnan(s.seconds) else s.seconds / longest) for i, s in found
    )
    best = pareto_runs(comparison)
    return CostData(rows, best, _pareto_chart(comparison, best) if best else None) if rows else None


def pareto_runs(comparison: Comparison) -> tuple[int, ...]:
    """Positions of the Pareto-optimal runs in F1 and seconds, cheapest first.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> pareto_runs(comparison)  # doctest: +SKIP
    (1, 0)
    """
    cost = np.array([run.total_seconds or math.nan for run in comparison.runs], dtype=np.float64)
    value = [run.evaluation.metrics[MAIN].value for run in comparison.runs]
    best = np.flatnonzero(pareto_front(cost, value))
    return tuple(best[np.argsort(cost[best], kind="stable")].tolist())


def _pareto_chart(comparison: Comparison, best: tuple[int, ...]) -> Markup:
    runs = comparison.runs
    f1 = [run.evaluation.metrics[MAIN] for run in runs]
    line = Curve(None, [runs[i].total_seconds or 0.0 for i in best], [f1[i].value for i in best])
    points = [
        Curve(i, [run.total_seconds], [f1[i].value], [f1[i].low], [f1[i].high], label=str(i + 1))
        for i, run in enumerate(runs)
        if run.total_seconds
    ]
    words = "; ".join(
        f"{runs[i].name} {f1[i].value:.3f} in {runs[i].total_seconds:.1f} s" for i in best
    )
    return draw(
        [line, *points],
        "cost",
        f"Weighted F1 against seconds. Pareto front: {words}.",
        axes=("Seconds to extract, fit and predict", "Weighted F1"),
        unit_square=False,
        log=True,
    )
