"""Writing systems: words and characters of a text in any script, by Unicode's properties (UAX 24, UAX 29)."""

from __future__ import annotations

import regex

# Scripts that write no spaces between words: Unicode's ideographs, kana, and the line breaking class SA
# ("South East Asian": Thai, Lao, Khmer, Myanmar and their neighbours); letters only, no punctuation.
_SCRIPTS = (
    r"\p{lb=SA}\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{Bopomofo}\p{Yi}\p{Tangut}\p{Nushu}"
    r"\p{Khitan_Small_Script}\p{Javanese}\p{Balinese}"
)
_UNSPACED = rf"[[{_SCRIPTS}]&&[\p{{L}}\p{{Nl}}]]"
_SPACED = rf"[[\p{{L}}\p{{N}}_]--{_UNSPACED}]"
UNSPACED = regex.compile(rf"(?V1)(?={_UNSPACED})\X\p{{M}}*")  # one character, with its marks
_WORD = regex.compile(rf"(?V1)(?={_UNSPACED})\X\p{{M}}*|(?:{_SPACED}\p{{M}}*)+")
_ASCII_WORD = regex.compile(r"\w+", regex.ASCII)
_CHARACTER = regex.compile(r"\X\p{M}*")
# Invisible, and no end of a word (UAX 29, WB4): joiners, soft hyphens, marks of direction. U+200B is a space.
_IGNORED = regex.compile(r"(?V1)[\p{Cf}--\u200b]")


def has_unspaced_script(text: str) -> bool:
    """Tell whether a text has a letter of a script without spaces between words.

    Parameters
    ----------
    text : str

    Returns
    -------
    bool

    Examples
    --------
    >>> [has_unspaced_script(text) for text in ("ghost", "NBA比赛", "หนังผี", "призрак", "유령")]
    [False, True, True, False, False]
    """
    return not text.isascii() and UNSPACED.search(text) is not None


def split_words(text: str) -> list[str]:
    """Split a text into its words; in a script without spaces, into its characters.

    A word is a run of letters, digits and ``_``, with the marks on them: vowel signs of Indic scripts are
    parts of words. A character is what a reader takes for one, a grapheme cluster of UAX 29. A run of
    characters is found in such a text wherever it is, as a word is in others.

    Parameters
    ----------
    text : str
        Case and accents are left as they are.

    Returns
    -------
    list of str

    Examples
    --------
    >>> split_words("A war film (1979): l'été")
    ['A', 'war', 'film', '1979', 'l', 'été']
    >>> split_words("NBA比赛"), split_words("หนังผี"), split_words("हिन्दी फ़िल्म")
    (['NBA', '比', '赛'], ['ห', 'นั', 'ง', 'ผี'], ['हिन्दी', 'फ़िल्म'])
    """
    if text.isascii():
        found: list[str] = _ASCII_WORD.findall(text)
    else:
        found = _WORD.findall(_IGNORED.sub("", text))
    return found


def split_characters(text: str) -> list[str]:
    """Split a text into its characters as a reader counts them: the grapheme clusters of UAX 29.

    A mark is always with its letter, also the vowel signs of Myanmar that UAX 29 leaves apart.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str
        Joined, they are the text.

    Examples
    --------
    >>> split_characters("né"), split_characters("फ़िल्म")
    (['n', 'é'], ['फ़ि', 'ल्म'])
    """
    found: list[str] = _CHARACTER.findall(text)
    return found
