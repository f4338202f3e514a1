"""Imported embeddings as a block: features, classifier, run, prediction, report."""

from __future__ import annotations

import hashlib
import html
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from sklearn.preprocessing import Normalizer, StandardScaler

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.cli.main import hybrid
from hybrid.errors import ExtractionError, SettingError
from hybrid.extraction.import_embeddings import import_embeddings
from hybrid.features import ImportedFeatures
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.model_file import load_model, save_model
from hybrid.runs.folder import read_run
from hybrid.runs.predict import predict_catalogue
from hybrid.types import ImportSettings
from hybrid.utils.context import Context

N = 48


def vectors(n: int = N) -> NDArray[np.float32]:
    """Of which the first number tells the genre of every other film."""
    rows = np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32)
    rows[:, 0] += np.where(np.arange(n) % 2, 4, -4)
    return rows


def write_catalogue(path: str, n: int = N, start: int = 0) -> Catalogue:
    table = pd.DataFrame(
        {
            "id": [f"f{i}" for i in range(start, start + n)],
            "title": [f"film number {i % 5}" for i in range(n)],
            "genres": ["Odd" if i % 2 else "Even" for i in range(n)],
        }
    )
    table.to_csv(path, index=False)
    return load_catalogue(path)


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """Films with imported embeddings of all but the last four."""
    monkeypatch.chdir(tmp_path)
    catalogue = write_catalogue("catalogue.csv")
    frame = pd.DataFrame(vectors()[:-4], index=catalogue.ids[:-4])
    import_embeddings(frame, catalogue, block="clip")
    return catalogue


def test_the_block_is_scikit_learns_standardised_and_normalised(films: Catalogue) -> None:
    model = make_hybrid(films, blocks=["text", "clip"])
    block = dict(model.fusion.blocks)["clip"]
    assert model.fusion.names == ("text", "clip")
    assert isinstance(block, ImportedFeatures)
    found = block.fit(films.frame).transform(films.frame)
    plain = Normalizer().fit_transform(StandardScaler().fit_transform(vectors()[:-4]))
    np.testing.assert_allclose(found[:-4], plain, atol=1e-5)
    assert np.isnan(found[-4:]).all()
    assert block.missing(films.frame).tolist() == [False] * (N - 4) + [True] * 4


@pytest.mark.parametrize("of", ["poster", "text"])
def test_blocks_of_posters_and_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jpg").write_bytes(b"one")
    Path("catalogue.csv").write_text("id,title,poster,genres\n1,A,a.jpg,X\n2,B,,Y\n3,,b.jpg,X\n")
    films = load_catalogue("catalogue.csv")
    rows = pd.DataFrame(np.eye(3), index=["1", "2", "3"])
    import_embeddings(rows, films, block="clip", settings=ImportSettings(of))
    block = dict(make_hybrid(films, blocks=["clip"]).fusion.blocks)["clip"]
    assert np.isnan(block.read(films.frame)[:, 0]).tolist() == [
        False,
        of == "poster",
        True,
    ]
    again = films.frame.set_axis(["x", "y", "z"])  # ids do not count
    np.testing.assert_array_equal(block.read(again), block.read(films.frame))


def test_unknown_names_and_numbered_rows_are_refused(films: Catalogue) -> None:
    with pytest.raises(SettingError, match=r"unknown block 'clop'\. Did you mean clip"):
        make_hybrid(films, blocks=["clop"])
    with pytest.raises(ExtractionError, match=r"expected imported embeddings 'clip'.*found none"):
        make_hybrid(films, blocks=["clip#0000000"])
    block = dict(make_hybrid(films, blocks=["clip"]).fusion.blocks)["clip"]
    with pytest.raises(SettingError, match="indexed by the ids"):
        block.fit(films.frame.reset_index(drop=True))


def test_a_model_is_saved_and_finds_the_cache_of_the_machine(films: Catalogue) -> None:
    model = make_hybrid(films, blocks=["text", "clip"], grid={"C": [1.0]}, folds=2)
    model.fit(films.frame, films.labels)
    save_model(model, Path("model.json"))
    loaded = load_model(Path("model.json"), type(model))
    np.testing.assert_array_equal(
        loaded.predict_proba(films.frame), model.predict_proba(films.frame)
    )


def run(*arguments: str) -> Any:
    found = CliRunner().invoke(hybrid, [*arguments, "--json"])
    assert found.exit_code == 0, found.output + found.stderr
    return json.loads(found.stdout)


def test_a_run_and_its_predictions_say_which_items_lack_the_block(films: Catalogue) -> None:
    run("split", "--method", "random")
    run("fit-svm", "--blocks", "text,clip", "--folds", "2", "--name", "both")
    record = read_run(Path("runs/both")).record
    assert record.blocks == ("text", "clip")
    assert sum(record.missing["clip"].values()) == 4
    assert record.metrics["f1_weighted"].value > 0.8  # the titles alone tell nothing
    told = " ".join(record.audit.skipped if record.audit else ())
    assert "it cannot be told what clip (imported) has learnt from" in told
    new = write_catalogue("new.csv", 6, start=N)
    frame = pd.DataFrame(vectors(6)[:4], index=new.ids[:4])
    import_embeddings(frame, new, block="clip", settings=ImportSettings(add=True))
    found = run("predict", "runs/both", "--catalogue", "new.csv", "--out", "p.csv")
    assert found["lacking"] == {"clip": ["f52", "f53"]}
    assert [
        one["count"] for one in found["findings"] if one["kind"] == "items without a block"
    ] == [2]
    predicted = pd.read_csv("p.csv", index_col="id")["genres"]
    assert predicted[:4].tolist() == ["Even", "Odd", "Even", "Odd"]
    # On a machine without the embeddings every item lacks them.
    summary = predict_catalogue("runs/both", "new.csv", "q.csv", context=Context(cache="elsewhere"))
    assert len(summary.lacking["clip"]) == 6


@pytest.mark.parametrize("name", ["e.npz", "e.parquet", "e.csv", "e.hdf5"])
def test_an_imported_block_is_exported(films: Catalogue, name: str) -> None:
    found = run("cache", "export", "--block", "clip", "--out", name)
    assert (found["items"], found["missing"], found["dimension"]) == (N - 4, 4, 5)
    if name == "e.npz":
        with np.load(name) as arrays:
            ids, rows, seconds = arrays["ids"], arrays["embeddings"], arrays["seconds"]
    elif name == "e.hdf5":
        with h5py.File(name) as file:
            ids, rows, seconds = file["ids"].asstr()[:], file["embeddings"][:], file["seconds"][:]
    elif name == "e.csv":
        table = pd.read_csv(name)
        ids, seconds = table["id"], table["seconds"]
        rows = table[[str(i) for i in range(5)]].to_numpy(np.float32)
    else:
        table = pd.read_parquet(name)
        ids, rows, seconds = table["id"], np.stack(table["embedding"].tolist()), table["seconds"]
    assert list(ids) == films.ids[:-4].tolist()
    np.testing.assert_array_equal(rows, vectors()[:-4])  # to the bit, also as text
    assert np.isnan(seconds).all()  # nobody knows what they cost
    if name in ("e.npz", "e.parquet"):  # what is exported can be imported
        again = run("import-embeddings", name, "--block", "clip")
        assert (again["added"], again["present"]) == (0, N - 4)


def test_export_of_a_block_takes_no_option_of_others(films: Catalogue) -> None:
    for option in (["--backbone", "vgg16"], ["--dtype", "float16"]):
        found = CliRunner().invoke(
            hybrid, ["cache", "export", "--block", "clip", "--out", "e.npz", *option]
        )
        assert isinstance(found.exception, SettingError)
        assert str(found.exception).startswith(f"{option[0]}: expected none, since --block names")


def test_the_audit_of_a_split_names_the_imported_set(films: Catalogue) -> None:
    run("split", "--method", "random")

    def audited() -> list[tuple[str, str]]:
        found = CliRunner().invoke(hybrid, ["audit", "--json"])
        sets = json.loads(found.stdout)["backbones"]
        return [(each["verdict"], " ".join(each["unknown"])) for each in sets]

    ((verdict, told),) = audited()
    assert verdict == "unknown"
    assert "it cannot be told what clip (imported) has learnt from" in told
    said = ImportSettings(trained_on="none")
    frame = pd.DataFrame(vectors()[:-4], index=films.ids[:-4])
    import_embeddings(frame, films, block="clip", settings=said)
    assert audited() == [("clean", "")]


def test_reports_explanations_and_studies_know_the_block(films: Catalogue) -> None:
    run("split", "--method", "random")
    run("fit-svm", "--blocks", "text,clip", "--folds", "2", "--name", "both", "--ablation")
    studies = json.loads(next(Path("runs/both/studies").glob("*ablation*.json")).read_text())
    assert "clip" in json.dumps(studies)
    explained = run("explain", "runs/both", "f1")
    assert "clip" in json.dumps(explained)
    run("explain", "runs/both")
    assert CliRunner().invoke(hybrid, ["report", "runs/both", "--out", "r.html"]).exit_code == 0
    assert "clip" in Path("r.html").read_text()
    card = CliRunner().invoke(hybrid, ["model-card", "runs/both"])
    assert card.exit_code == 0, card.output
    assert "clip" in card.output


def test_the_run_its_card_and_the_cache_say_where_the_set_comes_from(films: Catalogue) -> None:
    rows = vectors() + np.float32(1)
    np.savez("new.npz", ids=films.ids, embeddings=rows)
    run("import-embeddings", "new.npz", "--block", "siglip", "--licence", "CC BY-NC 4.0")
    run("split", "--method", "random")
    fit = ["fit-svm", "--blocks", "text,siglip", "--folds", "2", "--name"]
    refused = CliRunner().invoke(hybrid, [*fit, "svm", "--licence", "commercial"])
    assert isinstance(refused.exception, SettingError)
    assert "found siglip of the block siglip (CC BY-NC 4.0)" in str(refused.exception)
    run(*fit, "svm")
    (said,) = read_run(Path("runs/svm")).record.imported.values()
    digest = hashlib.sha256(Path("new.npz").read_bytes()).hexdigest()
    assert (said.name, said.file, said.sha256) == ("siglip", "new.npz", digest)
    assert (said.key["of"], said.key["dimension"], said.licence) == ("item", 5, "CC BY-NC 4.0")
    assert said.cache.embeddings == N
    assert datetime.fromisoformat(str(said.imported)).tzinfo is not None
    assert CliRunner().invoke(hybrid, ["report", "runs/svm", "--out", "r.html"]).exit_code == 0
    page = html.unescape(Path("r.html").read_text())
    card = CliRunner().invoke(hybrid, ["model-card", "runs/svm"]).output.replace("\\", "")
    for told in (page, card):
        assert "siglip: CC BY-NC 4.0" in told
        assert said.fingerprint in told
        assert digest in told
    listed = {each["imported"]: each for each in run("cache", "ls")}
    assert listed["siglip"]["licence"] == "CC BY-NC 4.0"
    assert listed["siglip"]["file_sha256"] == digest
    assert listed["siglip"]["fingerprint"] == said.fingerprint
    text = CliRunner().invoke(hybrid, ["cache", "ls"]).stdout
    assert "siglip, imported from new.npz, of each item" in text
    assert f"licence CC BY-NC 4.0, imported {str(said.imported)[:10]}" in text
    # A frame has no file; its licence is what was said, or unknown.
    assert (listed["clip"]["file"], listed["clip"]["licence"]) == (None, "unknown")
