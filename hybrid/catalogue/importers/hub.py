"""Download the Parquet files of a data set of the Hugging Face Hub."""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from hybrid.errors import CatalogueError
from hybrid.utils.counts import counted
from hybrid.utils.progress import current_progress
from hybrid.utils.reading import parse_json

HUB = "https://huggingface.co"
TIMEOUT = 60  # seconds without a byte


def download(name: str, folder: Path) -> Path:
    """Download the Parquet files of a data set to a folder.

    Parameters
    ----------
    name : str
        ``owner/name``, or ``owner/name:configuration`` where it has several.
    folder : Path

    Returns
    -------
    Path
        The folder with the files, each named by its split.

    Raises
    ------
    CatalogueError
        If the Hub cannot be reached, or has no such data set.
    """
    base = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    data_set, _, configuration = name.partition(":")
    answer = _get_json(f"{base}/api/datasets/{urllib.parse.quote(data_set)}/parquet", name)
    if not isinstance(answer, dict) or not answer:
        raise CatalogueError(f"{name}: expected Parquet files on the Hub, found none.")
    configuration = configuration or ("default" if "default" in answer else "")
    if not configuration and len(answer) == 1:
        configuration = next(iter(answer))
    if configuration not in answer:
        raise CatalogueError(
            f"{name}: expected one of its configurations, {', '.join(answer)}. "
            f"Name it as in {data_set}:{next(iter(answer))}."
        )
    target = folder / "downloaded"
    target.mkdir()
    urls = [(split, url) for split, urls in answer[configuration].items() for url in urls]
    with current_progress().bar(f"downloading {name}", len(urls), "files") as advance:
        for number, (split, url) in enumerate(urls):
            _get_file(url, target / f"{split}-{number:05}.parquet", name)
            advance(1)
    return target


def _get_json(url: str, name: str) -> Any:
    try:
        with _connect(url) as answer:
            return parse_json(answer.read())
    except (OSError, ValueError) as error:
        raise _failed(name, url, error) from error


def _get_file(url: str, path: Path, name: str) -> None:
    try:
        with _connect(url) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
            length = answer.headers.get("Content-Length")
        if length is not None and int(length) != path.stat().st_size:
            raise OSError(f"{path.stat().st_size:,} of {counted(int(length), 'byte')}")
    except (OSError, ValueError) as error:
        raise _failed(name, url, error) from error


def _connect(url: str) -> Any:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"no web address: {url}")
    return urllib.request.urlopen(url, timeout=TIMEOUT)


def _failed(name: str, url: str, error: Exception) -> CatalogueError:
    if isinstance(error, urllib.error.HTTPError) and error.code in (401, 403, 404):
        return CatalogueError(
            f"{name}: expected a folder of this name, or a public data set on the Hub, found neither "
            f"({url} answers {error.code})."
        )
    reason = getattr(error, "reason", None) or error
    return CatalogueError(
        f"{name}: expected a folder of this name, or the Hub with a network, found: {reason} ({url}). "
        "Where a network is, save it with datasets.load_dataset(…).save_to_disk(…) and import that folder."
    )
