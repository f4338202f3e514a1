"""Read a text encoder's folder, as sentence-transformers writes it; no weights yet.

The files are ``config.json``, ``tokenizer.json``, ``model.safetensors`` and, of sentence-transformers,
``modules.json`` with its folders of pooling and normalisation. Nothing of them is executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hybrid.backbones.licences import read_licence
from hybrid.errors import WeightsError
from hybrid.text_encoders.spec import Architecture, TransformerSpec
from hybrid.utils.reading import TEXT, WEIGHTS, hash_file, read_json, read_json_object

CONFIG, TOKENIZER, ARRAYS, MODULES = (
    "config.json",
    "tokenizer.json",
    "model.safetensors",
    "modules.json",
)
FILES = (CONFIG, TOKENIZER, ARRAYS)
# model_type of config.json → family of the architecture
FAMILIES = {
    "bert": "bert",
    "roberta": "roberta",
    "xlm-roberta": "roberta",
    "camembert": "roberta",
    "mpnet": "mpnet",
    "distilbert": "distilbert",
}
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "relu": "relu",
}
# Keys of config.json by the names of Architecture; DistilBERT has its own.
_KEYS = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "intermediate": "intermediate_size",
    "activation": "hidden_act",
    "epsilon": "layer_norm_eps",
    "positions": "max_position_embeddings",
    "vocabulary": "vocab_size",
}
_DISTILBERT = {
    "layers": "n_layers",
    "hidden": "dim",
    "heads": "n_heads",
    "intermediate": "hidden_dim",
    "activation": "activation",
}
_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "sqrt-length",
}
_LIMITS = {"layers": 96, "hidden": 8192, "heads": 128, "intermediate": 65536, "positions": 65536}
MAX_VOCABULARY = 2_000_000


def read_text_encoder(
    folder: str | Path, *, name: str | None = None, prefix: str = "", licence: str | None = None
) -> TransformerSpec:
    """Read what a text encoder's folder says about it, and check it.

    Parameters
    ----------
    folder : str or Path
        With ``config.json``, ``tokenizer.json`` and ``model.safetensors``.
    name : str, optional
        By default that of the folder.
    prefix : str, default=""
        Put before each text.
    licence : str, optional
        Of the weights; by default what ``README.md`` says in its header.

    Returns
    -------
    TransformerSpec

    Raises
    ------
    WeightsError
        If a file is missing, or the network is of a kind that hybrid does not have.

    Examples
    --------
    >>> read_text_encoder("all-MiniLM-L6-v2").dimension  # doctest: +SKIP
    384
    """
    folder = Path(folder)
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise WeightsError(
            f"{folder}: expected the folder of a text encoder, with {', '.join(FILES)}, found no "
            f"{' and no '.join(missing)}. {_pytorch_only(folder)}"
        )
    config = read_config(folder / CONFIG)
    architecture = _architecture(folder, config)
    pooling, normalise, said = read_modules(folder)
    longest = said or architecture.positions
    return TransformerSpec(
        name=name or folder.absolute().name,
        folder=folder.absolute(),
        architecture=architecture,
        max_length=min(longest, architecture.positions),
        pooling=pooling,
        normalise=normalise,
        weights=hash_file(folder / ARRAYS, WEIGHTS),
        tokenizer=hash_file(folder / TOKENIZER, WEIGHTS),
        prefix=prefix,
        licence=licence or read_licence(folder),
    )


def _pytorch_only(folder: Path) -> str:
    if (folder / "pytorch_model.bin").is_file():
        return (
            "Its weights are a pickle of PyTorch, which is not opened: it can run any code. Save them with "
            "model.save_pretrained(folder, safe_serialization=True) of transformers."
        )
    return "Save it with SentenceTransformer.save_pretrained(folder), or name it as the Hub does."


def read_config(path: Path) -> dict[str, Any]:
    """Read a JSON object; whatever is wrong with it is a `WeightsError`."""
    return read_json_object(path, WeightsError, remedy="Download the file again.")


def _architecture(folder: Path, config: Mapping[str, Any]) -> Architecture:
    kind = config.get("model_type")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise WeightsError(
            f"{folder / CONFIG}: expected model_type {' or '.join(FAMILIES)}, found {kind!r}. Export the "
            "encoder to ONNX and name the file instead."
        )
    keys = {**_KEYS, **(_DISTILBERT if family == "distilbert" else {})}
    values: dict[str, Any] = {ours: config.get(theirs) for ours, theirs in keys.items()}
    if family == "distilbert":
        values["epsilon"] = 1e-12
    problems = list(_problems(keys, values, config))
    if problems:
        raise WeightsError(f"{folder / CONFIG}: " + "\n".join(problems))
    if family in ("roberta", "mpnet"):  # the first positions are those of padding
        values["positions"] -= int(config.get("pad_token_id", 1)) + 1
    return Architecture(
        family=family,
        layers=values["layers"],
        hidden=values["hidden"],
        heads=values["heads"],
        intermediate=values["intermediate"],
        activation=ACTIVATIONS[values["activation"]],
        epsilon=float(values["epsilon"]),
        positions=values["positions"],
        vocabulary=values["vocabulary"],
        relative_buckets=int(config.get("relative_attention_num_buckets", 32))
        if family == "mpnet"
        else 0,
    )


def _problems(
    keys: Mapping[str, str], values: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterable[str]:
    for ours, highest in {**_LIMITS, "vocabulary": MAX_VOCABULARY}.items():
        value = values[ours]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= highest:
            yield f"{keys[ours]}: expected an integer from 1 to {highest:,}, found {value!r}."
    if values["activation"] not in ACTIVATIONS:
        yield (
            f"{keys['activation']}: expected {' or '.join(ACTIVATIONS)}, found {values['activation']!r}."
        )
    epsilon = values["epsilon"]
    if not isinstance(epsilon, (int, float)) or not 0 < epsilon < 1:
        yield f"{keys['epsilon']}: expected a number between 0 and 1, found {epsilon!r}."
    hidden, heads = values["hidden"], values["heads"]
    if isinstance(hidden, int) and isinstance(heads, int) and heads > 0 and hidden % heads:
        yield f"{keys['hidden']}: expected a multiple of the {heads} attention heads, found {hidden}."
    if config.get("position_embedding_type", "absolute") != "absolute":
        yield (
            "position_embedding_type: expected 'absolute', found "
            f"{config['position_embedding_type']!r}."
        )


def read_modules(folder: Path) -> tuple[str, bool, int | None]:
    """Pooling, normalisation and maximum length, as the files of sentence-transformers say them."""
    length = _sequence_length(folder)
    if not (folder / MODULES).is_file():
        return "mean", False, length
    try:
        modules = read_json(folder / MODULES, TEXT)
        kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
        places = [str(module["path"]) for module in modules]
    except (OSError, TypeError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{folder / MODULES}: expected a list of modules with type and path, found: {error}."
        ) from error
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise WeightsError(
            f"{folder / MODULES}: expected the modules Transformer, Pooling and perhaps Normalize, found "
            f"{', '.join(kinds) or 'none'}. Export the encoder to ONNX and name the file instead."
        )
    place = (folder / places[1]).resolve()
    if folder.resolve() not in place.parents:
        raise WeightsError(
            f"{folder / MODULES}: expected folders within {folder}, found {places[1]!r}."
        )
    return _pooling(place / CONFIG), "Normalize" in kinds, length


def _pooling(path: Path) -> str:
    config = read_config(path)
    chosen = [ours for theirs, ours in _POOLINGS.items() if config.get(theirs) is True]
    other = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    if len(chosen) != 1 or len(other) != 1:
        raise WeightsError(
            f"{path}: expected one pooling, from {', '.join(_POOLINGS)}, found "
            f"{', '.join(other) or 'none'}."
        )
    return chosen[0]


def _sequence_length(folder: Path) -> int | None:
    path = folder / "sentence_bert_config.json"
    if not path.is_file():
        return None
    found = read_config(path).get("max_seq_length")
    if found is not None and (not isinstance(found, int) or found < 3):
        raise WeightsError(f"{path}: expected max_seq_length of 3 or more, found {found!r}.")
    return found
