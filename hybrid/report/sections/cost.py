"""Cost: weighted F1 against seconds with the Pareto front, what the seconds consist of, and each stage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hybrid.report.comparison import MAIN, ComparedRun, Comparison
from hybrid.report.plots import Curve, draw
from hybrid.types import StageCost


@dataclass(frozen=True)
class ComponentRow:
    """One part of the cost of a run, or its total.

    Parameters
    ----------
    run : int
        Position in the comparison.
    name : str
    seconds : float or None
        None where it is not known.
    devices : tuple of str
    share : float
        As a share of the highest total, in [0, 1].
    total : bool, default=False

    Examples
    --------
    >>> ComponentRow(0, "fit", 2.0, ("processor",), 1.0).total
    False
    """

    run: int
    name: str
    seconds: float | None
    devices: tuple[str, ...]
    share: float
    total: bool = False


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
    """Components, stages, unknown costs and chart.

    Parameters
    ----------
    components : tuple of ComponentRow
    stages : tuple of StageRow
    unknown : tuple of (str, str)
        Runs of which the cost is not known, and why.
    chart : Markup or None
        None where no run has a known cost.

    Examples
    --------
    >>> CostData((), (), (("mine", "it was made elsewhere"),), None).unknown[0][0]
    'mine'
    """

    components: tuple[ComponentRow, ...]
    stages: tuple[StageRow, ...]
    unknown: tuple[tuple[str, str], ...]
    chart: Markup | None


def make(comparison: Comparison) -> CostData | None:
    """Components and stages in the order of the runs, and the chart; None where nothing is recorded.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    CostData or None

    Examples
    --------
    >>> make(comparison).unknown  # doctest: +SKIP
    (('theirs', 'it was made elsewhere'),)
    """
    runs = comparison.runs
    found = [(i, stage) for i, run in enumerate(runs) for stage in run.stages]
    known = [run.total_seconds for run in runs if run.total_seconds is not None]
    if not found and not known:
        return None
    longest = max((s.seconds for _, s in found if not math.isnan(s.seconds)), default=0.0) or 1.0
    stages = (
        StageRow(i, s, 0.0 if math.isnan(s.seconds) else s.seconds / longest) for i, s in found
    )
    highest = max(known, default=0.0) or 1.0
    return CostData(
        tuple(row for i, run in enumerate(runs) for row in _components(i, run, highest)),
        tuple(stages),
        tuple((run.name, why) for run in runs if (why := run.cost_unknown_because)),
        _draw_front(comparison) if known else None,
    )


def _components(i: int, run: ComparedRun, highest: float) -> Iterator[ComponentRow]:
    parts = run.record.cost.components
    if any(part.seconds is not None for part in parts):
        for part in parts:
            share = min((part.seconds or 0.0) / highest, 1.0)
            yield ComponentRow(i, part.name, part.seconds, part.devices, share)
    share = (run.total_seconds or 0.0) / highest
    yield ComponentRow(i, "total", run.total_seconds, (), share, total=True)


def cost_points(runs: Sequence[ComparedRun]) -> list[Curve]:
    """Weighted F1 with its interval against seconds: a point for each run whose cost is known.

    Parameters
    ----------
    runs : sequence of ComparedRun
        From the first of a comparison on.

    Returns
    -------
    list of Curve
        With the number of the run, from 1, as its label.

    Examples
    --------
    >>> [point.label for point in cost_points(comparison.runs)]  # doctest: +SKIP
    ['1', '3']
    """
    points = []
    for i, run in enumerate(runs):
        f1 = run.evaluation.metrics[MAIN]
        if run.total_seconds and f1.value == f1.value:
            seconds = [run.total_seconds]
            points.append(Curve(i, seconds, [f1.value], [f1.low], [f1.high], label=str(i + 1)))
    return points


def _draw_front(comparison: Comparison) -> Markup:
    runs = comparison.runs
    f1 = [run.evaluation.metrics[MAIN] for run in runs]
    seconds = {i: run.total_seconds for i, run in enumerate(runs) if run.total_seconds}
    best = [i for i in comparison.front if i in seconds]
    line = Curve(None, [seconds[i] for i in best], [f1[i].value for i in best])
    words = "; ".join(f"{runs[i].name} {f1[i].value:.3f} in {seconds[i]:.1f} s" for i in best)
    return draw(
        [line, *cost_points(runs)],
        "cost",
        f"Weighted F1 against seconds. Pareto front: {words}.",
        axes=("Seconds in all", "Weighted F1"),
        unit_square=False,
        log=True,
    )
