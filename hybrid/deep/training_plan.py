"""Dry run of a training: stages, parameters, memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.items import Items
from hybrid.deep.network import count_activations, count_elements, count_pieces
from hybrid.deep.registry import HEAD, Stage
from hybrid.utils.counts import counted

BYTES = 4  # of a float32
# Numbers that the optimiser keeps for each that learns, with its gradient.
OPTIMIZER_SLOTS = {"adam": 3, "nadam": 3, "rmsprop": 2, "sgd": 2}


@dataclass(frozen=True)
class StagePlan:
    """Dry run of one stage.

    Parameters
    ----------
    name, reads, trains : str
        The stage, its inputs, and the part of the network that it trains.
    learns : int
        Trainable parameters.
    optimizer : str
    learning_rate : float
    batches : int
        In an epoch.
    memory : int
        Bytes, at most: weights, gradients, the optimizer's state, and the activations of a piece.
    """

    name: str
    reads: str
    trains: str
    learns: int
    optimizer: str
    learning_rate: float
    batches: int
    memory: int


@dataclass(frozen=True)
class DeepPlan:
    """Dry run of `fit_deep`.

    Parameters
    ----------
    network : str
    parameters : int
        Of the whole network.
    train, validation : int
        Items.
    epochs : int
        Maximum of each stage.
    stages : tuple of StagePlan
    """

    network: str
    parameters: int
    train: int
    validation: int
    epochs: int
    stages: tuple[StagePlan, ...]

    @property
    def text(self) -> str:
        """The plan in a few lines."""
        lines = [
            f"{self.network}: {counted(self.parameters, 'parameter')}; {self.train:,} train and "
            f"{counted(self.validation, 'validation item')}"
        ]
        return "\n".join(lines + [self._line(stage) for stage in self.stages])

    def _line(self, stage: StagePlan) -> str:
        return (
            f"  {stage.name}: {stage.trains} ({counted(stage.learns, 'parameter')}) on {stage.reads}, "
            f"{stage.optimizer} {stage.learning_rate:g}, {counted(stage.batches, 'batch', 'batches')} an "
            f"epoch, at most {counted(self.epochs, 'epoch')}, about {stage.memory / 2**20:.0f} MiB"
        )


def plan_training(model: DeepBaseline, train: Items, validation: int, n_labels: int) -> DeepPlan:
    """Build a network without its weights, and count parameters and memory of each stage.

    Parameters
    ----------
    model : DeepBaseline
        Not fitted.
    train : Items
        A network on blocks takes their widths from them.
    validation : int
        Number of validation items.
    n_labels : int

    Examples
    --------
    >>> from hybrid.deep.options import DeepOptions
    >>> model = DeepBaseline("small", DeepOptions(input_size=(32, 32)))
    >>> items = Items(["1", "2"], ["1.jpg", "2.jpg"])
    >>> plan = plan_training(model, items, validation=1, n_labels=3)
    >>> plan.parameters == plan.stages[0].learns, plan.stages[0].batches
    (True, 1)
    """
    if model.spec.fused and model.spec.backbone:
        # Only the width is needed, so no poster is embedded.
        blank = np.zeros((train.counts.sum(), model.spec.body.dimension), dtype=np.float32)
        train = replace(train, embeddings=blank)
    model._prepare(train)
    model._build(n_labels)
    network = model.network_
    posters = model.spec.backbone is not None and not model.spec.pools_posters
    examples = int(train.counts.sum()) if posters else len(train)
    stages = tuple(_plan_stage(model, stage, examples) for stage in model.spec.stages)
    parameters = network.count_params()
    return DeepPlan(
        model.spec.name, parameters, len(train), validation, model.options.epochs, stages
    )


def _plan_stage(model: DeepBaseline, stage: Stage, train: int) -> StagePlan:
    network, size = model.network_, model.spec.batch_size
    network.freeze(stage)
    lower, learner = model.parts_of(stage)
    learns = count_elements(learner.trainable_variables)
    weights = count_elements(learner.variables)
    pieces = count_pieces(learner, size)
    slots = OPTIMIZER_SLOTS[stage.optimizer] + (pieces * model.options.accumulate > 1)
    at_once = -(-size // pieces)
    memory = BYTES * (weights + slots * learns + at_once * count_activations(learner))
    return StagePlan(
        name=stage.name,
        reads=_reads(model, stage, lower is not None),
        trains="the head" if stage.trains == HEAD else f"the head and {stage.trains} of the body",
        learns=learns,
        optimizer=stage.optimizer,
        learning_rate=stage.learning_rate,
        batches=-(-train // size),
        memory=memory,
    )


def _reads(model: DeepBaseline, stage: Stage, kept: bool) -> str:
    if model.spec.fused:
        if stage.trains == HEAD:
            return f"the blocks {', '.join(model.spec.blocks)}"
        others = [name for name in model.spec.blocks if name != "poster"]
        return f"posters and the blocks {', '.join(others)}"
    if not kept:
        return "posters"
    if stage.trains == HEAD and model.spec.reads_embeddings:
        return "embeddings from the cache"
    return "activations kept on the disk"
