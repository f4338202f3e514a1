"""Training of the deep baselines: streams, stages, memory, curves."""

from __future__ import annotations

import logging
import random
import shutil
import subprocess
import sys
import time
import types
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.metrics import f1_score

from hybrid.backbones import Weights
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.checkpoint import TrainingState
from hybrid.deep.dataset import READ_AHEAD, Batches, predict
from hybrid.deep.frozen import cache_activations
from hybrid.deep.items import Arrays, Items, Posters, usable
from hybrid.deep.losses import CrossEntropy, make_loss
from hybrid.deep.network import Network
from hybrid.deep.options import DeepOptions
from hybrid.deep.registry import Stage, configure_network, get_network
from hybrid.deep.tensorboard import open_tensorboard
from hybrid.deep.train import compile_inference, compile_stage, fit_stage
from hybrid.errors import (
    ExtractionError,
    MissingExtraError,
    SettingError,
    TrainingError,
)
from hybrid.utils.progress import Progress

QUICK = DeepOptions(epochs=2, batch_size=16, input_size=(46, 46))
TUNED = DeepOptions(epochs=2, batch_size=16, input_size=(32, 32), unfreeze="1", weights="random")


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """Whatever is trained here, in whatever order, is the shallow network."""


def rows(start: int, end: int) -> np.ndarray:
    return np.arange(start, end)


def shuffled(n: int, seed: int, stage: int, epoch: int) -> np.ndarray:
    batches = Batches(Arrays(np.zeros(n)), 1, seed=(seed, stage))
    batches.shuffle(epoch)
    return batches.order


def test_batches_have_every_poster_once_in_the_order_of_the_epoch(items: Items) -> None:
    batches = Batches(Posters(items.paths, (32, 24)), 16, items.labels, workers=2, seed=(1, 0))
    batches.shuffle(0)
    found = [x for x, _ in batches]
    assert found[0].shape == (16, 32, 24, 3)
    assert found[0].dtype == np.uint8
    order = np.concatenate([batches.rows(i) for i in range(len(batches))])
    assert order.tolist() == shuffled(90, 1, 0, 0).tolist()
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), items.labels[order])
    alone = Posters(items.paths, (32, 24)).read(order[20:21])
    np.testing.assert_array_equal(found[1][4], alone[0])


def test_order_depends_on_seed_stage_and_epoch_alone() -> None:
    orders = [
        shuffled(9, *numbers).tolist() for numbers in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    assert len({tuple(order) for order in orders}) == 4
    assert orders[0] == shuffled(9, 0, 0, 0).tolist()


def identity() -> keras.Model:
    """A network that returns its input."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Identity()])
    compile_inference(model)
    return model


@pytest.mark.parametrize("workers", [1, 2])
def test_a_poster_that_breaks_while_training_stops_it(workers: int, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D()])
    compile_inference(model)
    broken = Posters([str(tmp_path / "bad.png")], (32, 32))
    with pytest.raises(ExtractionError, match=r"/bad\.png: was usable when training began"):
        predict(model, broken, 16, workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_outputs_are_in_the_order_of_the_items(workers: int) -> None:
    values = np.random.default_rng(0).normal(size=(100, 1)).astype(np.float32)
    np.testing.assert_array_equal(predict(identity(), Arrays(values), 16, workers), values)


def test_few_batches_are_read_ahead_of_the_network() -> None:
    started = []

    class Counted(Batches):
        def __getitem__(self, index: int) -> Any:
            started.append(index)
            return super().__getitem__(index)

    class Check(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            time.sleep(0.002)  # reading is faster than the network
            # Two batches tell their shapes to TensorFlow; one more is at each end of the queue.
            assert len(started) <= 2 + batch + 1 + READ_AHEAD + 2

    batches = Counted(Arrays(np.arange(1000.0)[:, None]), 10, workers=2)
    identity().predict(batches, verbose=0, callbacks=[Check()])
    assert started[-100:] == list(range(100))


MEMORY = """
import resource, sys
import numpy as np
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.options import DeepOptions
from hybrid.deep.items import Items
how = DeepOptions(epochs=1, stages=1, batch_size=64, input_size=(64, 64))
n = int(sys.argv.pop(1))
paths = [sys.argv[1 + i % 90] for i in range(n)]
labels = np.eye(3, dtype=np.uint8)[np.arange(n) % 3]
items = Items(paths, paths, labels)
DeepBaseline("scratch", how, workers=2).fit(items, items.take(np.arange(64)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_catalogue(items: Items) -> None:
    """20,000 posters as pixels are 246 MB, 18,000 more of them 221 MB."""
    peaks = []
    for n in ("2000", "20000"):
        command = [sys.executable, "-c", MEMORY, n, *items.paths]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    few, many = peaks
    assert many - few < 50, (few, many)
    assert many < 2048


def test_usable_tells_good_from_bad(items: Items, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert usable([items.paths[0], "", str(tmp_path / "bad.png")]).tolist() == [True, False, False]


@pytest.mark.usefixtures("eager_network")
def test_frozen_stage_is_training_through_the_whole_frozen_network(items: Items) -> None:
    """Against plain Keras: the same head behind the same body, trained batch by batch."""
    how = replace(TUNED, unfreeze="0", dropout=0.0, loss="plain", learning_rate=0.01)
    train, validation = items.take(rows(0, 40)), items.take(rows(40, 60))
    model = DeepBaseline("mobilenet-075", how, seed=3).fit(train, validation)

    keras.utils.set_random_seed(3)
    network = Network(configure_network(get_network("mobilenet-075"), how), 3)
    network.load_weights(Weights("random", "", None, 3))
    network.body.trainable = False
    whole = network.whole()
    whole.compile(keras.optimizers.Adam(0.01), CrossEntropy(from_logits=True), jit_compile=False)
    for epoch in range(2):
        batches = Batches(Posters(train.paths, (32, 32)), 16, train.labels, seed=(3, 0))
        batches.shuffle(epoch)
        for x, y in batches:
            whole.train_on_batch(x, y)
    ours, theirs = (each.get_weights() for each in (model.network_.head, network.head))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)
    scores = np.array(whole(Posters(items.paths, (32, 32)).read(rows(0, 8))))
    np.testing.assert_allclose(model.decision_function(items.take(rows(0, 8))), scores, atol=1e-2)


@pytest.mark.usefixtures("eager_network")
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


def test_the_disk_that_frozen_layers_need_is_said_first_or_refused(
    items: Items, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    double = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Rescaling(2.0)])
    compile_inference(double)
    posters, progress = Posters(items.paths, (32, 32)), Progress(quiet=False)
    path = tmp_path / "t" / "kept.npy"
    kept = cache_activations(path, double, posters, 16, 1, progress)
    said = capsys.readouterr().err  # 90 x 32 x 32 x 3 x 2 bytes
    assert said.startswith(
        "taking 1 MiB of disk for the activations of the frozen layers for 90 posters"
    )
    expected = posters.read(rows(80, 90)) * 2.0
    np.testing.assert_array_equal(kept[80:], expected)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=552_959))
    again = cache_activations(path, double, posters, 16, 1, progress)  # it is there
    np.testing.assert_array_equal(again, kept)
    with pytest.raises(
        SettingError, match=r"--cache-frozen: expected 1 MiB of disk .* found 1 MiB"
    ):
        cache_activations(tmp_path / "other.npy", double, posters, 16, 1, progress)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("byte", "it is damaged"),
        ("cut off", "it is damaged"),
        ("other values", "it is damaged"),
        ("seal", "it cannot be read: its content does not hash to its sha256"),
        ("no seal", "it is not complete"),
        ("other posters", "it is of other posters"),
    ],
)
def test_activations_that_are_not_those_that_were_written_are_computed_again(
    damage: str, said: str, items: Items, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    double = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Rescaling(2.0)])
    compile_inference(double)
    path, some = tmp_path / "kept.npy", Posters(items.paths[:4], (32, 32))
    cache_activations(path, double, some, 4, 1, Progress(quiet=True))
    content, sealed = path.read_bytes(), path.with_suffix(".json")
    if damage == "byte":
        path.write_bytes(content[:-100] + bytes([content[-100] ^ 1]) + content[-99:])
    elif damage == "cut off":
        path.write_bytes(content[:-1])
    elif damage == "other values":
        np.save(path, np.zeros((4, 32, 32, 3), np.float16))
    elif damage == "seal":
        sealed.write_bytes(sealed.read_bytes().replace(b"32", b"31", 1))
    elif damage == "no seal":
        sealed.unlink()
    else:
        some = Posters(items.paths[4:8], (32, 32))
    again = cache_activations(path, double, some, 4, 1, Progress(quiet=False))
    np.testing.assert_array_equal(again, some.read(rows(0, 4)) * 2.0)
    assert f"{path} is computed again: {said}\n" in capsys.readouterr().err
    cache_activations(path, double, some, 4, 1, Progress(quiet=False))
    assert capsys.readouterr().err == ""  # it is there, and whole


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


def test_the_curves_are_means_over_the_epoch(items: Items) -> None:
    """At a learning rate that changes nothing, against the network's own answers and scikit-learn."""
    how = replace(QUICK, stages=1, epochs=2, dropout=0.0, learning_rate=1e-12, loss="plain")
    train = items.take(rows(0, 40))
    model = DeepBaseline("small", replace(how, input_size=(32, 32)))
    model.spec = replace(model.spec, stages=(replace(model.spec.stages[0], augment=False),))
    scores = model.fit(train, train).decision_function(train)
    loss = float(CrossEntropy(from_logits=True)(train.labels, scores.astype(np.float32)))
    f1 = f1_score(train.labels, scores > 0, average="weighted", zero_division=0)
    for name, expected in (("loss", loss), ("val_loss", loss), ("f1", f1), ("val_f1", f1)):
        np.testing.assert_allclose(model.history_[name], expected, rtol=1e-4)


def test_a_training_step_is_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second trace, which takes seconds for a large network, is made if the first makes variables."""
    traced, step = [], keras.Model.train_step
    monkeypatch.setattr(
        keras.Model, "train_step", lambda model, data: traced.append(1) or step(model, data)
    )
    labels = np.eye(3, dtype=np.uint8)[np.arange(12) % 3]
    batches = Batches(Arrays(labels.astype(np.float32)), 4, labels, ids=["i"] * 12)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    stage, how = Stage("top", "head", "adam", 1e-3), DeepOptions(epochs=2)
    compile_stage(model, stage, make_loss("plain", labels), how)
    fit_stage(model, stage, batches, batches, how, TrainingState(), lambda _: None, Progress())
    assert len(traced) == 1


@pytest.mark.usefixtures("eager_network")
def test_a_stage_that_makes_it_worse_leaves_the_network_as_it_was(items: Items) -> None:
    how = replace(QUICK, loss="plain")
    train, validation = items.take(rows(0, 32)), items.take(rows(32, 48))
    both = DeepBaseline("scratch", replace(how, fine_learning_rate=0.3)).fit(train, validation)
    losses = both.history_["val_loss"]
    assert min(losses[2:]) > min(losses[:2])
    first = DeepBaseline("scratch", replace(how, stages=1)).fit(train, validation)
    assert first.history_["val_loss"] == losses[:2]
    expected = first.decision_function(validation)
    np.testing.assert_allclose(both.decision_function(validation), expected, rtol=1e-5)


def test_same_seed_same_result(items: Items) -> None:
    train, validation = items.take(rows(0, 32)), items.take(rows(32, 48))
    how = replace(QUICK, epochs=1, input_size=(32, 32))
    fits = [DeepBaseline("small", how, seed).fit(train, validation) for seed in (5, 5, 6)]
    losses = [fit.history_["val_loss"] for fit in fits]
    assert losses[0] == losses[1] != losses[2]


def test_a_fit_leaves_the_process_as_it_was(items: Items) -> None:
    def state() -> tuple[Any, ...]:
        policy, level = keras.config.dtype_policy().name, logging.getLogger("tensorflow").level
        drawn = np.random.get_state()[1].tolist()
        return policy, keras.config.floatx(), level, random.getstate(), drawn, warnings.showwarning

    before, train = state(), items.take(rows(0, 16))
    how = replace(QUICK, epochs=1, input_size=(32, 32), precision="bfloat16")
    DeepBaseline("small", how).fit(train, train)
    assert state() == before


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


def test_tensorboard_that_is_not_installed_says_so_before_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tensorboard", "tensorboard.summary"):  # which another test may have loaded
        monkeypatch.setitem(sys.modules, name, None)
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
    state, note = TrainingState(), open_tensorboard(tmp_path)
    for stage, loss in (("top", 0.5), ("fine", 0.25)):
        state.append(stage=stage, loss=loss)
        note(state)
    assert written == [(str(tmp_path), "loss", 0.5, 1), (str(tmp_path), "loss", 0.25, 2)]
