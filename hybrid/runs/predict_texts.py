"""Text embeddings of new items: by the very text encoder that a run was fitted with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hybrid.backbones.registry import ONNX
from hybrid.cache import EmbeddingCache, describe_differences
from hybrid.catalogue import Catalogue
from hybrid.errors import RunError, SettingError, WeightsError
from hybrid.extraction.extract_texts import extract_texts
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.text_plan import configured_encoder
from hybrid.extraction.texts import frame_text_keys
from hybrid.runs.record import RECORD, RunRecord
from hybrid.runs.record_parts import TextEncoderRecord
from hybrid.text_encoders.registry import TEXT_ENCODERS, downloads_folders
from hybrid.types import TextEmbeddingOptions
from hybrid.utils.context import Context
from hybrid.utils.links import lies_in
from hybrid.utils.options import Rule, list_unused, one_or_each
from hybrid.utils.read_only import read_only

OTHER_FILES = (
    "If its files differ, name the right one with --text-encoder FOLDER; else fit the run again."
)


def embed_texts(
    folder: Path,
    record: RunRecord,
    catalogue: Catalogue,
    frame: pd.DataFrame,
    encoders: str | Sequence[str],
    context: Context,
) -> None:
    """Embed the texts whose embeddings the cache lacks, with the text encoders that a run was fitted with.

    Where it lacks none, no encoder is needed, and nothing is written to it.

    Parameters
    ----------
    folder : Path
        The run folder.
    record : RunRecord
    catalogue : Catalogue
        The new items, read with the column roles of the run.
    frame : DataFrame of n items
        The same, with all columns of the run.
    encoders : str or sequence of str
        Folders or names of the text encoders: one for all blocks, one for each, or none, for those that were
        recorded.
    context : Context

    Raises
    ------
    WeightsError
        If an encoder is needed and missing; or if one that is found, or named, is not that of the run.
    """
    blocks = list(record.text_encoders.values())
    names = [encoders] if isinstance(encoders, str) else encoders
    given = one_or_each("--text-encoder", names, len(blocks), "block of text embeddings")
    # Those that are named are checked even where nothing is left to embed.
    found = [
        find_text_encoder(folder, each, name) if name else None
        for each, name in zip(blocks, given, strict=True)
    ]
    columns = record.require_model(folder).text
    for each, encoder in zip(blocks, found, strict=True):
        with read_only():
            store = EmbeddingCache(context.cache).make(each.key)
            wanted = frame_text_keys(frame, columns, recorded_text_options(each).prefix or "")
            complete = bool(store.has(wanted)[wanted.named].all())
        if not complete:
            extract_texts(
                catalogue,
                encoder or find_text_encoder(folder, each, None),
                options=recorded_text_options(each),
                settings=ExtractSettings(engine="auto"),
                context=context,
            )


def check_text_encoders(folder: Path, record: RunRecord, catalogue: Catalogue) -> None:
    """Raise where text encoders would have no effect."""
    rules = (
        Rule(("text-encoder",), bool(record.text_encoders), f"{folder} has no text embeddings"),
        Rule(("text-encoder",), bool(catalogue.columns.text), f"{catalogue.path} has no texts"),
    )
    if problems := list_unused(rules, ["text-encoder"]):
        raise SettingError("\n".join(problems))


def find_text_encoder(folder: Path, recorded: TextEncoderRecord, given: str | None) -> str:
    """Find the text encoder that a run was fitted with, and check its digests.

    Parameters
    ----------
    folder : Path
        The run folder.
    recorded : TextEncoderRecord
    given : str or None
        Its folder or name; by default the recorded folder, as it was or seen from the run folder, if it lies
        in the project of the run, in the current directory, or where this machine keeps what it downloaded;
        else the encoder of the recorded name, if hybrid knows it.

    Returns
    -------
    str
        A folder or a name.

    Raises
    ------
    WeightsError
        If there is none, or the embeddings that it makes are not those that the run was fitted on.
    """
    name = given or _find_folder(folder, recorded)
    options = recorded_text_options(recorded)
    cannot = f"{folder}: the run's text embeddings cannot be made with the text encoder {name}"
    try:
        spec = configured_encoder(name, options)
    except SettingError as error:  # of an encoder with fewer layers or positions
        raise WeightsError(f"{cannot}: {error}\n{OTHER_FILES}") from error
    fields = spec.fingerprint_fields(
        chunks=options.chunks, precision=options.precision, dtype=options.dtype
    )
    if other := describe_differences(recorded.key, fields):
        raise WeightsError(f"{cannot}: {other}. {OTHER_FILES}")
    return name


def recorded_text_options(recorded: TextEncoderRecord) -> TextEmbeddingOptions:
    """Options that the text embeddings of a run were extracted with.

    Raises
    ------
    RunError
        If the record lacks one, or has another type of value.

    Examples
    --------
    >>> key = {"chunks": "mean", "max_length": 256, "prefix": "", "precision": "float32", "dtype": "float16"}
    >>> recorded_text_options(TextEncoderRecord(key=key)).max_length
    256
    """
    key = {"last_layers": 1, **recorded.key}  # of the last layer alone it has none
    wanted = {
        **dict.fromkeys(("chunks", "prefix", "precision", "dtype"), str),
        **dict.fromkeys(("max_length", "last_layers"), int),
    }
    wrong = [name for name, kind in wanted.items() if type(key.get(name)) is not kind]
    if wrong:
        raise RunError(
            f"{RECORD}: expected {', '.join(wrong)} at stands_for of the text encoder {recorded.name}, found "
            "none that can be read. The record is damaged: fit the run again."
        )
    return TextEmbeddingOptions(
        chunks=key["chunks"],
        max_length=key["max_length"],
        prefix=key["prefix"],
        last_layers=key["last_layers"],
        precision=key["precision"],
        dtype=key["dtype"],
    )


def _find_folder(folder: Path, recorded: TextEncoderRecord) -> str:
    """The recorded folder or ONNX file, or the name of a known encoder that is not there."""
    project = folder.absolute().parent.parent
    places = [folder.absolute() / recorded.relative] if recorded.relative else []
    places += [Path(recorded.path)] if recorded.path else []
    exist = [
        place for place in places if place.is_dir() or (place.suffix == ONNX and place.is_file())
    ]
    for place in exist:
        if lies_in(place, project, Path(), *downloads_folders()):
            return str(place)
    if not exist and recorded.name in TEXT_ENCODERS:
        return recorded.name
    seen = "no such folder"
    if exist:
        seen = f"one outside the project at {exist[0]}, which is read only where you name it"
    raise WeightsError(
        f"{folder}: expected the text encoder {recorded.name} at {recorded.path}, found {seen}. Name it with "
        "--text-encoder FOLDER."
    )
