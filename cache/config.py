"""The config.json of a store: what its fingerprint stands for, and what was recorded beside it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.cache.fingerprint import fingerprint_of
from hybrid.cache.parts import DTYPES
from hybrid.cache.quarantine import tell_damage, write_over
from hybrid.cache.verified_files import UNPARSABLE, DamageError, read_small
from hybrid.errors import CacheError
from hybrid.utils.reading import CONFIG, parse_json

NAME = "config.json"
SEAL = "recorded_sha256"
REMEDY = (
    "hybrid extract, with the same --backbone, --weights and other options, writes it again; the embeddings "
    "are not lost."
)


class DamagedConfigError(CacheError):
    """The config.json of a store is not what was written; the parts beside it may be sound.

    Parameters
    ----------
    folder : Path
        Of the store.
    problem : str
        What is wrong; empty where there is none.

    Examples
    --------
    >>> print(str(DamagedConfigError(Path("cache/4f0c"), "it is a link to nothing"))[:75])
    cache/4f0c: expected a readable config.json, found: it is a link to nothing
    """

    def __init__(self, folder: Path, problem: str = "") -> None:
        super().__init__(
            f"{folder}: expected a readable config.json, found: {problem or 'none'}. {REMEDY}"
        )
        self.folder, self.problem = folder, problem

    def __reduce__(self) -> tuple[Any, ...]:
        """For worker processes."""
        return type(self), (self.folder, self.problem)


@dataclass(frozen=True)
class StoreConfig:
    """Content of a config.json.

    Parameters
    ----------
    stands_for : dict
        What the fingerprint stands for; always what was written, since the folder's name is its hash.
    recorded : dict
        Empty where it is damaged.
    problem : str, default=""
        What is wrong with `recorded`.

    Examples
    --------
    >>> StoreConfig({"dimension": 2}, {}).problem
    ''
    """

    stands_for: dict[str, Any]
    recorded: dict[str, Any]
    problem: str = ""


def pack_config(stands_for: Mapping[str, Any], recorded: Mapping[str, Any]) -> bytes:
    """Pack a config.json.

    Examples
    --------
    >>> print(pack_config({"dimension": 2}, {}).decode()[:58])
    {
      "recorded": {},
      "recorded_sha256": "7d1d4ee7186810f7
    """
    seal = _seal(fingerprint_of(stands_for), recorded)
    config = {"stands_for": stands_for, "recorded": recorded, SEAL: seal}
    return json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False).encode()


def _seal(fingerprint: str, recorded: Mapping[str, Any]) -> str:
    """Hash of what was recorded, and of which store."""
    return fingerprint_of({"fingerprint": fingerprint, "recorded": recorded})


def read_config(folder: Path) -> StoreConfig:
    """Read the config.json of a store.

    Raises
    ------
    DamagedConfigError
        If it is missing, or not what was written.
    CacheError
        If it cannot be read: that is no damage.
    """
    try:
        return _parse(read_small(folder / NAME, CONFIG), folder.name)
    except FileNotFoundError as error:
        raise DamagedConfigError(folder) from error
    except DamageError as error:
        raise DamagedConfigError(folder, str(error)) from error
    except OSError as error:
        raise CacheError(
            f"{folder}: expected a readable config.json, found: {error}. Nothing was changed."
        ) from error


def _parse(data: bytes, fingerprint: str) -> StoreConfig:
    """Parse a config.json, and check it against the name of its folder."""
    try:
        config = parse_json(data)
        stands_for = config["stands_for"]
        if not isinstance(stands_for, dict):
            raise ValueError("stands_for is no object")
        int(stands_for["dimension"])
        found = fingerprint_of(stands_for)
    except UNPARSABLE as error:
        raise DamageError(f"it cannot be parsed ({error})") from error
    if found != fingerprint:
        raise DamageError(
            f"its content hashes to {found}, not to the folder's name; it is damaged, of another store, or "
            "was changed by hand"
        )
    return StoreConfig(stands_for, *_check_recorded(config, fingerprint))


def _check_recorded(config: Mapping[str, Any], fingerprint: str) -> tuple[dict[str, Any], str]:
    """What was recorded, if it is what was written; earlier versions wrote no hash of it."""
    recorded = config.get("recorded")
    if not isinstance(recorded, dict):
        return {}, "what it recorded is no object"
    sealed = config.keys() != {"stands_for", "recorded"}
    if sealed and _seal(fingerprint, recorded) != config.get(SEAL):
        return {}, "what it recorded does not hash to its recorded_sha256"
    return recorded, ""


def _recover(folder: Path) -> dict[str, Any]:
    """What a damaged config.json recorded, if that has its hash and is whole; else nothing."""
    try:
        config = parse_json(read_small(folder / NAME, CONFIG))
        recorded, problem = _check_recorded(config, folder.name) if SEAL in config else ({}, "")
    except (OSError, DamageError, *UNPARSABLE):
        return {}
    return {} if problem else recorded


def check_layout(folder: Path, stands_for: Mapping[str, Any]) -> tuple[int, str]:
    """Dimension and dtype of a store; raise `CacheError` where they cannot be."""
    dimension = int(stands_for["dimension"])
    dtype = str(stands_for.get("dtype", "float32"))
    if dtype not in DTYPES or dimension < 1:
        raise CacheError(
            f"{folder}: expected dtype {' or '.join(DTYPES)} and a dimension of 1 or more, found "
            f"{dtype!r} and {dimension}."
        )
    return dimension, dtype


def mend_config(
    folder: Path, stands_for: Mapping[str, Any], recorded: Mapping[str, Any] | None
) -> None:
    """Write the config.json of a store where there is none, or a damaged one, which is set aside.

    Parameters
    ----------
    folder : Path
        Of the store; its name proves what belongs there.
    stands_for : mapping
    recorded : mapping or None
        What was recorded before counts, if it is sound.

    Raises
    ------
    OSError
        If the disk refuses.
    CacheError
        If what is there cannot be read.
    """
    again, before = "It is written again.", {}
    try:
        problem = read_config(folder).problem
        if not problem:
            return
    except DamagedConfigError as error:
        problem, before = error.problem, _recover(folder)
    if problem:
        tell_damage(folder / NAME, folder, problem, again)
    elif any((folder / "parts").glob("part-*")):
        warnings.warn(f"{folder / NAME} was missing. {again}", stacklevel=3)
    write_over(folder / NAME, pack_config(stands_for, before or recorded or {}), folder)
