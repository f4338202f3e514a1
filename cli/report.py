"""`hybrid report`."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from hybrid.cli.options import OutputFile, Project, column_options, common_options
from hybrid.cli.output import show, tell_catalogue
from hybrid.cli.path_types import LocalPath
from hybrid.types import MAX_DRAWS, ColumnOptions


@click.command("report")
@click.argument("names", metavar="[RUN]...", nargs=-1, type=LocalPath())
@common_options("catalogue", "runs", "seed", "workers", "force")
@column_options
@click.option("--external", "externals", multiple=True, metavar="NAME=FILE",
              help="predictions.csv of a model made elsewhere, to compare with.")  # fmt: skip
@click.option("--out", type=OutputFile(), default="report.html", show_default=True,
              help="Page to write; its figures go beside it as .csv and .json.")  # fmt: skip
@click.option("--draws", type=click.IntRange(1, MAX_DRAWS), default=2000, show_default=True,
              help="Bootstrap draws.")  # fmt: skip
def command(
    project: Project,
    columns: ColumnOptions,
    names: tuple[Path, ...],
    externals: tuple[str, ...],
    out: Path,
    draws: int,
) -> None:
    """Compare runs, by default all of them, on one page.

    The true labels are those of the catalogue that each run was fitted on, which is known by its hash; or
    those of --catalogue. Runs of different catalogues, tasks, test items or splits are groups of their own,
    each with its own winner.
    """
    from hybrid.report import as_data, as_text, report_runs

    report = report_runs(
        named_catalogue(project),
        columns,
        names,
        project.runs,
        out,
        externals=_parse(externals),
        draws=draws,
        seed=project.seed,
        command=project.command,
    )
    text = f"{as_text(report)}\n{out.resolve()}"
    seen = {id(group.whole): group.whole for group in report.groups}
    for catalogue in seen.values():
        tell_catalogue(catalogue)
    data = as_data(report) if project.json else None
    show(project.json, data, text, report.groups[0].whole)


def named_catalogue(project: Project) -> Path | None:
    """The catalogue that the user named; None: that of the run, wherever the user stands."""
    source = click.get_current_context().get_parameter_source("catalogue")
    return None if source is ParameterSource.DEFAULT else project.catalogue


def show_own_catalogue(command: click.Command) -> None:
    """Let the help say that the catalogue is by default the one that the run was fitted on."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name == "catalogue":
            parameter.show_default = "the one that the run was fitted on"


def _parse(externals: tuple[str, ...]) -> dict[str, Path]:
    """``("mine=p.csv",)`` → name and file."""
    found: dict[str, Path] = {}
    for entry in externals:
        name, equals, file = entry.partition("=")
        if not equals or not name.strip() or not file or name in found:
            raise click.UsageError(
                "--external: expected NAME=FILE such as mine=predictions.csv, each name once, "
                f"found {entry!r}."
            )
        found[name] = Path(file)
    return found


show_own_catalogue(command)
