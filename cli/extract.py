"""`hybrid extract`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeAlias

import click

from hybrid.cli.options import Project, column_options, common_options, licence_option, parse_ids
from hybrid.cli.output import findings_text, reasons_text, show, size_text, tell, tell_catalogue
from hybrid.cli.text_encoder_options import encoder_options
from hybrid.types import (
    ColumnOptions,
    EmbeddingOptions,
    ExtractPlan,
    ExtractSummary,
    TextEmbeddingOptions,
    TextExtractPlan,
    TextExtractSummary,
)
from hybrid.utils.counts import agree, counted

if TYPE_CHECKING:
    from hybrid.catalogue import Catalogue

Found: TypeAlias = ExtractSummary | ExtractPlan | TextExtractSummary | TextExtractPlan


@click.command("extract")
@common_options("catalogue", "cache", "seed", "workers", "cluster")
@column_options
@encoder_options(several=True)
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
    help="Maximum number of posters or texts to embed; the same command again continues.",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Only the items of the I-th of N shards, told by their ids; N processes, I from 1 to N, do all.",
)
@licence_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print what would be computed, how long it would take and the disk space it needs.",
)
@click.option("--retry-failed", is_flag=True, help="Retry images that could not be decoded.")
@click.option(
    "--strict", is_flag=True, help="Exit 1 if there is a bad poster, or an item without a text."
)
def command(
    project: Project,
    columns: ColumnOptions,
    backbone: tuple[str, ...],
    weights: tuple[str, ...],
    options: EmbeddingOptions,
    text_encoder: str | None,
    text_options: TextEmbeddingOptions,
    engine: str | None,
    batch_size: int | None,
    ids: tuple[str, ...],
    limit: int | None,
    shard: str | None,
    licence: str,
    dry_run: bool,
    retry_failed: bool,
    strict: bool,
) -> int:
    """Embed posters, texts, or both into the cache; embeddings that are in it are not computed again."""
    from hybrid.catalogue import load_catalogue
    from hybrid.extraction.encoders import Encoders, extract_encoders, plan_encoders
    from hybrid.extraction.plan import ExtractSettings
    from hybrid.extraction.share import parse_shard
    from hybrid.utils.resources import return_memory

    settings = ExtractSettings(
        batch_size=batch_size,
        retry_failed=retry_failed,
        limit=limit,
        licence=licence,
        shard=None if shard is None else parse_shard(shard),
    )
    catalogue = load_catalogue(project.catalogue, columns)
    tell_catalogue(catalogue)
    if ids:
        catalogue = catalogue.only(parse_ids(ids))
    if text_encoder is None:
        catalogue = catalogue.without_texts()
        return_memory()  # for the network
    found = (plan_encoders if dry_run else extract_encoders)(
        catalogue,
        Encoders(backbone, weights, options, text_encoder, text_options),
        engine=engine,
        settings=settings,
        context=project.context,
    )
    _show(project, found, catalogue)
    return int(strict and any(map(_lacking, found)))


def _lacking(found: Found) -> bool:
    """Whether there is a bad poster, or an item without a text; known after the work."""
    if isinstance(found, TextExtractSummary):
        return found.missing > 0
    return isinstance(found, ExtractSummary) and bool(found.bad)


def _show(project: Project, found: Sequence[Found], catalogue: Catalogue) -> None:
    """Print one object for one encoder, a list for several."""
    texts = []
    for record in found:
        texts += _share_text(record)
        if isinstance(record, TextExtractSummary | TextExtractPlan):
            for line in findings_text(record.findings):
                tell(line)
        texts.append(_record_text(record, project.cache))
    rows = [asdict(record) for record in found]
    show(project.json, rows[0] if len(rows) == 1 else rows, "\n".join(texts), catalogue)


def _record_text(found: Found, cache: str) -> str:
    if isinstance(found, ExtractSummary):
        return _text(found, cache)
    if isinstance(found, ExtractPlan):
        return _plan_text(found)
    return (
        _texts_text(found, cache)
        if isinstance(found, TextExtractSummary)
        else _text_plan_text(found)
    )


def _share_text(found: Found) -> list[str]:
    """Which shard it is, and how many items are left to others."""
    if found.shard is None:
        return []
    others = agree(found.others, "{items are|item is}")
    return [f"shard {found.shard}: {found.others:,} {others} left to the other shards"]


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


def _texts_text(summary: TextExtractSummary, cache: str) -> str:
    computed = f"{summary.computed:,} computed" if summary.computed else "nothing to compute"
    if summary.computed:
        computed += f" in {summary.seconds:.1f} s, {summary.rate:.0f} a second ({_how(summary)})"
    lines = [
        f"{_encoder(summary)}: {summary.embedded:,} of {counted(summary.rows, 'item')} "
        f"{agree(summary.embedded, '{have|has}')} an embedding in {cache} "
        f"({counted(summary.texts, 'different text')}: {summary.hits:,} cached, {computed}; peak memory "
        f"{summary.peak_mib:.0f} MiB)",
        *_encoder_lines(summary),
    ]
    if summary.left:
        lines.append(
            f"  {counted(summary.left, 'text is', 'texts are')} beyond the limit; the same command again "
            "continues"
        )
    return "\n".join(lines)


def _text_plan_text(plan: TextExtractPlan) -> str:
    from hybrid.utils.progress import duration

    lines = [
        f"{_encoder(plan)}: {counted(plan.texts, 'different text')}, {plan.hits:,} cached, "
        f"{plan.to_compute:,} to compute"
    ]
    if plan.to_compute:
        lines.append(
            f"  about {duration(plan.seconds)} ({_how(plan)}) and {size_text(plan.bytes)} of disk"
        )
    lines += _encoder_lines(plan)
    if plan.left:
        lines.append(f"  {plan.left:,} more are beyond the limit")
    return "\n".join(lines)


def _encoder(found: TextExtractSummary | TextExtractPlan) -> str:
    mean = ", mean of chunks" if found.chunks == "mean" else ""
    layers = (
        f", mean of the last {counted(found.last_layers, 'layer')}" if found.last_layers > 1 else ""
    )
    return f"{found.text_encoder}, up to {found.max_length:,} tokens{mean}{layers}"


def _encoder_lines(found: TextExtractSummary | TextExtractPlan) -> list[str]:
    """What else there is to know of the encoder and its texts."""
    of = found.computed if isinstance(found, TextExtractSummary) else found.tried
    lines = [f"  licence of the weights: {found.licence}"]
    if found.prefix:
        lines.append(f"  before each text: {found.prefix!r}")
    if found.longer:
        what = "averaged over their pieces" if found.chunks == "mean" else "cut off there"
        lines.append(
            f"  {found.longer:,} of {counted(of, 'text')} {agree(found.longer, '{are|is}')} longer than "
            f"{found.max_length:,} tokens, {what}"
        )
    if found.missing:
        lines.append(f"  {counted(found.missing, 'item')} without a text, treated as missing")
    return lines


def _how(record: Found) -> str:
    return f"{record.engine}, {record.precision}"
