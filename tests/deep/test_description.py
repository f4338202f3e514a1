"""`hybrid describe` counts as Keras does, and says what learns."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import keras
import pytest
from click.testing import CliRunner

from hybrid.catalogue import load_catalogue
from hybrid.cli.main import hybrid
from hybrid.deep.description import build_baseline, describe_baseline
from hybrid.deep.options import DeepOptions
from hybrid.heads.decision_rule import DecisionOptions
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_deep import fit_deep
from hybrid.runs.fit_head import fit_head
from hybrid.splitting.methods import split_catalogue

TUNED = DeepOptions(input_size=(32, 32), unfreeze="1", head_units="16,8")
SMALL = DeepOptions(input_size=(32, 32), dropout=0.25)


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """Whatever is trained here, in whatever order, is the shallow network."""


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(hybrid, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(("name", "options"), [("mobilenet-075", TUNED), ("small", SMALL)])
def test_parameters_are_those_that_keras_counts(
    name: str, options: DeepOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # of the summary
    model = build_baseline(name, options, n_labels=3)
    found = describe_baseline(model)
    assert found.parameters == model.network_.whole().count_params()
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    lines: list[str] = []
    for network in (model.network_.body, model.network_.head):
        network.summary(print_fn=lines.append, line_length=200, expand_nested=True)
    summary = "\n".join(lines)
    for layer in found.layers:
        row = next(
            line for line in summary.splitlines() if f" {layer.name} ({layer.type[:9]}" in line
        )
        assert f" {layer.parameters:,} " in row, layer.name
        assert f"(None, {', '.join(map(str, layer.output_shape))})" in row, layer.name
    for stage, record in zip(found.stages, model.spec.stages, strict=True):
        model.network_.freeze(record)
        whole = keras.Model(
            model.network_.body.input, model.network_.head(model.network_.body.output)
        )
        assert stage.parameters == sum(w.numpy().size for w in whole.trainable_weights)
        learning = {layer.name for layer in found.layers if stage.name in layer.learns_in}
        assert learning == {
            inner.name
            for part in (model.network_.body, model.network_.head)
            for inner in part.layers
            if inner.trainable_weights and not isinstance(inner, keras.Model)
        }


def test_what_options_make_is_described() -> None:
    """Independently: shape, kernel and count of a convolution and of the dense layers, by hand."""
    described = json.loads(
        invoke("describe", "vgg16-conv", "--unfreeze", "0", "--head-units", "10", "--input-size", "64",
               "--labels", "4", "--dropout", "0.1", "--json")
    )  # fmt: skip
    rows = {layer["name"]: layer for layer in described["layers"]}
    first = rows["block1_conv1"]
    assert first["output_shape"] == [64, 64, 64]
    assert (first["kernel"], first["units"]) == ([3, 3], 64)
    assert first["parameters"] == 3 * 3 * 3 * 64 + 64
    dense = [layer for layer in described["layers"] if layer["type"] == "Dense"]
    flat = 2 * 2 * 512
    assert [layer["parameters"] for layer in dense] == [flat * 10 + 10, 10 * 4 + 4]
    assert [layer["learns_in"] for layer in dense] == [["top"], ["top"]]
    assert first["learns_in"] == []
    assert described["settings"]["loss"] == "weighted"
    assert [stage["name"] for stage in described["stages"]] == ["top"]
    assert described["stages"][0]["learns"] == ["head"]
    assert described["stages"][0]["parameters"] == sum(layer["parameters"] for layer in dense)
    assert (described["settings"]["dropout"], described["settings"]["batch_size"]) == (0.1, 32)


def test_stages_and_loss_are_told_in_words() -> None:
    size = ["--input-size", "32"]
    tuned = invoke("describe", "mobilenet-075", "--unfreeze", "1", "--loss", "plain", *size)
    blocks = describe_baseline(build_baseline("mobilenet-075", TUNED, n_labels=3)).stages[1].learns
    assert blocks[0] == "head"
    assert len(blocks) == 2
    assert re.search(rf"^\S+ +{', '.join(blocks)} +[\d,]+ ", tuned, re.MULTILINE)
    assert "filters/units" in tuned
    assert "loss: plain (binary cross-entropy)" in tuned
    one = invoke("describe", "small", "--task", "multiclass", *size)
    assert "loss: plain (categorical cross-entropy)" in one


def test_widths_that_come_from_the_data_are_said_to() -> None:
    found = json.loads(invoke("describe", "text", "--labels", "3", "--json"))
    dense = [layer for layer in found["layers"] if layer["type"] == "Dense"]
    assert [layer["parameters"] for layer in dense] == [None, 256 * 3 + 3]
    assert [layer["output_shape"] for layer in dense] == [[256], [3]]
    assert (found["parameters"], found["stages"][0]["parameters"]) == (None, None)
    assert dense[0]["learns_in"] == ["all"]
    lines = invoke("describe", "text", "--labels", "3").splitlines()
    assert lines[0] == "text: parameters from the data, 3 labels"
    [first] = [line for line in lines if " 256 " in line and "Dense" in line]
    assert re.search(r"256 +from the data +all$", first)


def test_what_the_data_do_not_tell_of_a_fused_network_is_described() -> None:
    options = ["--input-size", "32", "--labels", "3"]
    alone = json.loads(invoke("describe", "small", *options, "--json"))
    found = json.loads(invoke("describe", "fused", "--body", "small", "--unfreeze", "all",
                              "--weights", "random", *options, "--json"))  # fmt: skip
    bodies = [
        [(layer["type"], layer["output_shape"], layer["parameters"]) for layer in each["layers"]
         if layer["part"] == "body"]
        for each in (alone, found)
    ]  # fmt: skip
    assert bodies[0] == bodies[1]
    width = bodies[0][-1][1][-1]
    inputs = [layer["output_shape"] for layer in found["layers"] if layer["type"] == "BlockDropout"]
    assert inputs == [[width + 1], [None], [None]]
    [joined] = [layer for layer in found["layers"] if layer["type"] == "Concatenate"]
    assert joined["output_shape"] == [None]
    head = [layer for layer in found["layers"] if layer["part"] == "head"]
    dense = [layer["parameters"] for layer in head if layer["type"] == "Dense"]
    assert dense == [None, 512 * 3 + 3]
    assert [stage["name"] for stage in found["stages"]] == ["top", "fine"]


def test_a_run_has_the_widths_of_its_data(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = load_catalogue(films)
    experiment = Experiment(catalogue, split_catalogue(catalogue), tmp_path / "runs" / "words")
    run = fit_deep(experiment, "text", DeepOptions(epochs=1))
    monkeypatch.chdir(tmp_path)
    found = json.loads(invoke("describe", "words", "--json"))
    dense = [layer["parameters"] for layer in found["layers"] if layer["type"] == "Dense"]
    labels = len(catalogue.genres)
    assert dense[1] == 256 * labels + labels
    assert sum(dense) == found["parameters"] == run.record.training.network.parameters


def test_a_head_that_python_fitted_has_its_settings(films: Path, tmp_path: Path) -> None:
    catalogue = load_catalogue(films)
    head = make_hybrid(catalogue, blocks=["text"], grid={"C": [0.3]}, folds=2)
    experiment = Experiment(catalogue, split_catalogue(catalogue), tmp_path / "runs" / "svm")
    fit_head(experiment, head)
    text = invoke("describe", str(tmp_path / "runs" / "svm"))
    settings = text.partition("\nsettings\n")[2]
    for line in (
        "folds: 2",
        "metric: weighted-f1",
        "grid, C: 0.3",
        "head, class: MultilabelLinearSVC",
    ):
        assert f"  {line}\n" in settings
    assert "decision, objective: genre" in settings
    assert "features, text, columns: " in settings
    assert not re.search(r"None|[{}]|True|False", text)


def test_runs_are_described_by_name(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = load_catalogue(films)
    split = split_catalogue(catalogue)
    how = DeepOptions(epochs=1, batch_size=16, input_size=(32, 32), dropout=0.3)
    run = fit_deep(Experiment(catalogue, split, tmp_path / "runs" / "net"), "small", how)
    given = {"C": 0.3, "metric": "weighted-f1", "decision": asdict(DecisionOptions())}
    head = make_hybrid(catalogue, blocks=["text"], grid={"C": [0.3]}, folds=2)
    fit_head(Experiment(catalogue, split, tmp_path / "runs" / "svm"), head, given)
    monkeypatch.chdir(tmp_path)
    net = json.loads(invoke("describe", "net", "--json"))
    assert net["parameters"] == run.record.training.network.parameters
    assert net["settings"]["dropout"] == 0.3
    assert net["settings"]["epochs"] == 1
    text = invoke("describe", "svm")
    assert text.startswith("svm: MultilabelLinearSVC, ")
    assert "text" in text
    assert "  decision, objective: genre\n  decision, shrinkage: 1.0\n" in text
    assert not re.search(r"None|[{}]|True|False", text)
    refused = CliRunner().invoke(hybrid, ["describe", "net", "--dropout", "0.5"])
    assert "--dropout: expected none, since net is a run" in str(refused.exception)
    unknown = CliRunner().invoke(hybrid, ["describe", "inceptoin"])
    assert "inception" in str(unknown.exception)
