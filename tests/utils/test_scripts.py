"""Words and characters in any script: by hand, and beside Python's own class of word characters."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.utils import scripts
from hybrid.utils.scripts import (
    close_up,
    fold_text,
    has_unspaced_script,
    isolate_unspaced,
    space_out,
    split_characters,
    split_words,
)

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


def test_the_quick_look_misses_no_letter() -> None:
    """Every character of every plane that has letters: the quick look agrees with Unicode's properties."""
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    quick = {
        letter for letter in scripts._LETTER.findall(every) if not scripts._MAYBE.match(letter)
    }
    assert not quick


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


def plain(text: str) -> str:
    """As scikit-learn's ``strip_accents="unicode"`` reads a text in lower case."""
    parts = unicodedata.normalize("NFKD", text.lower())
    return "".join(sign for sign in parts if not unicodedata.combining(sign))


LATIN_AND_GREEK = st.text(
    st.characters(
        min_codepoint=0x20,
        max_codepoint=0x3FF,
        exclude_categories=["Cf", "Cn"],
        exclude_characters="\u034f",
    )
    | st.sampled_from(
        "\u1ea3\u1f00\u2019\u2014\u201c\ufb01\uff21\u00a8\u0130\u03a3\u00bd\u2122\u3000"
    )
)


@given(LATIN_AND_GREEK)
def test_latin_and_greek_are_folded_as_scikit_learn_does(text: str) -> None:
    """But for invisible joiners, which are left out."""
    assert fold_text(text) == plain(text)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Чёрный май", "черный май"),  # the short i is a letter, the dots are left out by many
        ("Київ", "київ"),
        ("за\u0301мок", "замок"),  # stress
        ("हिन्दी", "हिन्दी"),
        ("ผีน้ำ", "ผีน้ำ"),  # the tone stays
        ("ガラス", "ガラス"),
        ("ｶﾞﾗｽ", "ガラス"),
        ("か\u3099", "が"),
        ("한국", "한국"),
        ("\u1112\u1161\u11ab", "한"),
        ("مُحَمَّد", "محمد"),
        ("كـتاب", "كتاب"),
        ("שָׁלוֹם", "שלום"),
        ("می\u200cخواهم", "میخواهم"),
        ("so\u00adft", "soft"),
        ("ไทย\u200bลาว", "ไทย ลาว"),
        ("❤\ufe0fLove", "❤love"),
    ],
)
def test_marks_that_are_letters_stay(text: str, folded: str) -> None:
    assert fold_text(text) == folded
    assert fold_text(unicodedata.normalize("NFD", text)) == folded
    assert fold_text(folded) == folded


def test_every_letter_of_an_unspaced_script_is_found() -> None:
    """Beside the quick look, each letter is in a word of its own and has spaces put around it."""
    for code in (
        0x0E01,
        0x0EDD,
        0x1000,
        0x1780,
        0x19AA,
        0x3005,
        0x3042,
        0x30FC,
        0x4E00,
        0xA000,
        0x20000,
    ):
        letter = chr(code)
        assert has_unspaced_script(f"a{letter}")
        assert split_words(f"ab{letter}{letter}cd") == ["ab", letter, letter, "cd"]
        assert space_out(f"ab{letter}{letter}cd").split() == ["ab", letter, letter, "cd"]


def test_spaces_are_put_in_and_left_out() -> None:
    assert space_out("nba比赛 ผีน้ำ").split() == ["nba", "比", "赛", "ผี", "น้ำ"]
    assert isolate_unspaced("nba比赛, ผีน้ำ2").split() == ["nba", "比赛", ",", "ผีน้ำ", "2"]
    assert close_up("ผี น้ำ") == "ผีน้ำ"
    assert close_up("nba 比 赛 in") == "nba 比赛 in"
    for text in ("the war", "공포 영화", "हिन्दी"):
        assert space_out(text) is text
        assert close_up(text) == text
