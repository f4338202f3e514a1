"""The folder in which an encoder is tuned: each fold is saved when it is done, so that a kill loses one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.cache import describe_differences
from hybrid.cache.sealed import seal, unseal
from hybrid.cache.verified_files import DamageError
from hybrid.errors import RunError
from hybrid.utils.files import exchange, make_folder, remove_tree, sync, sync_tree, write_atomically
from hybrid.utils.reading import TEXT, WEIGHTS, hash_file, parse_json, read_bytes

STATE, ENCODER, STATES = "state.json", "encoder", "states.npy"


@dataclass(frozen=True)
class Trained:
    """What an encoder cost, and the epoch that its weights are of."""

    seconds: float
    epochs: int


def work_folder(encoder: Path) -> Path:
    """The folder in which an encoder is tuned.

    Examples
    --------
    >>> work_folder(Path("encoders/tuned")).as_posix()
    'encoders/.tuned.tuning'
    """
    return encoder.with_name(f".{encoder.name}.tuning")


def is_begun(encoder: Path) -> bool:
    """Whether a tuning of an encoder of this name was interrupted.

    Examples
    --------
    >>> is_begun(Path("encoders/none"))
    False
    """
    return (work_folder(encoder) / STATE).exists()


class WorkFolder:
    """The folder in which an encoder is tuned, beside that of the encoder.

    Parameters
    ----------
    encoder : Path
        Folder of the encoder, when it is whole.
    identity : dict
        What must be the same for a tuning to be continued, as JSON has it.

    Examples
    --------
    >>> work = WorkFolder(Path("encoders/tuned"), {"seed": 0})
    >>> work.begin()
    >>> work.save("fold-0.safetensors", b"", 2.5, epochs=3)
    >>> work.record("fold-0.safetensors")
    Trained(seconds=2.5, epochs=3)
    >>> work.record("fold-1.safetensors") is None
    True
    """

    def __init__(self, encoder: Path, identity: Mapping[str, Any]) -> None:
        self.target = encoder
        self.folder = work_folder(encoder)
        self.encoder = self.folder / ENCODER
        self.states = self.folder / STATES
        self.identity: dict[str, Any] = parse_json(json.dumps(identity))

    def check(self) -> None:
        """Check that an interrupted tuning that is there is this one.

        Raises
        ------
        RunError
            If it is another one; the message says how they differ.
        """
        try:
            found = unseal(read_bytes(self.folder / STATE, TEXT))
        except FileNotFoundError:
            return
        except (OSError, DamageError) as error:
            raise RunError(
                f"{self.folder}: expected an interrupted tuning, found: {error}. Remove the folder, or start "
                "anew with --force."
            ) from error
        if unlike := describe_differences(found, self.identity):
            raise RunError(
                f"{self.folder} holds an interrupted tuning: {unlike}. Give the same options to continue it, "
                "choose another --name, or start anew with --force."
            )

    def begin(self, anew: bool = False) -> None:
        """Continue an interrupted tuning, or start one.

        Parameters
        ----------
        anew : bool, default=False
            Remove an interrupted one that is another.

        Raises
        ------
        RunError
            As for `check`.
        """
        try:
            self.check()
        except RunError:
            if not anew:
                raise
            remove_tree(self.folder)
        make_folder(self.encoder)
        write_atomically(self.folder / STATE, seal(self.identity))

    def save(self, name: str, content: bytes, seconds: float, epochs: int) -> None:
        """Save a file of the encoder, what it cost, and the epoch that it is of."""
        write_atomically(self.encoder / name, content)
        digest = hashlib.sha256(content).hexdigest()
        record = {"digest": digest, "seconds": seconds, "epochs": epochs}
        write_atomically(self.folder / f"{name}.json", seal(record))

    def record(self, name: str, *, placed: bool = False) -> Trained | None:
        """What is known of a file; None where it is not done, or damaged.

        Parameters
        ----------
        name : str
        placed : bool, default=False
            Whether the encoder has its name already.
        """
        folder = self.target if placed else self.encoder
        try:
            record = unseal(read_bytes(self.folder / f"{name}.json", TEXT))
            whole = hash_file(folder / name, WEIGHTS) == record["digest"]
            return Trained(float(record["seconds"]), int(record["epochs"])) if whole else None
        except (OSError, DamageError, KeyError, TypeError, ValueError):
            return None

    def is_placed(self, names: Sequence[str]) -> bool:
        """Whether the encoder of this tuning, of files of these names, has its name, but was not closed."""
        try:
            self.check()
        except RunError:
            return False
        return all(self.record(name, placed=True) is not None for name in names)

    def place(self) -> None:
        """Give the encoder its name, in place of one that has it."""
        sync_tree(self.encoder)
        if self.target.exists() and not exchange(self.encoder, self.target):
            self.target.replace(self.folder / "old")
        if not self.target.exists() or (self.folder / "old").exists():
            self.encoder.replace(self.target)
        sync(self.target.parent)

    def close(self) -> None:
        """Remove the folder: nothing is left to be done."""
        remove_tree(self.folder)
