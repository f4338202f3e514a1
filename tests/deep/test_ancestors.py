"""What a model has seen is told by content, whatever became of files and folders; chains included."""

from __future__ import annotations

import csv
import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.audit.audit import audit_project
from hybrid.backbones.weights import RUN_WEIGHTS
from hybrid.cache import EmbeddingCache, compact
from hybrid.cache.gc import collect
from hybrid.cache.sealed import PROVENANCE
from hybrid.cache.verify import verify
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.deep.options import DeepOptions
from hybrid.extraction.extract import extract_embeddings
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.report.model_card import model_card
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_deep import fit_deep
from hybrid.runs.fit_head import fit_head
from hybrid.runs.folder import Run, read_run
from hybrid.runs.present_audit import read_audited_run
from hybrid.runs.record_parts import TrainedBackboneRecord
from hybrid.splitting.splits import split_hash
from hybrid.types import Audit, EmbeddingOptions, Split
from hybrid.utils.context import Context

pytestmark = pytest.mark.usefixtures("eager_networks")

OPTIONS = DeepOptions(epochs=1, batch_size=16, input_size=(24, 24), head_units="8")
SIZE = EmbeddingOptions(input_size=(24, 24), precision="float32")
BACKBONE = "backbone trained on test items"
OWN = "run learnt from test items"


def split_of(catalogue: Catalogue, first_test: int) -> Split:
    """Thirty test items from one on, the next thirty validation, the rest train."""
    ids = catalogue.ids[:90]
    order = (np.arange(90) - first_test) % 90
    parts = np.where(order < 30, "test", np.where(order < 60, "validation", "train"))
    return Split(ids, parts, ids, split_hash(ids, parts))


def held_out(split: Split) -> set[str]:
    return set(split.ids[split.parts == "test"].tolist())


def learnt(split: Split) -> set[str]:
    return set(split.ids[split.parts != "test"].tolist())


@pytest.fixture(scope="module")
def catalogue(films: Path) -> Catalogue:
    return load_catalogue(films)


@pytest.fixture(scope="module")
def home(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run `small` that is tested on the first thirty films, and its embeddings in a cache."""
    home = tmp_path_factory.mktemp("home")
    fit(home, catalogue, 0, "small")
    extract(home, catalogue)
    return home


@pytest.fixture
def work(home: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(home, tmp_path / "work", dirs_exist_ok=True))


def context(folder: Path) -> Context:
    return Context(cache=str(folder / "cache"), workers=1)


def fit(folder: Path, catalogue: Catalogue, first: int, name: str, **options: Any) -> Run:
    split = split_of(catalogue, first)
    experiment = Experiment(catalogue, split, folder / "runs" / name, context=context(folder))
    network = options.pop("network", "small")
    return fit_deep(experiment, network, replace(OPTIONS, **options))


def extract(folder: Path, catalogue: Catalogue, weights: Path | None = None) -> None:
    weights = weights or folder / "runs" / "small"
    extract_embeddings(
        catalogue, "small", weights=str(weights), options=SIZE, context=context(folder)
    )


def fit_svm(folder: Path, catalogue: Catalogue, first: int, name: str = "svm") -> Run:
    model = make_hybrid(
        catalogue, blocks=["poster"], grid={"C": [0.3]}, folds=2, context=context(folder)
    )
    split = split_of(catalogue, first)
    return fit_head(
        Experiment(catalogue, split, folder / "runs" / name, context=context(folder)), model
    )


def leaked(run: Run, kind: str = BACKBONE) -> set[str]:
    assert run.record.audit is not None
    return {name for leak in run.record.audit.leaks if leak.kind == kind for name in leak.items}


def audited(run: Path, catalogue: Catalogue, first: int, folder: Path) -> Audit:
    """What `hybrid audit --run` says."""
    split = split_of(catalogue, first)
    return audit_project(catalogue, split, run=read_run(run), context=context(folder)).audit


def items_of(audit: Audit, kind: str) -> set[str]:
    return {name for leak in audit.leaks if leak.kind == kind for name in leak.items}


def refit(work: Path, catalogue: Catalogue) -> None:
    fit(work, catalogue, 30, "small")


def rename(work: Path, catalogue: Catalogue) -> None:
    (work / "runs" / "small").rename(work / "runs" / "another")


def move(work: Path, catalogue: Catalogue) -> None:
    shutil.move(work / "runs" / "small", work.parent)


def delete(work: Path, catalogue: Catalogue) -> None:
    shutil.rmtree(work / "runs" / "small")


def tidy(work: Path, catalogue: Catalogue) -> None:
    delete(work, catalogue)
    (store,) = EmbeddingCache(work / "cache").stores()
    compact(store)
    collect(EmbeddingCache(work / "cache"))


@pytest.mark.parametrize("change", [refit, rename, move, delete, tidy])
def test_embeddings_know_their_trainer_whatever_became_of_it(
    change: Callable[[Path, Catalogue], None], work: Path, catalogue: Catalogue
) -> None:
    """The net was tested on films 0 to 29; on 30 to 59 it has learnt, also from validation."""
    change(work, catalogue)
    wrong = fit_svm(work, catalogue, 30)
    assert leaked(wrong) == held_out(split_of(catalogue, 30))
    assert leaked(fit_svm(work, catalogue, 0)) == set()
    half = fit_svm(work, catalogue, 15)
    assert leaked(half) == held_out(split_of(catalogue, 15)) - held_out(split_of(catalogue, 0))
    assert half.record.audit is not None
    assert not [reason for reason in half.record.audit.skipped if BACKBONE in reason]


@pytest.mark.parametrize("name", ["weights.h5", "elsewhere/net.weights.h5"])
def test_a_copy_of_the_weights_knows_its_trainer(
    name: str, work: Path, catalogue: Catalogue
) -> None:
    path = work / name
    path.parent.mkdir(exist_ok=True)
    shutil.copy(work / "runs/small" / RUN_WEIGHTS, path)
    shutil.rmtree(work / "cache")
    delete(work, catalogue)
    extract(work, catalogue, path)
    path.unlink()
    run = fit_svm(work, catalogue, 30)
    assert leaked(run) == held_out(split_of(catalogue, 30))
    (ancestor,) = run.record.ancestors
    assert (ancestor.name, ancestor.items, ancestor.split) == (
        "small", 60, split_of(catalogue, 0).sha256,
    )  # fmt: skip
    assert ancestor.catalogue == catalogue.sha256
    assert (ancestor.seconds or 0) > 0
    assert ancestor.device


def write_catalogue(
    folder: Path, catalogue: Catalogue, ids: list[str], new_posters: bool
) -> Catalogue:
    """Ten films under these ids, with the first posters, or with others."""
    folder.mkdir()
    lines = [["id", "genres", "poster"]]
    for i, name in enumerate(ids):
        content = Path(catalogue.poster_paths[i]).read_bytes()
        (folder / f"{i}.png").write_bytes(content + b"changed" * new_posters)
        lines.append([name, "Comedy|Horror" if i % 2 else "Western", f"{i}.png"])
    with (folder / "c.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return load_catalogue(folder / "c.csv")


def three_parts(catalogue: Catalogue) -> Split:
    ids = catalogue.ids
    parts = np.array(
        ["test" if i >= 20 else ("train", "validation")[i % 2] for i in range(len(ids))]
    )
    return Split(ids, parts, ids, split_hash(ids, parts))


@pytest.mark.parametrize(
    ("new_posters", "shift", "expected"),
    [(True, 0, range(0)), (False, 0, range(30, 40)), (False, 7, range(37, 47))],
    ids=["other posters, same ids", "same posters and ids", "same posters, other ids"],
)
def test_another_catalogue(
    new_posters: bool, shift: int, expected: range, work: Path, catalogue: Catalogue
) -> None:
    """Forty films; the test items are from the twentieth on, the net learnt from the thirtieth on."""
    ids = [f"f{i + shift:03}" for i in range(40)]
    other = write_catalogue(work / "other", catalogue, ids, new_posters)
    extract(work, other)
    model = make_hybrid(other, blocks=["poster"], grid={"C": [0.3]}, folds=2, context=context(work))
    run = fit_head(
        Experiment(other, three_parts(other), work / "runs/other", context=context(work)), model
    )
    assert leaked(run) == {f"f{i:03}" for i in expected}


def test_a_chain_of_trainings(work: Path, catalogue: Catalogue) -> None:
    """A net that trained on from another, and the SVM on its embeddings: all that both have learnt from."""
    second = fit(work, catalogue, 30, "second", weights=str(work / "runs/small"))
    assert leaked(second) == held_out(split_of(catalogue, 30))
    assert licence_of_start(second) == "yours"
    delete(work, catalogue)
    extract(work, catalogue, work / "runs/second")
    stores = {s.recorded["path"]: s.fingerprint for s in EmbeddingCache(work / "cache").stores()}
    for path in stores:
        if "second" not in str(path):
            shutil.rmtree(work / "cache" / stores[path])
    run = fit_svm(work, catalogue, 0)
    assert [ancestor.name for ancestor in run.record.ancestors] == ["second", "small"]
    assert leaked(run) == held_out(split_of(catalogue, 0))  # the second has learnt from these
    assert leaked(fit_svm(work, catalogue, 60)) == held_out(split_of(catalogue, 60))
    again = read_run(work / "runs/svm")
    assert [one.name for one in again.provenance.backbones.ancestors] == ["second", "small"]
    digests = [one.digest for one in again.provenance.backbones.ancestors]
    assert digests == [one.digest for one in run.record.ancestors]


def test_a_fused_network_on_frozen_embeddings_knows_their_trainer(
    work: Path, catalogue: Catalogue
) -> None:
    run = fit(
        work,
        catalogue,
        30,
        "fused",
        network="fused",
        body="small",
        weights=str(work / "runs/small"),
    )
    assert leaked(run) == held_out(split_of(catalogue, 30))
    assert [ancestor.name for ancestor in run.record.ancestors] == ["small"]
    (read,) = run.record.cost.extraction.values()
    assert run.provenance.run.stores == (read.fingerprint,)
    assert 0 < (read.seconds or 0) < (run.record.cost.total_seconds or 0)
    assert (run.provenance.run.seconds or 0) < (run.record.cost.fit_seconds or 0) + (
        read.seconds or 0
    )


def test_the_audit_of_a_run_asks_about_its_own_items_and_its_ancestors(
    work: Path, catalogue: Catalogue
) -> None:
    svm = fit_svm(work, catalogue, 0)
    delete(work, catalogue)
    shutil.rmtree(work / "cache")
    moved = svm.folder.rename(work / "moved")
    same = audited(moved, catalogue, 0, work)
    assert items_of(same, OWN) == items_of(same, BACKBONE) == set()
    found = audited(moved, catalogue, 30, work)
    for kind in (OWN, BACKBONE):
        assert items_of(found, kind) == held_out(split_of(catalogue, 30))
    half = audited(moved, catalogue, 15, work)
    assert items_of(half, OWN) == held_out(split_of(catalogue, 15)) & learnt(split_of(catalogue, 0))


def test_the_audit_of_a_run_says_leak_where_its_record_does(
    work: Path, catalogue: Catalogue
) -> None:
    run = fit_svm(work, catalogue, 30)
    assert run.record.audit is not None
    assert not run.record.audit.clean
    found = audited(run.folder, catalogue, 30, work)
    assert items_of(found, BACKBONE) == leaked(run)

    # A record that does not say it, as where the trainer was looked for at its path.
    record = json.loads((run.folder / "run.json").read_text())
    record["audit"] |= {"clean": True, "leaks": []}
    (run.folder / "run.json").write_text(json.dumps(record))
    (run.folder / "manifest.json").unlink()
    assert leaked(read_run(run.folder)) == set()
    assert leaked(read_audited_run(run.folder)) == held_out(split_of(catalogue, 30))
    card = model_card(catalogue.path, None, run.folder, work / "runs", draws=20)
    assert "The split leaks: backbone trained on test items (30 cases, 100.0 % of the" in card


def test_the_audit_of_a_deep_run_knows_its_train_items(work: Path, catalogue: Catalogue) -> None:
    folder = (work / "runs/small").rename(work / "renamed")
    assert items_of(audited(folder, catalogue, 0, work), OWN) == set()
    found = audited(folder, catalogue, 60, work)  # its train items; validation is 30 to 59
    assert items_of(found, OWN) == held_out(split_of(catalogue, 60))


def foreign(work: Path) -> Path:
    """The weights, saved by somebody else's program."""
    import h5py

    path = work / "foreign.weights.h5"
    shutil.copy(work / "runs/small" / RUN_WEIGHTS, path)
    with h5py.File(path, "r+") as file:
        del file["hybrid_provenance"]
    return path


def licence_of_start(run: Run) -> str | None:
    """Of the weights that a training started from."""
    backbone = run.record.backbone
    assert isinstance(backbone, TrainedBackboneRecord)
    return backbone.weights.initial and backbone.weights.initial.licence


def test_of_foreign_weights_it_cannot_be_told(work: Path, catalogue: Catalogue) -> None:
    shutil.rmtree(work / "cache")
    extract(work, catalogue, foreign(work))
    run = fit_svm(work, catalogue, 30)
    assert run.record.audit is not None
    assert leaked(run) == set()
    said = f"{BACKBONE}: it cannot be told what foreign.weights.h5 (SHA-256 "
    assert [r for r in run.record.audit.skipped if r.startswith(said)]
    assert BACKBONE not in run.record.audit.checks
    assert [r for r in audited(run.folder, catalogue, 30, work).skipped if r.startswith(said)]
    deep = fit(work, catalogue, 30, "on", weights=str(work / "foreign.weights.h5"))
    assert deep.record.audit is not None
    assert [r for r in deep.record.audit.skipped if r.startswith(said)]
    assert licence_of_start(deep) == "unknown"
    card = model_card(catalogue.path, None, deep.folder, work / "runs", draws=20)
    assert "licences of the weights: small: unknown" in card.replace("**", "")
    card = model_card(catalogue.path, None, run.folder, work / "runs", draws=20)
    assert f"- Not checked: {BACKBONE}: it cannot be told what foreign.weights.h5" in card
    # What is not known of the first is not known of the next.
    assert deep.provenance.model.unknown == run.provenance.backbones.unknown


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_a_damaged_provenance_is_found_and_mended(work: Path, catalogue: Catalogue) -> None:
    cache = EmbeddingCache(work / "cache")
    (store,) = cache.stores()
    assert verify(cache).problems == ()
    spoil(store.folder / PROVENANCE)
    ((path, problem),) = verify(cache).problems
    assert (Path(path).name, problem) == (PROVENANCE, "its content does not hash to its sha256")
    with pytest.warns(UserWarning, match="what the weights have learnt from is unknown"):
        run = fit_svm(work, catalogue, 30)
    assert run.record.audit is not None
    assert [r for r in run.record.audit.skipped if r.startswith(f"{BACKBONE}: it cannot be told")]
    with pytest.warns(UserWarning, match="It is written again"):
        extract(work, catalogue)
    assert verify(cache).problems == ()
    assert leaked(fit_svm(work, catalogue, 30)) == held_out(split_of(catalogue, 30))


def test_a_run_without_its_provenance_says_so(work: Path, catalogue: Catalogue) -> None:
    """As a run of an earlier version: predictions tell the items of a head, not those of a network."""
    svm = fit_svm(work, catalogue, 0)
    for folder in (svm.folder, work / "runs/small"):
        spoil(folder / PROVENANCE)
        (folder / "manifest.json").unlink()  # an earlier version wrote none
    found = audited(svm.folder, catalogue, 30, work)
    assert items_of(found, OWN) == held_out(split_of(catalogue, 30))
    said = [r for r in found.skipped if r.startswith(BACKBONE)]
    assert said[0].startswith(f"{BACKBONE}: it cannot be told what {RUN_WEIGHTS} (SHA-256 ")
    deep = audited(work / "runs/small", catalogue, 30, work)  # its validation items
    assert items_of(deep, OWN) == held_out(split_of(catalogue, 30))
    deep = audited(work / "runs/small", catalogue, 60, work)  # its train items
    assert items_of(deep, OWN) == set()
    assert [r for r in deep.skipped if r.startswith(f"{OWN}: it cannot be told")]


def test_run_json_has_the_digest_of_the_weights(work: Path, catalogue: Catalogue) -> None:
    import hashlib

    for name, options in (("small", {}), ("fused", {"network": "fused", "body": "small"})):
        if options:
            fit(work, catalogue, 0, name, weights=str(work / "runs/small"), **options)
        weights = json.loads((work / "runs" / name / "run.json").read_text())["backbone"]["weights"]
        content = (work / "runs" / name / weights["path"]).read_bytes()
        assert weights["digest"] == hashlib.sha256(content).hexdigest()
    first = (work / "runs/small" / RUN_WEIGHTS).read_bytes()
    assert weights["from"]["digest"] == hashlib.sha256(first).hexdigest()


def test_items_without_a_poster_were_not_learnt_by_a_network_on_posters(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    folder = tmp_path / "films"
    shutil.copytree(catalogue.path.parent, folder)
    for i in (40, 80):
        (folder / "posters" / f"{i}.png").unlink()
    lacking = load_catalogue(folder / "catalogue.csv")
    run = fit(tmp_path, lacking, 0, "small")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = audited(run.folder, lacking, 30, tmp_path)
    assert items_of(found, OWN) == held_out(split_of(lacking, 30)) - {"f040"}
