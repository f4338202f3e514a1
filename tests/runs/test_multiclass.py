"""One genre an item: a head beside the networks, judged as such by terminal, record, report and card."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    top_k_accuracy_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from hybrid.catalogue import load_catalogue
from hybrid.cli.main import hybrid
from hybrid.datasets.sample import write_sample
from hybrid.errors import SettingError
from hybrid.features import TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.heads import HybridClassifier, MultilabelLinearSVC
from hybrid.heads.decision_rule import ARGMAX, DecisionOptions, fit_decision
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.heads.scoring import score_out_of_fold
from hybrid.report import make_report
from hybrid.report.model_card import model_card
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.folder import read_run
from hybrid.runs.predict import predict_catalogue
from hybrid.splitting.methods import split_catalogue
from hybrid.splitting.tasks import Task, narrow_labels

THREE = ("Comedy", "Drama", "Horror")
FLAGS = [
    "--task",
    "multiclass",
    "--genres",
    ",".join(THREE),
    "--blocks",
    "text,metadata",
    "--folds",
    "2",
]
Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with two multi-class runs and a multi-label one, as commands make them."""
    folder = tmp_path_factory.mktemp("home")
    write_sample(folder, n_items=160)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (
            ["split"],
            ["fit-svm", *FLAGS, "--C", "0.1", "--name", "svm"],
            ["fit-ovr", "--estimator", "dummy-most-frequent", *FLAGS, "--name", "dummy"],
            ["fit-svm", "--blocks", "text", "--C", "0.1", "--folds", "2", "--name", "several"],
        ):
            found = CliRunner().invoke(hybrid, [*command, "--quiet"], catch_exceptions=False)
            assert found.exit_code == 0, found.output
            (folder / f"{command[-1]}.said").write_text(found.stdout)
    return folder


@pytest.fixture
def invoke(home: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.chdir(home)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(hybrid, [*arguments, "--quiet"])

    return run


def true_genres(home: Path) -> dict[str, str]:
    """The most frequent of `THREE` that each item has."""
    table = pd.read_csv(home / "catalogue.csv", dtype=str)
    cells = {i: str(c).split("|") for i, c in zip(table.iloc[:, 0], table["genres"], strict=True)}
    count = {genre: sum(genre in cell for cell in cells.values()) for genre in THREE}
    assert len(set(count.values())) == len(THREE)
    kept = {name: [g for g in cell if g in THREE] for name, cell in cells.items()}
    return {name: max(cell, key=count.__getitem__) for name, cell in kept.items() if cell}


def expected(home: Path, run: str) -> tuple[dict[str, float], np.ndarray]:
    """scikit-learn's metrics of the test items of a run, and its confusion matrix."""
    table = pd.read_csv(home / "runs" / run / "predictions.csv", keep_default_na=False)
    table = table[table["split"] == "test"]
    real = true_genres(home)
    truth, said = [real[name] for name in table["id"]], table["genres"].tolist()
    scores = table[[f"p:{genre}" for genre in THREE]].to_numpy(float)
    found = {
        "accuracy": accuracy_score(truth, said),
        "f1_macro": f1_score(truth, said, average="macro", zero_division=0),
        "f1_weighted": f1_score(truth, said, average="weighted", zero_division=0),
        "f1_micro": f1_score(truth, said, average="micro"),
        "top_2_accuracy": top_k_accuracy_score(truth, scores, k=2, labels=THREE),
        "log_loss": log_loss(truth, scores / scores.sum(axis=1, keepdims=True), labels=THREE),
    }
    return found, confusion_matrix(truth, said, labels=THREE)


def test_record_terminal_report_and_card_have_scikit_learns_figures(
    home: Path, invoke: Invoke
) -> None:
    figures, confusion = expected(home, "svm")
    record = json.loads((home / "runs/svm/run.json").read_text())
    assert record["task"]["kind"] == "multiclass"
    assert record["genres"] == list(THREE)
    assert record["thresholds"] == []
    for name, value in figures.items():
        tolerance = 1e-4 if name == "log_loss" else 1e-12
        assert record["metrics"][name]["value"] == pytest.approx(value, abs=tolerance)
    report = make_report(
        load_catalogue(home / "catalogue.csv"), [home / "runs/svm"], home / "a.html"
    )
    (run,) = report.runs
    for name in figures:
        reported = run.evaluation.metrics[name]
        recorded = record["metrics"][name]
        tolerance = 1e-4 if name == "log_loss" else 1e-9
        for end in ("value", "low", "high"):
            assert getattr(reported, end) == pytest.approx(recorded[end], abs=tolerance)
    shown = {k: f"{figures[k]:.3f}" for k in ("f1_weighted", "accuracy", "f1_macro")}
    said, page = (home / "svm.said").read_text(), (home / "a.html").read_text()
    card = invoke("model-card", "svm").stdout
    assert f"weighted F1 {shown['f1_weighted']} (" in said
    assert f"accuracy {shown['accuracy']} (" in said
    assert f"| Accuracy | {shown['accuracy']} (" in card
    for figure in shown.values():
        assert figure in page
        assert figure in card
    assert "exactly one label an item" in card
    # Each row of the confusion matrix, whatever the order of the genres.
    for genre, row in zip(THREE, confusion.tolist(), strict=True):
        (line,) = re.findall(rf"^\| {genre} \|((?: \d+ \|)+)$", card, re.M)
        assert sorted(map(int, re.findall(r"\d+", line))) == sorted(row)
        counted = ", ".join(rf"(?:{'|'.join(THREE)}) \d+" for _ in THREE)
        (alternative,) = re.findall(
            rf'aria-label="Confusion matrix of svm\.[^"]*?{genre}: ({counted})', page
        )
        assert sorted(map(int, re.findall(r"\d+", alternative))) == sorted(row)


def test_runs_keep_their_order_and_are_compared_by_task(home: Path, invoke: Invoke) -> None:
    data = json.loads(invoke("report", "--json", "--draws", "50").stdout)
    found = [(run["name"], run["task"]) for run in data["runs"]]
    # The larger group comes first.
    assert found == [("svm", "multiclass"), ("dummy", "multiclass"), ("several", "multilabel")]
    assert expected(home, "svm")[0]["accuracy"] > expected(home, "dummy")[0]["accuracy"]
    table = pd.read_csv(home / "report.csv").set_index("run")
    assert table.loc["svm", "accuracy"] == pytest.approx(expected(home, "svm")[0]["accuracy"])
    assert np.isnan(table.loc["several", "accuracy"])


def test_the_most_frequent_genre_is_scikit_learns_dummy(home: Path) -> None:
    table = pd.read_csv(home / "runs/dummy/predictions.csv")
    real = true_genres(home)
    learnt = [real[i] for i in table[table["split"] != "test"]["id"]]
    dummy = DummyClassifier().fit([[0]] * len(learnt), learnt)
    assert set(table[table["split"] == "test"]["genres"]) == set(dummy.predict([[0]]))


def test_predictions_have_one_label_and_probabilities_that_add_up(home: Path) -> None:
    for run in ("svm", "dummy"):
        table = pd.read_csv(home / f"runs/{run}/predictions.csv", keep_default_na=False)
        assert set(table["genres"]) <= set(THREE)
        scores = table[[f"p:{genre}" for genre in THREE]].to_numpy(float)
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=3e-6)
        assert [THREE[j] for j in scores.argmax(axis=1)] == table["genres"].tolist()
    found = predict_catalogue(
        home / "runs/svm", home / "catalogue.csv", home / "new.csv"
    ).predictions
    assert (found.labels.sum(axis=1) == 1).all()
    assert len(found.ids) == 160


def test_explain_says_the_most_probable_genre(invoke: Invoke, home: Path) -> None:
    first = read_run(home / "runs/svm").predictions.ids[0]
    found = invoke("explain", "runs/svm", str(first))
    assert found.exit_code == 0, found.output
    assert "threshold" not in found.stdout


@pytest.mark.parametrize(
    "option",
    [
        ["--thresholds", "micro"],
        ["--thresholds", "genre"],
        ["--shrinkage", "2"],
        ["--max-labels", "1"],
        ["--at-least-one"],
    ],
    ids=lambda option: option[0],
)
@pytest.mark.parametrize(
    "command",
    [["fit-svm"], ["fit-ovr", "--estimator", "ridge"], ["fit-deep", "--backbone", "text"]],
)
def test_what_one_label_leaves_nothing_for_is_an_error(
    command: list[str], option: list[str], invoke: Invoke
) -> None:
    found = invoke(*command, "--task", "multiclass", *option)
    assert found.exit_code == 2
    assert f"{option[0]}: expected --task multilabel with it" in " ".join(found.stderr.split())


@pytest.mark.parametrize(
    "command",
    [["fit-svm"], ["fit-ovr", "--estimator", "ridge"], ["fit-deep", "--backbone", "text"]],
)
def test_one_genre_and_a_single_label_of_several_are_errors(
    command: list[str], invoke: Invoke
) -> None:
    found = invoke(*command, "--task", "multiclass", "--genres", "Drama")
    assert "expected 2 genres or more with train items, found 1 (Drama)" in str(found.exception)
    found = invoke(*command, "--per-genre", "3")
    assert "--per-genre: expected --task multiclass with it" in str(found.exception)
    found = invoke(*command, "--single-label", "first")
    assert found.exit_code == 2
    assert "--single-label: expected --task multiclass with it" in " ".join(found.stderr.split())


def one_hot(n: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that say something of the class, and the class of each item."""
    random = np.random.default_rng(seed)
    classes_of = random.integers(0, classes, n)
    truth = np.eye(classes, dtype=np.uint8)[classes_of]
    return truth + random.normal(0, 0.8, truth.shape), classes_of


def test_probabilities_are_platts_divided_by_their_sum() -> None:
    scores, classes = one_hot(300, 4)
    truth = np.eye(4, dtype=np.uint8)[classes]
    options = DecisionOptions(objective=ARGMAX, calibration="sigmoid")
    rule = fit_decision(truth, scores, options)
    found = rule.probabilities(scores)
    each = []
    for j in range(4):
        standard = (scores[:, [j]] - scores[:, j].mean()) / scores[:, j].std()
        model = LogisticRegression(C=1.0, max_iter=1000).fit(standard, truth[:, j])
        each.append(model.predict_proba(standard)[:, 1])
    expected = np.stack(each, axis=1)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), atol=1e-9)
    np.testing.assert_array_equal(rule.label(found).argmax(axis=1), expected.argmax(axis=1))
    assert rule.thresholds.shape == (0,)


def test_settings_are_chosen_by_the_label_that_is_given() -> None:
    scores, classes = one_hot(400, 3)
    truth, fold = np.eye(3, dtype=np.uint8)[classes], np.arange(400) % 4
    said = np.empty(400, int)
    for k in range(4):
        options = DecisionOptions(objective=ARGMAX, calibration="sigmoid")
        rule = fit_decision(truth[fold != k], scores[fold != k], options)
        said[fold == k] = rule.probabilities(scores[fold == k]).argmax(axis=1)
    for metric, average in (
        ("weighted-f1", "weighted"),
        ("macro-f1", "macro"),
        ("micro-f1", "micro"),
    ):
        found = score_out_of_fold(truth, scores, fold, metric, one_label=True).value
        assert found == pytest.approx(f1_score(classes, said, average=average))


def films(n: int = 120) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(0)
    words = np.array([["ghost", "night"], ["joke", "wedding"], ["sheriff", "west"]])
    classes = random.integers(0, 3, n)
    noise = random.integers(0, 3, n)
    texts = [
        f"{words[c, 0]} {words[k, 1]} {words[k, 1]}" for c, k in zip(classes, noise, strict=True)
    ]
    return pd.DataFrame({"overview": texts}, index=[str(i) for i in range(n)]), classes


def test_the_head_is_scikit_learns_one_vs_rest_svm() -> None:
    frame, classes = films()
    fusion = Fusion([("text", TextFeatures(["overview"], max_ngram=1, max_chars=0))])
    svm = MultilabelLinearSVC(C=0.3, tol=1e-8, random_state=0)
    decision = DecisionOptions(objective=ARGMAX)
    model = HybridClassifier(fusion, svm, {}, folds=3, decision=decision)
    model.fit(frame, np.eye(3, dtype=np.uint8)[classes])
    plain = OneVsRestClassifier(LinearSVC(C=0.3, tol=1e-8, max_iter=100_000))
    matrix = model.fusion_.transform(frame).tocsr()
    np.testing.assert_allclose(
        model.decision_function(frame),
        plain.fit(matrix, classes).decision_function(matrix),
        atol=1e-3,
    )
    found = model.predict(frame)
    assert (found.sum(axis=1) == 1).all()
    assert (
        accuracy_score(classes, found.argmax(axis=1))
        >= accuracy_score(classes, plain.predict(matrix)) - 0.02
    )


def test_several_labels_are_refused() -> None:
    frame, classes = films(30)
    truth = np.eye(3, dtype=np.uint8)[classes]
    truth[0] = 1
    fusion = Fusion([("text", TextFeatures(["overview"], max_chars=0))])
    model = HybridClassifier(
        fusion, MultilabelLinearSVC(), folds=2, decision=DecisionOptions(objective=ARGMAX)
    )
    with pytest.raises(
        SettingError, match="expected one label an item, found none or several in 1 of 30"
    ):
        model.fit(frame, truth)
    with pytest.raises(SettingError, match="expected none of them where each item gets one label"):
        DecisionOptions(objective=ARGMAX, max_labels=2).check()


@pytest.mark.parametrize("multiclass", [False, True])
def test_task_and_model_must_agree(multiclass: bool, home: Path, tmp_path: Path) -> None:
    catalogue = load_catalogue(home / "catalogue.csv")
    experiment = Experiment(catalogue, split_catalogue(catalogue), tmp_path / "runs/a")
    if not multiclass:
        experiment = experiment.narrowed(Task(kind="multiclass"))
    model = make_hybrid(experiment.catalogue, blocks=["text"], multiclass=multiclass)
    with pytest.raises(SettingError, match=rf"make_hybrid\(…, multiclass={not multiclass}\)"):
        fit_head(experiment, model)


def test_labels_of_the_task_are_the_reports_truth(home: Path) -> None:
    catalogue = narrow_labels(
        load_catalogue(home / "catalogue.csv"), Task(genres=THREE, kind="multiclass")
    )
    cells: Any = catalogue.table[catalogue.columns.label]
    assert dict(zip(catalogue.ids.tolist(), cells, strict=True)) == true_genres(home)


def test_card_of_a_run_is_judged_by_its_task(home: Path) -> None:
    card = model_card(None, None, home / "runs/svm", home / "runs", draws=20)
    assert "The most probable genre is predicted" in card
    assert "knows 3 genres" in card
    record = json.loads((home / "runs/svm/run.json").read_text())
    assert record["catalogue"]["items"] == record["catalogue"]["labelled"] == 160
    selected = len(true_genres(home))
    assert selected < 160
    said = f"160 items in the catalogue, 160 with labels, {selected} with a label of the task (SHA"
    assert said in card
    counts = record["split"]["counts"]
    used = (
        f"{counts['train']} train items, {counts['validation']} validation items, {counts['test']}"
    )
    assert used in card


def test_genres_without_a_test_item_are_left_out_and_named(
    home: Path, tmp_path: Path, invoke: Invoke
) -> None:
    split, real = pd.read_csv(home / "splits.csv", dtype=str), true_genres(home)
    split.loc[[real.get(name) == "Horror" for name in split["id"]], "split"] = "train"
    split.to_csv(tmp_path / "splits.csv", index=False)
    where = ["--splits", str(tmp_path / "splits.csv"), "--runs", str(tmp_path / "runs")]
    said = invoke("fit-svm", *FLAGS, "--C", "0.1", "--name", "svm", *where).stdout
    note = "genres without a test item are left out of the averages over genres: Horror"
    assert note in said.splitlines()
    card = model_card(None, None, tmp_path / "runs/svm", tmp_path / "runs", draws=20)
    assert f"- G{note[1:]}." in card.splitlines()
    row, confused = [line for line in card.splitlines() if line.startswith("| Horror | 0 |")]
    assert confused == "| Horror | 0 | 0 | 0 |"
    assert row.split(" | ")[2:6] == ["–"] * 4
    record = read_run(tmp_path / "runs/svm").record
    found = read_run(tmp_path / "runs/svm").predictions
    test = found.splits == "test"
    truth = np.array([[real[i] == genre for genre in THREE] for i in found.ids[test].tolist()])
    assert record.untested == ("Horror",)
    tested = [j for j, genre in enumerate(THREE) if genre != "Horror"]
    figure = f1_score(truth, found.labels[test], labels=tested, average="macro", zero_division=0)
    assert record.metrics["f1_macro"].value == pytest.approx(figure)
    assert read_run(home / "runs/svm").record.untested == ()


def test_genres_that_only_test_items_have_are_named(
    home: Path, tmp_path: Path, invoke: Invoke
) -> None:
    split = pd.read_csv(home / "splits.csv", dtype=str)
    table = pd.read_csv(home / "catalogue.csv", dtype=str, index_col=0)
    horror = table.loc[split["id"], "genres"].str.contains("Horror").to_numpy()
    split.loc[horror, "split"] = "test"
    split.to_csv(tmp_path / "splits.csv", index=False)
    where = ["--splits", str(tmp_path / "splits.csv"), "--runs", str(tmp_path / "runs")]
    flags = [
        "--catalogue",
        str(home / "catalogue.csv"),
        "--blocks",
        "text",
        "--genres",
        ",".join(THREE),
    ]
    said = invoke("fit-svm", *flags, "--C", "0.1", "--name", "svm", *where).stdout
    note = "1 of 3 genres of the test items has no train item, and cannot be predicted: Horror"
    assert note in said.splitlines()
    assert read_run(tmp_path / "runs/svm").record.untrained == ("Horror",)
    record = json.loads((tmp_path / "runs/svm/run.json").read_text())
    del record["untrained"]  # as an earlier version wrote it
    (tmp_path / "runs/svm/run.json").write_text(json.dumps(record))
    (tmp_path / "runs/svm/manifest.json").unlink()
    assert read_run(tmp_path / "runs/svm").record.untrained == ()
