"""Static text encoders, as model2vec saves them: one vector a token, and their mean.

Each token has a row of a table; ``mapping`` says which, where several share one, and ``weights`` how much a
token counts. Nothing of the folder is executed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.devices import processor_name
from hybrid.backbones.engine import Embeddings, EngineChoice
from hybrid.backbones.licences import read_licence
from hybrid.errors import SettingError, WeightsError
from hybrid.text_encoders.arrays import StaticTable, read_table
from hybrid.text_encoders.engine import TextEngine
from hybrid.text_encoders.folder import ARRAYS, CONFIG, TOKENIZER, read_config
from hybrid.text_encoders.spec import TextEncoderSpec
from hybrid.utils.reading import TEXT, WEIGHTS, hash_file, read_json

MODEL = "model2vec"
LONGEST = 512  # tokens, as model2vec's encode has it
SMALLEST = 1e-12
NUMPY = "numpy"


@dataclass(frozen=True, kw_only=True)
class StaticSpec(TextEncoderSpec):
    """A static text encoder of model2vec: the mean of its tokens' vectors.

    Parameters
    ----------
    shape : tuple of (int, int)
        Tokens with a vector of their own, and length of an embedding.
    weights : str
        SHA-256 of the file ``model.safetensors``, in hex.
    unknown : int or None
        The token of what is unknown, which does not count.
    """

    one_layer = "a static table of model2vec, which has no layers"

    shape: tuple[int, int]
    weights: str
    unknown: int | None = None
    special_tokens: bool = False

    @property
    def dimension(self) -> int:
        """Length D of an embedding."""
        return self.shape[1]

    @property
    def vocabulary(self) -> None:
        """Known when the table is read, with its mapping."""
        return

    @property
    def positions(self) -> None:
        """There is no limit."""
        return

    def network_fields(self) -> dict[str, Any]:
        """See `TextEncoderSpec.network_fields`."""
        return {"network": MODEL, "weights": self.weights, "pooling": "mean"}

    def choose_engine(self, engine: str = "keras", precision: str = "auto") -> EngineChoice:
        """Always NumPy in float32, whatever engine the options have."""
        if precision not in ("auto", "float32"):
            raise SettingError(
                f"--precision {precision}: expected float32 for {self.name}, a table of vectors that are "
                "only averaged. Leave the option out."
            )
        return EngineChoice(NUMPY, "float32", processor_name())


class StaticEngine(TextEngine):
    """A static text encoder, read: tokens → means of their vectors, by NumPy.

    Parameters
    ----------
    spec : StaticSpec
    choice : EngineChoice

    Raises
    ------
    WeightsError
        If the table does not fit the tokenizer.
    """

    budget = 65536

    def __init__(self, spec: StaticSpec, choice: EngineChoice) -> None:
        self.choice, self.dimension = choice, spec.dimension
        self._table: StaticTable = read_table(spec.folder / ARRAYS)
        self._unknown, self._normalise = spec.unknown, spec.normalise

    def start(self, ids: NDArray[np.int32], lengths: NDArray[np.int32]) -> Callable[[], Embeddings]:
        """See `TextEngine.start`; a token below 0 stands for none."""
        counts = (np.arange(ids.shape[1]) < lengths[:, None]) & (ids >= 0)
        if self._unknown is not None:
            counts &= ids != self._unknown
        total = self._table.sums(np.where(counts, ids, 0), counts)
        mean = total / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        if self._normalise:
            length = np.linalg.norm(mean, axis=1, keepdims=True)
            mean = mean / np.maximum(length, SMALLEST)
        found = mean.astype(np.float32)
        return lambda: found


def is_static(folder: Path) -> bool:
    """Whether a folder is one of model2vec, by its ``config.json``."""
    try:
        config = read_json(folder / CONFIG, TEXT)
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and (
        config.get("model_type") == MODEL or "StaticModel" in (config.get("architectures") or ())
    )


def read_static_encoder(
    folder: str | Path, *, name: str | None = None, prefix: str = "", licence: str | None = None
) -> StaticSpec:
    """Read a folder of model2vec: ``config.json``, ``tokenizer.json`` and ``model.safetensors``.

    Parameters
    ----------
    folder : str or Path
    name, prefix, licence
        As in `hybrid.text_encoders.folder.read_text_encoder`.

    Returns
    -------
    StaticSpec

    Raises
    ------
    WeightsError
        If a file is missing or damaged, or the tokenizer has more tokens than the table.
    """
    folder = Path(folder)
    missing = [file for file in (TOKENIZER, ARRAYS) if not (folder / file).is_file()]
    if missing:
        raise WeightsError(
            f"{folder}: expected the folder of a static text encoder, with {TOKENIZER} and {ARRAYS}, found "
            f"no {' and no '.join(missing)}. Save it with model.save_pretrained(folder) of model2vec."
        )
    config = read_config(folder / CONFIG)
    table = read_table(folder / ARRAYS)
    tokens, unknown = _tokens(folder / TOKENIZER)
    if tokens > table.tokens:
        raise WeightsError(
            f"{folder / TOKENIZER}: expected at most {table.tokens:,} tokens, as many as have a vector, "
            f"found {tokens:,}. Is the tokenizer of another model?"
        )
    return StaticSpec(
        name=name or folder.absolute().name,
        folder=folder.absolute(),
        max_length=LONGEST,
        normalise=config.get("normalize") is True,
        tokenizer=hash_file(folder / TOKENIZER, WEIGHTS),
        prefix=prefix,
        licence=licence or read_licence(folder),
        shape=(table.vectors.shape[0], table.vectors.shape[1]),
        weights=hash_file(folder / ARRAYS, WEIGHTS),
        unknown=unknown,
    )


def _tokens(path: Path) -> tuple[int, int | None]:
    """How many tokens a tokenizer has, and the one of what is unknown."""
    found = read_config(path)
    model, added = found.get("model"), found.get("added_tokens") or ()
    try:
        vocabulary = model["vocab"]  # type: ignore[index]
        pieces = model.get("type") == "Unigram" or isinstance(vocabulary, list)  # type: ignore[union-attr]
        ids = range(len(vocabulary)) if pieces else vocabulary.values()
        highest = max([*ids, *(each["id"] for each in added)])
        unknown = model.get("unk_id") if pieces else vocabulary.get(model.get("unk_token"))  # type: ignore[union-attr]
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise WeightsError(
            f"{path}: expected a tokenizer with a vocabulary, found: {error}. Download it again."
        ) from error
    return int(highest) + 1, unknown
