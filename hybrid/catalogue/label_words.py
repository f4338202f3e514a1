"""Labels of a catalogue: words for nothing, marks of the unknown, and what tells that two labels are one."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from hybrid.utils.scripts import strip_points, unify_letters

UNKNOWN = "?"  # before a label that was not looked at
CACHED = 100_000  # words whose answer is kept: the cells of a catalogue repeat them
ALL = "*"  # every label that an item does not have

# What people and programs write where an item has no label, in lower case and without brackets.
_NOTHING = frozenset(
    (
        "n/a", "n.a.", "n.a", "na", "nan", "none", "null", "nil", "\\n", "nat", "#n/a", "undefined",
        "unknown", "unspecified", "not specified", "not available", "not applicable", "missing", "empty",
        "tba", "tbd", "tbc", "no genre", "no genres", "no genres listed", "no genre listed", "none listed",
        "not listed", "no label", "no labels", "no tag", "no tags", "no category", "no categories",
        "unlabelled", "unlabeled", "untagged", "blank", "void", "array[]", "list[]",
        "keine", "keine angabe", "k.a.", "k. a.", "unbekannt", "inconnu", "inconnue", "aucun", "aucune",
        "desconocido", "desconocida", "ninguno", "ninguna", "sconosciuto", "nessuno", "desconhecido",
        "nenhum", "onbekend", "geen", "okänd", "ukjent", "ukendt", "nieznany", "brak", "неизвестно",
        "нет данных", "нет", "不明", "未知", "なし", "无", "無", "暂无", "없음", "미상", "bilinmiyor",
        "अज्ञात",
    )
)  # fmt: skip
_BRACKETS = ("()", "[]", "{}", "<>", '""', "''")
_MARKS = re.compile(r"""[\s\-‐-―−_.…?*/\\()\[\]{}<>|;:,'"~]+""")
# What two spellings of a label may differ in, besides their case.
_JOINERS = re.compile("[\\s\\-‐-―−_·\u00ad\u200b-\u200d\u2060\ufeff]+")


@lru_cache(maxsize=CACHED)
def means_nothing(word: str) -> bool:
    r"""Tell whether a label is a word for nothing, such as ``N/A`` or ``(no genres listed)``.

    Parameters
    ----------
    word : str

    Returns
    -------
    bool

    Examples
    --------
    >>> [means_nothing(word) for word in ("N/A", "(no genres listed)", "[]", "-", "Drama", "C++")]
    [True, True, True, True, False, False]
    """
    word = unicodedata.normalize("NFKC", word).strip().lower()
    while len(word) > 1 and word[0] + word[-1] in _BRACKETS:
        word = word[1:-1].strip()
    return word in _NOTHING or not word or _MARKS.fullmatch(word) is not None


@lru_cache(maxsize=CACHED)
def twin_key(label: str) -> str:
    r"""Reduce a label to what its spellings share: case, Unicode form, spaces and hyphens aside.

    Parameters
    ----------
    label : str

    Returns
    -------
    str

    Examples
    --------
    >>> twin_key("Sci-Fi") == twin_key("sci fi"), twin_key("Come\u0301die") == twin_key("Comédie")
    (True, True)
    >>> twin_key("C++") == twin_key("C#")
    False
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    return _JOINERS.sub("", unify_letters(strip_points(folded))) or folded
