"""Same and near-same texts in any script."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from hybrid.audit.audit import audit_catalogue
from hybrid.catalogue import load_catalogue
from hybrid.duplicates.groups import text_duplicates, title_duplicates
from hybrid.duplicates.similarity import count_words, tokenize
from hybrid.splitting.methods import make_splits
from hybrid.splitting.splits import make_split

LETTERS = {
    "Chinese": "房争冬过城路火生来的会里工船平老那庄子年和校友学窗长警师故牧场在市晚园钱轻乐音",
    "Japanese": "あいうえおかきくけこさしすせそたちつてとアイウエオカキクケコ夜空時間物語町海山",
    "Thai": "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศสหอฮ",
    "Khmer": "កខគឃងចឆជឈញដឋឌឍណតថទធនបផពភម",
    "Myanmar": "ကခဂဃငစဆဇဈညဋဌဍဎဏတထဒဓနပဖဗဘမ",
    "Lao": "ກຂຄງຈຊຍດຕຖທນບປຜຝພຟມຢຣລວສຫອຮ",
}


def story(letters: str, seed: int, n: int = 90) -> str:
    return "".join(np.random.default_rng(seed).choice(list(letters), n)) + "。"


@pytest.mark.parametrize("script", list(LETTERS))
def test_equal_texts_are_equal_in_scripts_without_spaces(script: str) -> None:
    texts = [story(LETTERS[script], i) for i in range(8)]
    texts += [
        f"「{texts[0]}」!",
        "新版" + texts[1],
        texts[2][:30] + "x" + texts[2][31:60] + texts[2][62:],
    ]
    ids = [f"f{i}" for i in range(len(texts))]
    same, near = text_duplicates(ids, texts)
    assert same.groups == (("f0", "f8"),)
    assert near.groups == (("f1", "f9"), ("f2", "f10"))


@pytest.mark.parametrize("script", list(LETTERS))
def test_short_texts_of_them_say_nothing(script: str) -> None:
    short, long = (LETTERS[script] * 2)[:15], (LETTERS[script] * 2)[:16]
    assert text_duplicates(["a", "b"], [short, short])[0].groups == ()
    assert text_duplicates(["a", "b"], [long, long])[0].groups == (("a", "b"),)


def test_forms_of_one_character_are_the_same() -> None:
    text = "Une fenêtre s'ouvre sur l'été, et déjà la forêt brûle à côté."
    korean = "어느 여름날 두 친구 는 오래된 지도 를 낡은 집 에서 발견 한다"
    pairs = [text, unicodedata.normalize("NFD", text), korean, unicodedata.normalize("NFD", korean)]
    assert text_duplicates(list("abcd"), pairs)[0].groups == (("a", "b"), ("c", "d"))
    assert tokenize("ＮＢＡ ｶﾞﾗｽ") == tokenize("nba ガラス")


def test_marks_of_indic_scripts_tell_words_apart() -> None:
    titles = ["काला", "कील", "काला", "தமிழ்", "தமழ"]  # without the vowel signs the first two are one
    assert title_duplicates(list("abcde"), titles, ["1999"] * 5).groups == (("a", "c"),)
    words = [f"{a}{b}" for a in ("का", "कि", "कु") for b in ("ला", "ली", "लू")]
    assert tokenize(" ".join(words)) == words
    assert count_words(words) == 9
    other = [word.replace("ा", "े") for word in words]
    assert text_duplicates(["a", "b"], [" ".join(words), " ".join(other)])[0].groups == ()


def test_english_words_are_as_before() -> None:
    text = "A man_1 finds an old map, 3.5 miles away; it's L'Été (1979)."
    words = "a man_1 finds an old map 3 5 miles away it s l été 1979"
    assert tokenize(text) == words.split()
    assert count_words(tokenize(text)) == 15


@pytest.mark.parametrize("script", ["Chinese", "Japanese", "Thai"])
def test_a_split_ties_them_and_an_audit_finds_them(script: str, tmp_path: Path) -> None:
    rows = [f"f{i:02},T{i},{story(LETTERS[script], i // 2)},Drama" for i in range(60)]
    (tmp_path / "c.csv").write_text(
        "\n".join(["id,title,overview,genres", *rows]), encoding="utf-8"
    )
    catalogue = load_catalogue(tmp_path / "c.csv")
    (split,) = make_splits(catalogue)
    assert len(set(split.groups.tolist())) == 30
    assert audit_catalogue(catalogue, split).clean
    parted = make_split(catalogue.ids, catalogue.labels)
    (leak,) = audit_catalogue(catalogue, parted).leaks
    assert leak.kind == "same overview"


@pytest.mark.parametrize(
    ("bare", "pointed"),
    [
        ("حرب قرية مدينة", ["حَرْبٌ قَرْيَةٌ مَدِينَةٌ", "حـــرب قـرية مـدينة", "حرـبَ قرـيةُ مدينـة"]),
        ("الله رحمن", ["اللّٰه رَحْمٰن"]),
        ("שלום מלחמה", ["שָׁלוֹם מִלְחָמָה", "שָׁלוֹם מִלְחָמָ֑ה"]),
    ],
)
def test_vowel_points_and_tatweel_make_no_other_text(bare: str, pointed: list[str]) -> None:
    for text in pointed:
        for form in ("NFC", "NFD", "NFKC"):
            assert tokenize(unicodedata.normalize(form, text)) == bare.split()
    story = f"{bare} " * 4
    (same, _) = text_duplicates(["a", "b"], [story, f"{pointed[0]} " * 4])
    assert same.groups == (("a", "b"),)


def test_letters_of_persian_and_arabic_keyboards_make_no_other_text() -> None:
    story = "کتابی از یک زن که می‌رود و شهری کوچک در کنار دریا"
    other = story.replace("ی", "ي").replace("ک", "ك")
    assert other != story
    (same, _) = text_duplicates(["a", "b"], [story, other])
    assert same.groups == (("a", "b"),)


@pytest.mark.parametrize(
    "text",
    ["été naïve ångström", "призрак йод", "हिन्दी फ़िल्म", "பேய் படம்", "ἔργον", "أمل آمال سؤال شيء"],
)
def test_other_marks_and_letters_with_a_hamza_stay(text: str) -> None:
    assert tokenize(text) == unicodedata.normalize("NFKC", text).split()
