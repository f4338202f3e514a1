"""How a deep baseline is trained. No Keras here."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.errors import SettingError


@dataclass(frozen=True)
class DeepOptions:
    """How a deep baseline is trained.

    Parameters
    ----------
    epochs : int
        At most; training stops `patience` epochs after the validation loss was last lowered, and the
        weights of that epoch are kept.
    patience, batch_size : int
    learning_rate : float
        Of Nadam.
    """

    epochs: int = 30
    patience: int = 5
    batch_size: int = 32
    learning_rate: float = 3e-4

    def check(self) -> None:
        """Raise a SettingError that lists every value that is out of range."""
        problems = [
            f"--{name.replace('_', '-')}: expected 1 or more, found {getattr(self, name)}."
            for name in ("epochs", "patience", "batch_size")
            if getattr(self, name) < 1
        ]
        if not 0 < self.learning_rate < 1:
            problems.append(f"--learning-rate: expected 0 to 1, found {self.learning_rate}.")
        if problems:
            raise SettingError("\n".join(problems))
