"""Writing systems: words and characters of a text in any script, by Unicode's properties (UAX 24, UAX 29)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import regex

# Scripts that write no spaces between words: ideographs and syllables, and the line breaking class SA ("South
# East Asian": Thai, Lao, Khmer, Myanmar and their neighbours); letters only, no punctuation.
_SCRIPTS = (
    r"\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{Bopomofo}\p{Yi}\p{Tangut}\p{Nushu}\p{sc=Kits}"
    r"\p{lb=SA}\p{Javanese}\p{Balinese}"
)
_UNSPACED = rf"[[{_SCRIPTS}]&&[\p{{L}}\p{{Nl}}]]"
_SPACED = rf"[[\p{{L}}\p{{N}}_]--{_UNSPACED}]"
_LETTER = regex.compile(rf"(?V1){_UNSPACED}")
# Quick to rule out by, which most texts are: no letter of these scripts is anywhere else.
_MAYBE = re.compile("[\u0e01-\u1dff\u2e80-\uabff\ud7b0-\U0003ffff]")
_CHARACTER_OF_IT = regex.compile(rf"(?V1)(?={_UNSPACED})\X\p{{M}}*")  # with its marks
_RUN = regex.compile(rf"(?V1)(?:(?={_UNSPACED})\X\p{{M}}*)+")
_SPACE_INSIDE = regex.compile(rf"(?V1)(?<={_UNSPACED}\p{{M}}*) (?={_UNSPACED})")
_WORD = regex.compile(rf"(?V1)(?={_UNSPACED})\X\p{{M}}*|(?:{_SPACED}\p{{M}}*)+")
_ASCII_WORD = regex.compile(r"\w+", regex.ASCII)
_CHARACTER = regex.compile(r"\X\p{M}*")
# Invisible, and no end of a word (UAX 29, WB4): joiners, soft hyphens, marks of direction. U+200B is a space.
_IGNORED = regex.compile(r"(?V1)[\p{Cf}--\u200b]")
# Marks that a word may be written without: accents, and the vowel points of Hebrew and Arabic. In other
# scripts marks are vowels; those two are the voicing of kana.
_ACCENT = regex.compile(
    r"(?V1)[[\p{M}&&[\p{Inherited}\p{Latin}\p{Greek}\p{Cyrillic}\p{Hebrew}\p{Arabic}\p{Syriac}]]"
    r"--[\u3099\u309A]]"
)
_CYRILLIC = regex.compile(r"\p{Cyrillic}")
_CYRILLIC_ACCENTED = (
    "ёѐѝ"  # the other letters with a mark, such as й and ї, are letters of their own
)
_SARA_AM = (("\u0e4d\u0e32", "\u0e33"), ("\u0ecd\u0eb2", "\u0eb3"))  # a vowel of Thai and of Lao
_TATWEEL = "\u0640"  # lengthens an Arabic word for show
# Vowel points, cantillation and Koranic marks. Letters with a hamza or a madda are one character in form NFC.
_POINT = regex.compile(
    rf"(?V1)[[\p{{M}}&&[\p{{scx=Hebr}}\p{{scx=Arab}}\p{{scx=Syrc}}]&&[\u0590-\u08FF]]{_TATWEEL}]"
)


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
    if text.isascii() or not _MAYBE.search(text):
        return False
    return _LETTER.search(text) is not None


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


def fold_text(text: str) -> str:
    """Lower-case text in Unicode's compatibility form, without accents.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        In form NFC. Marks that are letters stay: vowel signs of Indic scripts, tones of Thai, the voicing of
        kana, the Cyrillic й. Invisible characters are left out.

    Examples
    --------
    >>> fold_text("Amélie"), fold_text("ﬁlm ＮＢＡ"), fold_text("Чёрный"), fold_text("フィルﾑ")
    ('amelie', 'film nba', 'черный', 'フィルム')
    >>> fold_text("हिन्दी"), fold_text("ガラス")
    ('हिन्दी', 'ガラス')
    """
    text = text.lower()
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)
    for parts, whole in _SARA_AM:  # which the form NFKC takes apart
        text = text.replace(parts, whole)
    for character in set(text):
        folded = _FOLDED[character]
        if folded != character:
            text = text.replace(character, folded)
    return text


def strip_points(text: str) -> str:
    """Leave out the vowel points of Hebrew, Arabic and Syriac, and the tatweel.

    Parameters
    ----------
    text : str
        In form NFC or NFKC.

    Returns
    -------
    str
        The letters, and the accents and marks of other scripts, as they are.

    Examples
    --------
    >>> strip_points("حَرْبٌ"), strip_points("حـرب"), strip_points("שָׁלוֹם"), strip_points("été हिन्दी")
    ('حرب', 'حرب', 'שלום', 'été हिन्दी')
    """
    return text if text.isascii() else _POINT.sub("", text)


# Letters of Persian and Urdu that are others of Arabic, or look so, where keyboards and programs differ.
_VARIANTS = str.maketrans(
    {"\u06cc": "\u064a", "\u06a9": "\u0643", "\u06c0": "\u0647", "\u06c1": "\u0647"}
)


def unify_letters(text: str) -> str:
    """Write the letters of Arabic script that keyboards give for each other as one: yeh, kaf and heh.

    Parameters
    ----------
    text : str
        In form NFC or NFKC.

    Returns
    -------
    str
        For comparisons only. Other scripts, and letters with a hamza, are as they are.

    Examples
    --------
    >>> unify_letters("کتابی") == unify_letters("كتابي")
    True
    """
    return text if text.isascii() else text.translate(_VARIANTS)


class _Folded(dict[str, str]):
    """Character → what it is folded to, found when it is first asked for."""

    def __missing__(self, character: str) -> str:
        folded = self[character] = _fold_character(character)
        return folded


_FOLDED = _Folded()


def _fold_character(character: str) -> str:
    if character == "\u200b":
        return " "
    if character == _TATWEEL or _IGNORED.match(character):
        return ""
    parts = unicodedata.normalize("NFD", character)
    accented = len(parts) > 1 and _CYRILLIC.match(character)
    if accented and character not in _CYRILLIC_ACCENTED:
        return character
    return unicodedata.normalize("NFC", _ACCENT.sub("", parts))


def space_out(text: str, split: Callable[[str], list[str]] | None = None) -> str:
    """Put spaces between the characters, or words, of scripts that have none between words.

    Parameters
    ----------
    text : str
    split : callable, optional
        Splits a run of letters of such scripts into words; by default into characters.

    Returns
    -------
    str
        The text itself where it has no such script.

    Examples
    --------
    >>> space_out("nba比赛, 决赛").split(), space_out("war")
    (['nba', '比', '赛', ',', '决', '赛'], 'war')
    """
    if not has_unspaced_script(text):
        return text
    if split is None:
        return _CHARACTER_OF_IT.sub(r" \g<0> ", text)
    return _RUN.sub(lambda run: f" {' '.join(split(run[0]))} ", text)


def is_hangul(text: str) -> bool:
    """Tell whether a text ends with a syllable of Korean.

    Parameters
    ----------
    text : str

    Returns
    -------
    bool

    Examples
    --------
    >>> is_hangul("공포"), is_hangul("恐怖")
    (True, False)
    """
    return bool(text) and "\uac00" <= text[-1] <= "\ud7a3"


def isolate_unspaced(text: str) -> str:
    """Put spaces around each run of letters of scripts without spaces.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> isolate_unspaced("nba比赛,决赛").split()
    ['nba', '比赛', ',', '决赛']
    """
    return _RUN.sub(r" \g<0> ", text) if has_unspaced_script(text) else text


def close_up(words: str) -> str:
    """Leave out the spaces that `space_out` put between characters.

    Parameters
    ----------
    words : str
        With one space between words.

    Returns
    -------
    str

    Examples
    --------
    >>> close_up("比 赛"), close_up("nba 比"), close_up("the war")
    ('比赛', 'nba 比', 'the war')
    """
    return _SPACE_INSIDE.sub("", words) if has_unspaced_script(words) else words
