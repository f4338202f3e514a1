"""The text of each item as a text encoder gets it, and its key in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import chain

import pandas as pd

from hybrid.utils.key_index import PackedKeys
from hybrid.utils.spilled import let_pages_go

JOINED = ". "  # between the columns of an item's text
ROWS = 2**14  # items whose texts are joined at once


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
    let_pages_go()
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


def frame_text_keys(frame: pd.DataFrame, columns: Sequence[str], prefix: str = "") -> PackedKeys:
    """The key of each item's text, of some thousand items at a time; None where an item has no text.

    Parameters
    ----------
    frame : DataFrame of n items
    columns : sequence of str
        Its text columns.
    prefix : str, default=""
        What the encoder gets before each text.

    Returns
    -------
    PackedKeys of length n

    Examples
    --------
    >>> films = pd.DataFrame({"title": ["Alien", ""]})
    >>> list(frame_text_keys(films, ["title"])) == [text_key("Alien"), None]
    True
    """
    parts = (frame.iloc[start : start + ROWS] for start in range(0, len(frame), ROWS))
    keys = (text_keys(item_texts(part, columns), prefix) for part in parts)
    return PackedKeys.collect(chain.from_iterable(keys))
