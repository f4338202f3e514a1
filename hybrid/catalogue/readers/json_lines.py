"""JSON Lines files as a table of strings."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.readers.values import as_cell
from hybrid.types import BadRow, ColumnOptions


def parse_json_lines(
    text: str, options: ColumnOptions
) -> tuple[pd.DataFrame, NDArray[np.int64], list[BadRow]]:
    """Parse JSON Lines: the table, the position of each row, and the lines that are no JSON object."""
    records, rows, bad = [], [], []
    lines = [line for line in text.split("\n") if line.strip()]
    for row, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            bad.append(BadRow(row, "", "", f"not JSON ({error}); the row is left out"))
            continue
        if not isinstance(record, dict):
            bad.append(BadRow(row, "", "", "not a JSON object; the row is left out"))
            continue
        records.append({k: as_cell(v, options.label_separator) for k, v in record.items()})
        rows.append(row)
    table = pd.DataFrame(records, dtype=object).fillna("")
    return table, np.array(rows, dtype=np.int64), bad
