"""What cannot be used as it is, or would have to be guessed, is said; in the library as in the commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hybrid import load_catalogue
from hybrid.errors import SettingError
from hybrid.extraction.lookup import find_store
from hybrid.heads.decision_rule import DecisionOptions
from hybrid.heads.make_hybrid import FeatureOptions, make_hybrid
from hybrid.splitting.methods import SplitOptions, make_splits
from hybrid.types import ColumnOptions, EmbeddingSelector

Call = Callable[..., int]


@pytest.fixture
def project(fitted_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(fitted_project, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    return folder


def spoiled(name: str) -> pd.DataFrame:
    """The catalogue with an id that was there before, and a row without one, as a file of that name."""
    table = pd.read_csv("catalogue.csv", dtype=str, keep_default_na=False)
    table.loc[3, "id"] = table.loc[1, "id"]
    table.loc[5, "id"] = ""
    table.to_csv(name, index=False)
    return table


def test_predict_gives_a_line_for_every_row(
    project: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    table = spoiled("new.csv")
    assert call("predict", "text", "--catalogue", "catalogue.csv", "--out", "all.csv") == 0
    capsys.readouterr()
    assert call("predict", "text", "--catalogue", "new.csv", "--out", "p.csv", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    made, known = (pd.read_csv(name, dtype=str, na_filter=False) for name in ("p.csv", "all.csv"))
    assert made["id"].tolist() == table["id"].tolist()
    assert made.drop(columns="id").equals(known.drop(columns="id"))  # a title has its own labels
    assert said["items"] == len(table)
    assert [(row["row"], row["id"], row["reason"]) for row in said["bad"]] == [
        (4, "f001", "the id is already used in row 2; the row is predicted"),
        (6, "", "no id; the row is predicted"),
    ]
    assert said["left_out"] == []
    assert call("predict", "text", "--catalogue", "new.csv", "--out", "p.csv") == 0
    out = capsys.readouterr().out
    assert "2 rows with something wrong:" in out
    assert "row 4, id f001: the id is already used in row 2" in out


def test_a_row_that_cannot_be_read_has_an_empty_line_in_its_place(
    project: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ['{"id": "a", "title": "ghost"}', "{no json", '{"id": "b", "title": "horse"}', "7"]
    Path("new.jsonl").write_text("\n".join(lines))
    assert call("predict", "text", "--catalogue", "new.jsonl", "--out", "p.csv", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    made = pd.read_csv("p.csv", dtype=str, na_filter=False)
    assert made["id"].tolist() == ["a", "", "b", ""]
    given = made.filter(like="p:") != ""
    assert given.all(axis=1).tolist() == [True, False, True, False]
    assert (given.any(axis=1) == given.all(axis=1)).all()
    assert [row["row"] for row in said["left_out"]] == [2, 4]
    assert said["bad"] == said["left_out"]


COMMANDS = {
    "audit": ["audit"],
    "split": ["split", "--splits", "new.csv"],
    "check": ["check"],
    "extract": ["extract", "--backbone", "mobilenet-075", "--weights", "random", "--dry-run"],
    "cache explain": ["cache", "explain", "--backbone", "mobilenet-075", "--weights", "random"],
    "cache export": ["cache", "export", "--out", "e.npz"],
    "explain": ["explain", "text"],
    "explain an item": ["explain", "text", "f001"],
    "report": ["report", "text", "--draws", "20"],
    "model-card": ["model-card", "text", "--draws", "20"],
    "fit-svm": ["fit-svm", "--blocks", "text", "--C", "0.1", "--folds", "2", "--name", "new"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_rows_that_are_left_out_are_told(
    name: str, project: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("catalogue.csv").open("a") as file:
        file.write(Path("catalogue.csv").read_text().splitlines()[2] + "\n")  # f001 again
    call("split", "--quiet")
    capsys.readouterr()
    catalogue = ["--catalogue", "catalogue.csv"]
    call(*COMMANDS[name], *catalogue, "--quiet", "--json")
    said = capsys.readouterr()
    found = json.loads(said.out)
    rows = found["bad_rows" if name == "check" else "left_out"]
    assert [(row["row"], row["id"]) for row in rows] == [(91, "f001")]
    if name != "check":
        assert "it is left out: row 91, id f001: the id is already" in said.err


def test_a_fit_and_its_study_tell_the_rows_that_are_left_out(
    project: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = Path("catalogue.csv").read_text().splitlines()
    told = [f"{lines[0]},released", *(f"{line},03/04/1999" for line in [*lines[1:], lines[2]])]
    Path("catalogue.csv").write_text("\n".join(told) + "\n")
    call("split", "--quiet")
    fit = ["fit-svm", "--blocks", "text", "--C", "0.1", "--folds", "2", "--name", "new"]
    for command in (fit, ["study", "new", "--ablation"]):
        capsys.readouterr()
        assert call(*command, "--quiet", "--json") == 0
        said = capsys.readouterr()
        found = json.loads(said.out)
        assert [(row["row"], row["id"]) for row in found["left_out"]] == [(91, "f001")]
        assert "order of day and month" in [one["kind"] for one in found["findings"]]
        assert said.err.count("it is left out: row 91, id f001") == 1


def test_words_in_a_numeric_column_are_told() -> None:
    cells = ("1979", "seventies", "n/a", "")  # the last two say that nothing is known
    rows = "".join(f"{i},War,{cell}\n" for i, cell in enumerate(cells))
    Path("c.csv").write_text(f"id,genres,year\n{rows}")
    catalogue = load_catalogue("c.csv", ColumnOptions(numeric=("year",)))
    (told,) = catalogue.findings
    assert (told.column, told.count, told.examples) == ("year", 1, ("seventies",))
    assert "1 of 2 cells is no number, such as 'seventies'" in told.message
    np.testing.assert_array_equal(catalogue.frame["year"], [1979, np.nan, np.nan, np.nan])


def test_a_separator_that_is_named_is_not_overridden_by_the_recorded_one() -> None:
    Path("a.csv").write_text("id,genres\n1,War|Drama\n2,War\n")
    Path("b.csv").write_text("id,genres\n1,War;Drama\n2,War\n")
    like = load_catalogue("a.csv").columns
    assert load_catalogue("b.csv", ColumnOptions(label_separator=";"), like).genres == (
        "Drama",
        "War",
    )
    assert load_catalogue("a.csv", None, like).genres == ("Drama", "War")


def test_the_library_refuses_what_the_commands_refuse(project: Path) -> None:
    catalogue = load_catalogue("catalogue.csv")
    with pytest.raises(SettingError, match="since random needs no column") as refused:
        make_splits(catalogue, SplitOptions(method="random", by="year", folds=3))
    assert "--folds: expected none, since random makes no folds" in str(refused.value)
    with pytest.raises(SettingError, match="--weights imagenet: expected --backbone with it"):
        find_store(catalogue, EmbeddingSelector(weights="imagenet"))
    with pytest.raises(SettingError, match="--year-bin: expected none") as refused:
        make_hybrid(
            catalogue,
            blocks=["text"],
            features=FeatureOptions(year_bin=5),
            metric="micro-f1",
            decision=DecisionOptions(objective="genre"),
        )
    assert "--thresholds genre: expected micro, or none, with --metric micro-f1" in str(
        refused.value
    )


def test_a_classifier_does_not_override_its_thresholds(project: Path) -> None:
    catalogue = load_catalogue("catalogue.csv")
    model = make_hybrid(catalogue, blocks=["text"], metric="micro-f1", folds=2, grid={"C": (0.1,)})
    model.fit(catalogue.frame, catalogue.labels)
    assert model.decision_.options.objective == "micro"
    model.set_params(decision=DecisionOptions(objective="genre"))
    with pytest.raises(
        SettingError, match="expected the objective micro, or none, with the metric"
    ):
        model.fit(catalogue.frame, catalogue.labels)


@pytest.mark.parametrize(
    "command",
    [["audit"], ["cache", "export", "--out", "e.npz"], ["cache", "explain", "--backbone", "small"]],
)
def test_bad_rows_are_told_by_every_command_that_leaves_them_out(
    command: list[str], project: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("catalogue.csv").open("a") as file:
        file.write(",No id,1999,Comedy,words,,\n")
    options = ["--weights", "random"] if "explain" in command else []
    call(*command, *options)
    assert "1 bad row in catalogue.csv; hybrid check lists it" in capsys.readouterr().err
