"""Activations of frozen layers, computed once and cached in a file."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hybrid.cache.sealed import seal, unseal
from hybrid.cache.verified_files import DamageError
from hybrid.deep.dataset import Batches, read_ahead, run_keras
from hybrid.deep.items import Posters
from hybrid.errors import SettingError
from hybrid.utils.counts import counted
from hybrid.utils.files import make_folder, remove, replacing, reserve, sync, write_atomically
from hybrid.utils.progress import Progress
from hybrid.utils.reading import FROZEN, TEXT, checked, hash_file, read_bytes

DTYPE = np.float16


def cache_activations(
    path: Path,
    lower: keras.Model,
    posters: Posters,
    batch_size: int,
    workers: int,
    progress: Progress,
    option: str = "--cache-frozen",
    remedy: str = "name another folder with --runs, or leave the option out",
) -> NDArray[np.float16]:
    """Compute the activations of frozen layers for all posters, unless they are cached.

    Beside the file stands its seal: its SHA-256, its shape, and the posters that it is of. A file that is
    damaged, or of other posters, is computed again, and that is told.

    Parameters
    ----------
    path : Path
        The ``.npy`` file; written atomically.
    lower : keras.Model
        Posters, uint8 → activations.
    posters : Posters
    batch_size : int
    workers : int
        Threads that decode.
    progress : Progress
        Reports the disk space first.
    option, remedy : str
        What is refused, and what else can be done, where the disk has too little room.

    Returns
    -------
    ndarray of shape (n, ...), float16
        Memory-mapped.

    Raises
    ------
    SettingError
        If the disk has too little room.
    """
    shape, seal_file = (len(posters), *lower.output_shape[1:]), path.with_suffix(".json")
    identity = {"shape": list(shape), "posters": _number_posters(posters)}
    if wrong := _find_damage(path, seal_file, identity):
        if path.exists():
            progress.say(f"{path} is computed again: {wrong}")
            remove(path)
        make_folder(path.parent)
        _check_room(path, shape, progress, option, remedy)
        with replacing(path) as temporary:
            _fill(temporary, shape, lower, posters, batch_size, workers, progress)
            sync(temporary)
            sha256 = hash_file(temporary, FROZEN)
        write_atomically(seal_file, seal({**identity, "file": sha256}))
    return np.load(checked(path, FROZEN), mmap_mode="r", allow_pickle=False)


def _number_posters(posters: Posters) -> str:
    """SHA-256 over the paths of the posters, in their order, and the size that they are decoded to."""
    said = json.dumps([list(posters.size), *map(str, posters.paths)])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def _find_damage(path: Path, seal_file: Path, identity: dict[str, Any]) -> str:
    """Why a file of activations cannot be used; ``""`` if it can."""
    try:
        said = unseal(read_bytes(seal_file, TEXT))
        found = said.pop("file", None)
        if said != identity:
            return "it is of other posters"
        return "" if hash_file(path, FROZEN) == found else "it is damaged"
    except FileNotFoundError:
        return "it is not complete"
    except (OSError, DamageError) as error:
        return f"it cannot be read: {error}"


def _fill(
    path: Path,
    shape: tuple[int, ...],
    lower: keras.Model,
    posters: Posters,
    batch_size: int,
    workers: int,
    progress: Progress,
) -> None:
    activations = np.lib.format.open_memmap(path, mode="w+", dtype=DTYPE, shape=shape)
    reserve(path)
    batches = Batches(posters, batch_size, workers=workers)
    with (
        progress.bar("computing the frozen layers", len(posters), "posters") as advance,
        run_keras(),
    ):
        for index, (x,) in enumerate(read_ahead(batches)):
            rows = batches.rows(index)
            activations[rows] = np.asarray(lower.predict_on_batch(x))[: len(rows)]
            advance(len(rows))
    activations.flush()


def _check_room(
    path: Path, shape: tuple[int, ...], progress: Progress, option: str, remedy: str
) -> None:
    wanted = int(np.prod(shape)) * np.dtype(DTYPE).itemsize
    free = shutil.disk_usage(path.parent).free
    said = (
        f"{wanted / 2**20:.0f} MiB of disk for the activations of the frozen layers for "
        f"{counted(shape[0], 'poster')}"
    )
    if wanted > free:
        raise SettingError(
            f"{option}: expected {said}, found {free / 2**20:.0f} MiB free at {path.parent}. Free some, "
            f"{remedy}."
        )
    progress.say(f"taking {said}")
