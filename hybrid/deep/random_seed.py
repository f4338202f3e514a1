"""Seeding of Keras, Python and NumPy."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np


@contextmanager
def random_seed(seed: int) -> Iterator[None]:
    """Seed Keras, Python and NumPy; give the last two their states back.

    Parameters
    ----------
    seed : int

    Examples
    --------
    >>> draws = []
    >>> for _ in range(2):
    ...     with random_seed(3):
    ...         draws.append(np.random.random())
    >>> draws[0] == draws[1]
    True
    """
    states = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
