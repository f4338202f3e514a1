"""What gives a label away is found, and what merely helps is not."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid.audit.label_leakage import categorical_leakage, numeric_leakage, text_leakage

GENRES = ("Comedy", "Science Fiction")


@pytest.fixture
def labels() -> np.ndarray:
    return (np.random.default_rng(0).random((300, 2)) < 0.4).astype(np.uint8)


@pytest.fixture
def folds() -> np.ndarray:
    return np.arange(300) % 3


def test_a_text_that_names_the_label_is_found(labels: np.ndarray) -> None:
    texts = ["A man walks."] * 300
    own = np.flatnonzero(labels[:, 1])
    for i in own[:40]:
        texts[i] = "A SCIENCE-fiction tale."
    (found,) = text_leakage(texts, labels, GENRES, "overview")
    assert (found.genre, found.column, found.score) == ("Science Fiction", "overview", 1.0)
    assert found.items.tolist() == own[:40].tolist()
    for i in np.flatnonzero(labels[:, 1] == 0)[:5]:  # 40 of 45 are below nine tenths
        texts[i] = "Not science fiction."
    assert text_leakage(texts, labels, GENRES, "overview") == []


def test_a_text_that_names_it_now_and_then_is_not(labels: np.ndarray) -> None:
    texts = ["A man walks."] * 300
    own = np.flatnonzero(labels[:, 0])
    for i in own[: len(own) // 10 - 1]:
        texts[i] = "A comedy about men. Comedic."
    assert text_leakage(texts, labels, GENRES, "overview") == []


@pytest.mark.parametrize(
    ("genre", "naming", "other"),
    [
        ("恐怖", "这是一部恐怖片。", "恐龙与怖惧"),  # the characters alone are not the word
        ("ホラー", "新しいホラー映画", "ホテルのラーメン"),
        ("ตลก", "ภาพยนตร์ตลกเรื่องนี้", "ตลาดโลก"),
        ("कॉमेडी", "यह कॉमेडी है", "यह कॉम एडी है"),
        ("코미디", "코미디를 보다", "하코미디움"),  # a particle behind it, not the middle of a word
        ("Комедия", "Это комедия.", "Комед и я"),
        ("Comédie", "Une come\u0301die noire.", "Un comédien."),
        ("كوميديا", "فيلم كوميديا", "كوم يديا"),
    ],
)
def test_a_label_is_named_in_any_script(genre: str, naming: str, other: str) -> None:
    labels = np.array([[1], [1], [0], [0]], dtype=np.uint8)
    texts = [naming, f"{naming} 2", other, ""]
    (found,) = text_leakage(texts, labels, [genre], "overview")
    assert (found.score, found.items.tolist()) == (1.0, [0, 1])


def test_a_label_of_signs_only_is_in_no_text() -> None:
    labels = np.array([[1], [1], [0]], dtype=np.uint8)
    assert text_leakage(["", "?", "a film"], labels, ["?!"], "overview") == []


def test_values_that_are_the_label_are_found(labels: np.ndarray, folds: np.ndarray) -> None:
    codes = [["28"] if row[0] else ["35", "7"] for row in labels]
    (found,) = categorical_leakage(codes, labels, GENRES, folds, "code")
    assert (found.genre, found.column) == ("Comedy", "code")
    assert found.score == pytest.approx(1.0)
    assert found.items.tolist() == np.flatnonzero(labels[:, 0]).tolist()


def test_values_that_each_item_has_alone_tell_nothing(
    labels: np.ndarray, folds: np.ndarray
) -> None:
    # In the fold itself each value tells its label perfectly; out of fold it is unknown.
    assert categorical_leakage([[str(i)] for i in range(300)], labels, GENRES, folds, "name") == []
    assert categorical_leakage([[] for _ in range(300)], labels, GENRES, folds, "empty") == []


def test_values_that_only_help_are_not_found(labels: np.ndarray, folds: np.ndarray) -> None:
    random = np.random.default_rng(1)
    codes = [["a" if row[0] != (random.random() < 0.15) else "b"] for row in labels]
    assert categorical_leakage(codes, labels, GENRES, folds, "certificate") == []


def test_a_number_that_is_the_label_is_found(labels: np.ndarray, folds: np.ndarray) -> None:
    random = np.random.default_rng(2)
    numbers = random.random(300) + 10 * labels[:, 1]
    numbers[:3] = np.nan
    (found,) = numeric_leakage(numbers, labels, GENRES, folds, "score")
    assert (found.genre, found.column) == ("Science Fiction", "score")
    assert numeric_leakage(random.random(300), labels, GENRES, folds, "year") == []


def test_few_items_tell_nothing(folds: np.ndarray) -> None:
    labels = np.zeros((300, 2), dtype=np.uint8)
    labels[:19, 0] = 1
    codes = [[str(row[0])] for row in labels]
    assert categorical_leakage(codes, labels, GENRES, folds, "code") == []
    labels[19, 0] = 1
    codes = [[str(row[0])] for row in labels]
    assert len(categorical_leakage(codes, labels, GENRES, folds, "code")) == 1
