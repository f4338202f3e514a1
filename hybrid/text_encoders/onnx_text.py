"""Text encoders in ONNX files, beside their ``tokenizer.json``; no code of the files is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.engines import choose_onnx_engine
from hybrid.backbones.licences import read_licence
from hybrid.backbones.onnx_header import OnnxHeader, OnnxTensor, read_onnx_header
from hybrid.backbones.onnx_sidecar import describe_strays, find_sidecar
from hybrid.errors import WeightsError
from hybrid.text_encoders.folder import (
    CONFIG,
    MODULES,
    TOKENIZER,
    read_config,
    read_modules,
)
from hybrid.text_encoders.spec import POOLINGS, TextEncoderSpec
from hybrid.utils.reading import WEIGHTS, hash_file

IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
POOLED = "sentence_embedding"
OUTPUTS = (POOLED, "last_hidden_state")  # the first that is there
OWN = ("output", "pooling", "normalise", "max_length", "prefix", "licence")
_PADDED = (
    "roberta",
    "xlm-roberta",
    "camembert",
    "mpnet",
)  # their first two positions are of padding


@dataclass(frozen=True, kw_only=True)
class OnnxTextSpec(TextEncoderSpec):
    """A text encoder of an ONNX file.

    Parameters
    ----------
    file : Path
    inputs : tuple of (str, str)
        Name and data type of each input.
    output : str
    tokens : bool
        Whether the output is the vectors of the tokens (n, t, D), which are pooled, and not (n, D).
    size : int
        Length D of an embedding.
    pooling : {"none", "mean", "cls", "max", "sqrt-length"}
    weights : str
        SHA-256 of the file, in hex.
    words : int or None
        Number of tokens that have an embedding, where that is said.
    """

    one_layer = "an ONNX file, which gives the states of its output alone"

    file: Path
    inputs: tuple[tuple[str, str], ...]
    output: str
    tokens: bool
    size: int
    pooling: str
    weights: str
    words: int | None = None

    @property
    def dimension(self) -> int:
        """Length D of an embedding."""
        return self.size

    @property
    def place(self) -> Path:
        """The ONNX file."""
        return self.file

    @property
    def vocabulary(self) -> int | None:
        """Number of tokens that have an embedding, where ``config.json`` says it."""
        return self.words

    @property
    def positions(self) -> int:
        """Largest possible `max_length`: what is said beside the file."""
        return self.max_length

    def network_fields(self) -> dict[str, Any]:
        """See `TextEncoderSpec.network_fields`."""
        return {
            "network": "onnx",
            "weights": self.weights,
            "output": self.output,
            "pooling": self.pooling,
        }

    def choose_engine(self, engine: str = "keras", precision: str = "auto") -> EngineChoice:
        """See `hybrid.backbones.engines.choose_onnx_engine`."""
        return choose_onnx_engine(engine, precision)


def read_onnx_text_encoder(path: str | Path) -> OnnxTextSpec:
    """Read what an ONNX file says about itself, and the files beside it or in the folder above.

    Parameters
    ----------
    path : str or Path
        With ``tokenizer.json`` beside it or in the folder above. ``NAME.json`` or ``NAME.onnx.json`` beside
        it, or what names its digest, may say ``output``, ``pooling``, ``normalise``, ``max_length``,
        ``prefix`` and ``licence``; without it the files of sentence-transformers and ``config.json`` do.

    Returns
    -------
    OnnxTextSpec

    Raises
    ------
    WeightsError
        If a file is missing or damaged, or the network takes or gives something else.
    """
    path = Path(path).absolute()
    header = read_onnx_header(path)
    folder = next((p for p in path.parents[:2] if (p / TOKENIZER).is_file()), None)
    if folder is None:
        raise WeightsError(
            f"{path}: expected {TOKENIZER} beside it, found none. Copy it from the model that was exported."
        )
    said = _said(path)
    output = _output(path, header, said.get("output"))
    pooling, normalise, length = _how(path, folder, said, tokens=len(output.shape) == 3)
    return OnnxTextSpec(
        name=path.name,
        folder=folder,
        max_length=length,
        normalise=normalise,
        tokenizer=hash_file(folder / TOKENIZER, WEIGHTS),
        prefix=said.get("prefix", ""),
        licence=said.get("licence") or read_licence(folder),
        file=path,
        inputs=_inputs(path, header),
        output=output.name,
        tokens=len(output.shape) == 3,
        size=output.shape[-1] or 0,
        pooling=pooling,
        weights=hash_file(path, WEIGHTS),
        words=_config_number(folder, "vocab_size"),
    )


def _said(path: Path) -> dict[str, Any]:
    """What the file beside an ONNX file says, each value of its kind."""
    beside = find_sidecar(path, OWN)
    if beside is None:
        # Without what it says the texts would have another prefix or pooling, and nobody would know.
        if strays := describe_strays(path, OWN):
            raise WeightsError(
                f"{path}: expected {path.with_suffix('.json').name}, found none. {strays}"
            )
        return {}
    path, said = beside, read_config(beside)
    kinds = {"normalise": bool, "max_length": int}
    problems = [
        f"{path}: {key}: expected {kinds.get(key, str).__name__}, found {said[key]!r}."
        for key in OWN
        if key in said and type(said[key]) is not kinds.get(key, str)
    ]
    if said.get("pooling", POOLINGS[0]) not in POOLINGS:
        problems.append(
            f"{path}: pooling: expected {' or '.join(POOLINGS)}, found {said['pooling']!r}."
        )
    if problems:
        raise WeightsError("\n".join(problems))
    return said


def _inputs(path: Path, header: OnnxHeader) -> tuple[tuple[str, str], ...]:
    found = {each.name: each for each in header.inputs}
    fits = IDS in found and set(found) <= {IDS, MASK, TYPES}
    if not fits or any(
        each.dtype not in ("int64", "int32") or each.shape != (None, None) for each in header.inputs
    ):
        listed = "; ".join(map(str, header.inputs))
        raise WeightsError(
            f"{path}: expected the inputs {IDS}, {MASK} and perhaps {TYPES}, (?, ?), integers, found "
            f"{listed}. Export the text encoder alone, with batch and length left open."
        )
    return tuple((each.name, each.dtype) for each in header.inputs)


def _output(path: Path, header: OnnxHeader, name: str | None) -> OnnxTensor:
    wanted = OUTPUTS if name is None else (name,)
    by_name = {each.name: each for each in header.outputs}
    chosen = next((by_name[each] for each in wanted if each in by_name), None)
    if chosen is None or len(chosen.shape) not in (2, 3) or not chosen.shape[-1]:
        listed = "; ".join(map(str, header.outputs))
        raise WeightsError(
            f"{path}: expected the output {' or '.join(wanted)}, (n, D) or (n, tokens, D) with a fixed D, "
            f'found {listed}. Name one in {path.with_suffix(".json").name}: {{"output": "NAME"}}.'
        )
    return chosen


def _how(path: Path, folder: Path, said: dict[str, Any], *, tokens: bool) -> tuple[str, bool, int]:
    """Pooling, normalisation and maximum length."""
    pooling, normalise, length = read_modules(folder)
    known = (folder / MODULES).is_file()
    problems = []
    if tokens and not known and "pooling" not in said:
        problems.append('a pooling: {"pooling": "mean"} or "cls"')
    length = said.get("max_length") or length or _positions(folder)
    if not length or length < 3:
        problems.append('the tokens that it reads at once: {"max_length": 512}, say')
    if problems:
        raise WeightsError(
            f"{path}: expected {' and '.join(problems)}, found it neither in the files of "
            f"sentence-transformers nor in {path.with_suffix('.json').name} beside it. Say it there."
        )
    pooling = said.get("pooling", pooling) if tokens else "none"
    return pooling, said.get("normalise", normalise), int(length or 0)


def _positions(folder: Path) -> int | None:
    found = _config_number(folder, "max_position_embeddings")
    padded = found and read_config(folder / CONFIG).get("model_type") in _PADDED
    return found - 2 if found and padded else found


def _config_number(folder: Path, key: str) -> int | None:
    if not (folder / CONFIG).is_file():
        return None
    found = read_config(folder / CONFIG).get(key)
    return found if type(found) is int else None
