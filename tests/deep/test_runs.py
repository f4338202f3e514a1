"""Deep runs are runs like any other: record, predictions, weights that serve as a backbone, plan."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import classification_report, f1_score

from hybrid.cache import EmbeddingCache
from hybrid.catalogue import load_catalogue
from hybrid.cli.main import hybrid
from hybrid.cli.output import run_text
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.items import Items
from hybrid.deep.options import DeepOptions
from hybrid.deep.saved import load_baseline, save_baseline
from hybrid.errors import (
    RunError,
    WeightsError,
)
from hybrid.extraction.extract import extract_embeddings
from hybrid.heads.decision_rule import DecisionOptions, DecisionRule, fit_decision
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_deep import fit_deep
from hybrid.runs.fit_head import fit_head
from hybrid.runs.folder import read_run
from hybrid.runs.predict import predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.runs.stage_results import read_stages
from hybrid.splitting.methods import split_catalogue
from hybrid.types import EmbeddingOptions, Interval
from hybrid.utils.context import Context

QUICK = DeepOptions(epochs=2, batch_size=16, input_size=(46, 46))
TUNED = DeepOptions(epochs=2, batch_size=16, input_size=(32, 32), unfreeze="1", weights="random")


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None, eager_networks: None) -> None:
    """Whatever is trained here, in whatever order, is the shallow network."""


def rows(start: int, end: int) -> np.ndarray:
    return np.arange(start, end)


@contextmanager
def drawn_weights() -> Iterator[None]:
    """That the weights are random is what these tests want."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "random weights")
        yield


@pytest.fixture(scope="module")
def trained(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """An experiment whose run is a scratch net trained for two epochs."""
    catalogue = load_catalogue(films)
    folder = tmp_path_factory.mktemp("deep") / "runs" / "scratch"
    cache = str(folder.parent / "cache")
    experiment = Experiment(
        catalogue, split_catalogue(catalogue), folder, context=Context(cache=cache)
    )
    fit_deep(experiment, "scratch", QUICK)
    return experiment


@pytest.fixture(scope="module")
def tuned(trained: Experiment) -> Experiment:
    """The same with a MobileNet, of which one block was trained."""
    experiment = replace(trained, folder=trained.folder.with_name("tuned"))
    with drawn_weights():
        fit_deep(experiment, "mobilenet-075", TUNED)
    return experiment


@pytest.fixture(scope="module")
def little(trained: Experiment) -> Experiment:
    """The same with the small net."""
    experiment = replace(trained, folder=trained.folder.with_name("small"))
    fit_deep(experiment, "small", replace(QUICK, input_size=(32, 32)))
    return experiment


# Run → its backbone, and the side of its input.
BODIES = {"scratch": ("scratch", 46), "tuned": ("mobilenet-075", 32), "small": ("small", 32)}


def test_the_run_is_a_run_like_any_other(trained: Experiment) -> None:
    record = json.loads((trained.folder / "run.json").read_text())
    assert record["kind"] == "deep"
    assert record["audit"]["clean"] is True
    assert set(record["metrics"]) >= {"f1_weighted", "map_macro"}
    history = record["history"]
    assert history["stage"] == ["rough", "rough", "fine", "fine"]
    assert history["loss"][1] < history["loss"][0]
    assert history["learning_rate"] == [3e-4, 3e-4, 1e-4, 1e-4]
    quality = {"f1", "val_f1", "best_f1", "val_best_f1"}
    assert set(history) == {"stage", "loss", "val_loss", *quality, "learning_rate", "seconds"}
    assert all(best >= fixed for best, fixed in zip(history["best_f1"], history["f1"], strict=True))
    assert len(record["network"]["stages"]) == 2


def test_a_frozen_stage_takes_its_embeddings_from_the_cache(tuned: Experiment) -> None:
    record = json.loads((tuned.folder / "run.json").read_text())
    assert [stage["name"] for stage in record["stages"]][:3] == ["audit", "embed", "fit"]
    cost = record["cost"]
    embeddings = cost["extraction"]["poster"]
    assert embeddings["unknown"] == 0
    assert embeddings["seconds"] > 0
    own = cost["fit_seconds"] + cost["predict_seconds"]
    assert cost["total_seconds"] == pytest.approx(own + embeddings["seconds"])
    size = EmbeddingOptions(input_size=(32, 32))
    with drawn_weights():
        summary = extract_embeddings(
            tuned.catalogue,
            "mobilenet-075",
            weights="random",
            options=size,
            context=tuned.context,
        )
    assert (summary.hits, summary.computed) == (90, 0)


def test_answers_of_a_stage_are_those_of_a_training_that_ends_with_it(tuned: Experiment) -> None:
    """No second training is needed to say what fine-tuning gained; this test makes it, to compare.

    It is loaded and predicts from the posters, as the fine-tuned network does; the run's own answers are from
    embeddings of the cache, which are float16.
    """
    alone = replace(tuned, folder=tuned.folder.with_name("frozen"))
    with drawn_weights():
        expected = fit_deep(alone, "mobilenet-075", replace(TUNED, stages=1))
    assert not (alone.folder / "stages.csv").exists()
    assert expected.record.training.stage_results == ()
    found, run = read_stages(tuned.folder), read_run(tuned.folder)
    assert list(found) == ["top"]
    np.testing.assert_array_equal(found["top"].ids, run.predictions.ids)
    np.testing.assert_array_equal(found["top"].splits, run.predictions.splits)
    network, catalogue = load_baseline(alone.folder), tuned.catalogue
    every = Items(catalogue.ids.tolist(), list(catalogue.poster_paths))
    scores = [network.decision_function(every.take(tuned.rows(p))) for p in ("validation", "test")]
    rule = fit_decision(catalogue.labels[tuned.rows("validation")], scores[0], DecisionOptions())
    probabilities = rule.probabilities(np.concatenate(scores))
    np.testing.assert_allclose(found["top"].probabilities, probabilities, atol=1e-5)
    np.testing.assert_array_equal(found["top"].labels, rule.label(probabilities))
    (result,) = run.record.training.stage_results
    np.testing.assert_allclose(result.thresholds, rule.thresholds, atol=1e-5)
    truth, test = catalogue.labels[tuned.rows("test")], run.predictions.splits == "test"
    f1 = f1_score(truth, found["top"].labels[test], average="weighted", zero_division=0)
    assert result.metrics["f1_weighted"].value == pytest.approx(f1)


def test_a_stage_that_changes_nothing_gains_exactly_nothing(trained: Experiment) -> None:
    """In half precision, too, where embeddings from the cache would differ from those computed now."""
    folder = trained.folder.with_name("unchanged")
    how = replace(TUNED, precision="bfloat16", fine_learning_rate=0.9, patience=1)
    with drawn_weights():
        run = fit_deep(replace(trained, folder=folder), "mobilenet-075", how)
    history = run.record.training.history
    assert min(history.val_loss) == min(history.val_loss[:2])  # the second stage made it only worse
    assert run.record.training.stage_results[0].gain == Interval(0.0, 0.0, 0.0)
    found = read_stages(folder)["top"]
    np.testing.assert_array_equal(found.probabilities, read_run(folder).predictions.probabilities)


def test_gain_of_fine_tuning_is_the_paired_difference(tuned: Experiment) -> None:
    run = read_run(tuned.folder)
    test = run.predictions.splits == "test"
    truth = tuned.catalogue.labels[tuned.rows("test")]
    last, first = run.predictions.labels[test], read_stages(tuned.folder)["top"].labels[test]
    gain = run.record.training.stage_results[0].gain
    by_sklearn = [f1_score(truth, y, average="weighted", zero_division=0) for y in (last, first)]
    assert gain.value == pytest.approx(by_sklearn[0] - by_sklearn[1])
    assert gain.low <= gain.value <= gain.high
    line = next(each for each in run_text(run).splitlines() if "fine" in each)
    assert line.startswith("the stage fine, after top: weighted F1 ")
    assert f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})" in line


@pytest.mark.parametrize("name", ["scratch", "tuned"])
def test_saved_and_loaded_baseline_answers_the_same(
    name: str, trained: Experiment, tuned: Experiment, items: Items
) -> None:
    folder = trained.folder.with_name(name)
    first, again = load_baseline(folder), load_baseline(folder)
    few = replace(items.take(rows(0, 6)), paths=[*items.paths[:5], ""])
    probabilities = first.predict_proba(few)
    np.testing.assert_allclose(probabilities, again.predict_proba(few), atol=1e-6)
    assert np.isfinite(probabilities[:5]).all()
    assert np.isnan(probabilities[5]).all()
    assert first.label(probabilities)[5].tolist() == [0, 0, 0]


@pytest.mark.usefixtures("tuned", "little")
@pytest.mark.parametrize("name", BODIES)
def test_embedding_of_a_trained_net_is_what_its_head_reads(
    name: str, trained: Experiment, items: Items, tmp_path: Path
) -> None:
    backbone, side = BODIES[name]
    folder = trained.folder.with_name(name)
    summary = extract_embeddings(
        trained.catalogue,
        backbone,
        weights=str(folder),
        options=EmbeddingOptions(precision="float32"),  # the input size is that of the run
        context=Context(cache=str(tmp_path)),
    )
    assert summary.computed == 90
    (store,) = EmbeddingCache(str(tmp_path)).stores()
    assert store.stands_for["input_size"] == [side, side]
    model = make_hybrid(trained.catalogue, blocks=["poster"], context=Context(cache=str(tmp_path)))
    embeddings = model.fusion.read(trained.catalogue.frame)["poster"][:4]
    net = load_baseline(folder)
    dense = next(la for la in net.network_.head.layers if isinstance(la, keras.layers.Dense))
    kernel, bias = (np.asarray(w) for w in dense.get_weights())
    log_odds = net.decision_function(items.take(rows(0, 4)))
    np.testing.assert_allclose(embeddings @ kernel + bias, log_odds, rtol=1e-2, atol=1e-2)


@pytest.mark.usefixtures("tuned", "little")
@pytest.mark.parametrize("name", BODIES)
def test_a_backbone_trained_on_another_split_is_a_leak(
    name: str, trained: Experiment, tmp_path: Path
) -> None:
    backbone, side = BODIES[name]
    catalogue, cache = trained.catalogue, str(tmp_path / "cache")
    size, weights = EmbeddingOptions(input_size=(side, side)), str(trained.folder.with_name(name))
    extract_embeddings(
        catalogue, backbone, weights=weights, options=size, context=Context(cache=cache)
    )
    kinds = []
    for seed in (0, 1):
        model = make_hybrid(
            catalogue, blocks=["poster"], grid={"C": [0.3]}, context=Context(cache=cache)
        )
        split = split_catalogue(catalogue, context=Context(seed=seed))
        run = fit_head(Experiment(catalogue, split, tmp_path / f"runs/{seed}"), model, {})
        kinds.append([leak.kind for leak in run.record.audit.leaks])
    assert kinds == [[], ["backbone trained on test items"]]


def test_training_on_from_a_run_of_another_split_is_a_leak(
    tuned: Experiment, tmp_path: Path
) -> None:
    split = split_catalogue(tuned.catalogue, context=Context(seed=1))
    experiment = replace(tuned, split=split, folder=tmp_path / "again")
    how = replace(TUNED, weights=str(tuned.folder), unfreeze="0", epochs=1, input_size=None)
    run = fit_deep(experiment, "mobilenet-075", how)
    before = read_run(tuned.folder).record.settings["input_size"]
    assert run.record.settings["input_size"] == before == list(TUNED.input_size or ())
    assert [leak.kind for leak in run.record.audit.leaks] == ["backbone trained on test items"]
    with pytest.raises(WeightsError, match="found no file at"):  # its body is as it was
        extract_embeddings(tuned.catalogue, "mobilenet-075", weights=str(run.folder))


def test_half_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a saved deep baseline"):
        load_baseline(tmp_path)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("link", "a link at /layers"),
        ("outside", "data in another file"),
        ("labels", "expected labels as model.head.weights.h5 has them, found 1000000000"),
        ("units", "expected head_units as model.head.weights.h5 has them, found 1000000"),
        ("bytes", "expected a saved deep baseline, found"),
    ],
)
def test_a_changed_baseline_is_refused_before_it_costs_or_reads_anything(
    change: str, found: str, tmp_path: Path
) -> None:
    model = DeepBaseline("small", DeepOptions(input_size=(32, 32)))
    model._build(n_labels=3)
    model.decision_ = DecisionRule(None, np.full(3, 0.5))
    save_baseline(model, tmp_path)
    assert load_baseline(tmp_path).n_labels == 3
    head, scoring = tmp_path / "model.head.weights.h5", tmp_path / "model.scoring.json"
    data = json.loads(scoring.read_text())
    if change == "labels":
        data["labels"] = 10**9
    elif change == "units":
        data["options"]["head_units"] = "1000000,1000000"
    elif change == "bytes":
        head.write_bytes(head.read_bytes()[:-100] + b"\xff" * 100)
        whole = bytearray(head.read_bytes())
        whole[200:2000] = b"\xff" * 1800
        head.write_bytes(whole)
    else:
        with h5py.File(head, "a") as file:
            names: list[str] = []
            file.visititems(
                lambda name, item: names.append(name) if hasattr(item, "shape") else None
            )
            shape = file[names[0]].shape
            del file[names[0]]
            if change == "link":
                file[names[0]] = h5py.ExternalLink("secret.h5", "x")
            else:
                where = [("secret.bin", 0, 4 * int(np.prod(shape)))]
                file.create_dataset(names[0], shape, np.float32, external=where)
    scoring.write_text(json.dumps(data))
    with pytest.raises(RunError, match=found):
        load_baseline(tmp_path)


@pytest.mark.parametrize("name", ["scratch", "tuned"])
def test_a_deep_run_predicts_new_items(
    name: str, trained: Experiment, tuned: Experiment, films: Path, tmp_path: Path
) -> None:
    folder = trained.folder.with_name(name)
    summary = predict_catalogue(folder, films, tmp_path / "p.csv")
    assert summary.bad == ()
    old = read_predictions(folder / "predictions.csv")
    new = read_predictions(tmp_path / "p.csv")
    row = {name: i for i, name in enumerate(new.ids)}
    found = new.probabilities[[row[name] for name in old.ids]]
    np.testing.assert_allclose(found, old.probabilities, atol=1e-4)


def test_dry_run_prints_the_plan_and_trains_nothing(project: Path) -> None:
    def invoke(*arguments: str) -> list[str]:
        return CliRunner().invoke(hybrid, arguments, catch_exceptions=False).stdout.splitlines()

    invoke("split")
    lines = invoke("fit-deep", "--backbone", "scratch", "--dry-run")
    assert lines[0] == "scratch: 20,025,507 parameters; 62 train and 10 validation items"
    stage = "rough: the head and all of the body (20,025,507 parameters) on posters, nadam 0.0003, "
    assert lines[1].strip().startswith(stage + "1 batch an epoch, at most 30 epochs, about ")
    assert not (project / "runs").exists()
    none = invoke("fit-deep", "--backbone", "scratch", "--epochs", "0")
    assert none == [line.replace("at most 30", "at most 0") for line in lines]


def test_the_terminal_and_the_report_show_the_classification_report(project: Path) -> None:
    """The published tables' figures, as scikit-learn computes them from predictions.csv."""

    def invoke(*arguments: str) -> str:
        return CliRunner().invoke(hybrid, arguments, catch_exceptions=False).stdout

    invoke("split")
    size = ("--input-size", "32", "--epochs", "1", "--batch-size", "16", "--quiet")
    printed = invoke("fit-deep", "--backbone", "small", *size)
    invoke("report", "--quiet", "--draws", "20")
    run, catalogue = read_run("runs/small"), load_catalogue("catalogue.csv")
    test = run.predictions.splits == "test"
    place = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    truth = catalogue.labels[[place[name] for name in run.predictions.ids[test]]]
    expected = classification_report(
        truth,
        run.predictions.labels[test],
        target_names=run.predictions.genres,
        output_dict=True,
        zero_division=0,
    )
    page = Path("report.html").read_text()
    thresholds = run.record.thresholds_by_genre
    for name, row in expected.items():
        cells = [f"{row[score]:.3f}" for score in ("precision", "recall", "f1-score")]
        cells.append(f"{row['support']:.0f}")
        line = next(each for each in printed.splitlines() if each.startswith(f"{name} "))
        known = [] if thresholds.get(name) is None else [f"{thresholds[name]:.3f}"]
        assert line.split()[len(name.split()) :] == cells + known, name
        assert "</th><td>".join([name, "</td><td>".join(cells)]) in page, name


def test_tensorboard_reads_the_curves_that_the_record_has(project: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )

    def invoke(*arguments: str) -> None:
        CliRunner().invoke(hybrid, arguments, catch_exceptions=False)

    invoke("split")
    training = ("fit-deep", "--backbone", "scratch", "--input-size", "46", "--epochs", "2")
    invoke(*training, "--batch-size", "16", "--tensorboard", "board")
    history = json.loads(Path("runs/scratch/run.json").read_text())["history"]
    assert history.pop("stage") == ["rough", "rough", "fine", "fine"]
    events = accumulator.EventAccumulator("board").Reload()
    assert sorted(events.Tags()["tensors"]) == sorted(history)
    for name, values in history.items():
        found = events.Tensors(name)
        assert [event.step for event in found] == [1, 2, 3, 4]
        read = [event.tensor_proto.float_val[0] for event in found]
        assert read == np.array(values, dtype=np.float32).tolist()  # event files are float32
