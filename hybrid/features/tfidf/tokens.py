"""The words of many texts, as numbers: in temporary files where they are many, read some texts at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hybrid.utils import spilled

Ints = NDArray[np.int32]
Places = NDArray[np.int64]


class TokenRuns:
    """Runs of texts, each with its words and where those of each text begin, in the order in which they came.

    Attributes
    ----------
    total : int
        Words of all texts.

    Examples
    --------
    >>> runs = TokenRuns()
    >>> runs.add(np.array([4, 2, 4], np.int32), np.array([0, 1, 3]))
    >>> [(words.tolist(), bounds.tolist()) for words, bounds in runs], runs.total
    ([([4, 2, 4], [0, 1, 3])], 3)
    """

    def __init__(self) -> None:
        self.total = 0
        self._runs: list[tuple[Ints, Places]] = []
        self._written = self._size = 0  # runs that are in files, and bytes of the others

    def add(self, words: Ints, bounds: Places) -> None:
        """Add a run."""
        self._runs.append((words, bounds))
        self.total += len(words)
        self._size += words.nbytes
        if self._size >= spilled.SPILL:
            new = self._runs[self._written :]
            ends = np.cumsum([len(each) for each, _ in new])
            parts = np.split(
                spilled.spill_array(np.concatenate([each for each, _ in new])), ends[:-1]
            )
            self._runs[self._written :] = [
                (part, places) for part, (_, places) in zip(parts, new, strict=True)
            ]
            self._written, self._size = len(self._runs), 0

    def __iter__(self) -> Iterator[tuple[Ints, Places]]:
        """Yield each run; its words are a copy, as loops are compiled for arrays that can be written."""
        for words, bounds in self._runs:
            yield words.copy(), bounds
            spilled.let_pages_go()
