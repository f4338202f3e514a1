"""Runs that an earlier version wrote: reports, cards and audits read them as that version did."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hybrid.cli.main import _run
from hybrid.cli.output import run_text
from hybrid.report import make_report
from hybrid.report.build import load_run_catalogue
from hybrid.report.comparison import RANKING
from hybrid.report.model_card import model_card
from hybrid.runs.migration import FORMAT
from hybrid.runs.present_audit import read_audited_run

PROJECT = Path(__file__).parents[1] / "golden" / "project-format-1"
EXPECTED = PROJECT / "expected"
RUNS = sorted(path.parent.name for path in PROJECT.glob("runs/*/run.json"))
LEAKY = "svm-legacy-2017"
# The earlier version judged its one label an item against all labels, and compared it with the other runs.
MULTICLASS = "text-multiclass"
# What the earlier version did not say: of what its runs do not record it cannot be told.
FILE = "backbone trained on test items: it cannot be told what model.backbone.weights.h5"
FILES = ("fused", "svm", "svm-one-backbone")  # on weights in a file
UNTOLD = {
    "svm": [FILE],
    "small": ["run learnt from test items: it cannot be told from which train items small"],
}


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, since commands write beside it."""
    return Path(
        shutil.copytree(PROJECT, tmp_path_factory.mktemp("golden") / "project", dirs_exist_ok=True)
    )


# They read embeddings of a trained net; format 1 does not hold what these cost, and counted them as 0.
COST_UNKNOWN = ("fused", "stacking", "svm", "svm-one-backbone")


@pytest.fixture
def home(golden: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(golden)
    return golden


@pytest.mark.parametrize(
    ("page", "runs"),
    [
        ("report-legacy-2017", [LEAKY]),
        ("report", [run for run in RUNS if run not in (LEAKY, MULTICLASS)]),
    ],
)
def test_reports_have_the_same_figures(page: str, runs: list[str], home: Path) -> None:
    folders = [Path("runs") / run for run in runs]
    make_report(load_run_catalogue(None, None, folders[0]), folders, Path("report.html"))
    table = pd.read_csv(EXPECTED / f"{page}.csv")
    table = table[table["run"] != MULTICLASS].reset_index(drop=True)
    table.loc[table["run"].isin(COST_UNKNOWN), "seconds"] = np.nan
    found = json.loads(Path("report.json").read_text())
    expected = json.loads((EXPECTED / f"{page}.json").read_text())
    table[list(MACRO)] *= without_untested(expected["runs"][0])
    kept = [name for name in table if not name.startswith(MACRO) or name in MACRO]
    bounds = [name for name in kept if name.endswith(BOUNDS)]
    now, kept = pd.read_csv("report.csv"), [name for name in kept if name not in bounds]
    pd.testing.assert_frame_equal(now[kept], table[kept], rtol=1e-9)
    pd.testing.assert_frame_equal(now[bounds], table[bounds], rtol=0, atol=MOVED)
    expected["runs"] = [run for run in expected["runs"] if run["name"] != MULTICLASS]
    for run in found["runs"]:
        skipped = run["record"]["audit"]["skipped"]
        untold = [entry for entry in skipped if entry.startswith(FILE)]
        assert len(untold) == (run["name"] in FILES)
        run["record"]["audit"]["skipped"] = [entry for entry in skipped if entry not in untold]
    for run in expected["runs"]:
        leave_untested_out(run)
        run["record"]["format"] = FORMAT
        run["seconds"] = None if run["name"] in COST_UNKNOWN else run["seconds"]
        if run["record"]["settings"].get("metric") == "map":  # has another name since format 3
            run["record"]["settings"]["metric"] = "map-weighted"
        # Intervals and p-values of differences are adjusted for all pairs now: wider, larger.
        p_value = run.pop("p_value")
        if p_value is not None:
            [same] = [each for each in found["runs"] if each["name"] == run["name"]]
            assert same["p_value"] >= p_value - 0.02
            low, high = (run["difference"].pop(bound) for bound in ("low", "high"))
            assert same["difference"]["high"] - same["difference"]["low"] > 0.9 * (high - low)
    assert common_keys(found["runs"], expected["runs"]) == approximately(expected["runs"])
    for name in ("items", "genres", "audited", "checks", "leaks", "draws", "seed"):
        assert found[name] == expected[name]


# Draws that equal the estimate count half as below it. Sums are rounded, so that the earlier version saw some
# of them, depending on the processor. With 16 test items they are many.
BOUNDS, MOVED = ("_low", "_high"), 0.02
MACRO = ("f1_macro", "precision_macro", "recall_macro")


def without_untested(run: dict[str, Any]) -> float:
    """What makes a mean over all genres, untested ones as 0, one over those that a test item has."""
    support = [genre["support"] for genre in run["evaluation"]["genres"]]
    return len(support) / sum(count > 0 for count in support)


def leave_untested_out(run: dict[str, Any]) -> None:
    """Change the figures of the earlier version, which counted genres without items as 0, also in a draw.

    The intervals go: here most draws lack a genre.
    """
    for name in MACRO:
        figure = run["evaluation"]["metrics"][name]
        run["evaluation"]["metrics"][name] = {"value": figure["value"] * without_untested(run)}
    for genre in run["evaluation"]["genres"]:
        for name in ("f1", "precision", "recall"):
            genre[name] = {"value": genre[name]["value"] if genre["support"] else None}


def test_a_multiclass_run_is_judged_by_its_own_task(home: Path) -> None:
    record = json.loads((home / "runs" / MULTICLASS / "run.json").read_text())
    folders = [Path("runs") / run for run in RUNS]
    report = make_report(
        load_run_catalogue(None, None, folders[0]), folders, Path("r.html"), draws=5
    )
    assert [len(group.runs) for group in report.groups] == [len(RUNS) - 2, 1, 1]
    found = next(group for group in report.groups if group.task.multiclass).runs[0]
    assert found.name == MULTICLASS
    support = [genre.support for genre in found.evaluation.genres]
    tested = len(support) / sum(count > 0 for count in support)  # see without_untested
    # predictions.csv rounds probabilities, which changes the ranking of those that are nearly equal.
    for metric, recorded in record["metrics"].items():
        if metric not in RANKING:
            value = recorded["value"] * (tested if metric in MACRO else 1)
            assert found.evaluation.metrics[metric].value == pytest.approx(value)


def approximately(value: Any) -> Any:
    """The same keys, texts and counts; numbers but for the last digits, which processors differ in."""
    if isinstance(value, dict):
        rough = {
            key: pytest.approx(part, abs=MOVED)
            for key, part in value.items()
            if f"_{key}" in BOUNDS and isinstance(part, float)
        }
        return {key: rough.get(key, approximately(part)) for key, part in value.items()}
    if isinstance(value, list):
        return [approximately(part) for part in value]
    return pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value


def common_keys(found: Any, expected: Any) -> Any:
    """What was found, without the keys that a later format added."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return {k: common_keys(part, expected.get(k)) for k, part in found.items() if k in expected}
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        return [common_keys(*pair) for pair in zip(found, expected, strict=True)]
    return found


def facts(card: str) -> tuple[list[list[str]], list[str]]:
    """Rows of the tables, without the meaning of a metric and without averages, which that version had not;
    and the settings at the end."""
    lines = [line for line in card.splitlines() if re.match(r"\| (?!\w+ avg).* \d", line)]
    rows = [line.split(" | ") for line in lines]
    settings = card.rpartition("\n## ")[2].splitlines()[1:]
    return [row if len(row) > 3 else row[:2] for row in rows], settings


def leave_intervals_out(rows: list[list[str]]) -> list[list[str]]:
    """Rows of a card without what the rule for genres without items changes: see `leave_untested_out`."""
    kept = []
    for row in rows:
        if len(row) > 3 and row[1] == "0":
            row = [row[0], row[1], *row[5:]]
        elif len(row) > 3:
            row = [row[0], row[1], row[2].partition(" (")[0], *row[3:]]
        else:  # see BOUNDS
            row = [row[0], *(cell.partition(" (")[0] for cell in row[1:])]
        if row[0] != "| F1 macro":
            kept.append(row)
    return kept


@pytest.mark.parametrize("run", [run for run in RUNS if run != MULTICLASS])
def test_model_cards_have_the_same_figures(run: str, home: Path) -> None:
    card = model_card(None, None, Path("runs") / run, Path("runs"))
    rows, settings = facts((EXPECTED / f"model-card-{run}.md").read_text())
    assert len(rows) > 12
    assert len(settings) > 12
    rows, found = (leave_intervals_out(each) for each in (rows, facts(card)[0]))
    # Since format 3, map is the mAP of the report; what formats 1 and 2 called map keeps its meaning.
    settings = [line.replace('"metric": "map"', '"metric": "map-weighted"') for line in settings]
    assert (found, facts(card)[1]) == (rows, settings)


@pytest.mark.parametrize(
    ("run", "options", "code"),
    [
        ("svm", [], 0),
        ("small", [], 0),
        (LEAKY, ["--splits", "splits-legacy-2017.csv"], 1),
    ],
)
def test_audits_find_the_same(
    run: str, options: list[str], code: int, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["audit", "--run", run, *options, "--quiet", "--json"]) == code
    expected = json.loads((EXPECTED / f"audit-{run}.json").read_text())
    found = json.loads(capsys.readouterr().out)
    new = [
        entry
        for entry in found["skipped"]
        if entry not in expected["skipped"]
        and not entry.startswith("near-same text embedding: ")  # there were none then
    ]
    assert [said[: len(UNTOLD[run][i])] for i, said in enumerate(new)] == UNTOLD.get(run, [])
    assert found["unknown"] == new
    found["skipped"] = expected["skipped"]
    _run(["audit", "--run", run, *options, "--quiet"])
    said = "clean as far as can be told" if new else "is clean;" if code == 0 else "LEAKS;"
    assert said in capsys.readouterr().out
    for metric in MACRO:  # genres without a test item, or without a clean one, counted as 0 then
        expected.get("cost", {}).pop(metric, None)
    assert common_keys(found, expected) == approximately(expected)


def test_a_fit_on_weights_of_a_file_says_clean_as_far_as_can_be_told(home: Path) -> None:
    words = run_text(read_audited_run("runs/svm")).splitlines()
    assert words[-1] == "the split is clean as far as can be told"
    assert run_text(read_audited_run("runs/svm-text")).endswith("\nthe split is clean")


@pytest.mark.parametrize(
    ("command", "run"),
    [("predict", "svm"), ("predict", "text"), ("explain", "svm"), ("explain", "small")],
)
def test_models_of_an_earlier_version_are_fitted_again(
    command: str, run: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((home / "runs" / run / "run.json").read_text())
    rest = ["--catalogue", "catalogue.csv", "--out", "p.csv"] if command == "predict" else []
    assert _run([command, f"runs/{run}", *rest]) == 1
    said = capsys.readouterr().err
    assert said == (
        f"error: runs/{run}: expected a run of format {FORMAT}, found one that an earlier version of hybrid "
        f"wrote (format 1), whose model cannot be loaded; fit it again with: {record['command']}\n"
    )
    assert not Path("p.csv").exists()
