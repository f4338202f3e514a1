"""Resolve ``--weights``: ImageNet weights, a file, a run folder or a random seed. No Keras here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hybrid.backbones.digests import digests
from hybrid.backbones.provenance import Provenance
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.tuned_folder import TUNED, read_learnt
from hybrid.errors import NotDownloadedError, WeightsError
from hybrid.images.decode import IMAGE_RULES
from hybrid.utils.environment import home_folder
from hybrid.utils.read_only import may_download
from hybrid.utils.reading import read_json_object

PREPROCESSING_VERSION = 1  # of `hybrid.backbones.networks.Preprocess`
RUN_WEIGHTS, RUN_FILE = "model.backbone.weights.h5", "run.json"


@dataclass(frozen=True)
class Weights:
    """The weights of a backbone: a file with its hash, or a seed.

    Parameters
    ----------
    kind : {"imagenet", "file", "random"}
    digest : str
        SHA-256 of the file in hex; for random weights a text that names generator and seed.
    path : Path or None
        The file; None for random weights.
    seed : int, default=0
        Of random weights.
    provenance : Provenance, default=Provenance()
        What they have learnt from, other than ImageNet.

    Examples
    --------
    >>> Weights("random", "numpy PCG64, seed 3", None, seed=3).description
    'random, seed 3'
    """

    kind: str
    digest: str
    path: Path | None
    seed: int = 0
    provenance: Provenance = field(default_factory=Provenance, compare=False)

    @property
    def description(self) -> str:
        """Kind and file or seed, for a message."""
        if self.path is None:
            return f"random, seed {self.seed}"
        return "imagenet" if self.kind == "imagenet" else str(self.path)


def resolve_weights(spec: BackboneSpec, weights: str = "imagenet", seed: int = 0) -> Weights:
    """Resolve the value of ``--weights``; download ImageNet weights if need be.

    Parameters
    ----------
    spec : BackboneSpec
    weights : str, default="imagenet"
        ``"imagenet"``, ``"random"``, the path of a weights file (``.weights.h5``, ``.h5`` or ``.keras``), or
        the folder of a run that trained the backbone.
    seed : int, default=0
        Of random weights.

    Returns
    -------
    Weights

    Raises
    ------
    WeightsError
        If the file is missing, cannot be read or downloaded, or has another hash. The message names the
        file that is wanted and where to put it.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> resolve_weights(get_backbone("vgg16"), "random", seed=1).kind
    'random'
    """
    if spec.tuned is not None:
        return _tuned_weights(spec, spec.tuned.folder, weights)
    if spec.has_own_weights:
        return _own_weights(spec, weights)
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
        if must_download(spec):
            if not may_download():
                raise NotDownloadedError(_absent(spec, path))
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
    found = digests(path)
    provenance = _provenance(spec, path, found)
    return Weights("file", found["sha256"], path.absolute(), provenance=provenance)


def trained_input_size(weights: str | None) -> tuple[int, int] | None:
    """Height and width in pixels that a run was trained with, where ``--weights`` names a run.

    A network is used with the input size that it was trained with, unless another is asked for.

    Parameters
    ----------
    weights : str or None
        As for `resolve_weights`; the weights file in the folder of a run serves, too.

    Returns
    -------
    tuple of (int, int) or None
        None where no run is named.

    Raises
    ------
    WeightsError
        If the record of the run cannot be read, or has no such size.

    Examples
    --------
    >>> _ = Path("run.json").write_text('{"backbone": {"input_size": [64, 48]}}')
    >>> trained_input_size("."), trained_input_size("imagenet")
    ((64, 48), None)
    """
    if weights is None or weights in ("imagenet", "random"):
        return None
    path = Path(weights)
    record = (path.parent if path.name == RUN_WEIGHTS else path) / RUN_FILE
    if not record.is_file():
        return None
    said = read_json_object(record, WeightsError, "the record of a run", "Name --input-size.")
    match said.get("backbone"):
        case {"input_size": [int(height), int(width)]}:
            return height, width
    raise WeightsError(
        f"{record}: expected the input size of a backbone, found none. Name a run that trained one."
    )


def _own_weights(spec: BackboneSpec, weights: str) -> Weights:
    """The file that the network comes with; what it has learnt from is not known."""
    path = spec.own_file
    if path is None:
        raise WeightsError(
            f"--weights {weights}: expected the preset {spec.name} to be read first, with its weights."
        )
    if weights != "imagenet" and Path(weights).absolute() not in (
        path.absolute(),
        path.parent.absolute(),
    ):
        raise WeightsError(
            f"--weights {weights}: expected none with {path}, which holds its own. Leave the option out."
        )
    if not path.is_file():
        kind = (
            "an ONNX file"
            if spec.onnx is not None
            else "a preset of keras-hub with one file of weights"
        )
        raise WeightsError(f"--backbone: expected {kind}, found no file at {path}.")
    found = digests(path)
    unknown = Provenance(unknown=(describe_unknown(spec.name, found["sha256"]),))
    return Weights("file", found["sha256"], path.absolute(), provenance=unknown)


def _tuned_weights(spec: BackboneSpec, folder: Path, weights: str) -> Weights:
    """The record of a tuned backbone, which holds the digests of all its files."""
    path, given = folder / TUNED, Path(weights).absolute()
    if weights != "imagenet" and given not in (path, folder):
        raise WeightsError(
            f"--weights {weights}: expected none with {spec.name}, which holds its own. Leave the option out."
        )
    learnt = Provenance.from_bytes(read_learnt(folder))
    return Weights("file", digests(path)["sha256"], path, provenance=learnt)


def _provenance(spec: BackboneSpec, path: Path, found: Mapping[str, str]) -> Provenance:
    """What the weights in a file have learnt from; ImageNet's are known by their hash or their arrays."""
    from hybrid.backbones.weightfile import read_provenance

    if spec.weights_md5 and spec.weights_md5 == found[spec.weights_hash]:
        return Provenance()
    if (told := read_provenance(path)) is not None:
        return told
    if _has_imagenet_arrays(spec, path):
        return Provenance()
    return Provenance(unknown=(describe_unknown(path.name, found["sha256"]),))


def _has_imagenet_arrays(spec: BackboneSpec, path: Path) -> bool:
    """Whether a file holds ImageNet's weights saved again; only where Keras' own file was downloaded."""
    from hybrid.backbones.weight_arrays import same_arrays

    reference = imagenet_file(spec) if spec.weights_url else None
    if reference is None or not spec.weights_md5 or not reference.is_file():
        return False
    genuine = digests(reference)[spec.weights_hash] == spec.weights_md5
    return genuine and same_arrays(path, reference)


def describe_unknown(name: str, digest: str | None) -> str:
    """Name weights of which it cannot be told what they have learnt from, by file and digest.

    Examples
    --------
    >>> describe_unknown("net.weights.h5", "9f2c" * 16)
    'net.weights.h5 (SHA-256 9f2c9f2c9f2c…)'
    """
    return f"{name} (SHA-256 {digest[:12]}…)" if digest else name


def keras_models_folder() -> Path:
    """Return the folder where Keras saves downloaded weights.

    Examples
    --------
    >>> keras_models_folder().name
    'models'
    """
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else home_folder() / ".keras") / "models"


def imagenet_file(spec: BackboneSpec) -> Path:
    """Return the path of a backbone's ImageNet weights, downloaded or not.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> imagenet_file(get_backbone("vgg16")).name
    'vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5'
    """
    return keras_models_folder() / spec.weights_file


def _absent(spec: BackboneSpec, path: Path) -> str:
    size = f" (about {4 * spec.parameters / 1e6:,.0f} MB)" if spec.parameters else ""
    return (
        f"the ImageNet weights of {spec.name} are not on this machine, and a plan downloads nothing. Without "
        f"--dry-run they are downloaded{size} from {spec.weights_url}\nOr put the file at {path}, or name it "
        "with --weights PATH."
    )


def must_download(spec: BackboneSpec) -> bool:
    """Whether a backbone has ImageNet weights that are not on this machine.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> must_download(get_backbone("scratch"))
    False
    """
    return bool(spec.weights_url) and not imagenet_file(spec).is_file()


def fingerprint_fields(
    spec: BackboneSpec, weights: Weights, dtype: str = "float16", precision: str = "float32"
) -> dict[str, Any]:
    """Return everything that changes an embedding; its hash is the fingerprint in the cache.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    dtype : {"float16", "float32"}, default="float16"
        Of the stored embeddings.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Of the network's products. The engine is not part of it: engines of one precision agree, in float32
        to 1e-4 of the largest number, in bfloat16 and float16 to a cosine of 0.999 with float32.

    Returns
    -------
    dict
        Can be written as JSON.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> spec = get_backbone("vgg16")
    >>> fields = fingerprint_fields(spec, resolve_weights(spec, "random"))
    >>> fields["architecture"], fields["pooling"], fields["input_size"]
    ('vgg16', 'avg', [224, 224])
    """
    described = spec.onnx or spec.hub
    tuned = {"tuned": True, "labels": list(spec.tuned.labels)} if spec.tuned else {}
    return {
        "architecture": spec.name,
        "layer": spec.layer,
        "pooling": spec.pooling,
        "weights": weights.digest,
        "input_size": list(spec.input_size),
        "preprocessing": described.preprocessing if described else spec.preprocessing,
        "preprocessing_version": PREPROCESSING_VERSION,
        "image_rules": {**IMAGE_RULES, "fit": spec.fit},
        "precision": precision,
        "dtype": dtype,
        "dimension": spec.dimension,
        **tuned,
    }
