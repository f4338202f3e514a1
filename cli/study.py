"""`hybrid study`, and the studies that the fit commands make of the run they have written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from hybrid.cli.options import Project, common_options, encoding_option, licence_option
from hybrid.cli.output import show, tell_catalogue
from hybrid.cli.path_types import LocalPath
from hybrid.cli.study_output import studies_text

if TYPE_CHECKING:
    from hybrid.catalogue import Catalogue
    from hybrid.runs.folder import Run
    from hybrid.studies.study import Studies

# Common options whose default is what the run recorded.
RECORDED = ("catalogue", "splits", "seed")


@click.command("study")
@click.argument("run", type=LocalPath())
@common_options("catalogue", "splits", "cache", "runs", "seed", "workers", "cluster")
@click.option(
    "--ablation",
    is_flag=True,
    help="Ablation: fit every subset of the blocks, and remove blocks from test items.",
)
@click.option("--curve", is_flag=True, help="Learning curve: fit 1/16 … 1/2 of the items.")
@click.option(
    "--repeats",
    type=click.IntRange(min=2),
    metavar="N",
    help="N splits by the method of the run's split, its own among them: other seeds, other folds, or "
    "earlier periods of a temporal split.",
)
@click.option(
    "--nested",
    is_flag=True,
    help="Estimate the whole procedure by nested cross-validation, without the test items.",
)
@click.option(
    "--method",
    type=click.Choice(["iterative", "random", "temporal"]),
    help="For --repeats, of a split that hybrid split did not make: the method to repeat it by.",
)
@click.option("--by", metavar="COLUMN", help="For --method temporal: column with the time.")
@licence_option
@encoding_option
def command(
    project: Project,
    run: Path,
    ablation: bool,
    curve: bool,
    repeats: int | None,
    nested: bool,
    method: str | None,
    by: str | None,
    licence: str,
    encoding: str,
) -> None:
    """Find out more about RUN, a finished run of a head, by further fits; the run itself stays as it is.

    Results are written beside it, in RUN/studies/. Each fit is kept once it is done: an interrupted study
    goes on when the command is given again.
    """
    from hybrid.split_types import SplitMethod
    from hybrid.studies.study import Studies

    problems = []
    if method is not None and repeats is None:
        problems.append("--method: expected --repeats N (2 or more) with it, found none.")
    if by is not None and method != "temporal":
        problems.append("--by: expected --method temporal and --repeats N (2 or more) with it.")
    if problems:
        raise click.UsageError("\n".join(problems))
    how = SplitMethod(method, by=by) if method is not None else None
    studies = Studies(nested, curve, ablation, repeats or 1, how)
    if not studies.kinds:
        raise click.UsageError("expected a study: --ablation, --curve, --repeats N or --nested.")
    source = click.get_current_context().get_parameter_source
    given = {name for name in RECORDED if source(name) is not ParameterSource.DEFAULT}
    folder = project.find_run(run)
    read: list[Catalogue] = []

    def tell(table: Catalogue) -> None:
        tell_catalogue(table)
        read.append(table)

    studied = study(
        project,
        folder,
        studies,
        encoding=encoding,
        catalogue=project.catalogue if "catalogue" in given else None,
        splits=project.splits if "splits" in given else None,
        seed=project.seed if "seed" in given else None,
        tell=tell,
        licence=licence,
    )
    found = studied.record.studies
    show(project.json, found, f"{studied.folder}\n{studies_text(found, studies.kinds)}", *read)


for _parameter in command.params:
    if isinstance(_parameter, click.Option) and _parameter.name in RECORDED:
        _parameter.show_default = "as the run recorded"


def study(
    project: Project,
    folder: Path,
    studies: Studies,
    *,
    encoding: str,
    catalogue: Path | None = None,
    splits: Path | None = None,
    seed: int | None = None,
    tell: Callable[[Catalogue], None] | None = None,
    licence: str = "any",
) -> Run:
    """Make studies of a run; what the user gave is in the command that an error message names."""
    from hybrid.studies.study import study_run

    again = {
        "--catalogue": catalogue,
        "--splits": splits,
        "--seed": seed,
        "--cache": project.cache if project.cache != ".hybrid-cache" else None,
        "--encoding": encoding if encoding != "utf-8" else None,
        "--licence": licence if licence != "any" else None,
        "--cluster": project.cluster,
    }
    words = [
        word for name, value in again.items() if value is not None for word in (name, str(value))
    ]
    return study_run(
        folder,
        studies,
        catalogue=catalogue,
        splits=splits,
        encoding=encoding,
        seed=seed,
        command=project.command,
        go_on=words,
        tell=tell,
        licence=licence,
        context=project.context,
    )
