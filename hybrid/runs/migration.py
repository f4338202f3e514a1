"""run.json of earlier formats → the present one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FORMAT = 3


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

    The task stood among the settings of a deep baseline.
    """
    settings = data.get("settings") or {}
    kind, narrowed = settings.get("task"), settings.get("narrowed")
    if kind is None and narrowed is None:
        return data
    return {"task": {**(narrowed or {}), **({"kind": kind} if kind else {})}, **data}


# Format → what brings a record of it to the next one.
_STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2}
