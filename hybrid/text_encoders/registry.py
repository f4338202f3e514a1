"""The registry of text encoders: known names, where their files come from, their prefixes and licences."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hybrid.backbones.licences import UNKNOWN
from hybrid.backbones.registry import HUB, ONNX
from hybrid.backbones.tuned_folder import find_tuned
from hybrid.errors import (
    HybridError,
    MissingExtraError,
    NotDownloadedError,
    WeightsError,
    did_you_mean,
)
from hybrid.text_encoders.folder import read_text_encoder
from hybrid.text_encoders.onnx_text import read_onnx_text_encoder
from hybrid.text_encoders.spec import TextEncoderSpec
from hybrid.text_encoders.static import is_static, read_static_encoder
from hybrid.text_encoders.tuned import read_tuned_encoder
from hybrid.utils.read_only import may_download

PATIENCE = 10  # seconds for a page of the Hub
# What is downloaded of a repository of the Hub: no pickles, no code.
WANTED = ("*.json", "*/config.json", "model.safetensors", "README.md")


@dataclass(frozen=True)
class KnownTextEncoder:
    """A text encoder of the Hugging Face Hub.

    Parameters
    ----------
    name : str
        What the user types.
    repository : str
        ``owner/name`` on the Hub.
    dimension, parameters : int
        Length of an embedding; number of weights.
    languages : str
        What it was trained on.
    licence : str
        Of the weights, as its page states it.
    prefix : str, default=""
        Put before each text, as its authors ask for where embeddings are features of a classifier.
    """

    name: str
    repository: str
    dimension: int
    parameters: int
    languages: str
    licence: str
    prefix: str = ""


_KNOWN = (
    KnownTextEncoder(
        *("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", 384, 22_713_216),
        *("English", "Apache-2.0"),
    ),
    KnownTextEncoder(
        *("all-MiniLM-L12-v2", "sentence-transformers/all-MiniLM-L12-v2", 384, 33_360_000),
        *("English", "Apache-2.0"),
    ),
    KnownTextEncoder(
        *("all-mpnet-base-v2", "sentence-transformers/all-mpnet-base-v2", 768, 109_486_464),
        *("English", "Apache-2.0"),
    ),
    KnownTextEncoder(
        "paraphrase-multilingual-MiniLM-L12-v2",
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        *(384, 117_653_760, "50 languages", "Apache-2.0"),
    ),
    KnownTextEncoder(
        *("bge-small-en-v1.5", "BAAI/bge-small-en-v1.5", 384, 33_360_000, "English", "MIT")
    ),
    KnownTextEncoder(
        *("bge-base-en-v1.5", "BAAI/bge-base-en-v1.5", 768, 109_482_240, "English", "MIT")
    ),
    KnownTextEncoder(
        *("e5-small-v2", "intfloat/e5-small-v2", 384, 33_360_000, "English", "MIT", "query: ")
    ),
    KnownTextEncoder(
        *("e5-base-v2", "intfloat/e5-base-v2", 768, 109_482_240, "English", "MIT", "query: ")
    ),
    KnownTextEncoder(
        *("multilingual-e5-small", "intfloat/multilingual-e5-small", 384, 117_653_760),
        *("100 languages", "MIT", "query: "),
    ),
    KnownTextEncoder(
        *("multilingual-e5-base", "intfloat/multilingual-e5-base", 768, 278_043_648),
        *("100 languages", "MIT", "query: "),
    ),
    KnownTextEncoder(*("gte-small", "thenlper/gte-small", 384, 33_360_000, "English", "MIT")),
    KnownTextEncoder(
        *("potion-base-8M", "minishlab/potion-base-8M", 256, 7_559_168, "English", "MIT")
    ),
    KnownTextEncoder(*("gte-base", "thenlper/gte-base", 768, 109_482_240, "English", "MIT")),
)
TEXT_ENCODERS = {known.name: known for known in _KNOWN}


def resolve_text_encoder(name: str, *, download: bool = True) -> TextEncoderSpec:
    """Find a text encoder by its name or folder; download it if need be.

    Parameters
    ----------
    name : str
        A folder; an ONNX file; a known name; the name of one that was tuned; or ``owner/name`` of the Hub.
    download : bool, default=True
        Whether one that is not on this machine is downloaded, unless for a plan; else it is an error.

    Returns
    -------
    TextEncoderSpec

    Raises
    ------
    WeightsError
        If it cannot be found, downloaded or read.
    MissingExtraError
        If it must be downloaded, without the package huggingface-hub, of the extra ``text-encoders``.

    Examples
    --------
    >>> resolve_text_encoder("all-MiniLM-L6-v2").dimension  # doctest: +SKIP
    384
    """
    if tuned := find_tuned(name):
        return read_tuned_encoder(tuned)
    folder = Path(name)
    known = TEXT_ENCODERS.get(folder.name)
    prefix, licence = (known.prefix, known.licence) if known else ("", None)
    if name.startswith(HUB):
        raise WeightsError(
            f"--text-encoder: expected no preset of keras-hub, of which only image encoders are taken, found "
            f"{name}. Name the same model of the Hugging Face Hub, owner/name, or an ONNX file of it."
        )
    if name.endswith(ONNX):
        return read_onnx_text_encoder(name)
    if folder.is_dir():
        return read_folder(folder, prefix=prefix, licence=licence)
    known = TEXT_ENCODERS.get(name)
    repository = known.repository if known else name
    if repository.count("/") != 1 or name.startswith((".", "/", "~")):
        raise WeightsError(
            f"--text-encoder: expected a folder, an ONNX file, a known name or owner/name of the Hub, found "
            f"{name!r}."
            f"{did_you_mean(name, TEXT_ENCODERS)} Known: {', '.join(TEXT_ENCODERS)}."
        )
    place = _find_download(repository, download)
    short = repository.partition("/")[2]
    known = known or TEXT_ENCODERS.get(short)
    prefix, licence = (known.prefix, known.licence) if known else ("", None)
    return read_folder(place, name=short, prefix=prefix, licence=licence)


def text_licence_ahead(name: str) -> str | None:
    """The licence of a text encoder as far as it is told without a download of its weights.

    Parameters
    ----------
    name : str
        As of `resolve_text_encoder`.

    Returns
    -------
    str or None
        By its files where they are on this machine, else of the table of known names, else as its page on the
        Hub says. None where nothing tells, or the name is none.

    Examples
    --------
    >>> text_licence_ahead("bge-small-en-v1.5")
    'MIT'
    """
    try:
        return resolve_text_encoder(name, download=False).licence
    except HybridError:
        known = TEXT_ENCODERS.get(name.rpartition("/")[2])
    if known is not None and name in (known.name, known.repository):
        return known.licence
    is_repository = name.count("/") == 1 and not name.startswith((".", "/", "~"))
    return _page_licence(name) if is_repository and not name.endswith(ONNX) else None


def _page_licence(repository: str) -> str | None:
    if not may_download():
        return None
    try:
        from huggingface_hub import model_info

        said = model_info(repository, timeout=PATIENCE).card_data
    except Exception:  # of several libraries; the download will tell
        return None
    return str((said and said.license) or UNKNOWN)


def read_folder(
    folder: Path, *, name: str | None = None, prefix: str = "", licence: str | None = None
) -> TextEncoderSpec:
    """Read a text encoder's folder, of whatever kind it is.

    Parameters
    ----------
    folder : Path
    name, prefix, licence
        As in `hybrid.text_encoders.folder.read_text_encoder`.
    """
    read = read_static_encoder if is_static(folder) else read_text_encoder
    return read(folder, name=name, prefix=prefix, licence=licence)


def downloads_folders() -> list[Path]:
    """The folder where huggingface-hub keeps what it downloads; none where it is not installed.

    Examples
    --------
    >>> len(downloads_folders()) < 2
    True
    """
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError:
        return []
    return [Path(HF_HUB_CACHE)]


def _find_download(repository: str, download: bool) -> Path:
    """The folder of a repository in the Hub's own cache; what is there is not downloaded again."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError(
            f"--text-encoder {repository}: expected the package huggingface-hub, found that it is not "
            'installed. Install it with: pip install "hybrid-posters[text-encoders]"; or name a folder.'
        ) from error
    wanted = list(WANTED)
    try:
        return Path(snapshot_download(repository, allow_patterns=wanted, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        pass  # not on this machine
    if not download or not may_download():
        named = (known for known in _KNOWN if known.repository == repository)
        size = next((f" (about {4 * known.parameters / 1e6:,.0f} MB)" for known in named), "")
        raise NotDownloadedError(
            f"the text encoder {repository} is not on this machine, and this command downloads nothing. "
            f"hybrid extract --text-encoder downloads it{size}. Without a network: hf download "
            f"{repository} --local-dir FOLDER, where there is one; then name the folder with "
            "--text-encoder FOLDER."
        )
    try:
        return Path(snapshot_download(repository, allow_patterns=wanted))
    except Exception as error:
        # Of several libraries: network, server, disk, name.
        first = str(error).strip().partition("\n")[0]
        raise WeightsError(
            f"the text encoder {repository} is not on this machine and cannot be downloaded: {first}\n"
            f"Wanted: {os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}/{repository}\nWhere a "
            f"network is, run: hf download {repository} --local-dir FOLDER; then name the folder with "
            "--text-encoder FOLDER."
        ) from error
