"""A tuned backbone: K encoders that learnt the labels from posters, and which posters each has learnt from.

No Keras here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.registry import BACKBONES, BackboneSpec
from hybrid.backbones.tuned_folder import (
    BASE,
    UNREADABLE,
    check_files,
    encoder_files,
    hash_numbers,
    pack_folds,
    read_record,
    unpack_folds,
    unreadable,
    write_record,
)
from hybrid.backbones.tuned_record import TunedImages
from hybrid.backbones.weights import Weights
from hybrid.errors import SettingError

FOLD = "fold-{}.npz"
SCORES = "scores"  # its pooling: what it gives are no pooled feature maps
POSTER = "poster"


def pixel_numbers(posters: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Identify posters by what an encoder reads of them: two files of the same pixels are one poster to it.

    Parameters
    ----------
    posters : ndarray of shape (n, height, width, 3), uint8

    Returns
    -------
    ndarray of shape (n,), uint64
        First 8 bytes of the SHA-256 of the pixels.

    Examples
    --------
    >>> black = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    >>> int(pixel_numbers(black)[1]) == int.from_bytes(hashlib.sha256(bytes(192)).digest()[:8], "little")
    True
    """
    return hash_numbers(hashlib.sha256(each.tobytes()).digest() for each in posters)


def write_tuned_backbone(
    folder: Path,
    name: str,
    base: BackboneSpec,
    weights: Weights,
    licence: str,
    labels: Sequence[str],
    trains: str,
    learnt: Mapping[int, int],
    options: Mapping[str, Any],
) -> str:
    """Write ``tuned.json`` into a folder that has all other files of a tuned backbone.

    Parameters
    ----------
    folder : Path
        With the folder ``base``, where the weights have a file, and the files of the folds.
    name : str
        Of the tuned backbone, which is that of its embeddings, too.
    base : BackboneSpec
    weights : Weights
        That it started from.
    licence : str
        Of these.
    labels : sequence of str
    trains : str
        See `TunedImages`.
    learnt : mapping of int to int
        See `TunedImages`.
    options : mapping
        Recorded; with the number of blocks that learnt, as ``layers``.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    numbers = np.array(sorted(learnt), dtype=np.uint64)
    fold = np.array([learnt[number] for number in numbers.tolist()], dtype=np.int64)
    data = {
        "kind": POSTER,
        "name": name,
        "base": {
            "name": base.name,
            "input_size": list(base.input_size),
            "weights": weights.kind,
            "file": "" if weights.path is None else weights.path.name,
            "digest": weights.digest,
            "seed": weights.seed,
            "licence": licence,
        },
        "labels": list(labels),
        "layers": options["layers"],
        "trains": trains,
        "folds": options["folds"],
        "posters": pack_folds(numbers, fold),
        "options": dict(options),
    }
    return write_record(folder, data)


def read_tuned_backbone(
    spec: BackboneSpec,
    *,
    layer: str = "last",
    pooling: str | None = None,
    input_size: tuple[int, int] | None = None,
    fit: str = "squash",
) -> BackboneSpec:
    """Read a tuned backbone; each of its files is checked against its SHA-256.

    Parameters
    ----------
    spec : BackboneSpec
        As `hybrid.backbones.registry.get_backbone` names it.
    layer, pooling, input_size, fit
        As in `hybrid.backbones.configure`; those of the tuning alone.

    Raises
    ------
    WeightsError
        If a file is missing or damaged; the message names it.
    SettingError
        If it cannot be configured so.
    """
    assert spec.tuned is not None, "a tuned backbone"
    folder = spec.tuned.folder
    try:
        data, _ = read_record(folder, POSTER, posters=dict, trains=str, name=str)
        base, trained = data["base"], BACKBONES[data["base"]["name"]]
        height, width = map(int, base["input_size"])
        tuned = TunedImages(
            folder,
            base=trained.name,
            weights=str(base["weights"]),
            file=str(base["file"]),
            weights_digest=str(base["digest"]),
            seed=int(base["seed"]),
            labels=tuple(map(str, data["labels"])),
            trains=data["trains"],
            folds=data["folds"],
            learnt=unpack_folds(data["posters"], data["folds"]),
            refit=bool(data["options"].get("refit")),
        )
        licence = str(base["licence"])
    except UNREADABLE as error:
        raise unreadable(folder, POSTER, error) from error
    wanted = set(encoder_files(FOLD, tuned.folds, tuned.refit))
    wanted |= {f"{BASE}/{tuned.file}"} if tuned.file else set()
    check_files(folder, data["files"], wanted)
    given = {"--layer": layer, "--pooling": pooling, "--input-size": input_size, "--fit": fit}
    own = {
        "--layer": "last",
        "--pooling": SCORES,
        "--input-size": (height, width),
        "--fit": "squash",
    }
    problems = [
        f"{name}: expected {own[name]!r}, with which {spec.name} was tuned, found {value!r}. Leave it out."
        for name, value in given.items()
        if value is not None and value != own[name]
    ]
    if problems:
        raise SettingError("\n".join(problems))
    return replace(
        trained,
        name=spec.name,
        input_size=(height, width),
        pooling=SCORES,
        dimension=len(tuned.labels),
        licence=licence,
        source=str(folder),
        weights_url="",
        weights_md5="",
        tuned=tuned,
    )


def base_backbone(spec: BackboneSpec) -> tuple[BackboneSpec, Weights]:
    """The backbone that a tuned one started from, and its weights, as the folder has them.

    Parameters
    ----------
    spec : BackboneSpec
        As `read_tuned_backbone` returns it.
    """
    assert spec.tuned is not None, "a tuned backbone"
    tuned = spec.tuned
    base = replace(BACKBONES[tuned.base], input_size=spec.input_size)
    path = tuned.folder / BASE / tuned.file if tuned.file else None
    return base, Weights(tuned.weights, tuned.weights_digest, path, tuned.seed)
