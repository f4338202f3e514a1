"""A split whose test items have no known label is refused before anything is fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hybrid.catalogue import load_catalogue
from hybrid.errors import SplitError
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.types import Split


@pytest.mark.parametrize("cell", ["", "?Drama", "?Drama|?War", "?*"])
def test_test_items_without_a_known_label_are_refused(tmp_path: Path, cell: str) -> None:
    labels = [*["Drama", "War"] * 6, *[cell] * 4]
    rows = "".join(f"{i},{label},a title\n" for i, label in enumerate(labels))
    path = tmp_path / "c.csv"
    path.write_text(f"id,genres,title\n{rows}")
    catalogue = load_catalogue(path)
    parts = np.array(["train"] * 8 + ["validation"] * 4 + ["test"] * 4)
    split = Split(catalogue.ids, parts, catalogue.ids, "")
    experiment = Experiment(catalogue, split, tmp_path / "runs/text")
    with pytest.raises(SplitError, match="no test item has a label that is known"):
        fit_head(experiment, make_hybrid(catalogue, blocks=["text"], folds=2), {})
    assert not (tmp_path / "runs/text").exists()
