"""`hybrid extract`."""

from __future__ import annotations

import click

from hybrid.cli.options import Project, backbone_options, column_options, project_options
from hybrid.cli.output import reasons_text, show, warn_left_out
from hybrid.records import ColumnOptions, ExtractSummary


@click.command("extract")
@project_options
@column_options
@backbone_options
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True,
              help="Posters the backbone takes at once.")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Try images again that could not be decoded.")
@click.option("--strict", is_flag=True, help="Exit 1 if there is a bad poster.")
def command(
    project: Project,
    columns: ColumnOptions,
    backbone: str,
    weights: str,
    dtype: str,
    batch_size: int,
    retry_failed: bool,
    strict: bool,
) -> int:
    """Embed the posters into the cache; what is there already is not computed again."""
    from hybrid.catalogue import load_catalogue
    from hybrid.extract import extract_embeddings

    catalogue = load_catalogue(project.catalogue, columns)
    warn_left_out(catalogue)
    summary = extract_embeddings(
        catalogue,
        backbone,
        weights=weights,
        cache=project.cache,
        seed=project.seed,
        workers=project.workers,
        batch_size=batch_size,
        dtype=dtype,
        retry_failed=retry_failed,
        progress=project.progress,
    )
    show(project.json, summary, _text(summary, project.cache))
    return int(strict and bool(summary.bad))


def _text(summary: ExtractSummary, cache: str) -> str:
    computed = f"{summary.computed} computed" if summary.computed else "nothing to compute"
    lines = [
        f"{summary.backbone}, weights {summary.weights}: {summary.embedded} of {summary.rows} items "
        f"have an embedding in {cache} ({summary.images} different images: {summary.hits} were there, "
        f"{computed}; {summary.seconds:.1f} s, peak memory {summary.peak_mib:.0f} MiB)",
    ]
    if summary.bad:
        lines.append(
            f"{len(summary.bad)} bad posters, carried as missing (hybrid check lists them):"
        )
        lines.append(reasons_text(summary.bad))
    return "\n".join(lines)
