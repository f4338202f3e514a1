"""What the user says after `--weights` → one file with its hash, or a seed. No Keras here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.backbones.digests import digests
from hybrid.backbones.registry import BackboneSpec
from hybrid.errors import WeightsError
from hybrid.images.decode import IMAGE_RULES

PREPROCESSING_VERSION = 1  # of what `hybrid.backbones.networks.Preprocess` does
RUN_WEIGHTS = "model.backbone.weights.h5"


@dataclass(frozen=True)
class Weights:
    """The weights of a backbone.

    Parameters
    ----------
    kind : str
        ``"imagenet"``, ``"file"`` or ``"random"``.
    digest : str
        SHA-256 of the file in hex, or what stands for the random draw.
    path : Path or None
        The file; None for random weights.
    seed : int
        Seed of random weights.
    """

    kind: str
    digest: str
    path: Path | None
    seed: int = 0

    @property
    def description(self) -> str:
        """What they are, for a message."""
        if self.path is None:
            return f"random, seed {self.seed}"
        return "imagenet" if self.kind == "imagenet" else str(self.path)


def resolve_weights(spec: BackboneSpec, weights: str = "imagenet", seed: int = 0) -> Weights:
    """Find the weights that are asked for; download those of ImageNet if need be.

    Parameters
    ----------
    spec : BackboneSpec
    weights : str
        ``"imagenet"``, ``"random"``, a weights file (``.weights.h5``, ``.h5`` or ``.keras``), or the
        folder of a run that trained `spec`.
    seed : int
        For random weights.

    Raises
    ------
    WeightsError
        If there are none, or they cannot be read or downloaded; the message says which file is
        wanted and where to put it.
    """
    if weights == "random":
        return Weights("random", f"random, numpy PCG64, version 1, seed {seed}", None, seed)
    if weights == "imagenet":
        if not spec.weights_url:
            raise WeightsError(
                f"the backbone {spec.name!r} is untrained: there are no ImageNet weights for it. "
                f"Train it with: hybrid fit-deep --backbone {spec.name}, then name the run: "
                f"--weights runs/{spec.name}"
            )
        path = imagenet_file(spec)
        if not path.is_file():
            from hybrid.backbones.download import download_weights

            path = download_weights(spec, path)
        found = digests(path)
        if spec.weights_md5 not in ("", found[spec.weights_hash]):
            raise WeightsError(
                f"{path}: expected the ImageNet weights of {spec.name} with {spec.weights_hash.upper()} "
                f"{spec.weights_md5}, found {found[spec.weights_hash]}. Delete the file to download it "
                "again, or name another with --weights PATH."
            )
        return Weights("imagenet", found["sha256"], path.absolute())
    path = Path(weights)
    if path.is_dir():
        path = path / RUN_WEIGHTS
    if not path.is_file():
        raise WeightsError(
            f"--weights: expected 'imagenet', 'random', a weights file or the folder of a run with a "
            f"trained backbone, found no file at {path}."
        )
    return Weights("file", digests(path)["sha256"], path.absolute())


def keras_models_folder() -> Path:
    """Where Keras keeps downloaded weights."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def imagenet_file(spec: BackboneSpec) -> Path:
    """Where the ImageNet weights of a backbone are, or would be."""
    return keras_models_folder() / spec.weights_file


def fingerprint_fields(
    spec: BackboneSpec, weights: Weights, dtype: str = "float16", precision: str = "float32"
) -> dict[str, Any]:
    """All that changes an embedding; its hash is the fingerprint in the cache.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    dtype : str
        ``"float16"`` or ``"float32"``: how embeddings are stored.
    precision : str
        Of the network's products. Engines of one precision agree within its tolerance, so they are not
        told apart: float32 to 1e-4 of the largest number, bfloat16 and float16 to a cosine of 0.999 with
        float32.
    """
    return {
        "architecture": spec.name,
        "layer": spec.layer,
        "pooling": spec.pooling,
        "weights": weights.digest,
        "input_size": list(spec.input_size),
        "preprocessing": spec.preprocessing,
        "preprocessing_version": PREPROCESSING_VERSION,
        "image_rules": {**IMAGE_RULES, "fit": spec.fit},
        "precision": precision,
        "dtype": dtype,
        "dimension": spec.dimension,
    }
