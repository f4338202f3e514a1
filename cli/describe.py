"""`hybrid describe`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hybrid.cli.fit_deep import command as fit_deep
from hybrid.cli.options import Project, common_options
from hybrid.cli.output import show
from hybrid.deep.options import DeepOptions
from hybrid.utils.counts import counted
from hybrid.utils.options import Rule, given_options, list_unused
from hybrid.utils.visible import shortened

if TYPE_CHECKING:
    from hybrid.deep.description import LayerDescription, NetworkDescription
    from hybrid.runs.describe import HeadDescription

NAMES = [field.name for field in fields(DeepOptions)]
FROM_DATA = "from the data"
SAME = [parameter for parameter in fit_deep.params if parameter.name in NAMES]


@click.command("describe", params=list(SAME))
@click.argument("target", metavar="NETWORK|RUN")
@common_options("runs")
@click.option(
    "--task",
    type=click.Choice(["multilabel", "multiclass"]),
    default="multilabel",
    show_default=True,
    help="Several labels an item, or exactly one.",
)
@click.option("--labels", type=click.IntRange(min=1),
              help="Number of labels of NETWORK.  [default: 20, as in the study]")  # fmt: skip
def command(project: Project, target: str, labels: int | None, **options: Any) -> None:
    """List the layers of NETWORK or of the model of RUN, what learns in which stage, and every setting.

    NETWORK is what fit-deep takes as --backbone. How wide text and metadata are comes from the data: a run of
    text or fused has the widths, the networks themselves have "from the data". The options are those of
    fit-deep, so that you see what --unfreeze, --head-units or --input-size make. Of a run with another
    head: blocks, parameters and settings. A run that has the name of a network is named by its path:
    runs/inception.
    """
    from hybrid.deep.registry import network_names
    from hybrid.runs.describe import HeadDescription, describe_network, describe_run

    folder = project.find_run(Path(target))
    if target in network_names() or not (folder / "run.json").exists():
        found = describe_network(target, DeepOptions(**options), labels)
        show(project.json, found, network_text(found))
        return
    _check_no_options(target)
    of_run = describe_run(folder)
    text = head_text(of_run) if isinstance(of_run, HeadDescription) else network_text(of_run)
    show(project.json, of_run, text)


def _check_no_options(target: str) -> None:
    """A run has its own settings, so that an option would have no effect."""
    from hybrid.errors import SettingError

    names = tuple(name.replace("_", "-") for name in (*NAMES, "labels"))
    given = given_options(dict.fromkeys(names, (None, None)), "describe")
    rule = Rule(names, False, f"{target} is a run, which has its own settings")
    if problems := list_unused([rule], given):
        raise SettingError("\n".join(problems))


def network_text(found: NetworkDescription) -> str:
    """Tables of layers, stages and settings."""
    layers = _table(
        ("layer", "type", "output", "kernel", "filters/units", "parameters", "learns in"),
        [_layer_row(layer) for layer in found.layers],
        right=(4, 5),
    )
    stages = _table(
        ("stage", "learns", "parameters", "optimizer", "learning rate", "momentum", "augmentation"),
        [
            (s.name, ", ".join(s.learns), _number(s.parameters), s.optimizer, f"{s.learning_rate:g}",
             f"{s.momentum:g}", s.augmentation)
            for s in found.stages
        ],
        right=(2,),
    )  # fmt: skip
    parameters = f"parameters {FROM_DATA}"
    if found.parameters is not None:
        parameters = counted(found.parameters, "parameter")
    head = f"{found.name}: {parameters}, {counted(found.labels, 'label')}"
    return "\n".join(
        [head, "", *layers, "", *stages, "", *_settings(_network_settings(found.settings))]
    )


def head_text(found: HeadDescription) -> str:
    """Blocks, parameters and settings of a head."""
    parameters = "parameters not known"
    if found.parameters is not None:
        parameters = counted(found.parameters, "parameter")
    rows = [
        (name, f"{weight:g}", found.backbones.get(name, ""))
        for name, weight in found.blocks.items()
    ]
    lines = [
        f"{found.name}: {found.head}, {parameters}, {counted(found.labels, 'label')}",
        *(
            [f"backbone: {counted(found.backbone_parameters, 'parameter')}"]
            if found.backbone_parameters is not None
            else []
        ),
        "",
        *_table(("block", "weight", "embeddings by"), rows, right=(1,)),
        "",
        "chosen by cross-fitting",
        *_settings(found.chosen),
        "",
        "settings",
        *(
            _settings(_head_settings(found.settings, found.task))
            or ["  not recorded: the run was fitted from Python by an earlier version"]
        ),
    ]
    return "\n".join(lines)


def _layer_row(layer: LayerDescription) -> tuple[str, ...]:
    return (
        layer.name,
        layer.type,
        " x ".join(FROM_DATA if side is None else str(side) for side in layer.output_shape),
        " x ".join(map(str, layer.kernel)),
        "" if layer.units is None else str(layer.units),
        _number(layer.parameters),
        ", ".join(layer.learns_in) if layer.parameters != 0 else "",
    )


def _number(count: int | None) -> str:
    return FROM_DATA if count is None else f"{count:,}"


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> list[str]:
    every = [tuple(heads), *(tuple(map(shortened, row)) for row in rows)]
    widths = [max(len(row[i]) for row in every) for i in range(len(heads))]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in every
    ]


def _network_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, the plain loss by its name, which goes by the task."""
    if settings.get("loss") != "plain":
        return settings
    one_label = settings.get("task") == "multiclass"
    return {**settings, "loss": f"plain ({'categorical' if one_label else 'binary'} cross-entropy)"}


def _head_settings(settings: dict[str, Any], task: str) -> dict[str, Any]:
    """The settings, with the value that the decision rule took where none was given."""
    given = settings.get("decision")
    if not isinstance(given, dict):
        return settings
    from hybrid.heads.decision_rule import DecisionOptions

    known = {name: given[name] for name in DecisionOptions.__dataclass_fields__ if name in given}
    if known.get("objective") is None:
        by_metric = "micro" if settings.get("metric") == "micro-f1" else None
        known["objective"] = "argmax" if task == "multiclass" else by_metric
    return {**settings, "decision": {**given, **DecisionOptions(**known).choosing}}


def _settings(settings: dict[str, Any], of: str = "") -> list[str]:
    """A line each; the settings within a setting follow its name."""
    lines = []
    for name, value in settings.items():
        said = of + name.replace("_", " ")
        if isinstance(value, dict):
            lines += _settings(value, f"{said}, ")
        elif value is not None:
            lines.append(f"  {said}: {_value(value)}")
    return lines


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)
