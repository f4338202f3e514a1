"""A comparison → one self-contained HTML page."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hybrid.evaluation import LOSSES, METRICS
from hybrid.records import Interval
from hybrid.report.charts import cost_chart, reliability_chart
from hybrid.report.comparison import MAIN, ComparedRun, Comparison
from hybrid.report.curve import draw_curve
from hybrid.report.words import DASH, METRIC_NAMES, number, verdict, winner, with_interval
from hybrid.runs import recorded_backbones

# Okabe and Ito's palette, told apart by the colour-blind; each run also carries its number.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#B5A900")
WHITE_ON = frozenset({"#0072B2"})  # the others carry black figures: contrast AA
SHOWN_PAIRS = 20


def environment() -> Environment:
    """Where the templates are rendered: whatever is put into them is escaped."""
    made = Environment(
        loader=PackageLoader("hybrid.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = number
    return made


def render(comparison: Comparison) -> str:
    """The page as a string. Everything that comes from a catalogue or a run is escaped.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str
        HTML without scripts and without anything to load.
    """
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(comparison.runs))]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            comparison=comparison,
            verdict=verdict(comparison),
            winner=winner(comparison),
            metric_names=METRIC_NAMES,
            best=_best(comparison),
            chart=_chart(comparison),
            cost=cost_chart(comparison.runs),
            reliability=reliability_chart(comparison.runs),
            ablations=[(run.name, _ablation(run)) for run in comparison.runs if _ablation(run)],
            colours=colours,
            inks=["#fff" if colour in WHITE_ON else "#000" for colour in colours],
            details=[_details(run) for run in comparison.runs],
            whys=[
                (run.name, run.record["why"]) for run in comparison.runs if run.record.get("why")
            ],
            curves=[
                (run.name, run.record["curve"], draw_curve(run.record["curve"]))
                for run in comparison.runs
                if run.record.get("curve")
            ],
            slowest=max((run.seconds or 0.0 for run in comparison.runs), default=0.0) or 1.0,
            shown_pairs=SHOWN_PAIRS,
            dash=DASH,
        )
    )


def _best(comparison: Comparison) -> dict[str, float]:
    """The best value of each metric."""
    choose = {name: min if name in LOSSES else max for name in METRICS}
    return {
        name: choose[name](run.evaluation.metrics[name].value for run in comparison.runs)
        for name in METRICS
    }


def _chart(comparison: Comparison) -> list[dict[str, Any]]:
    """F1 of each genre and run, most frequent genre first."""
    rows = []
    for j, genre in enumerate(comparison.genres):
        scores = [run.evaluation.genres[j] for run in comparison.runs]
        rows.append({"genre": genre, "support": scores[0].support, "scores": scores})
    return sorted(rows, key=lambda row: (-row["support"], row["genre"]))


def _ablation(run: ComparedRun) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """What was left out, weighted F1, and the difference to the full model."""
    found = run.record.get("ablation") or {}
    rows = []
    for variant in [*(found.get("subsets") or []), *(found.get("missing") or [])]:
        said = " + ".join(variant["blocks"])
        if variant["missing"] is not None:
            said = f"{variant['missing']} missing for {variant['rate']:.0%} of the test items"
        rows.append((said, variant["metrics"][MAIN], variant["difference"]))
    return rows


def _details(run: ComparedRun) -> list[tuple[str, str]]:
    """What made a run: label and value, in the order of the page."""
    record = run.record
    genres, thresholds = record.get("genres") or [], record.get("thresholds") or []
    pairs = zip(genres, thresholds, strict=False)
    said = ", ".join(f"{genre} {number(value, '.3f')}" for genre, value in pairs)
    facts = {
        "command": record.get("command"),
        "made": record.get("created"),
        "model": record.get("model"),
        "settings": _plain(record.get("settings")),
        "chosen": _plain(record.get("chosen")),
        "thresholds": said,
        "labels": _plain(record.get("decision")),
        "over splits": _repeats(record),
        "missing items": _plain(record.get("missing")),
        "test items without an answer": str(run.unanswered),
        "nested estimate": _estimate(record),
        "backbone": _plain(_backbones(record) or None),
        "catalogue": (record.get("catalogue") or {}).get("sha256"),
        "split": (record.get("split") or {}).get("sha256"),
        "seed": _plain(record.get("seed")),
        "versions": _plain(record.get("versions")),
        "hardware": _plain(record.get("hardware")),
    }
    return [(label, value or DASH) for label, value in facts.items()]


def _backbones(record: dict[str, Any]) -> dict[str, Any]:
    """What is known of the backbone, or, by block, of several."""
    found = {
        block: {k: v for k, v in backbone.items() if k != "stands_for"}
        for block, backbone in recorded_backbones(record).items()
    }
    return found if len(found) > 1 else next(iter(found.values()), {})


def _estimate(record: dict[str, Any]) -> str:
    estimate = record.get("estimate")
    if not estimate:
        return ""
    f1 = with_interval(Interval(**estimate["metrics"]["f1_weighted"]))
    return f"weighted F1 {f1} on {estimate['items']} items of train and validation"


def _repeats(record: dict[str, Any]) -> str:
    """Weighted F1 over the splits of ``--repeats``."""
    found = ((record.get("repeats") or {}).get("metrics") or {}).get(MAIN)
    if not found:
        return ""
    interval = found["interval"]
    return (
        f"weighted F1 {found['mean']:.3f} over {len(found['values'])} splits, standard deviation "
        f"{found['sd']:.3f}, {found['low']:.3f} to {found['high']:.3f}; 95 % interval of the mean "
        f"{interval['low']:.3f} to {interval['high']:.3f}"
    )


def _plain(value: Any) -> str:
    """A value of the record on one line."""
    return "" if value is None else json.dumps(value, ensure_ascii=False).strip('"')
