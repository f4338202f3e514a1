"""`hybrid extract`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from hybrid.cli.options import (
    Project,
    backbone_options,
    column_options,
    common_options,
    parse_ids,
)
from hybrid.cli.output import reasons_text, show, size_text, tell_catalogue
from hybrid.types import ColumnOptions, EmbeddingOptions, ExtractPlan, ExtractSummary
from hybrid.utils.counts import agree, counted

if TYPE_CHECKING:
    from hybrid.catalogue import Catalogue


@click.command("extract")
@common_options("catalogue", "cache", "seed", "workers")
@column_options
@backbone_options(several=True)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Posters in a batch.  [default: what suits the engine]",
)
@click.option(
    "--ids",
    multiple=True,
    metavar="ID|@FILE",
    help="Only these items: an id, or @ and a file with one id on each line.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Maximum number of posters to embed; the same command again continues.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print what would be computed, how long it would take and the disk space it needs.",
)
@click.option("--retry-failed", is_flag=True, help="Retry images that could not be decoded.")
@click.option("--strict", is_flag=True, help="Exit 1 if there is a bad poster.")  # fmt: skip
def command(
    project: Project,
    columns: ColumnOptions,
    backbone: tuple[str, ...],
    weights: tuple[str, ...],
    options: EmbeddingOptions,
    engine: str,
    batch_size: int | None,
    ids: tuple[str, ...],
    limit: int | None,
    dry_run: bool,
    retry_failed: bool,
    strict: bool,
) -> int:
    """Embed the posters into the cache; embeddings that are in it are not computed again."""
    from hybrid.catalogue import load_catalogue
    from hybrid.extraction.extract import extract_backbones, plan_extraction
    from hybrid.extraction.plan import ExtractSettings

    catalogue = load_catalogue(project.catalogue, columns)
    tell_catalogue(catalogue)
    if ids:
        catalogue = catalogue.only(parse_ids(ids))
    how: Any = {
        "weights": weights,
        "options": options,
        "settings": ExtractSettings(engine, batch_size, retry_failed, limit),
        "context": project.context,
    }
    if dry_run:
        plans = plan_extraction(catalogue, backbone, **how)
        _show(project, plans, "\n".join(_plan_text(plan) for plan in plans), catalogue)
        return 0
    summaries = extract_backbones(catalogue, backbone, **how)
    _show(project, summaries, "\n".join(_text(s, project.cache) for s in summaries), catalogue)
    return int(strict and any(summary.bad for summary in summaries))


def _show(
    project: Project,
    records: Sequence[ExtractSummary | ExtractPlan],
    text: str,
    catalogue: Catalogue,
) -> None:
    """Print one object for one backbone, a list for several."""
    rows = [asdict(record) for record in records]
    show(project.json, rows[0] if len(rows) == 1 else rows, text, catalogue)


def _text(summary: ExtractSummary, cache: str) -> str:
    computed = f"{summary.computed} computed" if summary.computed else "nothing to compute"
    if summary.computed:
        computed += f" in {summary.seconds:.1f} s, {summary.rate:.0f} a second ({_how(summary)})"
    lines = [
        f"{summary.backbone}, weights {summary.weights}: {summary.embedded:,} of "
        f"{counted(summary.rows, 'item')} {agree(summary.embedded, '{have|has}')} an embedding in {cache} "
        f"({counted(summary.images, 'different image')}: {summary.hits:,} cached, {computed}; peak memory "
        f"{summary.peak_mib:.0f} MiB)",
    ]
    if summary.left:
        lines.append(
            f"{counted(summary.left, 'image is', 'images are')} beyond the limit; the same command again "
            "continues."
        )
    if summary.bad:
        lines.append(
            f"{counted(len(summary.bad), 'bad poster')}, treated as missing (hybrid check lists them):"
        )
        lines.append(reasons_text(summary.bad))
    return "\n".join(lines)


def _plan_text(plan: ExtractPlan) -> str:
    from hybrid.utils.progress import duration

    lines = [
        f"{plan.backbone}, weights {plan.weights}: {counted(plan.images, 'different image')}, {plan.hits:,} "
        f"cached, {plan.to_compute:,} to compute"
    ]
    if plan.to_compute:
        lines.append(
            f"  about {duration(plan.seconds)} ({_how(plan)}) and {size_text(plan.bytes)} of disk"
        )
    if plan.left:
        lines.append(f"  {plan.left} more are beyond the limit")
    return "\n".join(lines)


def _how(record: ExtractSummary | ExtractPlan) -> str:
    return f"{record.engine}, {record.precision}"
