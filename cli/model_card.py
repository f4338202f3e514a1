"""`hybrid model-card`."""

from __future__ import annotations

from pathlib import Path

import click

from hybrid.cli.options import Project, column_options, common_options
from hybrid.cli.output import show
from hybrid.cli.report import named_catalogue
from hybrid.types import ColumnOptions


@click.command("model-card")
@click.argument("run", type=click.Path(path_type=Path))
@common_options("catalogue", "runs", "seed", "workers")
@column_options
@click.option("--out", type=click.Path(path_type=Path),
              help="Markdown file to write.  [default: print it]")  # fmt: skip
@click.option("--draws", type=click.IntRange(min=1), default=2000, show_default=True,
              help="Bootstrap draws.")  # fmt: skip
def command(
    project: Project, columns: ColumnOptions, run: Path, out: Path | None, draws: int
) -> None:
    """Describe the model of RUN in Markdown: data, split, figures, limits, how to reproduce it."""
    from hybrid.report import model_card

    card = model_card(
        named_catalogue(project),
        columns,
        run,
        project.runs,
        draws=draws,
        seed=project.seed,
    )
    if out is None:
        show(project.json, {"model_card": card}, card.rstrip())
        return
    from hybrid.report.build import write_text

    write_text(out, card)
    show(project.json, {"out": out}, str(out.resolve()))
