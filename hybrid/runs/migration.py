"""run.json of earlier formats → the present one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FORMAT = 3
UNKNOWN_BEFORE_3 = "the version of hybrid that wrote the record did not measure all of it"


def migrate(data: dict[str, Any]) -> dict[str, Any]:
    """Bring a record of any earlier format to the present one.

    Parameters
    ----------
    data : dict
        As parsed from run.json; not changed. Its ``format`` is `FORMAT` or lower.

    Examples
    --------
    >>> migrate({"format": 1, "seed": 3})
    {'format': 3, 'seed': 3}
    """
    for step in range(data["format"], FORMAT):
        data = {**_STEPS[step](data), "format": step + 1}
    return data


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    """Format 2 has the keys of format 1. Its models are of classes that moved, so they cannot be read."""
    return data


def _from_2(data: dict[str, Any]) -> dict[str, Any]:
    """Format 3 has the keys of format 2, and others; those that a record lacks have their defaults.

    The task stood among the settings of a deep baseline. What extraction cost was an estimate for the whole
    store of one backbone: it is not known. The metric ``map`` was weighted by support.
    """
    return _with_metric(_with_task(_with_cost(data)))


def _with_metric(data: dict[str, Any]) -> dict[str, Any]:
    settings = data.get("settings") or {}
    if settings.get("metric") != "map":
        return data
    return {**data, "settings": {**settings, "metric": "map-weighted"}}


def _with_task(data: dict[str, Any]) -> dict[str, Any]:
    settings = data.get("settings") or {}
    kind, narrowed = settings.get("task"), settings.get("narrowed")
    if kind is None and narrowed is None:
        return data
    return {"task": {**(narrowed or {}), **({"kind": kind} if kind else {})}, **data}


def _with_cost(data: dict[str, Any]) -> dict[str, Any]:
    cost = data.get("cost")
    if not isinstance(cost, dict) or data.get("hybrid") is None:
        return data
    fit, predict = cost.get("fit_seconds"), cost.get("predict_seconds")
    if isinstance(fit, float) and isinstance(predict, float) and _is_all_of_the_cost(data, fit):
        return {**data, "cost": {**cost, "total_seconds": fit + predict}}
    return {**data, "cost": {**cost, "unknown": [UNKNOWN_BEFORE_3]}}


def _is_all_of_the_cost(data: dict[str, Any], fit_seconds: float) -> bool:
    """Whether a run read no embeddings, and its training was not resumed."""
    backbone, history = data.get("backbone"), data.get("history") or {}
    from_scratch = data.get("kind") == "deep" and not (backbone or {}).get("weights", {}).get(
        "from"
    )
    epochs = sum(seconds or 0.0 for seconds in history.get("seconds") or ())
    return (not backbone or from_scratch) and epochs <= fit_seconds


# Format → what brings a record of it to the next one.
_STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2}
