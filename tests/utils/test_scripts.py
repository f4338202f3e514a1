"""Words and characters in any script: by hand, and beside Python's own class of word characters."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.utils.scripts import has_unspaced_script, split_characters, split_words

WORDS = [
    ("A War-film, it's 3.5 l'Été!", ["A", "War", "film", "it", "s", "3", "5", "l", "Été"]),
    ("snake_case x2 ½", ["snake_case", "x2", "½"]),
    ("Страшный фильм", ["Страшный", "фильм"]),
    ("ταινία τρόμου", ["ταινία", "τρόμου"]),
    ("فيلم رعب", ["فيلم", "رعب"]),
    ("می\u200cخواهم", ["میخواهم"]),  # the joiner is inside the word
    ("סרט אימה", ["סרט", "אימה"]),
    ("공포 영화", ["공포", "영화"]),
    ("हिन्दी फ़िल्म", ["हिन्दी", "फ़िल्म"]),  # vowel signs and viramas are parts of words
    ("தமிழ் படம்", ["தமிழ்", "படம்"]),
    ("বাংলা ছবি", ["বাংলা", "ছবি"]),
    ("恐怖电影。", ["恐", "怖", "电", "影"]),
    ("看NBA比赛2次", ["看", "NBA", "比", "赛", "2", "次"]),
    ("ホラー映画「リング」", ["ホ", "ラ", "ー", "映", "画", "リ", "ン", "グ"]),
    ("หนังผี น้ำ", ["ห", "นั", "ง", "ผี", "น้ำ"]),
    ("ភាពយន្ត", ["ភា", "ព", "យ", "ន្ត"]),
    ("မြန်မာ", ["မြ", "န်", "မာ"]),
    ("ພາສາລາວ", ["ພ", "າ", "ສ", "າ", "ລ", "າ", "ວ"]),
    ("so\u00adft \u200bhy\u200bphen", ["soft", "hy", "phen"]),
    ("❤\ufe0flove 👩\u200d👧", ["love"]),
    ("", []),
]


@pytest.mark.parametrize(("text", "words"), WORDS)
def test_words_in_any_script(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "unspaced"),
    [("war", False), ("été", False), ("공포", False), ("हिन्दी", False), ("、。「」・", False),
     ("恐怖", True), ("ー", True), ("a ผี", True), ("々", True), ("ខ្មែរ", True)],
)  # fmt: skip
def test_scripts_without_spaces(text: str, unspaced: bool) -> None:
    assert has_unspaced_script(text) is unspaced


@given(st.text())
def test_characters_joined_are_the_text(text: str) -> None:
    assert "".join(split_characters(text)) == text


def test_marks_stay_on_their_letter() -> None:
    assert split_characters("ผีน้ำ") == ["ผี", "น้ำ"]
    assert split_characters("e\u0301t") == ["e\u0301", "t"]


def test_words_of_alphabets_are_those_of_python() -> None:
    """Of every letter, digit and sign that belongs to no unspaced script: alone, it is what ``\\w`` says."""
    for code in range(sys.maxunicode + 1):
        sign = chr(code)
        kind = unicodedata.category(sign)
        if kind[0] in "MC" or has_unspaced_script(sign):
            continue  # marks alone are no words; the surrogates, and what this Python does not know
        assert split_words(sign) == re.findall(r"\w", sign), hex(code)
