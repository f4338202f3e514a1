"""How a deep baseline is trained. No Keras here."""

from __future__ import annotations

from dataclasses import dataclass, fields

from hybrid.errors import SettingError, unknown_name

LOSSES = ("weighted", "plain", "focal", "asymmetric")
SCHEDULES = ("constant", "cosine", "plateau")
PRECISIONS = ("float32", "bfloat16", "float16")
TASKS = ("multilabel", "multiclass")


@dataclass(frozen=True)
class DeepOptions:
    """How a deep baseline is trained; what is None is as the network's own record says.

    Parameters
    ----------
    weights : str, optional
        What the body starts from: ``"imagenet"``, ``"random"``, a weights file, or a run that trained
        it. By default ImageNet's, or a draw where there are none.
    body : str, optional
        Backbone of the network `fused`.
    input_size : (height, width), optional
        Pixels.
    unfreeze : str, optional
        What of the body the second stage trains: ``"2"`` its top two blocks, ``"all"``, or the name of
        the lowest block; ``"0"``: there is no second stage.
    head_units : str, optional
        Sizes of the dense layers between body and labels: ``"1024,1024"``; ``""`` for none.
    dropout : float, optional
        After each of them; without any, on the embedding.
    stages : int, optional
        Train only so many of the network's stages.
    epochs, patience : int
        Each stage trains at most `epochs`; it stops `patience` epochs after the validation loss was
        last lowered, and the weights of that epoch are kept.
    batch_size : int, optional
    learning_rate, fine_learning_rate : float, optional
        Of the first and of the second stage.
    schedule : str
        ``"constant"``, ``"cosine"`` or ``"plateau"``; see `hybrid.deep.optimizers`.
    weight_decay, label_smoothing : float
    loss : str
        ``"weighted"``, ``"plain"``, ``"focal"`` or ``"asymmetric"``; see `hybrid.deep.losses`.
    accumulate : int
        Batches whose gradients are averaged before a step.
    precision : str
        Of the products: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
    cache_frozen : bool
        Keep on the disk what the frozen part of the body gives, where no stage augments.
    task : str
        ``"multilabel"``: a sigmoid a genre; ``"multiclass"``: one softmax.
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
    loss: str = "weighted"
    accumulate: int = 1
    precision: str = "float32"
    cache_frozen: bool = False
    task: str = "multilabel"

    def check(self) -> None:
        """Raise a SettingError that lists every value that is wrong."""
        problems = [*self._out_of_range(), *self._unknown()]
        try:
            parse_units(self.head_units or "")
        except SettingError as error:
            problems.append(str(error))
        if self.task == "multiclass" and self.loss not in ("weighted", "plain"):
            problems.append(
                f"--loss: expected weighted or plain with --task multiclass, found {self.loss!r}."
            )
        if problems:
            raise SettingError("\n".join(problems))

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
            if getattr(self, kind) not in names
        ]

    @classmethod
    def from_record(cls, values: dict[str, object]) -> DeepOptions:
        """From what a run recorded, where tuples are lists."""
        names = {field.name for field in fields(cls)}
        made = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in names}
        return cls(**made)  # type: ignore[arg-type]


def parse_units(said: str) -> tuple[int, ...]:
    """``"1024,1024"`` → sizes of dense layers; ``""`` → none."""
    sizes = [part.strip() for part in said.split(",") if part.strip()]
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise SettingError(f"--head-units: expected sizes such as 1024,1024, found {said!r}.")
    return tuple(int(size) for size in sizes)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
