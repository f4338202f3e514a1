"""A tuned text encoder: K encoders that learnt the labels, and which texts each has learnt from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.tuned_folder import (
    BASE,
    TUNED,
    UNREADABLE,
    check_files,
    encoder_files,
    hash_numbers,
    pack_folds,
    read_learnt,
    read_record,
    unpack_folds,
    unreadable,
    write_record,
)
from hybrid.errors import SettingError, WeightsError
from hybrid.text_encoders.folder import read_text_encoder
from hybrid.text_encoders.spec import TextEncoderSpec, TransformerSpec
from hybrid.text_encoders.tokens import Tokens
from hybrid.utils.counts import counted

FOLD = "fold-{}.safetensors"


@dataclass(frozen=True, kw_only=True)
class TunedSpec(TextEncoderSpec):
    """A tuned text encoder: a text → one score for each label, the log-odds of its own heads.

    A text that was learnt from gets the scores of the encoder of its fold, which has not seen it; every other
    text the means of all encoders' scores, or with `refit` those of one more encoder.

    Parameters
    ----------
    base : TransformerSpec
        What all K encoders started from; their lower layers are still its.
    labels : tuple of L str
        Names of the scores.
    layers : int
        Number of the last layers that each encoder has of its own.
    folds : int
        K.
    digest : str
        SHA-256 of ``tuned.json``, which holds those of all files.
    learnt : mapping of int to int
        Number of a text (`text_numbers`) → its fold.
    tuned_with : tuple
        The maximum length and the prefix that it was tuned with: no other can be used.
    refit : bool, default=False
        Whether there is one more encoder, which has learnt from all items, for new texts.
    """

    one_layer = "a tuned encoder: its embeddings are scores of heads that learnt on the last layer"

    base: TransformerSpec
    labels: tuple[str, ...]
    layers: int
    folds: int
    digest: str
    learnt: Mapping[int, int] = field(hash=False, repr=False)
    tuned_with: tuple[int, str]
    refit: bool = False

    def __post_init__(self) -> None:
        found = (self.max_length, self.prefix)
        names = ("--max-length", "--prefix")
        problems = [
            f"{name}: expected {wanted!r}, with which {self.name} was tuned, found {value!r}. Leave it out."
            for name, wanted, value in zip(names, self.tuned_with, found, strict=True)
            if wanted != value
        ]
        if problems:
            raise SettingError("\n".join(problems))

    @property
    def dimension(self) -> int:
        """Number L of labels."""
        return len(self.labels)

    @property
    def vocabulary(self) -> int:
        """Number of tokens that have an embedding."""
        return self.base.vocabulary

    @property
    def positions(self) -> int:
        """Largest possible `max_length`."""
        return self.base.positions

    def network_fields(self) -> dict[str, Any]:
        """See `TextEncoderSpec.network_fields`."""
        return {
            "tuned": True,
            "weights": self.digest,
            "pooling": "scores",
            "labels": list(self.labels),
        }

    @property
    def tokenizer_file(self) -> Path:
        """See `TextEncoderSpec.tokenizer_file`."""
        return self.base.tokenizer_file

    def provenance_bytes(self) -> bytes | None:
        """What it has learnt from; see `hybrid.backbones.provenance.Provenance.from_bytes`."""
        return read_learnt(self.folder)


def text_numbers(tokens: Tokens) -> NDArray[np.uint64]:
    """Identify each piece of text by what an encoder reads of it, not by how it is written.

    Texts that differ only in what the tokenizer drops, or in what is beyond the maximum length, are one text
    to the encoder, and must not be in different folds.

    Parameters
    ----------
    tokens : Tokens
        Of p pieces.

    Returns
    -------
    ndarray of shape (p,), uint64
        First 8 bytes of the SHA-256 of the tokens.

    Examples
    --------
    >>> two = Tokens(np.array([3, 4, 3], np.int32), np.array([2, 1]), np.arange(2), np.zeros(2, bool))
    >>> alone = hashlib.sha256(bytes([3, 0, 0, 0])).digest()[:8]
    >>> int(text_numbers(two)[1]) == int.from_bytes(alone, "little")
    True
    """
    content = tokens.ids.astype("<i4").tobytes()
    ends = np.cumsum(tokens.lengths) * 4
    starts = ends - tokens.lengths * 4
    pieces = zip(starts.tolist(), ends.tolist(), strict=True)
    return hash_numbers(hashlib.sha256(content[start:end]).digest() for start, end in pieces)


def write_tuned_encoder(
    folder: Path,
    base: TransformerSpec,
    labels: Sequence[str],
    numbers: NDArray[np.uint64],
    fold: NDArray[np.int64],
    options: Mapping[str, Any],
) -> str:
    """Write ``tuned.json`` into a folder that has all other files of a tuned encoder.

    Parameters
    ----------
    folder : Path
        With the folder ``base`` and the files of the folds.
    base : TransformerSpec
        With the maximum length that texts were cut to.
    labels : sequence of str
    numbers : ndarray of shape (n,), uint64
        See `text_numbers`; of the texts that were learnt from. Each once, in ascending order.
    fold : ndarray of shape (n,), int
        Of each.
    options : mapping
        Recorded; with the number of layers that learnt, as ``layers``.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    data = {
        "base": {"name": base.name, "prefix": base.prefix, "licence": base.licence},
        "labels": list(labels),
        "layers": options["layers"],
        "folds": int(fold.max()) + 1,
        "max_length": base.max_length,
        "texts": pack_folds(numbers, fold),
        "options": dict(options),
    }
    return write_record(folder, data)


def read_tuned_encoder(folder: Path) -> TunedSpec:
    """Read a tuned text encoder; each of its files is checked against its SHA-256.

    Parameters
    ----------
    folder : Path
        With ``tuned.json``. It may have been moved.

    Returns
    -------
    TunedSpec

    Raises
    ------
    WeightsError
        If a file is missing or damaged; the message names it.

    Examples
    --------
    >>> read_tuned_encoder(Path("encoders/tuned")).labels  # doctest: +SKIP
    ('Comedy', 'Drama')
    """
    try:
        data, digest = read_record(folder, "text", max_length=int, texts=dict)
        learnt = unpack_folds(data["texts"], data["folds"])
        labels = tuple(map(str, data["labels"]))
        said = {name: str(data["base"][name]) for name in ("name", "prefix", "licence")}
    except UNREADABLE as error:
        raise unreadable(folder, "text", error) from error
    refit = bool(data["options"].get("refit"))
    check_files(folder, data["files"], set(encoder_files(FOLD, data["folds"], refit)))
    base = read_text_encoder(folder / BASE, **said)
    if not 0 <= data["layers"] <= base.architecture.layers:
        raise WeightsError(
            f"{folder / TUNED}: expected at most {counted(base.architecture.layers, 'tuned layer')}, found "
            f"{data['layers']}."
        )
    return TunedSpec(
        name=folder.absolute().name,
        folder=folder.absolute(),
        max_length=data["max_length"],
        normalise=False,
        tokenizer=base.tokenizer,
        prefix=base.prefix,
        licence=base.licence,
        base=base,
        labels=labels,
        layers=data["layers"],
        folds=data["folds"],
        digest=digest,
        learnt=learnt,
        tuned_with=(data["max_length"], base.prefix),
        refit=refit,
    )
