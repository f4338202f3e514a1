"""Which channels of a backbone count most for a head, and which posters excite them: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_CHANNELS = 24  # channels of a block
CHANNELS_PER_GENRE = 2  # channels that speak for a genre
GENRES_PER_SIDE = 3  # genres named on each side of a channel

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ChannelPoster:
    """A poster that excites a channel: standard deviations above the mean of those learnt from."""

    id: str
    title: str
    activation: float


@dataclass(frozen=True)
class Channel:
    """One number of an embedding.

    Parameters
    ----------
    block : str
    number : int
    towards, away : dict of str to float
        The genres that it speaks most for and against; block weight times coefficient.
    posters : tuple of ChannelPoster
        Different ones, the most exciting first.
    """

    block: str
    number: int
    towards: dict[str, float]
    away: dict[str, float]
    posters: tuple[ChannelPoster, ...]


@dataclass(frozen=True)
class FeatureVisualisation:
    """The channels that count most for a run; `items` of those it learnt from have a poster."""

    run: str
    items: int
    channels: tuple[Channel, ...]
    notes: tuple[str, ...]


def describe_channels(
    block: str,
    coef: Floats,
    activations: NDArray[Any],
    numbers: Sequence[int],
    items: Sequence[tuple[str, str]],
    genres: Sequence[str],
    top: int,
) -> tuple[Channel, ...]:
    """What some channels of a block speak for, and the posters that excite them.

    Parameters
    ----------
    block : str
    coef : ndarray of shape (L, D)
        Block weight times coefficient.
    activations : ndarray of shape (n, channels)
        Standardised embeddings, those of `numbers` alone; NaN where there is no poster.
    numbers : sequence of int
    items : sequence of n (str, str)
        Id and title.
    genres : sequence of L str
    top : int
        Posters of each.
    """
    return tuple(
        Channel(
            block,
            number,
            *top_genres(coef[:, number], genres),
            tuple(ChannelPoster(*items[i], float(column[i])) for i in top_activations(column, top)),
        )
        for number, column in zip(numbers, activations.T, strict=True)
    )


def select_channels(
    coef: Floats, each: int = CHANNELS_PER_GENRE, most: int = MAX_CHANNELS
) -> list[int]:
    """The channels that speak most for each genre: the first of each genre, then the second.

    Parameters
    ----------
    coef : ndarray of shape (L, D)
        Block weight times coefficient.
    each, most : int
        For a genre, and in all.

    Returns
    -------
    list of int
        All different.
    """
    order = np.argsort(-coef, axis=1, kind="stable")[:, :each]
    speaks = np.take_along_axis(coef, order, axis=1) > 0
    return list(dict.fromkeys(order.T[speaks.T].tolist()))[:most]


def top_activations(values: NDArray[Any], top: int) -> list[int]:
    """Positions of the largest values, of equal ones only the first: the same poster gives the same.

    Parameters
    ----------
    values : ndarray of shape (n,)
        NaN where there is no poster.
    """
    _, first = np.unique(values, return_index=True)
    known = [i for i in first[::-1].tolist() if not np.isnan(values[i])]
    return known[:top]


def top_genres(values: Floats, genres: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    """The genres with the largest of L values above 0, and with the smallest below."""
    order = np.argsort(-values, kind="stable").tolist()
    towards = {genres[j]: float(values[j]) for j in order[:GENRES_PER_SIDE] if values[j] > 0}
    away = {genres[j]: float(values[j]) for j in order[::-1][:GENRES_PER_SIDE] if values[j] < 0}
    return towards, away
