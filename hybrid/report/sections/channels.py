"""What the channels of a backbone look for: the posters that excite those that count most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid.images.thumbnails import Thumbnail, make_thumbnails
from hybrid.report.comparison import Comparison

SHOWN = 12  # channels
MAX_TOTAL = 600_000  # bytes of their pictures


@dataclass(frozen=True)
class ChannelRow:
    """One channel: its block and number, the genres on both sides, its posters."""

    block: str
    number: int
    towards: dict[str, float]
    away: dict[str, float]
    posters: tuple[tuple[str, float, Thumbnail], ...]


@dataclass(frozen=True)
class ChannelsPart:
    """The channels of one run."""

    run: str
    channels: tuple[ChannelRow, ...]


def make(comparison: Comparison) -> ChannelsPart | None:
    """The channels of the best run that recorded some, and their posters; None where none did."""
    run = next((run for run in comparison.runs if run.record.get("channels")), None)
    if run is None:
        return None
    recorded = run.record["channels"][:SHOWN]
    files = dict(
        zip(comparison.catalogue.ids.tolist(), comparison.catalogue.poster_paths, strict=True)
    )
    wanted = [name for channel in recorded for name in channel["posters"]]
    pictures = iter(make_thumbnails([files.get(name, "") for name in wanted], MAX_TOTAL))
    return ChannelsPart(run.name, tuple(_row(channel, pictures) for channel in recorded))


def _row(channel: dict[str, Any], pictures: Any) -> ChannelRow:
    posters = tuple(
        (name, excitement, next(pictures)) for name, excitement in channel["posters"].items()
    )
    sides = channel["towards"], channel["away"]
    return ChannelRow(channel["block"], channel["number"], *sides, posters)
