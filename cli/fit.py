"""What the fit commands share."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hybrid.cli.options import Project, parse_weights
from hybrid.cli.output import run_text, show, tell_catalogue, tried_text
from hybrid.cli.study import study
from hybrid.cli.study_output import studies_text
from hybrid.types import ColumnOptions, EmbeddingSelector, TextSelector

if TYPE_CHECKING:
    from hybrid.heads.decision_rule import DecisionOptions
    from hybrid.runs.experiment import Experiment
    from hybrid.splitting.tasks import Task


def make_experiment(project: Project, columns: ColumnOptions, name: str, task: Task) -> Experiment:
    """Read catalogue and split, narrow them to a task; the run gets this name in the folder of the runs."""
    from hybrid.catalogue import load_catalogue
    from hybrid.runs.experiment import Experiment
    from hybrid.runs.folder import check_run_folder, check_run_name
    from hybrid.splitting.split_file import read_split
    from hybrid.utils.writable import check_new_folder

    check_run_name(name)
    check_run_folder(project.runs / name)
    check_new_folder("--runs", project.runs)
    catalogue = load_catalogue(project.catalogue, columns)
    tell_catalogue(catalogue)
    experiment = Experiment(
        catalogue,
        read_split(project.splits),
        project.runs / name,
        project.splits,
        project.command,
        project.context,
    )
    return experiment.narrowed(task)


def fit(
    project: Project,
    columns: ColumnOptions,
    head: str,
    grid: dict[str, list[float]] | None,
    *,
    blocks: tuple[str, ...] | None,
    select: tuple[EmbeddingSelector, ...],
    select_text: tuple[TextSelector, ...],
    block_weights: tuple[str, ...],
    metric: str,
    search: str,
    rows: str,
    nested: bool,
    chain: bool,
    folds: int,
    curve: bool,
    licence: str,
    name: str | None,
    decision: DecisionOptions,
    ablation: bool,
    repeats: int,
    task: Task,
    **features: Any,
) -> None:
    """Fit a head, write the run, print its figures."""
    from hybrid.heads.make_hybrid import FeatureOptions, make_hybrid
    from hybrid.runs.fit_head import fit_head
    from hybrid.studies.study import Studies

    studies = Studies(nested, curve, ablation, repeats)
    experiment = make_experiment(
        project, columns, name or (f"{head}-chain" if chain else head), task
    )
    chosen = {
        "blocks": blocks,
        "grid": grid,
        "block_weights": parse_weights(block_weights),
        "metric": metric,
        "search": search,
        "rows": rows,
        "chain": chain,
        "folds": folds,
    }
    model = make_hybrid(
        experiment.catalogue,
        head=head,
        select=select,
        select_text=select_text,
        features=FeatureOptions(**features),
        decision=decision,
        multiclass=task.multiclass,
        licence=licence,
        context=project.context,
        **chosen,  # type: ignore[arg-type]
    )
    settings = {
        "head": head,
        "backbone": [each.backbone for each in select if each.backbone],
        "weights": [each.weights for each in select if each.weights],
        "dtype": next((each.dtype for each in select), None),
        "embeddings": [each.fingerprint for each in select if each.fingerprint],
        **_text_settings(select_text),
        **chosen,
        **features,
        "decision": asdict(decision),
    }
    studies.check(experiment.split)
    run = fit_head(experiment, model, settings)
    try:
        if studies.kinds:
            run = study(
                project,
                run.folder,
                studies,
                encoding=columns.encoding,
                catalogue=project.catalogue,
                splits=project.splits,
            )
    finally:  # the run is complete, whatever becomes of its studies
        table = (
            [tried_text(run.record.head.candidates)] if search == "grid" and run.record.head else []
        )
        made = [studies_text(run.record.studies)] if run.record.studies.costs else []
        text = "\n".join([*table, run_text(run), *made])
        show(project.json, run.record.to_json(), text, experiment.whole.catalogue)


def _text_settings(select: tuple[TextSelector, ...]) -> dict[str, list[str]]:
    """What the options of text embeddings said, if any."""
    said = {
        "text_encoder": [each.text_encoder for each in select if each.text_encoder],
        "text_embeddings": [each.fingerprint for each in select if each.fingerprint],
    }
    return {name: values for name, values in said.items() if values}
