"""The whole way on the embedded sample, of fewer films and epochs than a user gets."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hybrid import demo, report
from hybrid.utils.context import Context
from hybrid.utils.progress import Progress

pytestmark = pytest.mark.usefixtures("eager_networks")

NETWORKS = ["scratch", "text-net", "fused-net", "fused-tuned"]
HEADS = ["svm", "svm-poster", "svm-text", "svm-metadata", "dummy-stratified"]


def say_nothing_new(*arguments: Any, **options: Any) -> None:
    raise AssertionError("what is there was made again")


def embeddings(folder: Path) -> set[tuple[Path, int]]:
    """The files of embeddings, and when each was written."""
    found = (folder / ".hybrid-cache").rglob("*.h5")
    return {(path, path.stat().st_mtime_ns) for path in found}


@pytest.mark.filterwarnings("ignore:Liblinear failed to converge")
def test_demo_goes_the_whole_way_and_uses_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "EPOCHS", 1)
    monkeypatch.setattr(demo, "FUSED_EPOCHS", 1)
    few = functools.partial(demo.write_sample, n_items=40)
    monkeypatch.setattr(demo, "write_sample", few)
    monkeypatch.setattr(report, "make_report", functools.partial(report.make_report, draws=50))
    folder = tmp_path / "demo"
    first = demo.run_demo(folder, context=Context(workers=2))
    split = pd.read_csv(folder / "splits.csv")
    assert set(split["split"]) == {"train", "validation", "test"}
    assert set(split["id"]) <= set(pd.read_csv(folder / "catalogue.csv")["film_id"])
    names = {run.name for run in first.runs}
    assert names == {*NETWORKS, *HEADS}
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not [name for name in names if not re.search(rf"\b{name}\b", page)]

    for name in ("write_sample", "fit_deep"):
        monkeypatch.setattr(demo, name, say_nothing_new)
    (folder / "report.html").unlink()
    kept = embeddings(folder)
    assert kept
    capsys.readouterr()
    again = demo.run_demo(folder, context=Context(workers=2, progress=Progress(quiet=False)))
    said = capsys.readouterr().err
    assert re.findall(r"runs/([a-z-]+) is there already", said) == NETWORKS
    assert embeddings(folder) == kept
    assert (folder / "report.html").exists()
    assert {run.name for run in again.runs} == names

    monkeypatch.setattr(demo, "EPOCHS", 2)
    with pytest.raises(AssertionError, match="made again"):
        demo.run_demo(folder, context=Context(workers=2))  # other settings are another training
