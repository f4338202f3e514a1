"""What the channels of a backbone look for: the posters that excite those that count most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hybrid.images.thumbnails import Thumbnail, make_thumbnails
from hybrid.report.comparison import Comparison
from hybrid.runs.record_parts import ChannelRecord

SHOWN = 12  # channels
MAX_TOTAL = 600_000  # bytes of their pictures


@dataclass(frozen=True)
class ChannelRow:
    """One channel: its block and number, the genres on both sides, its posters."""

    block: str
    number: int
    towards: Mapping[str, float]
    away: Mapping[str, float]
    posters: tuple[tuple[str, float, Thumbnail], ...]


@dataclass(frozen=True)
class ChannelsData:
    """The channels of one run."""

    run: str
    channels: tuple[ChannelRow, ...]


def make(comparison: Comparison) -> ChannelsData | None:
    """The channels of the best run that recorded some, and their posters; None where none did."""
    found = (
        (each.name, each.record.head.channels)
        for each in comparison.runs
        if each.record.head and each.record.head.channels
    )
    run, recorded = next(found, ("", ()))
    if not recorded:
        return None
    recorded = recorded[:SHOWN]
    files = dict(
        zip(comparison.catalogue.ids.tolist(), comparison.catalogue.poster_paths, strict=True)
    )
    wanted = [name for channel in recorded for name in channel.posters]
    pictures = iter(make_thumbnails([files.get(name, "") for name in wanted], MAX_TOTAL))
    return ChannelsData(run, tuple(_row(channel, pictures) for channel in recorded))


def _row(channel: ChannelRecord, pictures: Iterator[Thumbnail]) -> ChannelRow:
    posters = tuple((name, value, next(pictures)) for name, value in channel.posters.items())
    sides = channel.towards, channel.away
    return ChannelRow(channel.block, channel.number, *sides, posters)
