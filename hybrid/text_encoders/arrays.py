"""The weights of a text encoder, read from ``model.safetensors`` and put in one order for all families."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import MissingExtraError, WeightsError
from hybrid.text_encoders.folder import ARRAYS
from hybrid.text_encoders.spec import Architecture, TransformerSpec
from hybrid.utils.counts import counted
from hybrid.utils.reading import WEIGHTS, checked

Floats = NDArray[np.float32]
LONGEST_SHOWN = 3  # names of arrays in a message


@dataclass(frozen=True)
class Affine:
    """A dense layer or a normalisation: kernel (in, out) or scale (H,), and bias."""

    kernel: Floats
    bias: Floats


@dataclass(frozen=True)
class LayerArrays:
    """One layer: queries, keys and values side by side; output; feed-forward; normalisations."""

    attention: Affine
    output: Affine
    attention_norm: Affine
    up: Affine
    down: Affine
    norm: Affine


@dataclass(frozen=True)
class EncoderArrays:
    """All weights of a text encoder, float32.

    Parameters
    ----------
    words : ndarray of shape (vocabulary, H)
    positions : ndarray of shape (positions, H)
        With the embedding of the first token type added, where there is one.
    norm : Affine
        After the embeddings.
    layers : tuple of LayerArrays
    relative_bias : ndarray of shape (buckets, heads) or None
    """

    words: Floats
    positions: Floats
    norm: Affine
    layers: tuple[LayerArrays, ...]
    relative_bias: Floats | None = None


# Where the parts of a layer are, by family; each has .weight and .bias.
_BERT = {
    "query": "encoder.layer.{}.attention.self.query",
    "key": "encoder.layer.{}.attention.self.key",
    "value": "encoder.layer.{}.attention.self.value",
    "output": "encoder.layer.{}.attention.output.dense",
    "attention_norm": "encoder.layer.{}.attention.output.LayerNorm",
    "up": "encoder.layer.{}.intermediate.dense",
    "down": "encoder.layer.{}.output.dense",
    "norm": "encoder.layer.{}.output.LayerNorm",
}
_MPNET = {
    **_BERT,
    "query": "encoder.layer.{}.attention.attn.q",
    "key": "encoder.layer.{}.attention.attn.k",
    "value": "encoder.layer.{}.attention.attn.v",
    "output": "encoder.layer.{}.attention.attn.o",
    "attention_norm": "encoder.layer.{}.attention.LayerNorm",
}
_DISTILBERT = {
    "query": "transformer.layer.{}.attention.q_lin",
    "key": "transformer.layer.{}.attention.k_lin",
    "value": "transformer.layer.{}.attention.v_lin",
    "output": "transformer.layer.{}.attention.out_lin",
    "attention_norm": "transformer.layer.{}.sa_layer_norm",
    "up": "transformer.layer.{}.ffn.lin1",
    "down": "transformer.layer.{}.ffn.lin2",
    "norm": "transformer.layer.{}.output_layer_norm",
}
PLACES = {"bert": _BERT, "roberta": _BERT, "mpnet": _MPNET, "distilbert": _DISTILBERT}
WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"
NORM = "embeddings.LayerNorm"
RELATIVE = "encoder.relative_attention_bias.weight"

STATIC = ("embeddings", "mapping", "weights")

Read = Callable[..., Floats]


def read_arrays(spec: TransformerSpec) -> EncoderArrays:
    """Read the weights of a text encoder; their names and shapes are checked against its architecture.

    Parameters
    ----------
    spec : TransformerSpec

    Raises
    ------
    WeightsError
        If the file is damaged, lacks an array, or holds one of another shape or numbers that are not finite.
    MissingExtraError
        Without the package safetensors, of the extra ``text-encoders``.
    """
    with _opened(spec.folder / ARRAYS) as tensors:
        return _gather(spec, tensors)


@dataclass(frozen=True)
class StaticTable:
    """The vectors of a static text encoder.

    Parameters
    ----------
    vectors : ndarray of shape (rows, D), float32
    mapping : ndarray of shape (tokens,), int64, or None
        The row of each token; None where each has its own.
    weights : ndarray of shape (tokens,), float32, or None
        How much each token counts.
    """

    vectors: Floats
    mapping: NDArray[np.int64] | None
    weights: Floats | None

    @property
    def tokens(self) -> int:
        """Number of tokens that have a vector."""
        return len(self.vectors) if self.mapping is None else len(self.mapping)

    def sums(self, ids: NDArray[np.int32], counts: NDArray[np.bool_]) -> Floats:
        """Weighted sums of the vectors of tokens (n, width), of those that count: (n, D)."""
        share = counts.astype(np.float32)
        if self.weights is not None:
            share = share * self.weights[ids]
        rows = ids if self.mapping is None else self.mapping[ids]
        return np.asarray(np.einsum("nwd,nw->nd", self.vectors[rows], share), dtype=np.float32)


def read_table(path: Path) -> StaticTable:
    """Read the table of a static text encoder: ``embeddings``, and perhaps ``mapping`` and ``weights``.

    Raises
    ------
    WeightsError
        If the file is damaged or holds something else.
    MissingExtraError
        Without the package safetensors.
    """
    with _opened(path) as tensors:
        found = {name: tensors[name](name) for name in STATIC if name in tensors}
    vectors, mapping, weights = (found.get(name) for name in STATIC)
    if vectors is None or vectors.ndim != 2 or not vectors.size:
        raise WeightsError(
            f"{path}: expected an array embeddings of two axes, found "
            f"{'none' if vectors is None else vectors.shape}. Is it of another kind of encoder?"
        )
    tokens = len(vectors) if mapping is None else len(mapping)
    problems = []
    if mapping is not None and (
        mapping.ndim != 1
        or mapping.dtype.kind not in "iu"
        or not ((mapping >= 0) & (mapping < len(vectors))).all()
    ):
        problems.append(f"{path}: mapping: expected rows below {len(vectors):,} for each token.")
    if weights is not None and weights.shape != (tokens,):
        problems.append(
            f"{path}: weights: expected {tokens:,} numbers, found the shape {weights.shape}."
        )
    arrays = {"embeddings": vectors, "weights": weights}
    problems += [
        f"{path}: {name}: expected finite numbers, found NaN or infinity."
        for name, array in arrays.items()
        if array is not None and not np.isfinite(array.astype(np.float32)).all()
    ]
    if problems:
        raise WeightsError("\n".join([*problems, "Download the file again."]))
    return StaticTable(
        vectors.astype(np.float32),
        None if mapping is None else mapping.astype(np.int64),
        None if weights is None else weights.astype(np.float32),
    )


@contextmanager
def _opened(path: Path) -> Iterator[dict[str, Callable[[str], Any]]]:
    """The arrays of a file by their name, each with what reads it."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingExtraError(
            "text encoders: expected the package safetensors, found that it is not installed. Install it "
            'with: pip install "hybrid-posters[text-encoders]"'
        ) from error
    try:
        with safe_open(checked(path, WEIGHTS), framework="numpy") as file:
            yield dict.fromkeys(file.keys(), file.get_tensor)
    except (SafetensorError, OSError, TypeError) as error:
        raise WeightsError(
            f"{path}: expected a safetensors file, found: {error}. Download it again."
        ) from error


def read_tensors(path: Path) -> dict[str, Floats]:
    """Read all arrays of a safetensors file as float32.

    Parameters
    ----------
    path : Path

    Raises
    ------
    WeightsError
        If it is damaged, or holds numbers that are not finite.
    MissingExtraError
        As for `read_arrays`.
    """
    with _opened(path) as tensors:
        found = {name: np.asarray(read(name), np.float32) for name, read in tensors.items()}
    bad = [name for name, array in found.items() if not np.isfinite(array).all()]
    if bad:
        raise WeightsError(f"{path}: expected finite weights, found NaN or infinity in {bad[0]}.")
    return found


def pack_tensors(arrays: Mapping[str, Floats]) -> bytes:
    """The content of a safetensors file with some arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray

    Examples
    --------
    >>> len(pack_tensors({"a": np.zeros(2, np.float32)}))
    72
    """
    from safetensors.numpy import save

    return bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def _gather(spec: TransformerSpec, tensors: Mapping[str, Callable[[str], Floats]]) -> EncoderArrays:
    arch, path = spec.architecture, spec.folder / ARRAYS
    # Some files name the network before each array: "bert.embeddings…".
    prefix = next((name.removesuffix(WORDS) for name in tensors if name.endswith(WORDS)), "")
    wanted = {prefix + name for name in _names(arch)}
    missing = sorted(wanted - set(tensors))
    if missing:
        some = ", ".join(missing[:LONGEST_SHOWN])
        raise WeightsError(
            f"{path}: expected the weights of a {arch.family} network with "
            f"{counted(arch.layers, 'layer')}, found no {some}"
            f"{', …' if len(missing) > LONGEST_SHOWN else ''}. Is config.json of another model?"
        )

    def read(name: str, *shape: int | None) -> Floats:
        found = np.asarray(tensors[prefix + name](prefix + name))
        fits = len(found.shape) == len(shape) and all(
            size in (None, there) for size, there in zip(shape, found.shape, strict=True)
        )
        if not fits or (found.dtype.kind != "f" and found.dtype.name != "bfloat16"):
            raise WeightsError(
                f"{path}: expected {name} of shape {shape}, found {found.shape}, {found.dtype}. Is "
                "config.json of another model?"
            )
        array = found.astype(np.float32)
        if not np.isfinite(array).all():
            raise WeightsError(f"{path}: expected finite weights, found NaN or infinity in {name}.")
        return array

    positions = _positions(read, arch, TYPES in _names(arch))
    return EncoderArrays(
        words=read(WORDS, arch.vocabulary, arch.hidden),
        positions=positions,
        norm=_norm(read, NORM, arch.hidden),
        layers=tuple(_layer(read, arch, number) for number in range(arch.layers)),
        relative_bias=read(RELATIVE, arch.relative_buckets, arch.heads)
        if arch.relative_buckets
        else None,
    )


def _names(arch: Architecture) -> list[str]:
    places = PLACES[arch.family].values()
    parts = [NORM, *(place.format(i) for i in range(arch.layers) for place in places)]
    names = [WORDS, POSITIONS, *(f"{part}.{end}" for part in parts for end in ("weight", "bias"))]
    names += [TYPES] if arch.family in ("bert", "roberta") else []
    return names + ([RELATIVE] if arch.relative_buckets else [])


def _positions(read: Read, arch: Architecture, typed: bool) -> Floats:
    """The last rows of the table: the first ones of RoBERTa's are those of padding."""
    table = read(POSITIONS, None, arch.hidden)
    if len(table) < arch.positions:
        raise WeightsError(
            f"{POSITIONS}: expected {arch.positions} positions, found {len(table)}. Is config.json of "
            "another model?"
        )
    table = table[len(table) - arch.positions :]
    return table + read(TYPES, None, arch.hidden)[0] if typed else table


def _dense(read: Read, place: str, inputs: int, outputs: int) -> Affine:
    kernel = np.ascontiguousarray(read(f"{place}.weight", outputs, inputs).T)
    return Affine(kernel, read(f"{place}.bias", outputs))


def _norm(read: Read, place: str, size: int) -> Affine:
    return Affine(read(f"{place}.weight", size), read(f"{place}.bias", size))


def _layer(read: Read, arch: Architecture, number: int) -> LayerArrays:
    at = {part: place.format(number) for part, place in PLACES[arch.family].items()}
    size, wide = arch.hidden, arch.intermediate
    parts = [_dense(read, at[name], size, size) for name in ("query", "key", "value")]
    return LayerArrays(
        attention=Affine(
            np.concatenate([part.kernel for part in parts], axis=1),
            np.concatenate([part.bias for part in parts]),
        ),
        output=_dense(read, at["output"], size, size),
        attention_norm=_norm(read, at["attention_norm"], size),
        up=_dense(read, at["up"], size, wide),
        down=_dense(read, at["down"], wide, size),
        norm=_norm(read, at["norm"], size),
    )
