"""`hybrid split`."""

from __future__ import annotations

from collections import Counter

import click

from hybrid.cli.options import Project, column_options, project_options
from hybrid.cli.output import show, warn_left_out
from hybrid.records import ColumnOptions


@click.command("split")
@project_options
@column_options
@click.option("--validation", type=float, default=0.1, show_default=True, help="Share.")
@click.option("--test", type=float, default=0.2, show_default=True, help="Share.")
def command(project: Project, columns: ColumnOptions, validation: float, test: float) -> None:
    """Deal the items to train, validation and test, every label in its share.

    Items with the same image are never parted.
    """
    from hybrid.catalogue import load_catalogue
    from hybrid.splits import write_split
    from hybrid.splitting import split_catalogue

    catalogue = load_catalogue(project.catalogue, columns)
    warn_left_out(catalogue)
    split = split_catalogue(
        catalogue,
        shares=(1 - validation - test, validation, test),
        seed=project.seed,
        cache=project.cache,
        workers=project.workers,
        progress=project.progress,
    )
    write_split(split, project.splits)
    counts = Counter(split.parts.tolist())
    text = f"{project.splits}: " + ", ".join(f"{n} {part}" for part, n in counts.most_common())
    show(project.json, {"path": project.splits, "sha256": split.sha256, "counts": counts}, text)
