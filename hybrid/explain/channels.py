"""Channels of an encoder: the most important ones for a linear head, and what activates them most.

A channel is one dimension of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_CHANNELS = 24  # of a block
CHANNELS_PER_GENRE = 2
FITTED = "items that the run was fitted on"
STOPPED_BY = "validation items, by which the training of the run was stopped"
GENRES_PER_SIDE = 3  # genres named for a channel, with positive and with negative coefficients

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ChannelItem:
    """An item and the activation of a channel on its poster or text.

    Parameters
    ----------
    id, title : str
    activation : float
        Standard deviations above the mean of the items; above 0.

    Examples
    --------
    >>> ChannelItem("f001", "Night", 2.5).activation
    2.5
    """

    id: str
    title: str
    activation: float


@dataclass(frozen=True)
class Channel:
    """One dimension of an embedding, the genres it matters for, and what activates it most.

    Parameters
    ----------
    block : str
        Name of the block.
    number : int
        Index of the dimension, from 0.
    towards, away : dict of str to float
        Genres with the largest positive and with the most negative coefficients: genre to block weight
        times coefficient.
    posters : tuple of ChannelItem
        Distinct posters whose activation is above the mean, highest first. Empty for other embeddings.
    items : tuple of ChannelItem, default=()
        Likewise, for other embeddings than of posters: the items whose text, or imported embedding, it is.

    Examples
    --------
    >>> channel = Channel("poster", 7, {"Horror": 0.4}, {}, (ChannelItem("f001", "Night", 2.5),))
    >>> channel.posters[0].id
    'f001'
    """

    block: str
    number: int
    towards: dict[str, float]
    away: dict[str, float]
    posters: tuple[ChannelItem, ...]
    items: tuple[ChannelItem, ...] = ()


@dataclass(frozen=True)
class FeatureVisualisation:
    """The most important channels of a run's backbones and text encoders.

    Parameters
    ----------
    run : str
    items : int
        Number of items with a poster or a text, among which the top-activating ones were looked for.
    channels : tuple of Channel
    notes : tuple of str
        Warnings on the run and the catalogue.
    source : str
        What these items are, after their number: those that the run was fitted on, or of a deep baseline
        the validation items.

    Examples
    --------
    >>> FeatureVisualisation("svm", 100, (), ()).items
    100
    """

    run: str
    items: int
    channels: tuple[Channel, ...]
    notes: tuple[str, ...]
    source: str = FITTED


def describe_channels(
    block: str,
    coef: Floats,
    activations: NDArray[Any],
    numbers: Sequence[int],
    items: Sequence[tuple[str, str]],
    genres: Sequence[str],
    top: int,
    source: str = "posters",
) -> tuple[Channel, ...]:
    """Genres and top-activating posters or texts of selected channels.

    Parameters
    ----------
    block : str
        Name of the block.
    coef : ndarray of shape (L, D)
        Block weight times coefficient.
    activations : ndarray of shape (n, len(numbers))
        Standardised embeddings, selected channels only; NaN where there is none.
    numbers : sequence of int
        Indices of the selected channels, in [0, D).
    items : sequence of n (str, str)
        Id and title of each item.
    genres : sequence of L str
    top : int
        Number of items for each channel.
    source : str, default="posters"
        What the embeddings are of: ``"posters"``, ``"texts"``, or other items.

    Returns
    -------
    tuple of len(numbers) Channel

    Examples
    --------
    >>> import numpy as np
    >>> coef, activations = np.array([[0.5, -0.2]]), np.array([[1.0], [2.0]])
    >>> films = [("f1", "Day"), ("f2", "Night")]
    >>> describe_channels("poster", coef, activations, [0], films, ["Horror"], top=1)[0].posters
    (ChannelItem(id='f2', title='Night', activation=2.0),)
    """
    found = []
    for number, column in zip(numbers, activations.T, strict=True):
        some = tuple(ChannelItem(*items[i], float(column[i])) for i in top_activations(column, top))
        posters, others = (some, ()) if source == "posters" else ((), some)
        found.append(Channel(block, number, *top_genres(coef[:, number], genres), posters, others))
    return tuple(found)


def select_channels(
    coef: Floats, each: int = CHANNELS_PER_GENRE, most: int = MAX_CHANNELS
) -> list[int]:
    """Channels with the largest positive coefficients for each genre.

    Parameters
    ----------
    coef : ndarray of shape (L, D)
        Block weight times coefficient.
    each : int, default=2
        Maximum number of channels for a genre.
    most : int, default=24
        Maximum number of channels in all.

    Returns
    -------
    list of int
        Distinct indices: the first channel of each genre, then the second of each, and so on.

    Examples
    --------
    >>> import numpy as np
    >>> select_channels(np.array([[0.1, 0.9, 0.0], [0.0, 0.8, 0.7]]), each=2)
    [1, 0, 2]
    """
    order = np.argsort(-coef, axis=1, kind="stable")[:, :each]
    positive = np.take_along_axis(coef, order, axis=1) > 0
    return list(dict.fromkeys(order.T[positive.T].tolist()))[:most]


def top_activations(values: NDArray[Any], top: int) -> list[int]:
    """Positions of the largest activations above the mean, one for each distinct value.

    Items with the same poster or text have the same activation; only the first of them is returned.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Standard deviations above the mean; NaN where there is none.
    top : int
        Maximum number of positions.

    Returns
    -------
    list of int

    Examples
    --------
    >>> import numpy as np
    >>> top_activations(np.array([1.0, np.nan, 3.0, 3.0, -2.0]), 3)
    [2, 0]
    """
    _, first = np.unique(values, return_index=True)
    known = [i for i in first[::-1].tolist() if values[i] > 0]  # NaN is not
    return known[:top]


def top_genres(values: Floats, genres: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Genres with the largest positive, and with the most negative, coefficients.

    Parameters
    ----------
    values : ndarray of shape (L,)
    genres : sequence of L str

    Returns
    -------
    towards, away : dict of str to float
        At most 3 genres each, largest absolute value first.

    Examples
    --------
    >>> import numpy as np
    >>> top_genres(np.array([0.2, -0.1, 0.5]), ["Comedy", "Drama", "Horror"])
    ({'Horror': 0.5, 'Comedy': 0.2}, {'Drama': -0.1})
    """
    order = np.argsort(-values, kind="stable").tolist()
    towards = {genres[j]: float(values[j]) for j in order[:GENRES_PER_SIDE] if values[j] > 0}
    away = {genres[j]: float(values[j]) for j in order[::-1][:GENRES_PER_SIDE] if values[j] < 0}
    return towards, away
