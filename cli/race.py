"""`hybrid race`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hybrid.cli.options import (
    OutputFile,
    Project,
    column_options,
    common_options,
    licence_option,
    parse_blocks,
)
from hybrid.cli.output import findings_text, show, size_text, tell, tell_catalogue
from hybrid.cli.task_options import task_options
from hybrid.cli.text_encoder_options import race_encoder_options
from hybrid.types import METRIC, EmbeddingOptions, Interval, TextEmbeddingOptions
from hybrid.utils.counts import agree, counted

if TYPE_CHECKING:
    from hybrid.splitting.tasks import Task
    from hybrid.studies.race.records import Race, RacedEncoder, RacePlan, Round

NONE = "none"


@click.command("race")
@common_options("catalogue", "splits", "cache", "seed", "workers", "force")
@column_options
@race_encoder_options
@click.option("--budget", default="30min", show_default=True, metavar="TIME",
              help="Wall time, such as 30min or 90s: a round that would exceed it is not begun.")  # fmt: skip
@click.option("--with-blocks", "blocks", metavar="BLOCKS",
              help="Blocks that each encoder is added to, such as text,metadata; none: each alone.  "
              "[default: text,metadata, as far as the catalogue has them]")  # fmt: skip
@click.option("--start", type=click.IntRange(min=1), default=250, show_default=True, metavar="N",
              help="Items of the first sample; each further one has twice as many.")  # fmt: skip
@click.option("--metric", type=click.Choice(["weighted-f1", "macro-f1", "micro-f1", "map"]),
              default=METRIC, show_default=True, help="Metric that encoders are judged by.")  # fmt: skip
@click.option("--confidence", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              default=0.95, show_default=True,
              help="That none is stopped which is as good as the leader, over all rounds.")  # fmt: skip
@click.option("--folds", type=click.IntRange(min=2), default=4, show_default=True,
              help="Number of folds of the cross-fitting.")  # fmt: skip
@task_options
@licence_option
@click.option("--out", type=OutputFile(), metavar="FILE",
              help="Also write the result, with all rounds, to this JSON file.")  # fmt: skip
@click.option("--dry-run", is_flag=True,
              help="Print the rounds, the licences, and what would be computed at most.")  # fmt: skip
def command(
    project: Project,
    columns: object,
    backbone: tuple[str, ...],
    weights: tuple[str, ...],
    text_encoder: tuple[str, ...],
    options: EmbeddingOptions,
    text_options: TextEmbeddingOptions,
    budget: str,
    blocks: str | None,
    task: Task,
    out: Path | None,
    dry_run: bool,
    **settings: Any,
) -> None:
    """Find which encoder is worth embedding the whole catalogue with.

    Each embeds the same growing sample of the train and validation items. After each doubling, those that
    are surely worse than the leader stop. Embeddings stay in the cache: nothing is computed twice. Test
    items take no part.
    """
    from hybrid.catalogue import load_catalogue
    from hybrid.splitting.split_file import read_split
    from hybrid.studies.race.options import RaceOptions, parse_budget
    from hybrid.studies.race.race import plan_race, race_encoders
    from hybrid.studies.race.race_file import check_race_file, write_race

    named = () if blocks == NONE else parse_blocks(blocks)
    how = RaceOptions(
        budget=parse_budget(budget), blocks=named, posters=options, texts=text_options, **settings
    )
    if out is not None:
        check_race_file(out)
    catalogue = load_catalogue(project.catalogue, columns)  # type: ignore[arg-type]
    tell_catalogue(catalogue)
    common: Any = {
        "backbones": backbone,
        "weights": weights,
        "text_encoders": text_encoder,
        "options": how,
        "task": task,
        "split_path": project.splits,
        "context": project.context,
    }
    split = read_split(project.splits)
    if dry_run:
        plan = plan_race(catalogue, split, **common)
        show(project.json, asdict(plan), "\n".join(_plan_lines(plan)), catalogue)
        return
    race = race_encoders(catalogue, split, **common)
    if out is not None:
        write_race(race, out)
    for line in findings_text(race.findings):
        tell(line)
    show(project.json, asdict(race), "\n".join(_lines(race)), catalogue)


def _lines(race: Race) -> Iterator[str]:
    yield _judged(race)
    for one in race.rounds:
        yield from _round_lines(one, race)
    yield ""
    yield f"the whole catalogue, {counted(race.catalogue_items, 'item')}:"
    yield from _table(
        ("encoder", "standing", "embeddings", "time", "of it left", "storage", "licence"),
        [_price_row(each) for each in race.encoders],
    )
    yield from (f"  {each.encoder} failed: {each.reason}" for each in race.encoders if each.reason)
    yield ""
    yield from _conclusion(race)


def _judged(race: Race | RacePlan) -> str:
    of = f"blocks {', '.join(race.blocks)} and the encoder" if race.blocks else "encoder alone"
    return (
        f"{race.metric} of {of}, out-of-fold, on train and validation items; intervals "
        f"hold with {race.round_level:.2%} in each round, {race.confidence:.0%} in all"
    )


def _round_lines(one: Round, race: Race) -> Iterator[str]:
    from hybrid.utils.progress import duration

    alone = f"; the blocks alone {one.blocks:.3f}" if one.blocks is not None else ""
    yield ""
    compared = f"intervals {duration(one.compare_seconds)}"
    blocks = f"fit of the blocks {duration(one.blocks_seconds)}, " if race.blocks else ""
    yield f"{counted(one.items, 'item')}, {duration(one.seconds)} ({blocks}{compared}){alone}"
    joined = ("with blocks", "gain") if race.blocks else ()
    heads = ("encoder", "alone", *joined, "to the leader", "embedding", "fits")
    rows = []
    for each in one.results:
        behind = "stops: " + _interval(each.behind) if each.stopped else _interval(each.behind)
        if each.behind == Interval(0.0, 0.0, 0.0):
            behind = "leads"
        joined = (_number(each.with_blocks), _interval(each.gain)) if race.blocks else ()
        times = duration(each.embed_seconds), duration(each.fit_seconds)
        rows.append((each.encoder, _number(each.alone), *joined, behind, *times))
    yield from _table(heads, rows)


def _price_row(each: RacedEncoder) -> tuple[str, ...]:
    price, at = each.price, f" at {each.items:,}" if each.items else ""
    size = "unknown" if price.bytes is None else size_text(price.bytes)
    times = (_seconds(price.seconds), _seconds(price.left_seconds))
    return (
        each.encoder,
        f"{each.standing}{at}",
        f"{price.embeddings:,}",
        *times,
        size,
        each.licence,
    )


def _conclusion(race: Race) -> Iterator[str]:
    from hybrid.utils.progress import duration

    spent = f"embedding {duration(race.embed_seconds)}, fits {duration(race.fit_seconds)}"
    yield f"ended after {duration(race.seconds)} ({spent}): {race.ended}"
    if race.leader is None and race.rounds:
        yield f"no encoder leads: {race.metric} is not defined on these items"
        return
    if race.leader is None:
        yield "no round was completed: allow more time with --budget, or fewer items with --start"
        return
    found = {each.encoder: each for each in race.encoders}
    tied = [each.encoder for each in race.encoders if each.standing == "tied"]
    yield f"{race.leader} leads" + (
        f"; {', '.join(tied)} {agree(len(tied), '{are|is}')} not surely worse" if tied else ""
    )
    if tied and race.cheapest is not None:
        yield f"the cheapest of these is {race.cheapest}"
    last = {each.encoder: each for each in race.rounds[-1].results}[race.leader]
    if last.gain is not None and last.gain.low <= 0:
        yield "on these items it is not sure that any encoder adds to the blocks alone"
    for name in dict.fromkeys(filter(None, (race.leader, race.cheapest))):
        yield f"the rest of the catalogue: hybrid extract {found[name].option}"


def _plan_lines(plan: RacePlan) -> Iterator[str]:
    from hybrid.utils.progress import duration

    yield _judged(plan)
    sizes = ", ".join(f"{size:,}" for size in plan.sizes)
    yield f"sizes of the samples: {sizes}; within {duration(plan.budget)}"
    yield "at most, if no encoder stops:"
    yield from _table(
        ("encoder", "embeddings", "cached", "time", "storage", "licence"),
        [
            (
                each.encoder,
                f"{each.embeddings:,}",
                f"{each.cached:,}",
                _seconds(each.seconds),
                size_text(each.bytes),
                each.licence,
            )
            for each in plan.encoders
        ],
    )
    yield from _table(
        ("round", "items", "embedding", "fits", "within the budget"),
        [
            (
                f"{number}",
                f"{each.items:,}",
                _seconds(each.embed_seconds),
                _seconds(each.fit_seconds),
                "yes" if each.affordable else "no",
            )
            for number, each in enumerate(plan.rounds, 1)
        ],
    )
    if not plan.rounds[0].affordable:
        yield "no round would be completed: allow more time with --budget, or fewer items with --start"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table, its columns side by side."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield ("  " + "  ".join(cells)).rstrip()


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _interval(value: Interval | None) -> str:
    if value is None:
        return "undefined"
    return f"{value.value:+.3f} ({value.low:+.3f} to {value.high:+.3f})"


def _seconds(value: float | None) -> str:
    from hybrid.utils.progress import duration

    return "unknown" if value is None else duration(value)
