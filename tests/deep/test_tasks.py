"""Which items and labels a training is about; one label an item."""

from __future__ import annotations

import json
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
from hybrid.errors import SettingError
from hybrid.splitting.splits import split_hash
from hybrid.splitting.tasks import Task, narrow
from hybrid.types import Split

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


def test_so_many_items_of_each_genre_and_all_of_the_test(made: tuple[Any, Split]) -> None:
    catalogue, split = narrow(*made, Task("dominant", (), 1))
    assert (split.parts == "test").sum() == 1
    labels = dict(zip(catalogue.ids.tolist(), catalogue.labels.tolist(), strict=True))
    learnt = [labels[name] for name in split.ids[split.parts != "test"].tolist()]
    assert sorted(learnt) == [[0, 1], [1, 0]]
    with pytest.raises(SettingError, match=r"expected 2 .* of each genre, found Comedy 1"):
        narrow(*made, Task("dominant", (), 2))


def test_what_is_wrong_is_listed_together(made: tuple[Any, Split]) -> None:
    with pytest.raises(
        SettingError, match=r"unknown genre 'Dramma'.*Drama.*\n--single-label: unknown"
    ):
        narrow(*made, Task("biggest", ("Dramma",)))
    with pytest.raises(SettingError, match="--per-genre: expected --single-label with it"):
        narrow(*made, Task(per_genre=3))


def test_several_labels_are_refused_by_a_softmax(films: Path) -> None:
    catalogue = load_catalogue(films)
    items = Items(catalogue.ids.tolist(), catalogue.poster_paths, catalogue.labels)
    with pytest.raises(SettingError, match="--task multiclass: expected one label an item"):
        DeepBaseline("scratch", DeepOptions(task="multiclass")).fit(items, items)


def test_a_multiclass_run_gives_one_label_and_probabilities_that_add_up(project: Path) -> None:
    options = "--task multiclass --input-size 32 --epochs 2 --per-genre 12 --batch-size 8"
    for command in ("split", f"fit-deep --backbone small --genres Comedy,Horror {options}"):
        CliRunner().invoke(hybrid, command.split(), catch_exceptions=False)
    record = json.loads((project / "runs/small/run.json").read_text())
    assert record["genres"] == ["Comedy", "Horror"]
    assert record["task"]["single_label"] == "dominant"
    learnt = {part: record["split"]["counts"][part] for part in ("train", "validation")}
    assert sum(learnt.values()) == 24
    table = np.genfromtxt(
        project / "runs/small/predictions.csv", delimiter=",", names=True, dtype=None, encoding=None
    )
    assert set(table["genres"]) <= {"Comedy", "Horror"}
    np.testing.assert_allclose(table["pComedy"] + table["pHorror"], 1.0, atol=1e-5)
