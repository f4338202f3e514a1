"""A run that someone else made reads no files of this machine but those of its project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hybrid.catalogue import load_catalogue
from hybrid.errors import RunError
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import CatalogueRecord
from hybrid.runs.recorded_files import find_catalogue, find_split
from hybrid.runs.recorded_posters import use_recorded_posters
from hybrid.types import ColumnOptions
from hybrid.utils.reading import CATALOGUE, hash_file

OUTSIDE = "found one outside the project at .*, which is read only where you name it"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder in a project; beside the project lies what is secret. The user stands elsewhere."""
    for folder in ("theirs/runs/svm", "secret", "mine"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "secret" / "films.csv").write_text("id,title,poster\n1,secret,1.jpg\n")
    (tmp_path / "secret" / "1.jpg").write_bytes(b"secret")
    monkeypatch.chdir(tmp_path / "mine")
    return tmp_path / "theirs" / "runs" / "svm"


def record_of(run: Path, **catalogue: Any) -> RunRecord:
    data = {"format": 3, "catalogue": catalogue, "split": catalogue}
    (run / "run.json").write_text(json.dumps(data))
    return RunRecord.read(run)


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("path", ["{secret}/films.csv", "../secret/films.csv", "linked.csv"])
def test_a_catalogue_outside_the_project_is_not_read(run: Path, path: str, hashed: bool) -> None:
    secret = run.parents[2] / "secret"
    (run.parents[1] / "linked.csv").symlink_to(secret / "films.csv")
    digest = hash_file(secret / "films.csv", CATALOGUE) if hashed else None
    record = record_of(run, path=path.format(secret=secret), sha256=digest)
    with pytest.raises(RunError, match=OUTSIDE if hashed else r"found (one outside|none)"):
        find_catalogue(run, record)
    with pytest.raises(RunError, match=r"found (one outside|none)"):
        find_split(run, record_of(run, path=path.format(secret=secret)))


def test_the_users_own_wish_follows_links(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, linked = run.parents[2] / "secret" / "films.csv", run.parents[1] / "linked.csv"
    linked.symlink_to(secret)
    monkeypatch.setenv("HYBRID_FOLLOW_LINKS", "1")
    record = record_of(run, path="linked.csv", sha256=hash_file(secret, CATALOGUE))
    assert find_catalogue(run, record) == linked


def test_a_catalogue_of_the_project_is_found(run: Path) -> None:
    own = run.parents[1] / "data" / "films.csv"
    own.parent.mkdir()
    own.write_text("id\n1\n")
    digest = hash_file(own, CATALOGUE)
    for path in ("data/films.csv", str(own)):
        assert find_catalogue(run, record_of(run, path=path, sha256=digest)) == own
    Path("films.csv").write_text("id\n1\n")
    here = record_of(run, path="gone/films.csv", sha256=digest)
    assert find_catalogue(run, here) == Path("films.csv")  # where the user stands


@pytest.mark.parametrize("folder", ["../../secret", "{secret}", "covers"])
def test_posters_outside_the_project_are_not_read(run: Path, folder: str) -> None:
    secret, project = run.parents[2] / "secret", run.parents[1]
    (project / "covers").symlink_to(secret)
    path = project / "films.csv"
    path.write_text("id,title,poster\n1,x,1.jpg\n")
    record = RunRecord(
        catalogue=CatalogueRecord(
            sha256=hash_file(path, CATALOGUE), posters=folder.format(secret=secret)
        )
    )
    with pytest.warns(UserWarning, match="lies outside its project"):
        found = use_recorded_posters(load_catalogue(path), record, run)
    assert found.poster_paths == (str(project / "1.jpg"),)
    named = load_catalogue(path, ColumnOptions(posters=secret))
    assert use_recorded_posters(named, record, run).poster_paths == (str(secret / "1.jpg"),)


@pytest.mark.parametrize("link", ["posters/1.jpg", "posters"])
def test_posters_that_are_links_out_of_the_folder(
    run: Path, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, project = run.parents[2] / "secret", run.parents[1]
    path = project / "films.csv"
    path.write_text("id,title,poster\n1,x,posters/1.jpg\n")
    if link == "posters":
        (project / "posters").symlink_to(secret)
    else:
        (project / "posters").mkdir()
        (project / link).symlink_to(secret / "1.jpg")
    found = load_catalogue(path)
    assert found.poster_paths == ("",)
    assert "a link out of the folder" in found.poster_problems[0]
    own = (str(project / "posters" / "1.jpg"),)
    assert load_catalogue(path, ColumnOptions(posters=project)).poster_paths == own
    monkeypatch.setenv("HYBRID_FOLLOW_LINKS", "1")
    assert load_catalogue(path).poster_paths == own


def test_posters_that_are_links_within_the_folder(run: Path) -> None:
    project = run.parents[1]
    (project / "store").mkdir()
    (project / "store" / "1.jpg").touch()
    (project / "1.jpg").symlink_to("store/1.jpg")
    (project / "films.csv").write_text("id,title,poster\n1,x,1.jpg\n")
    assert load_catalogue(project / "films.csv").poster_paths == (str(project / "1.jpg"),)
