"""Counts in words, with their nouns and verbs in the right number."""

from __future__ import annotations

import re
from collections.abc import Sequence

_EITHER = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Format a count with its noun.

    Parameters
    ----------
    n : int
    noun : str
        In the singular.
    plural : str, optional
        By default with an s.

    Returns
    -------
    str

    Examples
    --------
    >>> counted(1, "model"), counted(1200, "test item"), counted(2, "category", "categories")
    ('1 model', '1,200 test items', '2 categories')
    """
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


def first_few(items: Sequence[object], most: int = 5) -> str:
    """List the first items, and a mark where there are more.

    Parameters
    ----------
    items : sequence
    most : int, default=5

    Returns
    -------
    str

    Examples
    --------
    >>> first_few([1, 2]), first_few("abc", most=2)
    ('1, 2', 'a, b, …')
    """
    return ", ".join(map(str, items[:most])) + ", …" * (len(items) > most)


def agree(n: int, sentence: str) -> str:
    """Put a sentence about n things into the plural, or the singular for one.

    Parameters
    ----------
    n : int
    sentence : str
        Of words that differ, both are given in braces, the plural first.

    Returns
    -------
    str

    Examples
    --------
    >>> said = "{posters|poster} {are|is} no image"
    >>> agree(2, said), agree(1, said)
    ('posters are no image', 'poster is no image')
    """
    return _EITHER.sub(r"\2" if n == 1 else r"\1", sentence)
