"""Which items and labels a training is about; one label an item."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hybrid.catalogue import load_catalogue
from hybrid.cli.main import hybrid
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.items import Items
from hybrid.deep.options import DeepOptions
from hybrid.errors import SettingError, SplitError
from hybrid.runs.experiment import Experiment
from hybrid.splitting.splits import split_hash
from hybrid.splitting.tasks import Task, narrow
from hybrid.types import Split
from hybrid.utils.context import Context
from hybrid.utils.progress import Progress

# Drama 3, Comedy 2, War 1
CELLS = ["Comedy|Drama", "War|Comedy", "Drama", "", "Drama"]


@pytest.fixture
def made(tmp_path: Path) -> tuple[Any, Split]:
    lines = [f"{i},{cell},{'War' if i else ''}" for i, cell in enumerate(CELLS)]
    (tmp_path / "catalogue.csv").write_text("id,genres,main\n" + "\n".join(lines) + "\n")
    ids, parts = np.array(list("01234")), np.array(["train", "train", "validation", "test", "test"])
    return load_catalogue(tmp_path / "catalogue.csv"), Split(
        ids, parts, ids, split_hash(ids, parts)
    )


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (Task(), {"0": "Comedy|Drama", "1": "War|Comedy", "2": "Drama", "4": "Drama"}),
        (Task("dominant"), {"0": "Drama", "1": "Comedy", "2": "Drama", "4": "Drama"}),
        (Task("first"), {"0": "Comedy", "1": "War", "2": "Drama", "4": "Drama"}),
        (Task("main"), {"1": "War", "2": "War", "3": "War", "4": "War"}),
        (Task("dominant", ("Comedy", "War")), {"0": "Comedy", "1": "Comedy"}),
        (Task(None, ("Drama",)), {"0": "Drama", "2": "Drama", "4": "Drama"}),
    ],
)
def test_labels_that_are_kept(
    made: tuple[Any, Split], task: Task, expected: dict[str, str]
) -> None:
    catalogue, split = narrow(*made, task)
    cells = catalogue.table[catalogue.columns.label].tolist()
    assert dict(zip(catalogue.ids.tolist(), cells, strict=True)) == expected
    assert split.ids.tolist() == list(expected)
    before = dict(zip(made[1].ids, made[1].parts, strict=True))
    assert [before[name] for name in split.ids] == split.parts.tolist()
    assert split.sha256 == made[1].sha256


def drawn(
    tmp_path: Path, counts: dict[str, dict[str, int]], per_genre: int, seed: int = 0
) -> dict[str, dict[str, int]]:
    """Items of each genre and part that are sampled from a split with these counts, and 3 test items each."""
    rows = [
        (f"{genre}-{part}-{k}", genre, part)
        for genre, of_parts in counts.items()
        for part, count in {**of_parts, "test": 3}.items()
        for k in range(count)
    ]
    lines = [f"{name},{genre}" for name, genre, _ in rows]
    (tmp_path / "many.csv").write_text("id,genres\n" + "\n".join(lines) + "\n")
    ids, parts = np.array([row[0] for row in rows]), np.array([row[2] for row in rows])
    task = Task(per_genre=per_genre, seed=seed, kind="multiclass")
    split = Split(ids, parts, ids, split_hash(ids, parts))
    catalogue, split = narrow(load_catalogue(tmp_path / "many.csv"), split, task)
    assert sorted(catalogue.ids.tolist()) == sorted(split.ids.tolist())
    found = Counter(tuple(name.split("-")[:2]) for name in split.ids.tolist())
    return {g: {p: found[g, p] for p in ("train", "validation", "test")} for g in counts}


@pytest.mark.parametrize(
    ("of_parts", "per_genre", "expected"),
    [
        ((70, 10), 24, (21, 3)),  # an eighth is validation
        ((70, 10), 2, (1, 1)),  # at least one of each
        ((70, 10), 1, (1, 0)),
        ((70, 10), 80, (70, 10)),
        ((70, 10), 1024, (70, 10)),  # what there is
    ],
)
def test_both_parts_are_sampled_in_their_proportion(
    of_parts: tuple[int, int], per_genre: int, expected: tuple[int, int], tmp_path: Path
) -> None:
    counts = {g: dict(zip(("train", "validation"), of_parts, strict=True)) for g in ("A", "B")}
    for found in drawn(tmp_path, counts, per_genre).values():
        assert (found["train"], found["validation"], found["test"]) == (*expected, 3)


def test_a_part_that_lacks_items_is_filled_up_by_the_other(tmp_path: Path) -> None:
    counts = {
        "A": {"train": 60, "validation": 0},
        "B": {"train": 2, "validation": 30},
        "C": {"train": 58, "validation": 10},
    }
    found = drawn(tmp_path, counts, 20)  # 40 of 160 are validation: 5 of 20
    assert found["A"] == {"train": 20, "validation": 0, "test": 3}
    assert found["B"] == {"train": 2, "validation": 18, "test": 3}
    assert found["C"] == {"train": 15, "validation": 5, "test": 3}


def test_a_sample_depends_on_its_seed_alone(tmp_path: Path) -> None:
    rows = [f"{k},{'AB'[k % 2]}" for k in range(200)]
    (tmp_path / "c.csv").write_text("id,genres\n" + "\n".join(rows) + "\n")
    catalogue, ids = load_catalogue(tmp_path / "c.csv"), np.array([str(k) for k in range(200)])
    split = Split(ids, np.where(np.arange(200) % 5 == 0, "validation", "train"), ids, "")

    def sample(seed: int, split: Split = split) -> set[str]:
        return set(narrow(catalogue, split, Task("first", (), 20, seed))[1].ids.tolist())

    back = Split(split.ids[::-1], split.parts[::-1], split.groups[::-1], "")
    assert sample(0) == sample(0, back) != sample(1)


def test_unused_items_are_not_sampled(made: tuple[Any, Split]) -> None:
    catalogue, split = made
    unused = Split(
        split.ids, np.where(split.parts == "train", "unused", split.parts), split.ids, ""
    )
    _, narrowed = narrow(catalogue, unused, Task("dominant", (), 5))
    assert narrowed.parts.tolist() == ["validation", "test"]


def test_what_there_is_too_few_of_is_said(made: tuple[Any, Split], tmp_path: Path) -> None:
    said: list[str] = []

    class Heard(Progress):
        def say(self, message: str) -> None:
            said.append(message)

    experiment = Experiment(*made, tmp_path / "runs/a", context=Context(progress=Heard()))
    found = experiment.narrowed(Task("dominant", ("Comedy", "Drama"), 2))
    assert found.sampled == {"Comedy": 1, "Drama": 2}
    (line,) = said
    assert (
        line
        == "--per-genre 2: there are fewer train and validation items of Comedy (1); all are used."
    )
    assert experiment.narrowed(Task("dominant", ("Drama",), 2)).sampled == {"Drama": 2}
    assert len(said) == 1


def test_genres_without_a_train_item_leave_nothing_to_tell_apart(
    made: tuple[Any, Split], tmp_path: Path
) -> None:
    experiment = Experiment(*made, tmp_path / "runs/a")
    task = Task("dominant", ("Comedy", "Drama"), kind="multiclass")
    assert experiment.narrowed(task).catalogue.genres == ("Comedy", "Drama")
    held = replace(made[1], parts=np.array(["test", *made[1].parts[1:]]))
    with pytest.raises(SettingError, match=r"expected 2 genres or more .* found 1 \(Comedy\)"):
        replace(experiment, split=held).narrowed(task)


def test_a_task_hides_no_fault_of_the_split(made: tuple[Any, Split], tmp_path: Path) -> None:
    catalogue, split = made
    other = replace(split, ids=np.array(["0", "1", "2", "3", "strange"]))
    with pytest.raises(SplitError, match="not in the catalogue"):
        Experiment(catalogue, other, tmp_path / "runs/a").narrowed(Task("dominant"))


def test_what_is_wrong_is_listed_together(made: tuple[Any, Split]) -> None:
    with pytest.raises(
        SettingError, match=r"unknown genre 'Dramma'.*Drama.*\n--single-label: unknown"
    ):
        narrow(*made, Task("biggest", ("Dramma",)))
    with pytest.raises(SettingError, match="--per-genre: expected --task multiclass with it"):
        narrow(*made, Task(per_genre=3))


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        (DeepOptions(), "weighted"),
        (DeepOptions(task="multiclass"), "plain"),
        (DeepOptions(task="multiclass", loss="weighted"), "weighted"),
        (DeepOptions(loss="focal"), "focal"),
    ],
)
def test_the_loss_is_that_of_the_task(options: DeepOptions, loss: str) -> None:
    assert DeepBaseline("small", options).options.loss == loss


def test_several_labels_are_refused_by_a_softmax(films: Path) -> None:
    catalogue = load_catalogue(films)
    items = Items(catalogue.ids.tolist(), catalogue.poster_paths, catalogue.labels)
    with pytest.raises(SettingError, match="--task multiclass: expected one label an item"):
        DeepBaseline("scratch", DeepOptions(task="multiclass")).fit(items, items)


def test_a_multiclass_run_gives_one_label_and_probabilities_that_add_up(project: Path) -> None:
    options = "--task multiclass --input-size 32 --epochs 2 --per-genre 12 --batch-size 8"
    for command in ("split", f"fit-deep --backbone small --genres Comedy,Horror {options}"):
        said = CliRunner().invoke(hybrid, command.split(), catch_exceptions=False)
    assert "few validation items of Comedy (" in said.stderr
    assert "one of 2 genres each" in said.stdout
    record = json.loads((project / "runs/small/run.json").read_text())
    assert record["genres"] == ["Comedy", "Horror"]
    assert record["task"]["single_label"] == "dominant"
    assert record["settings"]["loss"] == "plain"
    assert record["sampled"] == {"Comedy": 12, "Horror": 12}
    learnt = {part: record["split"]["counts"][part] for part in ("train", "validation")}
    assert sum(learnt.values()) == 24
    table = np.genfromtxt(
        project / "runs/small/predictions.csv", delimiter=",", names=True, dtype=None, encoding=None
    )
    assert set(table["genres"]) <= {"Comedy", "Horror"}
    np.testing.assert_allclose(table["pComedy"] + table["pHorror"], 1.0, atol=1e-5)
