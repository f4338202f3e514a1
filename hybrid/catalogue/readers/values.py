"""Values of JSON and Parquet files as the cells of a CSV file."""

from __future__ import annotations

import json
from typing import Any


def as_cell(value: Any, separator: str) -> str:
    """Write a JSON or Parquet value as the cell of a CSV file."""
    if value is None or value != value:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return separator.join(as_cell(v, separator) for v in value)
    if isinstance(value, (bool, dict)):
        return json.dumps(value)
    return str(value)
