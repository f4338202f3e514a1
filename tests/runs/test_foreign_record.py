"""A run that someone else made reads no files of this machine but those of its project."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.catalogue.download.ledger import Ledger
from hybrid.errors import HybridError, RunError, WeightsError
from hybrid.features import PosterFeatures
from hybrid.features.fusion import Fusion
from hybrid.model_file import load_model, save_model
from hybrid.model_file.manifest import write_manifest
from hybrid.runs.predict import find_weights
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import BackboneRecord, CatalogueRecord, WeightsRecord
from hybrid.runs.recorded_files import find_catalogue, find_split, find_weights_file
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


@pytest.mark.parametrize("field", ["path", "relative"])
@pytest.mark.parametrize("path", ["{secret}/1.jpg", "../../../secret/1.jpg", "../../linked"])
def test_weights_outside_the_project_are_not_read(run: Path, field: str, path: str) -> None:
    secret = run.parents[2] / "secret"
    (run.parents[1] / "linked").symlink_to(secret / "1.jpg")
    known = WeightsRecord("file", digest=hash_file(secret / "1.jpg", CATALOGUE))
    known = replace(known, **{field: path.format(secret=secret)})
    if field == "path" and not Path(known.path or "").is_absolute():
        known = replace(known, path=os.path.relpath(run / (known.path or "")))
    with opened_files() as opened, pytest.raises(WeightsError, match=OUTSIDE):
        find_weights_file(run, "vgg16", known)
    assert not [path for path in opened if "secret" in path or "linked" in path]


def test_weights_of_the_project_or_of_where_the_user_stands_are_read(run: Path) -> None:
    (run.parents[1] / "own.h5").write_bytes(b"own")
    Path("mine.h5").write_bytes(b"mine")
    for known, found in (
        (WeightsRecord("file", relative="../../own.h5"), run / "../../own.h5"),
        (WeightsRecord("file", path=str(run.parents[1] / "own.h5")), run.parents[1] / "own.h5"),
        (WeightsRecord("file", path="mine.h5"), Path("mine.h5")),
    ):
        assert find_weights_file(run, "vgg16", known) == str(found)


RUNS = Path(__file__).parents[1] / "golden" / "project-format-1" / "runs"


@pytest.mark.parametrize("name", ["svm", "small"])
def test_no_word_of_a_record_leads_out_of_the_project(run: Path, name: str) -> None:
    """Each string of run.json in turn, whatever it is called, names what is secret."""
    secret = run.parents[2] / "secret"
    (secret / "config.json").write_text("{}")
    shutil.copytree(RUNS / name, run, dirs_exist_ok=True)
    project = run.parents[1]
    for file in ("catalogue.csv", "splits.csv"):
        shutil.copy(RUNS.parent / file, project)
    data = json.loads((RUNS / name / "run.json").read_text())
    data = {key: part for key, part in data.items() if key not in LARGE}
    (run / "run.json").write_text(json.dumps(data))
    assert RunRecord.read(run).catalogue.path
    films = load_catalogue(project / "catalogue.csv")
    assert ("catalogue", "path") in words(data)
    for place in words(data):
        for path in (str(secret / "films.csv"), "../secret/films.csv"):
            (run / "run.json").write_text(json.dumps(changed(data, place, path)))
            with opened_files() as opened:
                read_what_it_names(run, films)
            assert not [path for path in opened if "secret" in path], place


# Numbers and words that are shown alone, and take long to parse so often.
LARGE = (
    *("tried", "why", "channels", "reliability", "metrics", "threshold_spread"),
    *("estimate", "curve", "ablation", "repeats", "studies"),
)


def read_what_it_names(run: Path, films: Catalogue) -> None:
    """All that reads a file by a record."""
    with contextlib.suppress(HybridError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = RunRecord.read(run)
        use_recorded_posters(films, record, run).poster_paths  # noqa: B018
        for find in (find_split, find_catalogue):
            with contextlib.suppress(HybridError):
                find(run, record)
        for block in record.backbones.values():
            if isinstance(block, BackboneRecord):
                with contextlib.suppress(HybridError):
                    find_weights(run, block, None)


def words(data: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the strings of JSON are; of a list, the first entry stands for all."""
    if isinstance(data, dict):
        return [found for name, part in data.items() for found in words(part, (*place, name))]
    if isinstance(data, list):
        return words(data[0], (*place, 0)) if data else []
    return [place] if isinstance(data, str) or (place and place[-1] in ("path", "posters")) else []


def changed(data: Any, place: tuple[Any, ...], value: Any) -> Any:
    """JSON with another value in a place."""
    found = json.loads(json.dumps(data))
    inner = found
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return found


_listening: list[list[str]] = []


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _listening and isinstance(arguments[0], str | bytes | os.PathLike):
        _listening[-1].append(os.fsdecode(arguments[0]))


@contextlib.contextmanager
def opened_files() -> Iterator[list[str]]:
    """Names of the files that are opened in a ``with`` block."""
    if not hasattr(sys, "_hybrid_listens"):
        sys.addaudithook(_listen)
        sys._hybrid_listens = True  # type: ignore[attr-defined]
    _listening.append([])
    try:
        yield _listening[-1]
    finally:
        _listening.pop()


def test_no_word_of_a_ledger_leads_out_of_its_folder(run: Path) -> None:
    secret = run.parents[2] / "secret" / "1.jpg"
    name = hash_file(secret, CATALOGUE)[:16]
    for place in (str(secret), "../secret/1.jpg", f"posters/../../secret/{name}.jpg"):
        line = json.dumps({"url": "http://a.org/1", "file": place, "size": 6})
        (run.parents[1] / "films.ledger.jsonl").write_text(f"{line}\n")
        (run.parents[1] / "films.ledger.part.jsonl").write_text(f"{line}\n")
        with opened_files() as opened:
            assert Ledger(run.parents[1] / "films.ledger.jsonl").entries == {}
        assert not [path for path in opened if "secret" in path]


def test_no_word_of_a_model_leads_to_a_cache(run: Path) -> None:
    block = PosterFeatures(cache="/home/theirs/.hybrid-cache", fingerprint="ab")
    path = run / "model.blocks.json"
    fusion = Fusion([("poster", block)]).fit({"poster": np.eye(3, dtype=np.float32)})
    save_model(fusion, path)
    assert "theirs" not in path.read_text()
    path.write_text(path.read_text().replace(PosterFeatures().cache, "/secret"))
    read = load_model(path, Fusion)
    for _, block in (*read.blocks, *read.fitted_):
        assert block.cache == PosterFeatures().cache


@pytest.mark.parametrize(
    "name", ["predictions.csv", "model.json", "studies/ablation.json", "studies"]
)
def test_files_of_a_run_are_no_links_out_of_its_folder(
    run: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_of(run)
    path = run / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(run.parents[2] / "secret")
    with pytest.raises(RunError, match=rf"{path}: expected a file of the run, found a link out of"):
        RunRecord.read(run)
    monkeypatch.setenv("HYBRID_FOLLOW_LINKS", "1")
    RunRecord.read(run)


def test_links_among_runs_are_followed(run: Path) -> None:
    record_of(run)
    other = run.with_name("copy")
    other.mkdir()
    (other / "run.json").symlink_to(run / "run.json")
    (other / "notes").symlink_to(run.parents[2] / "secret")  # the user's own
    here = run.parents[2] / "mine" / "here"
    here.symlink_to(run)
    assert RunRecord.read(other) == RunRecord.read(run) == RunRecord.read(here)


def test_a_record_that_was_changed_is_told_whoever_reads_it(run: Path) -> None:
    record_of(run)
    write_manifest(run)
    RunRecord.read(run)  # without a warning
    data = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**data, "seed": 7}))
    with pytest.warns(UserWarning, match=r"run\.json missing, damaged or changed"):
        assert RunRecord.read(run).seed == 7
