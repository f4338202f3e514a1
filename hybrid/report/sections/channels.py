"""Feature visualisation: top-activating posters of the most important channels of a backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hybrid.images.thumbnails import Thumbnail, make_thumbnails
from hybrid.report.comparison import Comparison
from hybrid.runs.record_parts import ChannelRecord

SHOWN = 12  # channels
MAX_TOTAL = 600_000  # bytes of their thumbnails


@dataclass(frozen=True)
class ChannelRow:
    """One channel of a backbone.

    Parameters
    ----------
    block : str
    number : int
    towards, away : mapping of str to float
        Genres with positive and with negative coefficients.
    posters : tuple of (str, float, Thumbnail)
        Id, activation and thumbnail.

    Examples
    --------
    >>> ChannelRow("poster", 7, {"Horror": 0.4}, {}, ()).number
    7
    """

    block: str
    number: int
    towards: Mapping[str, float]
    away: Mapping[str, float]
    posters: tuple[tuple[str, float, Thumbnail], ...]


@dataclass(frozen=True)
class ChannelsData:
    """Channels of one run.

    Parameters
    ----------
    run : str
    channels : tuple of ChannelRow

    Examples
    --------
    >>> ChannelsData("svm", ()).run
    'svm'
    """

    run: str
    channels: tuple[ChannelRow, ...]


def make(comparison: Comparison) -> ChannelsData | None:
    """Channels of the best run that recorded some, with their posters; None where no run did.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    ChannelsData or None

    Examples
    --------
    >>> make(comparison).run  # doctest: +SKIP
    'svm'
    """
    found = (
        (each.name, each.record.head.channels)
        for each in comparison.runs
        if each.record.head and each.record.head.channels
    )
    run, recorded = next(found, ("", ()))
    if not recorded:
        return None
    recorded = recorded[:SHOWN]
    catalogue = comparison.catalogue
    position = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    wanted = [position.get(name) for channel in recorded for name in channel.posters]
    files = [() if i is None else catalogue.poster_files(i) for i in wanted]
    pictures = iter(make_thumbnails(files, MAX_TOTAL))
    return ChannelsData(run, tuple(_row(channel, pictures) for channel in recorded))


def _row(channel: ChannelRecord, pictures: Iterator[Thumbnail]) -> ChannelRow:
    posters = tuple((name, value, next(pictures)) for name, value in channel.posters.items())
    sides = channel.towards, channel.away
    return ChannelRow(channel.block, channel.number, *sides, posters)
