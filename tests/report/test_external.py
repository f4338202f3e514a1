"""A model made elsewhere among the runs, and the model card of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import f1_score

from hybrid.catalogue import load_catalogue
from hybrid.cli.main import hybrid
from hybrid.errors import RunError, SettingError
from hybrid.report import as_text, make_report
from hybrid.report.model_card import render_model_card
from hybrid.runs.folder import new_run
from hybrid.runs.migration import FORMAT
from hybrid.runs.predictions_file import write_predictions
from hybrid.runs.record import RunRecord
from hybrid.types import Predictions

N = 40
GENRES = ("Drama", "Horror")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A catalogue, and the run `ours` on its first 30 items as test items."""
    random = np.random.default_rng(0)
    truth = (random.random((N, 2)) < 0.5).astype(np.uint8)
    truth[:, 0] |= truth.sum(axis=1) == 0
    ids = [f"i{k}" for k in range(N)]
    cells = ["|".join(np.array(GENRES)[row != 0]) for row in truth]
    pd.DataFrame({"id": ids, "genres": cells}).to_csv(tmp_path / "catalogue.csv", index=False)
    scores = np.clip(0.5 * truth + 0.5 * random.random(truth.shape), 0, 1).round(6)
    splits = np.array(["test"] * 30 + ["train"] * 10)
    predictions = Predictions(
        np.array(ids), splits, GENRES, (scores >= 0.5).astype(np.uint8), scores
    )
    record = {
        "name": "ours",
        "command": "hybrid fit-svm --name ours",
        "model": "MultilabelLinearSVC",
        "genres": list(GENRES),
        "thresholds": [0.5, 0.25],
        "audit": {"clean": True, "checks": ["same id"], "leaks": []},
        "catalogue": {"path": "catalogue.csv"},
        "stages": [{"name": "fit", "seconds": 2.0, "peak_mib": 100.0}],
        "cost": {"total_seconds": 2.0},
    }
    with new_run(tmp_path / "runs" / "ours") as folder:
        RunRecord.from_json({"format": FORMAT, **record}).write(folder)
        write_predictions(folder / "predictions.csv", predictions)
    return tmp_path


def theirs(home: Path) -> pd.DataFrame:
    """The test items as somebody else's model might give them: other labels, other order."""
    table = pd.read_csv(
        home / "runs" / "ours" / "predictions.csv", dtype=str, keep_default_na=False
    )
    table = table[table["split"] == "test"].drop(columns="split").iloc[::-1]
    table["genres"] = table["genres"].shift(1, fill_value="Drama")
    return table


def compare(home: Path, table: pd.DataFrame, name: str = "theirs") -> Any:
    table.to_csv(home / "theirs.csv", index=False)
    return make_report(
        load_catalogue(home / "catalogue.csv"),
        [home / "runs" / "ours"],
        home / "report.html",
        externals={name: home / "theirs.csv"},
        draws=20,
    )


def expected_f1(home: Path, table: pd.DataFrame) -> float:
    truth = pd.read_csv(home / "catalogue.csv").set_index("id")["genres"][table["id"]]

    def matrix(cells: Any) -> list[list[int]]:
        return [[int(genre in cell.split("|")) for genre in GENRES] for cell in cells]

    return float(f1_score(matrix(truth), matrix(table["genres"]), average="weighted"))


def test_labels_and_probabilities(home: Path) -> None:
    comparison = compare(home, theirs(home))
    runs = {run.name: run for run in comparison.runs}
    assert runs["theirs"].evaluation.metrics["f1_weighted"].value == pytest.approx(
        expected_f1(home, theirs(home))
    )
    assert runs["theirs"].has_probabilities
    assert runs["theirs"].external
    assert not runs["ours"].external
    assert (
        "\nThe split is clean as far as can be told: the one check found no leak, but what theirs, made "
        "elsewhere, learnt from is not known." in as_text(comparison)
    )
    assert "theirs was made elsewhere: whether it was fitted on test items" in " ".join(
        comparison.notes
    )
    page = (home / "report.html").read_text()
    assert "made elsewhere" in page
    assert "theirs.csv" in page


def test_labels_alone(home: Path) -> None:
    table = theirs(home)[["id", "genres"]]
    comparison = compare(home, table)
    run = next(run for run in comparison.runs if run.external)
    assert run.evaluation.metrics["f1_weighted"].value == pytest.approx(expected_f1(home, table))
    assert np.isnan(run.evaluation.metrics["map_macro"].value)
    assert (run.has_probabilities, run.missing_predictions) == (False, 0)
    assert "theirs has labels alone" in " ".join(comparison.notes)
    data = json.loads((home / "report.json").read_text())
    found = next(run for run in data["runs"] if run["name"] == "theirs")
    assert found["evaluation"]["metrics"]["map_macro"]["value"] is None


def test_probabilities_alone(home: Path) -> None:
    table = theirs(home).drop(columns="genres")
    comparison = compare(home, table)
    run = next(run for run in comparison.runs if run.external)
    said = (table.set_index("id")[["p:Drama", "p:Horror"]].astype(float) >= 0.5).to_numpy()
    np.testing.assert_array_equal(run.outputs.labels, said[::-1])
    assert "labels are predicted from 0.5 on" in " ".join(comparison.notes)


def test_labels_that_only_the_file_knows_change_no_figure(home: Path) -> None:
    table = theirs(home)
    plain = compare(home, table)
    more = table.assign(**{"p:Film Noir": "0.9"})
    more["genres"] += "|Film Noir"
    strange = compare(home, more)
    for one, other in zip(plain.runs, strange.runs, strict=True):
        assert one.evaluation == other.evaluation
    expected = "theirs predicts 1 label that neither the catalogue nor a run knows ('Film Noir')"
    assert expected in " ".join(strange.notes)


def test_a_column_split_says_which_rows_are_test(home: Path) -> None:
    more = pd.DataFrame({"id": ["i35", "new"], "genres": ["Drama", ""], "split": ["train", ""]})
    table = pd.concat([theirs(home)[["id", "genres"]].assign(split="test"), more])
    assert len(compare(home, table).runs) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: t.iloc[2:],
            r"2 are missing \(i28, i29\): add a prediction, or a row with empty cells where theirs",
        ),
        (
            lambda t: pd.concat([t, t.assign(id="x").head(1)]),
            r"1 is not a test item \(x\): remove them",
        ),
        (lambda t: pd.concat([t, t.head(1)]), r"1 are duplicated \(i29\)"),
        (lambda t: t[["id"]], r"expected the column id and genres .* found id\."),
        (lambda t: t.drop(columns="id"), r"expected the column id"),
        (lambda t: t.assign(**{"p:Drama": "1.5"}), "probabilities from 0 to 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    change: Callable[[pd.DataFrame], pd.DataFrame], said: str, home: Path
) -> None:
    with pytest.raises(RunError, match=said):
        compare(home, change(theirs(home)))
    assert not (home / "report.html").exists()


def test_names_of_external_models(home: Path) -> None:
    with pytest.raises(SettingError, match="a name that no run has, found 'ours'"):
        compare(home, theirs(home), "ours")


def invoke(home: Path, *arguments: str) -> Any:
    return CliRunner().invoke(hybrid, [*arguments, "--runs", str(home / "runs")])


def test_the_commands(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    theirs(home).to_csv(home / "theirs.csv", index=False)
    out = tmp_path_factory.mktemp("out") / "r.html"
    common = ("--draws", "10", "--catalogue", str(home / "catalogue.csv"))
    done = invoke(
        home, "report", "--external", f"mine={home / 'theirs.csv'}", "--out", str(out), *common
    )
    assert done.exit_code == 0, done.output
    assert "mine" in done.output
    for wrong in ("x", "=x.csv", "mine="):
        refused = invoke(home, "report", "--external", wrong, *common)
        assert refused.exit_code == 2
        assert "expected NAME=FILE" in refused.output
    printed = invoke(home, "model-card", "ours", *common)
    assert printed.exit_code == 0, printed.output
    written = invoke(home, "model-card", "ours", "--out", str(out.with_suffix(".md")), *common)
    assert written.exit_code == 0, written.output
    assert out.with_suffix(".md").read_text() == printed.output
    assert json.loads(invoke(home, "model-card", "ours", "--json", *common).output)["model_card"]


def test_a_catalogue_that_nobody_named_is_the_runs_own(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert invoke(home, "model-card", "ours", "--draws", "5").exit_code == 0
    named = invoke(home, "model-card", "ours", "--catalogue", "catalogue.csv")
    assert named.exit_code != 0
    assert "catalogue.csv" in str(named.exception)


def test_card_has_the_figures_of_the_report(home: Path) -> None:
    comparison = make_report(
        load_catalogue(home / "catalogue.csv"), [home / "runs" / "ours"], home / "r.html", draws=20
    )
    card = render_model_card(comparison.groups[0])
    evaluation = comparison.runs[0].evaluation
    f1 = evaluation.metrics["f1_weighted"]
    assert f"| F1 weighted | {f1.value:.3f} ({f1.low:.3f} to {f1.high:.3f}) |" in card
    horror = evaluation.genres[1]
    assert re.search(
        rf"\| Horror \| {horror.support} \| {horror.f1.value:.3f} .*\| 0\.250 \|", card
    )
    assert "\nThe split is clean: the one check found no leak.\nChecked for: same id.\n" in card
    assert "\n    hybrid fit-svm --name ours\n" in card
    assert "\n- It cost 2.0 s.\n" in card
    for title in (
        "Data",
        "Split and audit",
        "Figures",
        "Figures by genre",
        "Limits",
        "Reproduction",
    ):
        assert f"\n## {title}\n" in card


def test_card_is_text_whatever_a_record_says(compared: Callable[..., Any]) -> None:
    bad = "a|b <script>alert(1)</script> [x](javascript:alert(1)) `c`\n# d"
    genres = (bad.replace("|", "/"), "Drama")
    truth = np.ones((12, 2), dtype=np.uint8)
    leak = {"kind": bad, "count": 1, "share": 0.5, "pairs": []}
    record = {"model": bad, "command": bad, "audit": {"clean": False, "leaks": [leak]}}
    card = render_model_card(compared(genres, truth, {bad: truth * 0.9}, {bad: record}))
    outside = "\n".join(line for line in card.splitlines() if not line.startswith("    "))
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert not re.search(r"^# d", card, re.M)
    assert "Do not take the figures below for what the model does on new items." in card
    rows = [line for line in card.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert widths == {4, 6, 8}  # metrics, classification report, genres
