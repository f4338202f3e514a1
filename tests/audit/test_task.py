"""A run on some genres: its fit and `audit --run` count the same leaks, those between items of its task."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import f1_score

from hybrid.audit.ancestry import HashedItems, audit_backbones
from hybrid.audit.audit import audit_project
from hybrid.audit.item_hashes import hash_items
from hybrid.backbones.provenance import Ancestor, Provenance
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.cli.main import hybrid
from hybrid.errors import RunError
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.folder import Run
from hybrid.splitting.split_file import write_split
from hybrid.splitting.tasks import Task
from hybrid.types import Audit, Leak, Split
from hybrid.utils.context import Context

N = 90
GENRES = ("Comedy", "Drama", "Horror")
BOILERPLATE = "No overview of this film has been written in this language so far."
TWO = Task(genres=("Comedy", "Drama"))


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """Films of three genres in turn; 24 share a text: too many of all films, not of two genres."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    overviews = [" ".join(f"word{w}" for w in random.integers(0, 5000, 20)) for _ in range(N)]
    for i in range(24):
        overviews[i] = BOILERPLATE
    overviews[57] = overviews[87]  # Comedy, Comedy
    overviews[59] = overviews[84]  # Horror, Comedy
    with Path("catalogue.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "genres", "overview"])
        writer.writerows((f"f{i:02}", GENRES[i % 3], overviews[i]) for i in range(N))
    return load_catalogue("catalogue.csv")


@pytest.fixture
def split(films: Catalogue) -> Split:
    places = np.arange(N)
    test = (places >= 75) | (places < 6)
    parts = np.where(test, "test", np.where(places % 5 == 0, "validation", "train"))
    split = Split(films.ids, parts, films.ids, "")
    write_split(split, Path("splits.csv"))
    return split


def fit(films: Catalogue, split: Split, task: Task) -> Run:
    experiment = Experiment(films, split, Path("runs/text")).narrowed(task)
    model = make_hybrid(
        experiment.catalogue,
        blocks=["text"],
        folds=2,
        grid={"C": [1.0]},
        multiclass=task.multiclass,
    )
    return fit_head(experiment, model)


def shown(audit: Audit) -> list[tuple[str, int, float, tuple[str, ...]]]:
    return [(leak.kind, leak.count, leak.share, leak.items) for leak in audit.leaks]


@pytest.mark.parametrize("task", [TWO, Task(genres=TWO.genres, kind="multiclass")])
def test_the_fit_and_its_audit_count_the_leaks_of_the_task(
    task: Task, films: Catalogue, split: Split
) -> None:
    whole = audit_project(films, split).audit
    assert shown(whole) == [("same overview", 2, 2 / 21, ("f84", "f87"))]
    run = fit(films, split, task)
    assert run.record.audit is not None
    recorded = [(x.kind, x.count, x.share, x.items) for x in run.record.audit.leaks]
    assert recorded == [("same overview", 1, 1 / 14, ("f87",))]  # the other twin is of no task item
    found = audit_project(films, split, run=run)
    by_content, *others = reversed(shown(found.audit))
    assert others == recorded
    assert by_content == ("run learnt from test items", 1, 1 / 14, ("f87",))
    assert found.audit.leaks[0].pairs == (("f57", "train", "f87", "test"),)
    test = run.predictions.splits == "test"
    names = run.predictions.ids[test].tolist()
    known = dict(zip(films.ids.tolist(), films.table["genres"].tolist(), strict=True))
    truth = [[genre == known[name] for genre in run.predictions.genres] for name in names]
    micro = f1_score(np.array(truth), run.predictions.labels[test], average="micro")
    assert found.cost["f1_micro"].all.value == pytest.approx(micro)


def test_the_command_says_what_it_counts(films: Catalogue, split: Split) -> None:
    fit(films, split, TWO)

    def audit(*options: str) -> str:
        found = CliRunner().invoke(
            hybrid, ["audit", *options], catch_exceptions=False, standalone_mode=False
        )
        assert found.return_value == 1
        return found.stdout

    said = audit("--run", "runs/text")
    assert said.startswith("the split LEAKS for the task of text (Comedy, Drama); ")
    assert audit().startswith("the split LEAKS;")
    found = json.loads(audit("--run", "runs/text", "--json"))
    assert [leak["items"] for leak in found["leaks"]] == [["f87"], ["f87"]]


def test_a_catalogue_without_the_labels_of_the_task_is_refused(
    films: Catalogue, split: Split
) -> None:
    run = fit(films, split, TWO)
    text = Path("catalogue.csv").read_text().replace("Comedy", "Farce")
    Path("other.csv").write_text(text)
    with pytest.raises(RunError, match=r"labels of its task.*unknown genre 'Comedy'"):
        audit_project(load_catalogue("other.csv"), split, run=run)


def test_what_an_ancestor_learnt_outside_the_task_is_asked_of_the_whole_split(
    films: Catalogue, split: Split
) -> None:
    groups = films.ids.copy()
    groups[84] = "f59"  # a test item of the task, in a group with a horror film
    whole = Split(films.ids, split.parts, groups, "")
    experiment = Experiment(films, whole, Path("runs/a")).narrowed(TWO)
    keys = experiment.whole.keys
    hashes = hash_items(films, keys)
    scratch = Ancestor("d", "scratch", films.sha256, "s", hashes.take(np.array([59])))
    found = audit_backbones(
        Audit((), ()),
        experiment.split,
        HashedItems.of(films, keys),
        Provenance((scratch,)),
        experiment.whole.split,
    )
    assert found.leaked == {"f84"}


def test_hashes_of_a_narrowed_experiment_are_those_of_the_whole(
    films: Catalogue, split: Split
) -> None:
    whole = Experiment(films, split, Path("runs/a"), context=Context(workers=1))
    narrowed = whole.narrowed(TWO).narrowed(TWO)
    rows = np.array([films.ids.tolist().index(name) for name in narrowed.catalogue.ids.tolist()])
    assert narrowed.whole is whole
    assert narrowed.hashed.ids.tolist() == films.ids[rows].tolist()
    assert narrowed.hashed.hashes.texts.tolist() == whole.hashed.hashes.texts[rows].tolist()
    assert narrowed.hashed.hashes.texts[0] == 0  # boilerplate says nothing


def test_label_leakage_is_warned_of_for_the_genres_of_the_task(
    films: Catalogue, split: Split
) -> None:
    table = films.table.copy()
    for i in range(30, N):
        table.loc[i, "overview"] = f"A {GENRES[i % 3].lower()} about {table.loc[i, 'overview']}"
    Path("named.csv").write_text(table.to_csv(index=False))
    named = load_catalogue("named.csv")
    run = fit(named, split, TWO)
    assert run.record.audit is not None
    found = audit_project(named, split, run=run).audit

    def warned(leaks: tuple[Leak, ...]) -> list[tuple[str, int, float]]:
        return [(leak.kind, leak.count, leak.share) for leak in leaks]

    shared, warning = found.warnings
    assert shared.kind.startswith("same overview, but of too many items")
    assert "Comedy" in warning.kind
    assert "Horror" not in warning.kind
    assert warned(found.warnings) == [
        (leak.kind, leak.count, leak.share) for leak in run.record.audit.warnings
    ]
