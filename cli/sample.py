"""`hybrid sample`."""

from __future__ import annotations

from pathlib import Path

import click

from hybrid.cli.options import Project, common_options
from hybrid.cli.output import show
from hybrid.cli.path_types import LocalPath
from hybrid.utils.counts import counted


@click.command("sample")
@click.argument("folder", metavar="DIR", type=LocalPath())
@common_options("seed")
@click.option("--items", type=click.IntRange(min=50), default=600, show_default=True)
def command(project: Project, folder: Path, items: int) -> None:
    """Write the embedded sample catalogue to DIR: synthetic films, drawn from the seed."""
    from hybrid.datasets.sample import write_sample

    summary = write_sample(folder, n_items=items, seed=project.seed)
    text = (
        f"{folder}: {counted(summary.items, 'synthetic film')}, {counted(len(summary.genres), 'genre')}, "
        f"{counted(summary.bad_posters, 'bad poster')}, {counted(summary.near_duplicates, 'near-duplicate')}"
    )
    show(project.json, summary, text)
