"""A matrix of counts as an SVG heat map with labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

CELL, FONT, LETTER, GAP = 44, 13, 9.6, 8  # in pixels; LETTER: room for one, of a wide font
STEPS = 9  # shades, the classes m0 to m9 of the style sheet


def draw_matrix(
    counts: NDArray[Any], rows: Sequence[str], columns: Sequence[str], title: str
) -> Markup:
    """Draw counts as a heat map: each cell shaded by its share of the row.

    Parameters
    ----------
    counts : ndarray of shape (R, C), int
    rows, columns : sequence of R and C str
        Labels; they are shown whole.
    title : str
        Begins the text alternative, which has all counts.

    Returns
    -------
    Markup
        An ``<svg>`` without inline styles; text is escaped.

    Examples
    --------
    >>> svg = draw_matrix(np.array([[3, 1], [0, 4]]), ["Drama", "War"], ["Drama", "War"], "Confusion")
    >>> svg[:4], "Drama: Drama 3, War 1" in svg, "style=" in svg
    (Markup('<svg'), True, False)
    """
    left, top = (max(map(len, names)) * LETTER + GAP for names in (rows, columns))
    width, height = left + CELL * len(columns) + GAP, top + CELL * len(rows) + GAP
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    parts = []
    for j, name in enumerate(columns):
        x = left + CELL * (j + 0.5) + FONT / 3
        parts.append(_text(name, x, top - GAP, "start", f"rotate(-90 {x:.1f} {top - GAP:.1f})"))
    for i, name in enumerate(rows):
        y = top + CELL * i
        parts.append(_text(name, left - GAP, y + CELL / 2 + FONT / 3, "end"))
        for j in range(len(columns)):
            x, shade = left + CELL * j, round(float(share[i, j]) * STEPS)
            parts.append(
                f'<rect class="m{shade}" x="{x:.1f}" y="{y:.1f}" width="{CELL - 2}" height="{CELL - 2}"/>'
            )
            middle = x + CELL / 2 - 1
            parts.append(_text(str(counts[i, j]), middle, y + CELL / 2 + FONT / 3, "middle"))
    said = "; ".join(
        f"{name}: {', '.join(f'{c} {n}' for c, n in zip(columns, row, strict=True))}"
        for name, row in zip(rows, counts.tolist(), strict=True)
    )
    return Markup(
        f'<svg class="plot matrix" role="img" width="{width:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'aria-label="{escape(f"{title}. {said}.")}" font-size="{FONT}" fill="currentColor">'
        f"{''.join(parts)}</svg>"
    )


def _text(text: str, x: float, y: float, anchor: str, transform: str = "") -> str:
    turned = f' transform="{transform}"' if transform else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}>{escape(text)}</text>'
