"""The text of each item as a text encoder gets it, and its key in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pandas as pd

JOINED = ". "  # between the columns of an item's text


def item_texts(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Join the text columns of each item, in their order; empty cells are left out.

    Parameters
    ----------
    frame : DataFrame of n items
    columns : sequence of str
        Its text columns.

    Returns
    -------
    list of n str
        ``""`` for an item without a text.

    Examples
    --------
    >>> films = pd.DataFrame({"title": ["Alien", ""], "overview": [" In space. ", ""]})
    >>> item_texts(films, ["title", "overview"])
    ['Alien. In space.', '']
    """
    cells = [[str(cell).strip() for cell in frame[column].tolist()] for column in columns]
    return [JOINED.join(filter(None, parts)) for parts in zip(*cells, strict=True)]


def text_key(text: str) -> bytes:
    """The key of a text's embedding in the cache: SHA-256 of the text as the encoder gets it.

    Parameters
    ----------
    text : str
        With the encoder's prefix before it.

    Returns
    -------
    bytes
        32 of them.

    Examples
    --------
    >>> text_key("passage: Alien").hex()[:12]
    'cf44705e572c'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def text_keys(texts: Sequence[str], prefix: str = "") -> list[bytes | None]:
    """The key of each text; None where it is empty.

    Examples
    --------
    >>> text_keys(["", "Alien"])[0], len(text_keys(["", "Alien"])[1])
    (None, 32)
    """
    return [text_key(prefix + text) if text else None for text in texts]
