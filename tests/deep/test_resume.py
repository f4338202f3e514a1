"""Trainings that are killed or stopped, and go on to the same result."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.backbones import configure, get_backbone
from hybrid.backbones.load import init_random_weights
from hybrid.backbones.networks import build_body
from hybrid.backbones.weights import RUN_WEIGHTS
from hybrid.catalogue import load_catalogue
from hybrid.cli.main import _run
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.checkpoint import Checkpoint, TrainingState
from hybrid.deep.items import Items
from hybrid.deep.options import DeepOptions
from hybrid.deep.train import _bar_note
from hybrid.errors import (
    RunError,
)
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_deep import fit_deep
from hybrid.splitting.methods import split_catalogue
from hybrid.splitting.tasks import Task
from hybrid.utils.context import Context
from hybrid.utils.progress import Progress

QUICK = DeepOptions(epochs=2, batch_size=16, input_size=(46, 46))
TUNED = DeepOptions(epochs=2, batch_size=16, input_size=(32, 32), unfreeze="1", weights="random")


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """Whatever is trained here, in whatever order, is the shallow network."""


def rows(start: int, end: int) -> np.ndarray:
    return np.arange(start, end)


def test_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "t", {"seed": 1, "split": "a"})
    with pytest.raises(RunError, match="expected a training that was interrupted"):
        kept.read()
    state = TrainingState(stage=1, epoch=2, best=0.5, best_weights=[np.ones(3)])
    state.append(stage="top", val_loss=0.5)
    kept.write(state)
    again = kept.read()
    assert (again.stage, again.epoch, again.best, again.stage_losses("top")) == (1, 2, 0.5, [0.5])
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
def write_and_die(self, state):
    write(self, state)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.write = write_and_die
from hybrid.cli.main import main
main()
"""


@pytest.mark.usefixtures("rewritten_graphs")
def test_a_killed_training_goes_on_to_the_same_result(project: Path, loaded: Any) -> None:
    """Killed in its second stage, by a signal that nothing can catch."""
    assert _run(["split"]) == 0
    training = ["fit-deep", "--backbone", "scratch", "--input-size", "46", "--epochs", "2",
                "--batch-size", "16", "--quiet"]  # fmt: skip
    assert _run([*training, "--name", "whole"]) == 0
    killed = loaded.run(KILL, "3", *training, "--name", "killed", cwd=project)
    assert killed.returncode == -signal.SIGKILL
    assert not (project / "runs" / "killed").exists()
    assert _run([*training, "--name", "killed", "--resume"]) == 0
    runs = [project / "runs" / name for name in ("whole", "killed")]
    for name in ("predictions.csv", "stages.csv"):
        found = [(run / name).read_bytes() for run in runs]
        assert found[0] == found[1], name
    histories = [json.loads((run / "run.json").read_text())["history"] for run in runs]
    for history in histories:
        assert len(history.pop("seconds")) == 4
    assert histories[0] == histories[1]
    assert not list((project / "runs").glob(".*"))


@pytest.mark.usefixtures("eager_network")
def test_ctrl_c_says_how_to_go_on(
    items: Items, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Pressed(Checkpoint):
        def write(self, state: TrainingState) -> None:
            super().write(state)
            if state.epoch == 2:
                raise KeyboardInterrupt

    train, progress = items.take(rows(0, 32)), Progress(quiet=False)
    with pytest.raises(KeyboardInterrupt):
        DeepBaseline("small", QUICK).fit(train, train, progress, Pressed(tmp_path / "t", {}))
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "stopped: 2 epochs are kept. Give the same command with --resume to go on."


@pytest.mark.parametrize("name", ["small", pytest.param("mobilenet-075", marks=pytest.mark.slow)])
def test_an_interrupted_first_stage_goes_on_to_the_same_result(
    name: str, items: Items, tmp_path: Path
) -> None:
    """With augmentation and dropout: the states of their random generators are kept, too."""
    how = replace(QUICK if name == "small" else TUNED, input_size=(32, 32), epochs=3)
    train, validation = items.take(rows(0, 32)), items.take(rows(32, 48))
    whole = DeepBaseline(name, how).fit(train, validation)

    class Interrupted(Checkpoint):
        def write(self, state: TrainingState) -> None:
            super().write(state)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DeepBaseline(name, how).fit(train, validation, None, Interrupted(tmp_path / "t", {}))
    kept = Checkpoint(tmp_path / "t", {})
    again = DeepBaseline(name, how).fit(train, validation, None, kept, resume=True)
    assert whole.earlier_seconds_ == 0.0
    assert again.earlier_seconds_ == again.history_["seconds"][0]
    for values in ("loss", "val_loss", "f1", "learning_rate"):
        assert whole.history_[values] == again.history_[values]
    np.testing.assert_array_equal(
        whole.decision_function(validation), again.decision_function(validation)
    )


@pytest.mark.parametrize("options", [{"epochs": 1}, {"patience": 1, "learning_rate": 0.9}])
@pytest.mark.usefixtures("eager_network")
def test_a_stage_that_is_interrupted_at_its_end_trains_no_more(
    options: dict[str, Any], items: Items, tmp_path: Path
) -> None:
    how, train = (
        replace(QUICK, **{"epochs": 9, "input_size": (32, 32), **options}),
        items.take(rows(0, 16)),
    )
    model, kept = DeepBaseline("small", how), Checkpoint(tmp_path / "t", {})
    model.fit(train, train, checkpoint=kept)
    assert len(model.history_["loss"]) < 9
    again = DeepBaseline("small", how).fit(train, train, checkpoint=kept, resume=True)
    assert again.history_ == model.history_
    np.testing.assert_array_equal(again.decision_function(train), model.decision_function(train))


def drawn(path: Path, seed: int) -> str:
    """A file with weights of the small net."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = build_body(configure(get_backbone("small"), input_size=(46, 46)))
    init_random_weights(body, seed)
    body.save_weights(str(path))
    return str(path)


def test_resume_asks_what_the_weights_are_and_not_where_they_lie(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = load_catalogue(films)
    experiment = Experiment(
        catalogue,
        split_catalogue(catalogue),
        tmp_path / "runs" / "net",
        context=Context(cache=str(tmp_path / "c")),
    )
    path = Path(drawn(tmp_path / "start.weights.h5", 0))
    how = replace(QUICK, weights=str(path), stages=1)
    write = Checkpoint.write

    def write_and_stop(kept: Checkpoint, state: TrainingState) -> None:
        write(kept, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "write", write_and_stop)
        with pytest.raises(KeyboardInterrupt):
            fit_deep(experiment, "small", how)
    moved = path.rename(tmp_path / RUN_WEIGHTS)  # as it would lie in the folder of a run
    drawn(path, 1)
    digits = "[0-9a-f]{64}"
    with pytest.raises(RunError, match=f"training: weights: expected {digits}, found {digits}. G"):
        fit_deep(experiment, "small", how, resume=True)
    there = replace(how, weights=str(moved.parent))
    with pytest.raises(
        RunError,
        match=r"training: narrowed.genres: expected None, found .*single_label: expected None, found first",
    ):
        fit_deep(experiment, "small", there, resume=True, task=Task("first"))
    run = fit_deep(experiment, "small", there, resume=True)
    assert len(run.record.training.history.loss) == 2


def test_the_sign_of_life_counts_no_epoch_beyond_the_last() -> None:
    assert _bar_note(TrainingState(epoch=0), 1) == "epoch 1 of at most 1"
    assert _bar_note(TrainingState(epoch=1), 1) == "epoch 1 of at most 1"
    assert _bar_note(TrainingState(epoch=1), 3) == "epoch 2 of at most 3"


REFUSED = """
import resource, signal
from pathlib import Path
import numpy as np
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.options import DeepOptions
from hybrid.deep.saved import save_baseline
from hybrid.heads.decision_rule import DecisionOptions, DecisionRule

model = DeepBaseline("small", DeepOptions(input_size=(32, 32)))
model._build(n_labels=3)
model.decision_ = DecisionRule(None, np.full(3, 0.5), DecisionOptions())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
save_baseline(model, Path("."))
size = max(path.stat().st_size for path in Path(".").glob("*.h5"))
for less in (16, 4096, size // 2, size - 100):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - less, resource.RLIM_INFINITY))
    try:
        save_baseline(model, Path("."))
    except Exception as error:
        print(less, type(error).__name__, "File too large" in str(error))
    else:
        print(less, "nothing")
"""


def test_weights_that_the_disk_cuts_short_are_an_error(loaded: Any, tmp_path: Path) -> None:
    done = loaded.run(REFUSED, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    assert len(said) == 4
    assert all(line[1] != "nothing" and line[2] == "True" for line in said), done.stdout
    assert "Traceback" not in done.stderr
