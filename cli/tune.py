"""`hybrid tune`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hybrid.cli.options import (
    SIZE,
    Project,
    column_options,
    common_options,
    licence_option,
    stack_options,
)
from hybrid.cli.output import show, size_text, tell_catalogue
from hybrid.cli.path_types import LocalPath
from hybrid.cli.task_options import task_options
from hybrid.tuning.options import PRECISIONS, TuneOptions, TunePlan, TuneSummary
from hybrid.utils.counts import agree, counted
from hybrid.utils.options import Rule, given_options, list_unused

if TYPE_CHECKING:
    from hybrid.splitting.tasks import Task

_DEFAULTS = TuneOptions()
_OPTIONS = tuple(
    click.option(f"--{name}", field, type=type(getattr(_DEFAULTS, field)),
                 default=getattr(_DEFAULTS, field), show_default=True, help=text)
    for name, field, text in (
        ("folds", "folds", "Encoders; each item gets the scores of the one that has not learnt from it."),
        ("epochs", "epochs", "Epochs of each encoder."),
        ("layers", "layers", "Last layers, or blocks of a backbone, that learn; 0: only the head."),
        ("learning-rate", "learning_rate", "Highest learning rate of the last layer."),
        ("head-rate", "head_rate", "Highest learning rate of the new head."),
        ("layer-decay", "decay", "Each layer learns with the rate of the one above it, times this."),
        ("warm-up", "warm_up", "Share of the steps in which the learning rate rises."),
        ("weight-decay", "weight_decay", "Weight decay of kernels."),
        ("dropout", "dropout", "Dropout of the layers that learn."),
        ("batch-size", "batch_size", "Items in a batch."),
        ("lora-rank", "lora_rank", "Rank of the kernels' updates, which learn alone; 0: all weights learn."),
        ("lora-alpha", "lora_alpha", "The updates are scaled by this / rank; 0: twice the rank."),
        ("patience", "patience", "Epochs without a lower validation loss that stop an encoder; 0: none."),
        ("max-length", "max_length", "Tokens that are read of a text; at most what the encoder reads."),
    )
)  # fmt: skip


def _tune_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return stack_options(_OPTIONS, command)


@click.command("tune")
@common_options("catalogue", "splits", "cache", "seed", "workers", "force")
@column_options
@click.option("--text-encoder", metavar="NAME|FOLDER", help="Text encoder to start from.")
@click.option(
    "--backbone", metavar="NAME", help="Or backbone to start from, which learns from posters."
)
@click.option("--weights", default="imagenet", show_default=True,
              help="Weights of the backbone to start from: imagenet, random, a file, or a run.")  # fmt: skip
@click.option("--input-size", type=SIZE, metavar="HxW",
              help="Input size of the backbone in pixels.  [default: that of the run in --weights, else the "
              "backbone's]")  # fmt: skip
@click.option("--name", default="tuned", show_default=True, help="Name of the tuned encoder.")
@click.option("--encoders", type=LocalPath(), default="encoders", show_default=True,
              help="Folder of the tuned encoders.")  # fmt: skip
@task_options
@_tune_options
@click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True,
              help="Of the matrix products; auto: bfloat16 where the device has it, but float32 for a "
              "backbone on a processor.")  # fmt: skip
@click.option("--refit", is_flag=True,
              help="Train one more encoder, of all items, for new ones; else the mean of all.")  # fmt: skip
@licence_option
@click.option("--dry-run", is_flag=True,
              help="Print what would be trained and about how long it would take.")  # fmt: skip
def command(
    project: Project,
    columns: object,
    text_encoder: str | None,
    backbone: str | None,
    weights: str,
    input_size: tuple[int, int] | None,
    name: str,
    encoders: Path,
    task: Task,
    licence: str,
    dry_run: bool,
    **options: float,
) -> None:
    """Let a text encoder or a backbone learn the labels of train and validation items, cross-fitted.

    The scores of the tuned encoder become a block of fit-svm and the other fits: --text-encoder NAME, or
    --backbone NAME. Each item that was learnt from has the scores of an encoder that has not seen it.
    """
    from hybrid.catalogue import load_catalogue
    from hybrid.runs.experiment import Experiment
    from hybrid.runs.tune import (
        plan_backbone_tuning,
        plan_tuning,
        tune_backbone,
        tune_text_encoder,
    )
    from hybrid.splitting.split_file import read_split

    _check_encoder(text_encoder, backbone, weights, input_size)
    catalogue = load_catalogue(project.catalogue, columns)  # type: ignore[arg-type]
    tell_catalogue(catalogue)
    experiment = Experiment(
        catalogue,
        read_split(project.splits),
        encoders / name,
        project.splits,
        project.command,
        project.context,
    ).narrowed(task)
    how = TuneOptions(**options)  # type: ignore[arg-type]
    base: Any = {"weights": weights, "input_size": input_size, "licence": licence}
    if dry_run:
        if text_encoder:
            plan = plan_tuning(experiment, text_encoder, how, licence=licence)
        else:
            plan = plan_backbone_tuning(experiment, str(backbone), how, **base)
        show(project.json, asdict(plan), _plan_text(plan), catalogue)
        return
    if text_encoder:
        made = tune_text_encoder(
            experiment, text_encoder, how, licence=licence, force=project.force
        )
    else:
        made = tune_backbone(experiment, str(backbone), how, **base, force=project.force)
    show(project.json, asdict(made), _text(made), catalogue)


def _check_encoder(
    text_encoder: str | None, backbone: str | None, weights: str, input_size: object
) -> None:
    """Exactly one encoder is named; weights and input size only of a backbone."""
    if (text_encoder is None) == (backbone is None):
        found = "both" if backbone else "neither"
        raise click.UsageError(f"expected --text-encoder or --backbone, found {found}.")
    own = ("weights", "input-size")
    rules = (Rule(own, backbone is not None, "they are of a backbone"),)
    values = {"weights": (weights, "imagenet"), "input-size": (input_size, None)}
    if problems := list_unused(rules, given_options(values, "tune")):
        raise click.UsageError("\n".join(problems))


def _text(made: TuneSummary) -> str:
    from hybrid.utils.progress import duration

    score = "" if made.oof_map is None else f"; out-of-fold mAP {made.oof_map:.3f}"
    return "\n".join(
        [
            f"{made.folder}: {_encoders(made)} from {made.base}, which learnt "
            f"{counted(len(made.labels), 'label')} from {_learnt(made)}",
            f"  {_how(made)}, in {duration(made.seconds)}{score}; peak memory {made.peak_mib:.0f} MiB, "
            f"{size_text(made.bytes)} of disk",
            *([f"  {_stopping(made)}: {_kept(made)}"] if made.watched else []),
            f"{counted(made.embedded, 'item')} of the catalogue {agree(made.embedded, '{have|has}')} scores "
            f"in the cache ({made.fingerprint[:12]}); use them with: hybrid fit-svm "
            f"{'--backbone' if made.kind == 'poster' else '--text-encoder'} {made.name}",
        ]
    )


def _plan_text(plan: TunePlan) -> str:
    from hybrid.utils.progress import duration

    where = "disk while it is tuned" if plan.on_disk else "memory"
    done = f" ({plan.done} done)" if plan.done else ""
    return "\n".join(
        [
            f"{plan.folder}: {_encoders(plan)}{done} from {plan.base}, which would learn "
            f"{counted(len(plan.labels), 'label')} from {_learnt(plan)}",
            f"  {plan.parameters:,} parameters of each would learn; {_how(plan)}",
            *([f"  {_stopping(plan)}"] if plan.watched else []),
            f"  about {duration(plan.seconds)} of training, {size_text(plan.state_bytes)} of {where} for the "
            f"lower layers, {size_text(plan.bytes)} of disk for the encoder",
        ]
    )


def _encoders(record: TuneSummary | TunePlan) -> str:
    more = " and one of all items" if record.refit else ""
    return counted(record.folds, "encoder") + more


def _stopping(record: TuneSummary | TunePlan) -> str:
    """What stops an encoder, in words."""
    what = "items carved from those to learn from" if record.carved else "validation items"
    return f"early stopping by {record.watched:,} {what} for each encoder"


def _kept(made: TuneSummary) -> str:
    epochs = ", ".join(map(str, made.kept_epochs))
    return f"of at most {counted(made.epochs, 'epoch')}, they have the weights of {epochs}"


def _learnt(record: TuneSummary | TunePlan) -> str:
    """Which items are learnt from, in words."""
    without = f"; {counted(record.without, 'item')} without a {record.kind} left out"
    longer = f"; {counted(record.longer, 'text')} cut off"
    return (
        f"{counted(record.items, 'item')} ({counted(record.different, f'different {record.kind}')}"
        f"{longer if record.longer else ''}{without if record.without else ''})"
    )


def _how(record: TuneSummary | TunePlan) -> str:
    layers = counted(record.layers, "block" if record.kind == "poster" else "layer")
    return f"{layers}, {counted(record.epochs, 'epoch')}, {record.precision} on {record.device}"
