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

MODELS = Path(__file__).parents[1] / "golden/models"
EXPECTED = json.loads((MODELS / "expected.json").read_text())


def test_they_are_of_the_oldest_version() -> None:
    assert EXPECTED["scikit-learn"].startswith("1.6.")
    assert set(EXPECTED["scores"]) == {*HEADS, "chain"}


@pytest.mark.parametrize("name", EXPECTED["scores"])
def test_a_golden_model_answers_the_same(name: str) -> None:
    """To rounding: the library of linear algebra is another one elsewhere."""
    model = load_model(MODELS / f"{name}.json", HybridClassifier)
    films = runpy.run_path(str(MODELS / "write.py"))["films"]()
    found = model.decision_function(films)
    np.testing.assert_allclose(found, np.array(EXPECTED["scores"][name]), rtol=1e-5, atol=1e-6)
    assert model.predict(films).shape == (40, 2)
