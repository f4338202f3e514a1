"""Options of the training of a deep baseline. No Keras here."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from hybrid.errors import SettingError, unknown_name
from hybrid.extraction.pooling import pooling_problems

LOSSES = ("weighted", "plain", "focal", "asymmetric")
SCHEDULES = ("constant", "cosine", "plateau")
PRECISIONS = ("float32", "bfloat16", "float16")
TASKS = ("multilabel", "multiclass")
# As in the study: weighted binary cross-entropy, and categorical cross-entropy for one label an item.
TASK_LOSS = {"multilabel": "weighted", "multiclass": "plain"}


@dataclass(frozen=True)
class DeepOptions:
    """Options of the training of a deep baseline; None means the value of the network's record.

    Parameters
    ----------
    weights : str, optional
        Initial weights of the body: ``"imagenet"``, ``"random"``, a weights file, or a run that trained
        it. By default ImageNet's, or random ones where there are none.
    body : str, optional
        Backbone of the network `fused`.
    input_size : (height, width), optional
        In pixels; by default that of the run whose weights are used, else the network's.
    unfreeze : str, optional
        Part of the body that the second stage trains: ``"2"`` its top two blocks, ``"all"``, or the name
        of the lowest block; ``"0"``: there is no second stage.
    head_units : str, optional
        Sizes of the dense layers between body and labels: ``"1024,1024"``; ``""`` for none.
    dropout : float, optional
        Rate after each of them; without any, on the embedding. 0 or more and less than 1.
    stages : int, optional
        Train only so many of the network's stages.
    epochs : int, default=30
        Maximum of each stage.
    patience : int, default=5
        A stage stops after so many epochs that have not lowered the validation loss, with the weights of
        the best epoch.
    batch_size : int, optional
    learning_rate, fine_learning_rate : float, optional
        Of the first and of the second stage. Between 0 and 1.
    schedule : str, default="constant"
        ``"constant"``, ``"cosine"`` or ``"plateau"``; see `hybrid.deep.optimizers.make_schedule`.
    weight_decay, label_smoothing : float, default=0.0
        0 or more and less than 1.
    loss : str, optional
        ``"weighted"``, ``"plain"``, ``"focal"`` or ``"asymmetric"``; see `hybrid.deep.losses`. By default the
        study's of the task: ``"weighted"`` (binary cross-entropy), or ``"plain"`` (categorical
        cross-entropy) for a multi-class task.
    accumulate : int, default=1
        Batches whose gradients are averaged before a step.
    precision : str, default="float32"
        Of the products: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
    cache_frozen : bool, default=False
        Cache the activations of the frozen layers on disk, where a stage does not augment.
    task : str, default="multilabel"
        ``"multilabel"``: a sigmoid for each label; ``"multiclass"``: one softmax.
    poster_pooling : {"mean", "max", "first"}, default="mean"
        How the embeddings of an item's posters become one, where the network reads frozen ones beside other
        blocks; see `hybrid.extraction.pooling.pool_rows`.
    blocks : tuple of str, optional
        Blocks of the network `fused`, as `make_hybrid` takes them. By default all that the catalogue has.
    text_encoder, text_embeddings : tuple of str, default=()
        Text encoders of its blocks of text embeddings, and first digits of the fingerprints where one has
        several sets; see `hybrid.extraction.text_lookup.text_selectors`.

    Examples
    --------
    >>> DeepOptions(epochs=5, dropout=1.5).check()
    Traceback (most recent call last):
        ...
    hybrid.errors.SettingError: --dropout: expected 0 or more and less than 1, found 1.5.
    """

    weights: str | None = None
    body: str | None = None
    input_size: tuple[int, int] | None = None
    unfreeze: str | None = None
    head_units: str | None = None
    dropout: float | None = None
    stages: int | None = None
    epochs: int = 30
    patience: int = 5
    batch_size: int | None = None
    learning_rate: float | None = None
    fine_learning_rate: float | None = None
    schedule: str = "constant"
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    loss: str | None = None
    accumulate: int = 1
    precision: str = "float32"
    cache_frozen: bool = False
    task: str = "multilabel"
    poster_pooling: str = "mean"
    blocks: tuple[str, ...] | None = None
    text_encoder: tuple[str, ...] = ()
    text_embeddings: tuple[str, ...] = ()

    def check(self) -> None:
        """Check the values; raise a SettingError that lists every one that is wrong."""
        problems = [*self._out_of_range(), *self._unknown()]
        problems += pooling_problems(self.poster_pooling)
        try:
            parse_units(self.head_units or "")
        except SettingError as error:
            problems.append(str(error))
        if self.task == "multiclass" and self.loss not in (None, "weighted", "plain"):
            problems.append(
                f"--loss: expected weighted or plain with --task multiclass, found {self.loss!r}."
            )
        if problems:
            raise SettingError("\n".join(problems))

    def settled(self) -> DeepOptions:
        """The options with the loss of their task, where none is given."""
        return self if self.loss else replace(self, loss=TASK_LOSS.get(self.task))

    def _out_of_range(self) -> list[str]:
        least = {"epochs": 0, "patience": 1, "batch_size": 1, "accumulate": 1, "stages": 1}
        problems = [
            f"{_option(name)}: expected {low} or more, found {getattr(self, name)}."
            for name, low in least.items()
            if getattr(self, name) is not None and getattr(self, name) < low
        ]
        shares = ("dropout", "weight_decay", "label_smoothing")
        problems += [
            f"{_option(name)}: expected 0 or more and less than 1, found {getattr(self, name)}."
            for name in shares
            if getattr(self, name) is not None and not 0 <= getattr(self, name) < 1
        ]
        return problems + [
            f"{_option(name)}: expected more than 0 and less than 1, found {getattr(self, name)}."
            for name in ("learning_rate", "fine_learning_rate")
            if getattr(self, name) is not None and not 0 < getattr(self, name) < 1
        ]

    def _unknown(self) -> list[str]:
        known = {
            "loss": LOSSES,
            "schedule": SCHEDULES,
            "precision": PRECISIONS,
            "task": TASKS,
        }
        return [
            f"{_option(kind)}: {unknown_name(kind, getattr(self, kind), names)}"
            for kind, names in known.items()
            if getattr(self, kind) not in names and (kind, getattr(self, kind)) != ("loss", None)
        ]

    @classmethod
    def from_record(cls, values: dict[str, object]) -> DeepOptions:
        """Make options from what run.json has, where tuples are lists."""
        names = {field.name for field in fields(cls)}
        made = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in names}
        return cls(**made)  # type: ignore[arg-type]


def parse_units(said: str) -> tuple[int, ...]:
    """Parse the sizes of dense layers.

    Examples
    --------
    >>> parse_units("1024, 512"), parse_units("")
    ((1024, 512), ())
    """
    sizes = [part.strip() for part in said.split(",") if part.strip()]
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise SettingError(f"--head-units: expected sizes such as 1024,1024, found {said!r}.")
    return tuple(int(size) for size in sizes)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
