"""Rows in memory, in the units of a cluster: what workers are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.heads.on_cluster.newton import Floats, Rows
from hybrid.heads.on_cluster.units import (
    Slopes,
    Unit,
    add,
    add_up,
    curvature,
    losses,
    margins,
    slopes,
    step_margins,
)


class RowsHere(Rows):
    """Units of rows in memory.

    Parameters
    ----------
    units : sequence of Unit
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = units
        self.shape = units[0].matrix.shape[1], len(units[0].signed)
        self.Z = [np.zeros(unit.signed.T.shape) for unit in units]
        self.change = self.Z

    def slopes(self) -> Slopes:
        """See `Rows.slopes`."""
        return add_up(list(map(slopes, self.units, self.Z)), add)

    def curvature(self, P: Floats) -> NDArray[Any]:
        """See `Rows.curvature`."""
        pairs = zip(self.units, self.Z, strict=True)
        return add_up([curvature(unit, Z, P.astype(np.float32)) for unit, Z in pairs], add)

    def along(self, S: Floats, lengths: Floats) -> Floats:
        """See `Rows.along`."""
        self.change = [margins(unit, S) for unit in self.units]
        all_rows = zip(self.units, self.Z, self.change, strict=True)
        return add_up([losses(*each, lengths) for each in all_rows], add)

    def step(self, lengths: Floats) -> None:
        """See `Rows.step`."""
        pairs = zip(self.Z, self.change, strict=True)
        self.Z = [step_margins(Z, change, lengths) for Z, change in pairs]
