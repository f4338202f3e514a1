"""Same and near-same texts are searched in each text column, whatever it is called."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.audit.audit import audit_catalogue
from hybrid.catalogue import load_catalogue
from hybrid.cli.main import _run
from hybrid.splitting.methods import make_splits
from hybrid.splitting.splits import make_split
from hybrid.types import ColumnOptions

N = 60


def story(seed: int) -> str:
    return " ".join(f"word{w}" for w in np.random.default_rng(seed).integers(0, 5000, 25))


def write(path: Path, **columns: list[str]) -> Path:
    rows: list[dict[str, Any]] = [
        {"id": f"f{i:02}", "genres": ("Comedy", "Drama")[i % 2], "title": f"Film {i}"}
        | {name: cells[i] for name, cells in columns.items()}
        for i in range(N)
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Same in the synopsis: f00, f01; near-same: f02, f03. Same in the plot: f03, f04."""
    synopses = [story(i) for i in range(N)]
    plots = [story(1000 + i) for i in range(N)]
    synopses[1] = f"«{synopses[0].upper()}!»"
    synopses[3] = f"Newly restored. {synopses[2]}"
    plots[4] = plots[3]
    plots[20:40] = [story(5000)] * 20
    return write(tmp_path / "catalogue.csv", Synopsis=synopses, plot=plots)


BOTH = ColumnOptions(text=("title", "Synopsis", "plot"))


def test_texts_are_searched_in_each_text_column(path: Path) -> None:
    catalogue = load_catalogue(path, BOTH)
    (split,) = make_splits(catalogue)
    group = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
    assert group["f00"] == group["f01"]
    assert group["f02"] == group["f03"] == group["f04"]
    assert len(set(group.values())) == N - 3
    assert [found.message.partition(":")[0] for found in split.findings] == ["same plot"]
    parts = np.array(["train", "test"] * (N // 2))
    leaking = type(split)(catalogue.ids, parts, catalogue.ids, "")
    audit = audit_catalogue(catalogue, leaking)
    assert [(leak.kind, leak.pairs[0][::2]) for leak in audit.leaks] == [
        ("same synopsis", ("f00", "f01")),
        ("near-same synopsis", ("f02", "f03")),
        ("same plot", ("f04", "f03")),
    ]
    assert [warning.kind for warning in audit.warnings] == [
        "same plot, but of too many items to be duplicates (of 20)"
    ]
    assert not [reason for reason in audit.skipped if reason.startswith("same text")]
    assert audit_catalogue(catalogue, split).clean


def test_only_columns_that_features_are_made_of_are_searched(path: Path) -> None:
    catalogue = load_catalogue(path, ColumnOptions(text=("title", "plot"), drop=("Synopsis",)))
    (split,) = make_splits(catalogue)
    assert len(set(split.groups.tolist())) == N - 1
    checks = audit_catalogue(catalogue, split).checks
    assert [kind for kind in checks if kind.endswith(("plot", "synopsis"))] == [
        "same plot",
        "near-same plot",
    ]


def test_what_two_columns_have_in_common_is_no_duplicate(tmp_path: Path) -> None:
    stories = [story(i) for i in range(N)]
    path = write(tmp_path / "c.csv", overview=stories, plot=[*stories[1:], story(N)])
    catalogue = load_catalogue(path, ColumnOptions(text=("overview", "plot")))
    assert len(set(make_splits(catalogue)[0].groups.tolist())) == N


def test_a_column_of_short_texts_is_left_out_and_told(tmp_path: Path) -> None:
    names = [f"Film number {i}" for i in range(N)]
    long = "The long story of a man and his map"
    names[:2] = [f"{long}, part one", f"{long}, part two"]
    path = write(tmp_path / "c.csv", name=names)
    catalogue = load_catalogue(path, ColumnOptions(text=("name",)))
    split = make_split(catalogue.ids, catalogue.labels)
    audit = audit_catalogue(catalogue, split)
    assert "same name: its texts are too short to tell" in audit.skipped
    assert "same name" not in audit.checks
    assert len(set(make_splits(catalogue)[0].groups.tolist())) == N


def test_without_a_text_column_it_is_told(tmp_path: Path) -> None:
    catalogue = load_catalogue(write(tmp_path / "c.csv"))
    audit = audit_catalogue(catalogue, make_splits(catalogue)[0])
    assert "same text: no column overview, and no other text column" in audit.skipped


def test_the_commands_tell(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(path.parent)
    columns = ["--text", "Synopsis", "--text", "plot", "--quiet"]
    assert _run(["split", *columns, "--json"]) == 0
    found = capsys.readouterr()
    assert [f["count"] for f in json.loads(found.out)["findings"]] == [20]
    assert "note: same plot: 20 items share one (f20, f21," in found.err
    assert _run(["audit", *columns]) == 0
    assert "same synopsis, near-same synopsis, same plot, near-same plot" in capsys.readouterr().out
    assert _run(["check", *columns, "--json"]) == 0
    (finding,) = [f for f in json.loads(capsys.readouterr().out)["findings"] if f["count"] == 20]
    assert (finding["kind"], finding["column"]) == ("shared by many", "plot")
    assert _run(["check", *columns]) == 0
    assert "note: column 'plot': 20 items have a text that more than 12" in capsys.readouterr().out


def test_an_audit_of_a_run_searches_the_columns_of_the_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(path.parent)
    assert _run(["split", "--quiet"]) == 0
    fit = ["fit-svm", "--blocks", "text", "--text", "plot", "--folds", "2", "--quiet"]
    assert _run([*fit, "--name", "plots"]) == 0
    capsys.readouterr()
    _run(["audit", "--run", "plots", "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [kind for kind in checks if "plot" in kind] == ["same plot", "near-same plot"]
