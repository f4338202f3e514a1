"""The exact commands, settings and hashes behind each run."""

from __future__ import annotations

import json
from typing import Any

from hybrid.report.comparison import MAIN, ComparedRun, Comparison
from hybrid.report.summary_text import DASH, number, with_interval
from hybrid.runs.folder import recorded_backbones
from hybrid.types import Interval

Details = tuple[tuple[str, str], ...]


def make(comparison: Comparison) -> tuple[Details, ...]:
    """Label and value of each fact, for each run."""
    return tuple(details(run) for run in comparison.runs)


def details(run: ComparedRun) -> Details:
    """What made a run."""
    record = run.record
    genres, thresholds = record.get("genres") or [], record.get("thresholds") or []
    pairs = zip(genres, thresholds, strict=False)
    said = ", ".join(f"{genre} {number(value, '.3f')}" for genre, value in pairs)
    external = record.get("external") or {}
    facts = {
        "command": record.get("command"),
        "made": record.get("created"),
        "made elsewhere": external.get("path"),
        "sha256 of its file": external.get("sha256"),
        "model": record.get("model"),
        "settings": _plain(record.get("settings")),
        "chosen": _plain(record.get("chosen")),
        "thresholds": said,
        "labels": _plain(record.get("decision")),
        "over splits": _repeats(record),
        "nested estimate": _estimate(record),
        "missing items": _plain(record.get("missing")),
        "test items without an answer": str(run.unanswered),
        "backbone": _plain(_backbones(record)),
        "catalogue": (record.get("catalogue") or {}).get("sha256"),
        "split": (record.get("split") or {}).get("sha256"),
        "seed": _plain(record.get("seed")),
        "versions": _plain(record.get("versions")),
        "hardware": _plain(record.get("hardware")),
    }
    return tuple(
        (label, value or DASH)
        for label, value in facts.items()
        if value or not (external or "elsewhere" in label or "its file" in label)
    )


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


def _backbones(record: dict[str, Any]) -> dict[str, Any] | None:
    """What is known of the backbone, or, by block, of several."""
    found = {
        block: {k: v for k, v in backbone.items() if k != "stands_for"}
        for block, backbone in recorded_backbones(record).items()
    }
    return found if len(found) > 1 else next(iter(found.values()), None)


def _estimate(record: dict[str, Any]) -> str:
    """The nested estimate of weighted F1."""
    estimate = record.get("estimate")
    if not estimate:
        return ""
    f1 = with_interval(Interval(**estimate["metrics"][MAIN]))
    return f"weighted F1 {f1} on {estimate['items']} items of train and validation"


def _plain(value: Any) -> str:
    """A value of the record on one line."""
    return "" if value is None else json.dumps(value, ensure_ascii=False).strip('"')
