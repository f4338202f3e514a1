"""Rows on the workers of a cluster: units lie there, products are computed there, and sums come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.cluster.connection import Cluster
from hybrid.cluster.futures import LostError, held, send, wait_for
from hybrid.errors import ClusterError
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.features.lazy_block import spans
from hybrid.heads.on_cluster.newton import Floats, Rows, minimise
from hybrid.heads.on_cluster.units import (
    ROWS,
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
from hybrid.heads.out_of_core.losses import Loss, SquaredHinge
from hybrid.heads.out_of_core.reading import not_finite
from hybrid.heads.svm.solver import Solution
from hybrid.utils.counts import counted
from hybrid.utils.progress import current_progress

ATTEMPTS = 6  # at one product, with workers that die


_holder: ContextVar[Cluster | None] = ContextVar("rows on cluster", default=None)


@contextmanager
def rows_on(cluster: Cluster) -> Iterator[None]:
    """Let the solver of rows on disk send them to the workers of a cluster inside a ``with`` block."""
    token = _holder.set(cluster)
    try:
        yield
    finally:
        _holder.reset(token)


def cluster_for_rows() -> Cluster | None:
    """The cluster that `rows_on` names.

    Examples
    --------
    >>> cluster_for_rows() is None
    True
    """
    return _holder.get()


def solve_on_cluster(
    cluster: Cluster, matrix: FusionMatrix, loss: Loss, *, tol: float, max_iter: int
) -> Solution:
    """Fit one linear classifier for each column of a loss, the rows being on the workers.

    Parameters
    ----------
    cluster : Cluster
    matrix : FusionMatrix of shape (n, d)
        It is read once here, and sent to the workers unit by unit.
    loss : Loss
        Of K columns and n items.
    tol : float
        A column is done when ``(P - D) / P <= tol``.
    max_iter : int
        Most Newton steps.

    Returns
    -------
    Solution

    Raises
    ------
    ClusterError
        If workers die again and again.
    SettingError
        If a row has a number that is not finite.
    """
    progress = current_progress()
    rows = RowsOnWorkers(cluster, matrix, loss)
    with progress.step(f"fitting {counted(len(matrix), 'row')} on the cluster"):
        try:
            return minimise(rows, tol=tol, max_iter=max_iter)
        finally:
            rows.release()


class RowsOnWorkers(Rows):
    """Units of rows on the workers; those of a worker that dies are sent to another one.

    Parameters
    ----------
    cluster : Cluster
    matrix : FusionMatrix of shape (n, d)
    loss : Loss
    """

    def __init__(self, cluster: Cluster, matrix: FusionMatrix, loss: Loss) -> None:
        self.cluster, self.matrix, self.loss = cluster, matrix, loss
        self.shape = matrix.shape[1], loss.items.shape[0]
        self.spans = spans(len(matrix), ROWS)
        self.W, self.S = np.zeros(self.shape), np.zeros(self.shape)
        self.units: list[Any] = [None] * len(self.spans)
        self.Z: list[Any] = []
        self.change: list[Any] = []

    def slopes(self) -> Slopes:
        """See `Rows.slopes`."""
        return self._sum(lambda: [self._submit(slopes, *each) for each in self._rows()])

    def curvature(self, P: Floats) -> NDArray[Any]:
        """See `Rows.curvature`."""

        def parts() -> list[Any]:
            sent = self._send(P.astype(np.float32))
            return [self._submit(curvature, *each, sent) for each in self._rows()]

        return self._sum(parts)

    def along(self, S: Floats, lengths: Floats) -> Floats:
        """See `Rows.along`."""
        self.S = S

        def parts() -> list[Any]:
            sent = self._send(S)
            self.change = [self._submit(margins, unit, sent) for unit in self.units]
            return [
                self._submit(losses, *each, change, lengths)
                for each, change in zip(self._rows(), self.change, strict=True)
            ]

        return self._sum(parts)

    def step(self, lengths: Floats) -> None:
        """See `Rows.step`."""
        self.W = self.W + lengths * self.S
        pairs = zip(self.Z, self.change, strict=True)
        self.Z = [self._submit(step_margins, *pair, lengths) for pair in pairs]

    def release(self) -> None:
        """Let the workers forget the rows."""
        self.units, self.Z, self.change = [None] * len(self.spans), [], []

    def _rows(self) -> Any:
        return zip(self.units, self.Z, strict=True)

    def _sum(self, parts: Callable[[], list[Any]]) -> Any:
        """The sum of what units give, again where a worker died meanwhile."""
        for _ in range(ATTEMPTS):
            try:
                self._place()
                total = add_up(parts(), lambda a, b: self._submit(add, a, b))
                return wait_for(self.cluster, total)
            except LostError as error:
                lost = error
                self._forget_lost()
        raise ClusterError(
            f"expected the cluster to add up {counted(len(self.spans), 'unit')} of rows, found that workers "
            f"were lost {ATTEMPTS} times one after another ({lost})."
        ) from lost

    def _forget_lost(self) -> None:
        """After a worker died: which units are still there, the margins being computed anew."""
        self.Z = []
        if self.cluster.is_lost:
            self.cluster.reconnect()
            self.units = [None] * len(self.spans)
        else:
            there = held(self.cluster, self.units)
            self.units = [
                unit if found else None for unit, found in zip(self.units, there, strict=True)
            ]

    def _place(self) -> None:
        """Send the units that no worker has: all at first, later those of workers that died."""
        if self.Z:
            return
        workers = self.cluster.workers()
        for i, rows in enumerate(self.spans):
            if self.units[i] is None:
                place = [workers[i % len(workers)]] if workers else None
                self.units[i] = self._send(self._read(rows), place)
        sent = self._send(self.W)
        self.Z = [self._submit(margins, unit, sent) for unit in self.units]

    def _read(self, rows: slice) -> Unit:
        matrix = self.matrix[rows]
        for _, block in matrix.blocks:
            lengths = np.asarray(abs(block).sum(axis=1))
            if not np.isfinite(lengths).all():
                raise not_finite(self.matrix, np.arange(rows.start, rows.stop))
        return Unit(matrix, self.loss.signed(rows), isinstance(self.loss, SquaredHinge))

    def _send(self, data: Any, workers: list[str] | None = None) -> Any:
        """Data to a worker; lost with it."""
        return send(self.cluster, data, workers)

    def _submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.cluster.client.submit(function, *args, pure=False)
