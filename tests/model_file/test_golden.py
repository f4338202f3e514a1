"""Models that the oldest supported scikit-learn wrote are read by the installed one, and answer the same."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from hybrid.heads import HybridClassifier
from hybrid.heads.registry import HEADS
from hybrid.model_file import load_model
from hybrid.model_file.files import FORMAT

MODELS = Path(__file__).parents[1] / "golden/models"
FOLDERS = {1: MODELS, 3: MODELS / "format-3", 4: MODELS / "format-4"}
EXPECTED = {n: json.loads((path / "expected.json").read_text()) for n, path in FOLDERS.items()}


def test_they_are_of_the_oldest_version() -> None:
    assert FORMAT in EXPECTED
    for expected in EXPECTED.values():
        assert expected["scikit-learn"].startswith("1.6.")
        assert set(expected["scores"]) == {*HEADS, "chain"}


@pytest.mark.parametrize(
    ("number", "name"), [(n, name) for n, found in EXPECTED.items() for name in found["scores"]]
)
def test_a_golden_model_answers_the_same(number: int, name: str) -> None:
    """To rounding: the library of linear algebra is another one elsewhere."""
    path = FOLDERS[number] / f"{name}.json"
    assert json.loads(path.read_text())["format"] == number
    model = load_model(path, HybridClassifier)
    films = runpy.run_path(str(MODELS / "write.py"))["films"]()
    found = model.decision_function(films)
    expected = np.array(EXPECTED[number]["scores"][name])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert model.predict(films).shape == (40, 2)
