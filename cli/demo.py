"""`hybrid demo`."""

from __future__ import annotations

from pathlib import Path

import click

from hybrid.cli.options import Project, common_options
from hybrid.cli.output import show
from hybrid.cli.path_types import LocalPath


@click.command("demo")
@click.argument("folder", metavar="[DIR]", required=False, type=LocalPath(),
                default="hybrid-demo")  # fmt: skip
@click.option(
    "--full", is_flag=True, help="Networks on posters of full size: about three times as long."
)
@common_options("seed", "workers", "force")
def command(project: Project, folder: Path, full: bool) -> None:
    """The whole way on the embedded sample: sample, split, fit-deep, extract, fit-svm, report.

    Everything is written to DIR (default: hybrid-demo). The films are synthetic, drawn by the program.
    """
    from hybrid.demo import run_demo
    from hybrid.report import as_data, as_text

    report = run_demo(folder, full=full, context=project.context)
    page = (folder / "report.html").resolve()
    show(
        project.json,
        as_data(report) if project.json else None,
        f"{as_text(report)}\n\nThe films are synthetic. The page: {page}",
    )
