"""Training of the deep baselines: streams, stages, interruptions; deep runs as ordinary runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hybrid.backbones import Weights
from hybrid.catalogue import load_catalogue
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.board import open_board
from hybrid.deep.build import Network
from hybrid.deep.checkpoint import Checkpoint, Course
from hybrid.deep.losses import CrossEntropy
from hybrid.deep.options import DeepOptions
from hybrid.deep.registry import configure_network, get_network
from hybrid.deep.saved import load_baseline
from hybrid.deep.stream import Items, Posters, batches, shuffled, usable
from hybrid.errors import (
    ExtractionError,
    MissingExtraError,
    RunError,
    SettingError,
    TrainingError,
    WeightsError,
)
from hybrid.experiment import Experiment, fit_deep, fit_head
from hybrid.extract import extract_embeddings
from hybrid.pipeline import make_hybrid
from hybrid.predict import predict_catalogue
from hybrid.records import EmbeddingOptions
from hybrid.runs import read_predictions
from hybrid.splitting import split_catalogue

QUICK = DeepOptions(epochs=2, batch_size=16, input_size=(46, 46))
TUNED = DeepOptions(epochs=2, batch_size=16, input_size=(32, 32), unfreeze="1", weights="random")


@pytest.fixture(scope="module")
def items(films: Path) -> Items:
    catalogue = load_catalogue(films)
    return Items(catalogue.ids.tolist(), catalogue.poster_paths, catalogue.labels)


def rows(start: int, end: int) -> np.ndarray:
    return np.arange(start, end)


def test_batches_give_every_poster_once_in_the_order_asked_for(items: Items) -> None:
    order = shuffled(90, seed=1, stage=0, epoch=0)
    found = list(batches(Posters(items.paths, (32, 24)), order, 16, workers=2))
    assert found[0][1].shape == (16, 32, 24, 3)
    assert found[0][1].dtype == np.uint8
    assert np.concatenate([part for part, _ in found]).tolist() == order.tolist()
    alone = Posters(items.paths, (32, 24)).start(order[20:21], ThreadPoolExecutor(1))()
    np.testing.assert_array_equal(found[1][1][4], alone[0])


def test_order_depends_on_seed_stage_and_epoch_alone() -> None:
    orders = [
        shuffled(9, *numbers).tolist() for numbers in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    assert len({tuple(order) for order in orders}) == 4
    assert orders[0] == shuffled(9, 0, 0, 0).tolist()


def test_a_poster_that_breaks_while_training_stops_it() -> None:
    with pytest.raises(ExtractionError, match=r"/nowhere\.png: was usable when training began"):
        list(batches(Posters(["/nowhere.png"], (32, 32)), rows(0, 1), 16, workers=1))


def test_usable_tells_good_from_bad(items: Items, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert usable([items.paths[0], "", str(tmp_path / "bad.png")]).tolist() == [True, False, False]


def test_frozen_stage_is_training_through_the_whole_frozen_network(items: Items) -> None:
    """Against plain Keras: the same head behind the same body, trained batch by batch."""
    how = replace(TUNED, unfreeze="0", dropout=0.0, loss="plain", learning_rate=0.01)
    train, validation = items.take(rows(0, 40)), items.take(rows(40, 60))
    model = DeepBaseline("mobilenet-075", how, seed=3).fit(train, validation)

    keras.utils.set_random_seed(3)
    network = Network(configure_network(get_network("mobilenet-075"), how), 3)
    network.give(Weights("random", "", None, 3))
    network.body.trainable = False
    whole = network.whole()
    whole.compile(keras.optimizers.Adam(0.01), CrossEntropy(from_logits=True), jit_compile=False)
    for epoch in range(2):
        for part, x in batches(Posters(train.paths, (32, 32)), shuffled(40, 3, 0, epoch), 16, 1):
            whole.train_on_batch(x, train.labels[part])
    ours, theirs = (each.get_weights() for each in (model.network_.head, network.head))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)
    scores = np.array(whole(next(batches(Posters(items.paths[:8], (32, 32)), rows(0, 8), 8, 1))[1]))
    np.testing.assert_allclose(model.decision_function(items.take(rows(0, 8))), scores, atol=1e-2)


def test_cached_activations_train_as_posters_do(items: Items) -> None:
    fits = [
        DeepBaseline("mobilenet-075", replace(TUNED, cache_frozen=on, dropout=0.0)).fit(
            items.take(rows(0, 40)), items.take(rows(40, 60))
        )
        for on in (False, True)
    ]
    assert fits[0].history_["stage"] == ["top", "top", "fine", "fine"]
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(fits[1].history_[name], fits[0].history_[name], rtol=1e-3)


def test_accumulated_gradients_are_those_of_a_larger_batch(items: Items) -> None:
    how = replace(QUICK, dropout=0.0, stages=1, epochs=1, loss="plain")
    train, validation = items.take(rows(0, 32)), items.take(rows(32, 48))
    heads = []
    for batch_size, steps in ((16, 1), (8, 2)):
        options = replace(how, batch_size=batch_size, accumulate=steps)
        model = DeepBaseline("small", replace(options, input_size=(32, 32)))
        model.spec = replace(
            model.spec, stages=(replace(model.spec.stages[0], optimizer="sgd", augment=False),)
        )
        heads.append(model.fit(train, validation).network_.head.get_weights())
    for a, b in zip(*heads, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_best_epoch_is_kept_and_patience_ends_a_stage(items: Items) -> None:
    how = replace(QUICK, stages=1, epochs=30, patience=2, learning_rate=0.02, dropout=0.0)
    train, validation = items.take(rows(0, 32)), items.take(rows(32, 64))
    model = DeepBaseline("scratch", how).fit(train, validation)
    losses = model.history_["val_loss"]
    assert len(losses) == int(np.argmin(losses)) + 1 + 2 < 30
    scores = model.decision_function(validation)
    loss = model._loss(train)(validation.labels, scores.astype(np.float32))
    assert float(loss) == pytest.approx(min(losses), rel=1e-4)


def test_same_seed_same_result(items: Items) -> None:
    train, validation = items.take(rows(0, 32)), items.take(rows(32, 48))
    fits = [DeepBaseline("scratch", QUICK, seed).fit(train, validation) for seed in (5, 5, 6)]
    losses = [fit.history_["loss"] for fit in fits]
    assert losses[0] == losses[1] != losses[2]


def test_a_loss_that_is_not_finite_names_the_batch(items: Items) -> None:
    how = replace(QUICK, stages=1, learning_rate=0.999, epochs=20, batch_size=4)
    model = DeepBaseline("scratch", how)
    rough = replace(model.spec.stages[0], optimizer="sgd", learning_rate=1e12)
    model.spec = replace(model.spec, stages=(rough,))
    with pytest.raises(
        TrainingError, match=r"stage rough, epoch 1: .* the items f\d{3}, .*Lower the"
    ):
        model.fit(items.take(rows(0, 32)), items.take(rows(32, 48)))


def test_nothing_to_learn_from_is_refused(items: Items) -> None:
    nothing = replace(items.take(rows(0, 2)), paths=["", ""])
    with pytest.raises(SettingError, match="found 0 and 2"):
        DeepBaseline("scratch", QUICK).fit(nothing, items.take(rows(0, 2)))
    with pytest.raises(SettingError, match="--epochs: expected 1 or more to train"):
        DeepBaseline("scratch", replace(QUICK, epochs=0)).fit(items, items)


def test_embeddings_of_another_length_are_refused(items: Items) -> None:
    wrong = replace(items, embeddings=np.ones((90, 5), dtype=np.float32))
    with pytest.raises(SettingError, match=r"expected shape \(n, 768\)"):
        DeepBaseline("mobilenet-075", TUNED).fit(wrong, wrong)


def test_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "t", {"seed": 1, "split": "a"})
    with pytest.raises(RunError, match="expected a training that was interrupted"):
        kept.read()
    course = Course(stage=1, epoch=2, best=0.5, best_weights=[np.ones(3)])
    course.note(stage="top", val_loss=0.5)
    kept.write(course)
    again = kept.read()
    assert (again.stage, again.epoch, again.best, again.losses("top")) == (1, 2, 0.5, [0.5])
    np.testing.assert_array_equal(again.best_weights[0], np.ones(3))
    with pytest.raises(RunError, match="holds another training: seed: expected 1, found 2"):
        Checkpoint(tmp_path / "t", {"seed": 2, "split": "a"}).read()
    (tmp_path / "t" / "state.npz").write_bytes(b"half")
    with pytest.raises(RunError, match="expected the state of a training"):
        kept.read()
    kept.remove()
    assert not (tmp_path / "t").exists()


KILL = """
import os, signal, sys
from hybrid.deep.checkpoint import Checkpoint
write, left = Checkpoint.write, [int(sys.argv.pop(1))]
def write_and_die(self, course):
    write(self, course)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.write = write_and_die
from hybrid.cli.main import main
main()
"""


def test_a_killed_training_goes_on_to_the_same_result(project: Path, hybrid_command: Any) -> None:
    """Killed in its second stage, by a signal that nothing can catch."""
    hybrid_command("split", cwd=project)
    training = ["fit-deep", "--backbone", "scratch", "--input-size", "46", "--epochs", "3",
                "--batch-size", "16", "--quiet"]  # fmt: skip
    whole = hybrid_command(*training, "--name", "whole", cwd=project)
    assert whole.returncode == 0, whole.stderr
    killed = subprocess.run(
        [sys.executable, "-c", KILL, "4", *training, "--name", "killed"], cwd=project, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (project / "runs" / "killed").exists()
    resumed = hybrid_command(*training, "--name", "killed", "--resume", cwd=project)
    assert resumed.returncode == 0, resumed.stderr
    runs = [project / "runs" / name for name in ("whole", "killed")]
    found = [(run / "predictions.csv").read_bytes() for run in runs]
    assert found[0] == found[1]
    histories = [json.loads((run / "run.json").read_text())["history"] for run in runs]
    for history in histories:
        assert len(history.pop("seconds")) == 6
    assert histories[0] == histories[1]
    assert not list((project / "runs").glob(".*"))


@pytest.mark.parametrize("name", ["small", "mobilenet-075"])
def test_an_interrupted_first_stage_goes_on_to_the_same_result(
    name: str, items: Items, tmp_path: Path
) -> None:
    """With augmentation and dropout: the states of their random generators are kept, too."""
    how = replace(QUICK if name == "small" else TUNED, input_size=(32, 32), epochs=3)
    train, validation = items.take(rows(0, 32)), items.take(rows(32, 48))
    whole = DeepBaseline(name, how).fit(train, validation)

    class Interrupted(Checkpoint):
        def write(self, course: Course) -> None:
            super().write(course)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DeepBaseline(name, how).fit(train, validation, None, Interrupted(tmp_path / "t", {}))
    kept = Checkpoint(tmp_path / "t", {})
    again = DeepBaseline(name, how).fit(train, validation, None, kept, resume=True)
    for values in ("loss", "val_loss", "f1", "learning_rate"):
        assert whole.history_[values] == again.history_[values]
    np.testing.assert_array_equal(
        whole.decision_function(validation), again.decision_function(validation)
    )


@pytest.fixture(scope="module")
def trained(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """An experiment whose run is a scratch net trained for two epochs."""
    catalogue = load_catalogue(films)
    folder = tmp_path_factory.mktemp("deep") / "runs" / "scratch"
    cache = str(folder.parent / "cache")
    experiment = Experiment(catalogue, split_catalogue(catalogue), folder, cache=cache)
    fit_deep(experiment, "scratch", QUICK)
    return experiment


@pytest.fixture(scope="module")
def tuned(trained: Experiment) -> Experiment:
    """The same with a MobileNet, of which one block was trained."""
    experiment = replace(trained, folder=trained.folder.with_name("tuned"))
    with pytest.warns(UserWarning, match="random weights"):
        fit_deep(experiment, "mobilenet-075", TUNED)
    return experiment


def test_the_run_is_a_run_like_any_other(trained: Experiment) -> None:
    record = json.loads((trained.folder / "run.json").read_text())
    assert record["kind"] == "deep"
    assert record["audit"]["clean"] is True
    assert set(record["metrics"]) >= {"f1_weighted", "map_macro"}
    history = record["history"]
    assert history["stage"] == ["rough", "rough", "fine", "fine"]
    assert history["loss"][1] < history["loss"][0]
    assert history["learning_rate"] == [3e-4, 3e-4, 1e-4, 1e-4]
    assert set(history) == {"stage", "loss", "val_loss", "f1", "val_f1", "learning_rate", "seconds"}
    assert len(record["network"]["stages"]) == 2


def test_a_frozen_stage_takes_its_embeddings_from_the_cache(tuned: Experiment) -> None:
    record = json.loads((tuned.folder / "run.json").read_text())
    assert [stage["name"] for stage in record["stages"]][:3] == ["audit", "embed", "fit"]
    size = EmbeddingOptions(input_size=(32, 32))
    with pytest.warns(UserWarning, match="random weights"):
        summary = extract_embeddings(
            tuned.catalogue, "mobilenet-075", weights="random", options=size, cache=tuned.cache
        )
    assert (summary.hits, summary.computed) == (90, 0)


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


@pytest.mark.parametrize("name", ["scratch", "tuned"])
def test_embedding_of_a_trained_net_is_what_its_head_reads(
    name: str, trained: Experiment, tuned: Experiment, items: Items, tmp_path: Path
) -> None:
    backbone, side = ("scratch", 46) if name == "scratch" else ("mobilenet-075", 32)
    folder = trained.folder.with_name(name)
    size = EmbeddingOptions(input_size=(side, side), precision="float32")
    summary = extract_embeddings(
        trained.catalogue, backbone, weights=str(folder), options=size, cache=str(tmp_path)
    )
    assert summary.computed == 90
    model = make_hybrid(trained.catalogue, blocks=["poster"], cache=str(tmp_path))
    embeddings = model.fusion.read(trained.catalogue.frame)["poster"][:4]
    net = load_baseline(folder)
    dense = next(la for la in net.network_.head.layers if isinstance(la, keras.layers.Dense))
    kernel, bias = (np.asarray(w) for w in dense.get_weights())
    log_odds = net.decision_function(items.take(rows(0, 4)))
    np.testing.assert_allclose(embeddings @ kernel + bias, log_odds, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", ["scratch", "tuned"])
def test_a_backbone_trained_on_another_split_is_a_leak(
    name: str, trained: Experiment, tuned: Experiment, tmp_path: Path
) -> None:
    backbone, side = ("scratch", 46) if name == "scratch" else ("mobilenet-075", 32)
    catalogue, cache = trained.catalogue, str(tmp_path / "cache")
    size, weights = EmbeddingOptions(input_size=(side, side)), str(trained.folder.with_name(name))
    extract_embeddings(catalogue, backbone, weights=weights, options=size, cache=cache)
    kinds = []
    for seed in (0, 1):
        model = make_hybrid(catalogue, blocks=["poster"], cache=cache, grid={"C": [0.3]})
        split = split_catalogue(catalogue, seed=seed)
        run = fit_head(Experiment(catalogue, split, tmp_path / f"runs/{seed}"), model, {})
        kinds.append([leak["kind"] for leak in run.record["audit"]["leaks"]])
    assert kinds == [[], ["backbone trained on test items"]]


def test_training_on_from_a_run_of_another_split_is_a_leak(
    tuned: Experiment, tmp_path: Path
) -> None:
    split = split_catalogue(tuned.catalogue, seed=1)
    experiment = replace(tuned, split=split, folder=tmp_path / "again")
    how = replace(TUNED, weights=str(tuned.folder), unfreeze="0", epochs=1)
    run = fit_deep(experiment, "mobilenet-075", how)
    assert [leak["kind"] for leak in run.record["audit"]["leaks"]] == [
        "backbone trained on test items"
    ]
    with pytest.raises(WeightsError, match="found no file at"):  # its body is as it was
        extract_embeddings(tuned.catalogue, "mobilenet-075", weights=str(run.folder))


def test_half_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a saved deep baseline"):
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


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--dry-run"]])
def test_dry_run_prints_the_plan_and_trains_nothing(
    arguments: list[str], project: Path, hybrid_command: Any
) -> None:
    hybrid_command("split", cwd=project)
    done = hybrid_command("fit-deep", "--backbone", "scratch", *arguments, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "scratch: 20,025,507 parameters; 63 train and 9 validation items" in done.stdout
    assert "rough: the head and all of the body (20,025,507 parameters) on posters" in done.stdout
    assert not (project / "runs").exists()


def test_tensorboard_that_is_not_installed_says_so_before_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"--tensorboard: .* pip install tensorboard"):
        DeepBaseline("scratch", QUICK, tensorboard=tmp_path)


def test_tensorboard_is_given_each_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    class Writer:
        def __init__(self, folder: str) -> None:
            self.folder = folder

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((self.folder, name, value, step))

        def flush(self) -> None:
            pass

    summary = types.SimpleNamespace(Writer=Writer)
    monkeypatch.setitem(sys.modules, "tensorboard", types.SimpleNamespace(summary=summary))
    monkeypatch.setitem(sys.modules, "tensorboard.summary", summary)
    course, note = Course(), open_board(tmp_path)
    for stage, loss in (("top", 0.5), ("fine", 0.25)):
        course.note(stage=stage, loss=loss)
        note(course)
    assert written == [(str(tmp_path), "loss", 0.5, 1), (str(tmp_path), "loss", 0.25, 2)]
