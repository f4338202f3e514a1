"""Label cells → label matrix, masked where labels were not looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.label_words import ALL
from hybrid.catalogue.labels import split_labels


@dataclass(frozen=True, eq=False)
class LabelSets:
    """The labels of n items, by distinct cells.

    Parameters
    ----------
    codes : ndarray of shape (n,), int
        Number of the distinct cell of each item.
    labels, unknown : tuple of tuple of str
        Of each distinct cell: the labels that its items have, and those that were not looked at.
    """

    codes: NDArray[np.int64]
    labels: tuple[tuple[str, ...], ...]
    unknown: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, cells: pd.Series, separator: str) -> LabelSets:
        """Split understood label cells.

        Parameters
        ----------
        cells : Series of n str
        separator : str

        Examples
        --------
        >>> sets = LabelSets.of(pd.Series(["Drama|War", "Drama|?War", ""]), "|")
        >>> sets.matrix(("Drama", "War")).tolist()
        [[1, 1], [1, None], [0, 0]]
        """
        codes, distinct = pd.factorize(cells.to_numpy(dtype=object))
        pairs = [split_labels(cell, separator) for cell in distinct.tolist()]
        return cls(codes, tuple(tuple(a) for a, _ in pairs), tuple(tuple(b) for _, b in pairs))

    @property
    def names(self) -> tuple[str, ...]:
        """All labels that an item has, sorted."""
        return tuple(sorted({label for labels in self.labels for label in labels}))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether something is known of each item, shape (n,): more than nothing, or ``?*`` alone."""
        pairs = zip(self.labels, self.unknown, strict=True)
        some = np.array([bool(a or (b and ALL not in b)) for a, b in pairs], dtype=bool)
        return some[self.codes]

    def matrix(self, names: tuple[str, ...]) -> NDArray[np.uint8]:
        """Make the label matrix of given labels, of shape (n, L), uint8.

        It is a masked array where a label was not looked at, and a plain one where all were.
        """
        column = {name: j for j, name in enumerate(names)}
        values = np.zeros((len(self.labels), len(column)), dtype=np.uint8)
        mask = np.zeros(values.shape, dtype=bool)
        for i, (labels, unknown) in enumerate(zip(self.labels, self.unknown, strict=True)):
            mask[i] = ALL in unknown
            mask[i, [column[name] for name in unknown if name in column]] = True
            has = [column[name] for name in labels if name in column]
            values[i, has], mask[i, has] = 1, False
        if not mask.any():
            return values[self.codes]
        return np.ma.MaskedArray(values[self.codes], mask[self.codes])
