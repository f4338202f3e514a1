"""Options of the tuning of an encoder."""

from __future__ import annotations

from dataclasses import dataclass

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class TuneOptions:
    """Options of the tuning of an encoder.

    Parameters
    ----------
    folds : int, default=3
        Encoders: each item is embedded by the one that has not learnt from it; 2 or more.
    epochs : int, default=5
        Of each.
    layers : int, default=4
        Last layers that learn; what the others compute is computed once. 0: only the head.
    learning_rate : float, default=2e-4
        Of the last layer, at its highest; above 0.
    head_rate : float, default=3e-3
        Of the new head.
    decay : float, default=1.0
        Each layer below the last one has its learning rate times this; above 0, at most 1.
    warm_up : float, default=0.1
        Share of the steps in which the learning rate rises; it falls to 0 in the others. 0 to below 1.
    weight_decay : float, default=0.01
        Of kernels, decoupled from the gradient.
    dropout : float, default=0.1
        Of the layers that learn; 0 to below 1.
    batch_size : int, default=32
        Items of a step.
    max_length : int, default=128
        Tokens of a text that are learnt from and embedded.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the matrix products. ``"auto"``: bfloat16 on GPUs that have it, else float32. A text encoder
        takes it on processors that have it, too, if embeddings of some texts agree with those in float32.
    lora_rank : int, default=0
        Rank of the updates of the layers' kernels; biases and normalisations stay as they are. 0: all weights
        of the layers learn.
    lora_alpha : float, default=0.0
        The updates are scaled by this divided by the rank. 0: twice the rank.
    patience : int, default=0
        Epochs without a lower loss on validation items after which a training stops; the weights of the best
        epoch are kept. 0: no early stopping, and validation items are learnt from.
    refit : bool, default=False
        Train one more encoder, on all items: for new texts, instead of the mean of the others.

    Examples
    --------
    >>> TuneOptions(folds=1, decay=0).problems()
    ['--folds: expected 2 or more, found 1.', '--layer-decay: expected a number above 0, at most 1, found 0.']
    """

    folds: int = 3
    epochs: int = 5
    layers: int = 4
    learning_rate: float = 2e-4
    head_rate: float = 3e-3
    decay: float = 1.0
    warm_up: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.1
    batch_size: int = 32
    max_length: int = 128
    precision: str = "auto"
    lora_rank: int = 0
    lora_alpha: float = 0.0
    patience: int = 0
    refit: bool = False

    @property
    def lora_scale(self) -> float:
        """Factor of the low-rank updates."""
        return (self.lora_alpha or 2 * self.lora_rank) / max(self.lora_rank, 1)

    def problems(self) -> list[str]:
        """One message for each value that is out of range."""
        least = {
            "folds": (self.folds, 2),
            "epochs": (self.epochs, 1),
            "layers": (self.layers, 0),
            "batch-size": (self.batch_size, 1),
            "max-length": (self.max_length, 3),
            "lora-rank": (self.lora_rank, 0),
            "patience": (self.patience, 0),
        }
        above = {"learning-rate": self.learning_rate, "head-rate": self.head_rate}
        shares = {"warm-up": self.warm_up, "dropout": self.dropout}
        return [
            *(
                f"--{name}: expected {low} or more, found {value}."
                for name, (value, low) in least.items()
                if value < low
            ),
            *(
                f"--{name}: expected a number above 0, found {value:g}."
                for name, value in above.items()
                if not value > 0
            ),
            *(
                f"--{name}: expected a number from 0 to below 1, found {value:g}."
                for name, value in shares.items()
                if not 0 <= value < 1
            ),
            *(
                [f"--layer-decay: expected a number above 0, at most 1, found {self.decay:g}."]
                if not 0 < self.decay <= 1
                else []
            ),
            *(
                [f"--precision: expected {' or '.join(PRECISIONS)}, found {self.precision!r}."]
                if self.precision not in PRECISIONS
                else []
            ),
            *(
                f"--{name}: expected 0 or more, found {value:g}."
                for name, value in (
                    ("weight-decay", self.weight_decay),
                    ("lora-alpha", self.lora_alpha),
                )
                if not value >= 0
            ),
            *(
                ["--lora-rank: expected --layers of 1 or more, whose kernels it updates, found 0."]
                if self.lora_rank and not self.layers
                else []
            ),
            *(
                ["--lora-alpha: expected --lora-rank, whose updates it scales, found none."]
                if self.lora_alpha and not self.lora_rank
                else []
            ),
        ]


@dataclass(frozen=True)
class _Tuning:
    """What a summary and a plan have in common; see `TuneSummary`."""

    kind: str
    name: str
    folder: str
    base: str
    licence: str
    labels: tuple[str, ...]
    items: int
    different: int
    without: int
    longer: int
    folds: int
    refit: bool
    watched: int
    carved: bool


@dataclass(frozen=True)
class TuneSummary(_Tuning):
    """Summary of the tuning of an encoder of texts or of posters.

    `items` counts those that were learnt from, `different` their texts or posters, `without` the items of
    train and validation without one, `longer` the texts that were cut off. `oof_map` is the mean average
    precision of the out-of-fold scores, None where it cannot be computed. `kept_epochs` are the epochs that
    the encoders are of, that of all items last; `watched` items, on average, stopped one, `carved` if not all
    of them are validation items of the split. `seconds` are those of the training, with the encoders before
    an interruption; `resumed` counts these. `fingerprint` is that of the scores in the cache, `embedded`
    counts the items of the catalogue that have them, `embedding_seconds` is what they took.
    """

    kept_epochs: tuple[int, ...]
    resumed: int
    layers: int
    epochs: int
    precision: str
    device: str
    oof_map: float | None
    seconds: float
    embedding_seconds: float
    peak_mib: float
    bytes: int
    fingerprint: str
    embedded: int


@dataclass(frozen=True)
class TunePlan(_Tuning):
    """What `hybrid tune` would do: as in `TuneSummary`, and the estimate.

    Training takes about `seconds`, measured on some steps; the states of the layers that do not learn take
    `state_bytes` of memory, or of the disk where `on_disk`; the encoder takes `bytes` of the disk. In each
    encoder `parameters` learn. The `done` ones of an interrupted tuning need not be trained again.
    """

    done: int
    layers: int
    epochs: int
    precision: str
    device: str
    parameters: int
    seconds: float
    state_bytes: int
    on_disk: bool
    bytes: int
