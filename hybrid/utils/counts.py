"""Counts in words, with their nouns and verbs in the right number."""

from __future__ import annotations


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


def agree(n: int, sentence: str) -> str:
    """Put a sentence about several things into the singular where there is one.

    Parameters
    ----------
    n : int
    sentence : str
        Of words that differ, both are given: ``"rows|row were|was left out"`` is plural first.

    Returns
    -------
    str

    Examples
    --------
    >>> agree(2, "posters|poster are|is no image"), agree(1, "posters|poster are|is no image")
    ('posters are no image', 'poster is no image')
    """
    words = (word.split("|") if "|" in word else [word, word] for word in sentence.split(" "))
    return " ".join(several if n != 1 else one for several, one in words)
