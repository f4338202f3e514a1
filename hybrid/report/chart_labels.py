"""Places of the labels in a chart: beside their points, without covering points or each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FONT_SIZE = 9.0  # units of the chart
DIGIT = 0.65  # width of a digit, as a share of the font size
POINT = 4.0  # radius of a marker, with a margin
RINGS = (10.0, 16.0, 23.0, 31.0, 40.0, 50.0, 60.0)  # distances from the point
ANGLES = (30, 150, 330, 210, 90, 270, 0, 180)  # degrees; above and to the right first

Box = tuple[float, float, float, float]


def place_labels(
    points: NDArray[np.float64], labels: Sequence[str], frame: Box
) -> list[tuple[float, float, bool]]:
    """Place the label of each point in turn where it covers least.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        In units of the chart.
    labels : sequence of n str
    frame : (float, float, float, float)
        Left, bottom, right and top of the axes, which no label leaves while there is another place.

    Returns
    -------
    list of n (float, float, bool)
        Offset of the centre of each label from its point, and whether it is so far that a line is needed.

    Examples
    --------
    >>> import numpy as np
    >>> near, far = place_labels(np.array([[50.0, 50.0], [52.0, 50.0]]), ["1", "2"], (0, 0, 100, 100))
    >>> near[:2] != far[:2], near[2]
    (True, False)
    """
    taken: list[Box] = [(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points.tolist()]
    found = []
    for (x, y), label in zip(points.tolist(), labels, strict=True):
        half = len(label) * DIGIT * FONT_SIZE / 2, FONT_SIZE / 2
        best, least = (0.0, 0.0, False), math.inf
        for ring, distance in enumerate(RINGS):
            for angle in ANGLES:
                dx = distance * math.cos(math.radians(angle))
                dy = distance * math.sin(math.radians(angle))
                box = _box(x + dx, y + dy, *half)
                # A nearer place is better, and no place in the frame is as bad as one outside.
                bad = sum(_overlap(box, other) for other in taken) + 0.01 * ring
                bad += 1000 * (_area(box) - _overlap(box, frame))
                if bad < least - 1e-9:
                    best, least = (dx, dy, ring > 0), bad
        taken.append(_box(x + best[0], y + best[1], *half))
        found.append(best)
    return found


def _box(x: float, y: float, half_width: float, half_height: float) -> Box:
    return x - half_width, y - half_height, x + half_width, y + half_height


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)
