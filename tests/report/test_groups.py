"""A report of runs that cannot all be compared: one group for each task, set of test items and split."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import RunError
from hybrid.report import as_text, make_report
from hybrid.report.alignment import align_runs
from hybrid.runs.folder import new_run, read_run
from hybrid.runs.migration import FORMAT
from hybrid.runs.predictions_file import write_predictions
from hybrid.runs.record import RunRecord
from hybrid.types import Predictions

N, TEST = 60, 40
GENRES = ("Comedy", "Drama", "Horror", "War")
FOUR = ("Comedy", "Drama", "Horror")
TASK = {"kind": "multiclass", "genres": list(FOUR)}


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """Films with one to three genres, Drama the most frequent; some have none of `FOUR`."""
    random = np.random.default_rng(4)
    labels = random.random((N, 4)) < [0.4, 0.6, 0.3, 0.2]
    labels[~labels.any(axis=1), 3] = True
    cells = ["|".join(np.array(GENRES)[row]) for row in labels]
    path = tmp_path / "catalogue.csv"
    pd.DataFrame({"id": [f"i{k}" for k in range(N)], "genres": cells}).to_csv(path, index=False)
    return load_catalogue(path)


def dominant(catalogue: Catalogue) -> dict[str, str]:
    """The most frequent of the genres in `FOUR` that each item has, counted by hand."""
    cells = {i: c.split("|") for i, c in zip(catalogue.ids, catalogue.table["genres"], strict=True)}
    count = {genre: sum(genre in cell for cell in cells.values()) for genre in FOUR}
    assert len(set(count.values())) == len(FOUR)
    kept = {name: [g for g in cell if g in FOUR] for name, cell in cells.items()}
    return {name: max(cell, key=count.__getitem__) for name, cell in kept.items() if cell}


def write(catalogue: Catalogue, name: str, scores: dict[str, np.ndarray], **record: Any) -> Path:
    """A run with these scores of the test items; one label an item if its task is multi-class."""
    ids = [i for i in scores if int(i[1:]) < TEST]
    matrix = np.array([scores[i] for i in ids]).round(6)
    several = "task" not in record
    labels = matrix >= 0.5 if several else matrix == matrix.max(axis=1, keepdims=True)
    genres = GENRES if several else FOUR
    predictions = Predictions(
        np.array(ids), np.full(len(ids), "test"), genres, labels.astype(np.uint8), matrix
    )
    folder = catalogue.path.parent / "runs" / name
    with new_run(folder) as temporary:
        RunRecord.from_json({"format": FORMAT, "genres": list(genres), **record}).write(temporary)
        write_predictions(temporary / "predictions.csv", predictions)
    return folder


def noisy(catalogue: Catalogue, genres: tuple[str, ...], noise: float) -> dict[str, np.ndarray]:
    """Scores of each item: its true labels, the dominant one if `FOUR`, and some noise."""
    random, truth = np.random.default_rng(1), dominant(catalogue)
    cells = dict(zip(catalogue.ids, catalogue.table["genres"], strict=True))
    known = (
        {i: [truth[i]] for i in truth}
        if genres == FOUR
        else {i: c.split("|") for i, c in cells.items()}
    )
    found = {}
    for name, labels in known.items():
        score = np.array([g in labels for g in genres]) + noise * random.random(len(genres))
        found[name] = score / (score.sum() if genres == FOUR else 1 + noise)
    return found


@pytest.fixture
def runs(catalogue: Catalogue) -> list[Path]:
    """Two multi-label runs, two multi-class ones; the better one is last."""
    return [
        write(catalogue, "several-poor", noisy(catalogue, GENRES, 2.0)),
        write(catalogue, "several-good", noisy(catalogue, GENRES, 0.5)),
        write(catalogue, "one-poor", noisy(catalogue, FOUR, 3.0), task=TASK),
        write(catalogue, "one-good", noisy(catalogue, FOUR, 1.3), task=TASK),
    ]


def test_runs_are_compared_with_those_of_their_task(
    catalogue: Catalogue, runs: list[Path], tmp_path: Path
) -> None:
    report = make_report(catalogue, runs, tmp_path / "r.html", draws=20)
    assert [[run.name for run in group.runs] for group in report.groups] == [
        ["several-good", "several-poor"],
        ["one-good", "one-poor"],
    ]
    assert [group.items for group in report.groups] == [
        TEST,
        sum(int(i[1:]) < TEST for i in dominant(catalogue)),
    ]
    table = pd.read_csv(tmp_path / "r.csv")
    assert table["group"].tolist() == [1, 1, 2, 2]
    assert table["task"].tolist() == ["multilabel"] * 2 + ["multiclass"] * 2
    text = as_text(report)
    assert (
        text.index("several-good")
        < text.index("One genre an item: 3 genres")
        < text.index("one-good")
    )
    data = json.loads((tmp_path / "r.json").read_text())
    assert [group["task"] for group in data["groups"]] == ["multilabel", "multiclass"]
    assert [(run["name"], run["group"]) for run in data["runs"]][2:] == [
        ("one-good", 2),
        ("one-poor", 2),
    ]
    assert data["winner"] == data["groups"][0]["winner"]


def some(catalogue: Catalogue, first: int, last: int) -> dict[str, np.ndarray]:
    """Scores of the test items from `first` to before `last`."""
    scores = noisy(catalogue, GENRES, 1.0)
    return {f"i{k}": scores[f"i{k}"] for k in range(first, last)}


def test_a_group_that_leaks_is_not_first(catalogue: Catalogue, tmp_path: Path) -> None:
    leak = {"kind": "same id", "count": 3, "share": 0.1, "pairs": []}
    leaky = {"clean": False, "checks": ["same id"], "leaks": [leak]}
    clean = {"clean": True, "checks": ["same id"], "leaks": []}
    runs = [
        write(catalogue, "leaky-1", some(catalogue, 0, 40), audit=leaky),
        write(catalogue, "leaky-2", some(catalogue, 0, 40), audit=clean),
        write(catalogue, "lone", some(catalogue, 0, 30), audit=clean),
        write(catalogue, "small-1", some(catalogue, 0, 20), audit=clean),
        write(catalogue, "small-2", some(catalogue, 0, 20), audit=clean),
        write(catalogue, "shorter", some(catalogue, 0, 10), audit=clean),
    ]
    report = make_report(catalogue, runs, tmp_path / "r.html", draws=5)
    assert [{run.name for run in group.runs} for group in report.groups] == [
        {"small-1", "small-2"},
        {"lone"},
        {"shorter"},
        {"leaky-1", "leaky-2"},
    ]
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["winner"].startswith("small-1 and small-2")
    assert data["leaks"] == []


def test_groups_with_one_title_say_what_differs(catalogue: Catalogue, tmp_path: Path) -> None:
    four = noisy(catalogue, FOUR, 1.0)
    runs = [
        write(catalogue, "dominant", four, task=TASK),
        write(catalogue, "first", four, task={**TASK, "single_label": "first"}),
        write(catalogue, "a", some(catalogue, 0, 20), split={"sha256": "12345678" + "a" * 56}),
        write(catalogue, "b", some(catalogue, 20, 40), split={"sha256": "12345678" + "b" * 56}),
        write(catalogue, "c", some(catalogue, 10, 30), split={"sha256": "c" * 64}),
        write(catalogue, "untold-1", some(catalogue, 0, 12)),
        write(catalogue, "untold-2", some(catalogue, 5, 17)),
        write(catalogue, "alone", some(catalogue, 0, 15)),
    ]
    report = make_report(catalogue, runs, tmp_path / "r.html", draws=5)
    titles = {group.runs[0].name: group.title for group in report.groups}
    assert len(set(titles.values())) == len(runs)
    items = sum(int(i[1:]) < TEST for i in dominant(catalogue))
    start = f"One genre an item: 3 genres, {items} test items; single label: "
    assert [titles["dominant"], titles["first"]] == [f"{start}dominant", f"{start}first"]
    start = "Several genres an item: 4 genres, 20 test items; split "
    digits = ["12345678a", "12345678b", "cccccccc"]
    assert [titles[name] for name in "abc"] == [start + each for each in digits]
    assert titles["alone"] == "Several genres an item: 4 genres, 15 test items"
    for name in ("untold-1", "untold-2"):
        assert re.search("; test items [0-9a-f]{8}$", titles[name])
    heads = re.findall("<h1[^>]*>(.*?)</h1>", (tmp_path / "r.html").read_text())
    assert len(set(heads)) == len(heads)
    text = as_text(report)
    assert all(title in text for title in titles.values())


def test_a_title_counts_one(compared: Callable[..., Any]) -> None:
    made = compared(("a",), np.ones((1, 1), dtype=np.uint8), {"svm": np.full((1, 1), 0.9)})
    assert made.title == "Several genres an item: 1 genre, 1 test item"


def test_figures_are_scikit_learns_on_one_label_an_item(
    catalogue: Catalogue, runs: list[Path], tmp_path: Path
) -> None:
    report = make_report(catalogue, runs[2:], tmp_path / "r.html", draws=20)
    real = dominant(catalogue)
    for run in report.runs:
        table = pd.read_csv(tmp_path / "runs" / run.name / "predictions.csv")
        truth, said = [real[name] for name in table["id"]], table["genres"].tolist()
        found = {name: value.value for name, value in run.evaluation.metrics.items()}
        for average in ("macro", "weighted", "micro"):
            assert found[f"f1_{average}"] == pytest.approx(f1_score(truth, said, average=average))
        assert found["subset_accuracy"] == pytest.approx(accuracy_score(truth, said))


def test_names_on_a_page_of_several_groups_are_unique(
    catalogue: Catalogue, runs: list[Path], tmp_path: Path
) -> None:
    history = {
        "stage": ["head"] * 2,
        "loss": [2.0, 1.0],
        "val_loss": [2.0, 1.5],
        "val_f1": [0.1, 0.2],
    }
    stages = [{"name": "fit", "seconds": 2.0, "peak_mib": 9.0}]
    half = {"value": 0.5, "low": 0.4, "high": 0.6}
    curve = {"points": [{"items": n, "f1_weighted": half, "map_macro": half} for n in (50, 100)]}
    more: dict[str, Any] = {"stages": stages, "history": history, "curve": curve}
    runs = [
        write(catalogue, "several", noisy(catalogue, GENRES, 2.0), **more),
        write(catalogue, "one", noisy(catalogue, FOUR, 3.0), task=TASK, **more),
    ]
    make_report(catalogue, runs, tmp_path / "r.html", draws=20)
    page = (tmp_path / "r.html").read_text()
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    used = re.findall(r'(?:href="#|aria-labelledby="|url\(#)([^")]+)["\)]', page)
    assert len(used) > 40
    assert set(used) <= set(names)


def test_a_sample_of_another_size_is_the_same_task(catalogue: Catalogue, tmp_path: Path) -> None:
    sampled = {**TASK, "per_genre": 12, "seed": 3}
    runs = [
        write(catalogue, "all", noisy(catalogue, FOUR, 1.0), task=TASK),
        write(catalogue, "some", noisy(catalogue, FOUR, 2.0), task=sampled),
        write(
            catalogue, "first", noisy(catalogue, FOUR, 2.0), task={**TASK, "single_label": "first"}
        ),
    ]
    report = make_report(catalogue, runs, tmp_path / "r.html", draws=5)
    assert [[run.name for run in group.runs] for group in report.groups] == [
        ["all", "some"],
        ["first"],
    ]
    with pytest.raises(RunError, match="expected runs of one task, found that first has another"):
        align_runs(catalogue, [read_run(run) for run in runs[1:]])


def test_a_model_made_elsewhere_joins_the_groups_that_have_its_items(
    catalogue: Catalogue, runs: list[Path], tmp_path: Path
) -> None:
    for name, source in (("many", "several-good"), ("single", "one-good")):
        table = pd.read_csv(tmp_path / "runs" / source / "predictions.csv")
        table.drop(columns=["split", "genres"]).to_csv(tmp_path / f"{name}.csv", index=False)
    externals = {name: tmp_path / f"{name}.csv" for name in ("many", "single")}
    report = make_report(catalogue, runs, tmp_path / "r.html", externals=externals, draws=5)
    several, one = ({run.name: run for run in group.runs} for group in report.groups)
    assert ("many" in several, "single" in several) == (True, False)
    assert ("many" in one, "single" in one) == (False, True)
    # Probabilities alone: the most probable label, not those from 0.5 on.
    np.testing.assert_array_equal(one["single"].outputs.labels, one["one-good"].outputs.labels)
    (tmp_path / "none.csv").write_text("id,genres\ni0,Drama\n")
    with pytest.raises(RunError, match="expected one row for each of the 40 test items"):
        make_report(catalogue, runs, tmp_path / "r.html", externals={"none": tmp_path / "none.csv"})


def test_several_labels_where_the_runs_have_one(
    catalogue: Catalogue, runs: list[Path], tmp_path: Path
) -> None:
    table = pd.read_csv(tmp_path / "runs" / "one-good" / "predictions.csv")
    table["genres"] = "Drama|Horror"
    table[["id", "genres"]].to_csv(tmp_path / "two.csv", index=False)
    with pytest.raises(RunError, match=r"two\.csv: expected one label an item"):
        make_report(catalogue, runs, tmp_path / "r.html", externals={"two": tmp_path / "two.csv"})
