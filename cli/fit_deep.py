"""`hybrid fit-deep`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hybrid.cli.fit import make_experiment
from hybrid.cli.fit_options import (
    blocks_option,
    decision_options,
    pooling_option,
    text_encoder_options,
)
from hybrid.cli.options import SIZE, Project, column_options, common_options, licence_option
from hybrid.cli.output import run_text, show
from hybrid.cli.path_types import LocalPath
from hybrid.cli.task_options import task_options
from hybrid.types import ColumnOptions

if TYPE_CHECKING:
    from hybrid.heads.decision_rule import DecisionOptions
    from hybrid.splitting.tasks import Task

_OPTIONS = (
    click.option("--backbone", required=True,
                 help="scratch, small, inception, vgg16-fc, vgg16-conv, text, fused, or a backbone."),
    click.option("--name", help="Name of the run.  [default: that of the backbone]"),
    click.option("--resume", is_flag=True, help="Continue an interrupted training."),
    click.option("--dry-run", is_flag=True,
                 help="Print stages, parameters and memory; train nothing."),
    click.option("--tensorboard", type=LocalPath(), help="Folder for event files."),
    click.option("--weights", help="imagenet, random, a weights file, or a run that trained the backbone.  "
                 "[default: imagenet; none for what is trained from scratch]"),
    click.option("--body", help="Backbone of the network fused.  [default: inception]"),
    click.option("--input-size", type=SIZE, metavar="HxW",
                 help="Input size in pixels.  [default: that of the run in --weights, else the network's]"),
    click.option("--unfreeze", metavar="N|all|BLOCK",
                 help="Blocks of the backbone that the second stage trains; 0: no second stage."),
    click.option("--head-units", metavar="N,N", help='Dense layers before the labels; "" for none.'),
    click.option("--dropout", type=float, help="Dropout after each of them.  [default: the network's]"),
    click.option("--stages", type=int, help="Maximum number of stages."),
    click.option("--epochs", type=int, default=30, show_default=True,
                 help="Maximum number of epochs of each stage; 0 is --dry-run."),
    click.option("--patience", type=int, default=5, show_default=True,
                 help="Early stopping: epochs without a lower validation loss."),
    click.option("--batch-size", type=int, help="[default: the network's]"),
    click.option("--learning-rate", type=float, help="Of the first stage.  [default: the network's]"),
    click.option("--fine-learning-rate", type=float, help="Of the second stage."),
    click.option("--schedule", type=click.Choice(["constant", "cosine", "plateau"]),
                 default="constant", show_default=True, help="Schedule of the learning rate."),
    click.option("--weight-decay", type=float, default=0.0, show_default=True),
    click.option("--label-smoothing", type=float, default=0.0, show_default=True),
    click.option("--loss", type=click.Choice(["weighted", "plain", "focal", "asymmetric"]),
                 help="Loss; weighted: rare genres count more.  "
                 "[default: weighted; plain with --task multiclass]"),
    click.option("--accumulate", type=int, default=1, show_default=True,
                 help="Gradient accumulation: batches for each optimiser step."),
    click.option("--precision", type=click.Choice(["float32", "bfloat16", "float16"]),
                 default="float32", show_default=True, help="Numeric precision of the computation."),
    click.option("--devices", default="1", show_default=True, metavar="N|all",
                 help="GPUs of this machine that share each batch; needs KERAS_BACKEND=jax."),
    click.option("--cache-frozen", is_flag=True,
                 help="Cache the output of the frozen layers on disk during training."),
    pooling_option,
    blocks_option,
    *text_encoder_options,
    licence_option,
)  # fmt: skip


def _training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command("fit-deep")
@common_options("catalogue", "splits", "cache", "runs", "seed", "workers")
@column_options
@decision_options(metric=False)
@task_options
@_training_options
def command(
    project: Project,
    columns: ColumnOptions,
    backbone: str,
    task: Task,
    resume: bool,
    dry_run: bool,
    tensorboard: Path | None,
    devices: str,
    licence: str,
    name: str | None,
    decision: DecisionOptions,
    **options: Any,
) -> None:
    """Train a deep baseline on train, stop and calibrate it on validation, evaluate it on test.

    Every epoch is saved until the run is complete: after an interruption, give the same command with
    --resume. A trained backbone can be used for embeddings: hybrid extract --backbone scratch --weights
    runs/scratch

    --blocks, --text-encoder and --text-embeddings are of the network fused, which reads what fit-svm reads.
    """
    from hybrid.deep.options import DeepOptions
    from hybrid.runs.classification import classify_run
    from hybrid.runs.deep_inputs import plan_deep
    from hybrid.runs.fit_deep import fit_deep

    training = DeepOptions(**options, task=task.kind)
    experiment = make_experiment(project, columns, name or backbone, task)
    if dry_run or training.epochs == 0:
        plan = plan_deep(
            experiment.catalogue,
            experiment.split,
            backbone,
            training,
            devices,
            experiment.context,
            licence,
        )
        show(project.json, plan, plan.text, experiment.whole.catalogue)
        return
    run = fit_deep(
        experiment,
        backbone,
        training,
        decision,
        resume=resume,
        tensorboard=tensorboard,
        devices=devices,
        licence=licence,
    )
    table = classify_run(run, experiment.catalogue).text
    text = f"{run_text(run)}\n\n{table}"
    show(project.json, run.record.to_json(), text, experiment.whole.catalogue)
