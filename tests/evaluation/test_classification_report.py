"""The classification report has scikit-learn's values."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from hybrid.errors import SettingError
from hybrid.evaluation import classification_report

GENRES = ("Drama", "Horror", "War", "Western")


def answers(single: bool) -> tuple[np.ndarray, np.ndarray]:
    """60 items and 4 genres; nothing is ever said to be a Western, and there is no War."""
    draw = np.random.default_rng(0)
    if single:
        eye = np.eye(4, dtype=np.uint8)
        return eye[draw.integers(0, 4, 60)], eye[draw.integers(0, 3, 60)]
    truth, said = (draw.random((2, 60, 4)) < 0.4).astype(np.uint8)
    truth[:, 2] = said[:, 3] = 0
    return truth, said


@pytest.mark.parametrize("single", [False, True], ids=["multilabel", "multiclass"])
def test_the_values_are_those_of_scikit_learn(single: bool) -> None:
    truth, said = answers(single)
    found = classification_report(truth, said, GENRES)
    expected = metrics.classification_report(
        truth, said, target_names=list(GENRES), output_dict=True, zero_division=0
    )
    rows = {row.name: row for row in (*found.genres, *found.averages)}
    assert rows.keys() == expected.keys()
    for name, values in expected.items():
        row = rows[name]
        assert row.support == values["support"], name
        if not row.support:
            assert np.isnan([row.precision, row.recall, row.f1]).all()
            continue
        if name == "macro avg":
            values = metrics.classification_report(
                truth,
                said,
                labels=np.flatnonzero(truth.any(axis=0)),
                output_dict=True,
                zero_division=0,
            )["macro avg"]
        ours = (row.precision, row.recall, row.f1)
        theirs = (values["precision"], values["recall"], values["f1-score"])
        assert ours == pytest.approx(theirs), name


def test_a_genre_without_items_has_a_dash() -> None:
    lines = classification_report([[1, 0], [1, 0]], [[1, 1], [0, 0]], ["Drama", "War"]).text
    assert lines.splitlines()[2].split() == ["War", "–", "–", "–", "0"]
    assert lines.splitlines()[5].split() == ["macro", "avg", "1.000", "0.500", "0.667", "2"]
    assert len({len(line) for line in lines.splitlines()[:3]}) == 1


def test_one_label_an_item_has_the_averages_of_classes() -> None:
    """With classes scikit-learn prints the accuracy in the place of the micro average: they are equal."""
    truth, said = answers(single=True)
    expected = metrics.classification_report(
        truth.argmax(axis=1), said.argmax(axis=1), output_dict=True, zero_division=0
    )
    averages = {row.name: row for row in classification_report(truth, said, GENRES).averages}
    assert averages["micro avg"].f1 == pytest.approx(expected["accuracy"])
    assert averages["macro avg"].f1 == pytest.approx(expected["macro avg"]["f1-score"])
    assert averages["weighted avg"].recall == pytest.approx(expected["weighted avg"]["recall"])


def test_thresholds_stand_beside_their_genres() -> None:
    truth, said = answers(single=False)
    found = classification_report(truth, said, GENRES, {"Drama": 0.25, "War": None})
    assert [row.threshold for row in found.genres] == [0.25, None, None, None]
    lines = found.text.splitlines()
    assert lines[0].split() == ["precision", "recall", "f1", "support", "threshold"]
    assert lines[1].split()[-1] == "0.250"
    assert len({len(line) for line in lines[:2]}) == 1


def test_shapes_are_checked() -> None:
    with pytest.raises(SettingError, match="expected 2 genres, found 4"):
        classification_report([[1, 0]], [[1, 0]], GENRES)
