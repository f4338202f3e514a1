"""`hybrid report`."""

from __future__ import annotations

from pathlib import Path

import click

from hybrid.cli.options import Project, column_options, project_options
from hybrid.cli.output import show
from hybrid.records import ColumnOptions


@click.command("report")
@click.argument("names", metavar="[RUN]...", nargs=-1, type=click.Path(path_type=Path))
@project_options
@column_options
@click.option("--out", type=click.Path(path_type=Path), default="report.html", show_default=True)
@click.option("--draws", type=click.IntRange(min=1), default=2000, show_default=True,
              help="Bootstrap draws.")  # fmt: skip
def command(
    project: Project, columns: ColumnOptions, names: tuple[Path, ...], out: Path, draws: int
) -> None:
    """Compare runs, by default all of them, on one page."""
    from hybrid.report import as_text, report_runs

    comparison = report_runs(
        project.catalogue, columns, names, project.runs, out, draws=draws, seed=project.seed
    )
    show(project.json, comparison, f"{as_text(comparison)}\n{out.resolve()}")
