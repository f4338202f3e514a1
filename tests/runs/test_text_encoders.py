"""The block `text-embedding` in a run: record, cost, provenance, prediction, studies, report."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.preprocessing import StandardScaler, normalize

from hybrid.audit.ancestry import HashedItems
from hybrid.audit.cached_backbones import audit_cached_backbones
from hybrid.audit.item_hashes import hash_items
from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.provenance import Ancestor, ItemHashes, Provenance
from hybrid.cache import EmbeddingCache, RowCosts
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.cli.main import hybrid
from hybrid.errors import RunError, SettingError, WeightsError
from hybrid.extraction.extract_texts import extract_texts
from hybrid.extraction.provenance import store_provenance
from hybrid.extraction.text_plan import make_text_store
from hybrid.features import TextEmbeddingFeatures
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.model_file.manifest import write_manifest
from hybrid.report.model_card import model_card
from hybrid.runs.describe import describe_run
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.folder import Run, read_run
from hybrid.runs.predict import load_head, predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.runs.provenance import backbone_provenance, block_keys
from hybrid.runs.record import RunRecord
from hybrid.splitting.methods import split_catalogue
from hybrid.splitting.split_file import write_split
from hybrid.studies.study import Studies, study_run
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.registry import resolve_text_encoder
from hybrid.types import TextEmbeddingOptions
from hybrid.utils.context import Context

N, BLANK = 60, (7, 20, 33)  # items, and those without a text
WORDS = {"Comedy": "funny horse", "Horror": "ghost alien", "Drama": "the film"}
EXACT = TextEmbeddingOptions(precision="float32", dtype="float32")


def write_catalogue(path: Path, *columns: str, start: int = 0) -> Path:
    rows = []
    for i in range(start, start + N):
        genres = [g for j, g in enumerate(WORDS) if i % 3 == j or i % 7 == j]
        text = " ".join(["a film about", *(WORDS[g] for g in genres), f"{i % 41}"])
        cells = {"title": f"Film {i}", "overview": text, "year": 1950 + i % 40}
        if i - start in BLANK:
            cells |= {"title": "", "overview": ""}
        rows.append({"id": f"f{i}", "genres": "|".join(genres), **{c: cells[c] for c in columns}})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def studio(text_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a catalogue, a tiny text encoder, its embeddings, and a run on them and metadata."""
    folder = tmp_path_factory.mktemp("studio")
    shutil.copytree(text_encoder, folder / "tiny")
    films = load_catalogue(write_catalogue(folder / "catalogue.csv", "title", "overview", "year"))
    context = Context(cache=str(folder / "cache"))
    extract_texts(films, str(folder / "tiny"), options=EXACT, context=context)
    fit(films, folder / "runs/svm", context)
    return folder


def fit(films: Catalogue, folder: Path, context: Context, **how: Any) -> Run:
    split = split_catalogue(films)
    place = folder.parent.parent / "splits.csv"
    write_split(split, place)
    chosen = {"blocks": ["text-embedding", "metadata"], "grid": {"C": [0.3]}, "folds": 2, **how}
    experiment = Experiment(films, split, folder, place, context=context)
    return fit_head(experiment, make_hybrid(films, context=context, **chosen), {})


@pytest.fixture
def moved(studio: Path, tmp_path: Path) -> Path:
    """A copy of the project elsewhere, without the cache; where it was there is nothing."""
    shutil.copytree(studio, tmp_path / "moved", ignore=shutil.ignore_patterns("cache"))
    change_record(tmp_path / "moved/runs/svm", path="/nowhere/tiny")
    return tmp_path / "moved"


def change_record(folder: Path, **changes: Any) -> None:
    """Change what the record says of the text encoder."""
    data = json.loads((folder / "run.json").read_text())
    data["text_encoders"]["text-embedding"] |= changes
    (folder / "run.json").write_text(json.dumps(data))
    write_manifest(folder)


def raw_embeddings(films: Catalogue, encoder: Path) -> np.ndarray:
    """What the encoder itself makes of each item's text; NaN without one."""
    made = TextEncoder(
        resolve_text_encoder(str(encoder)), EngineChoice("openvino", "float32", "processor")
    )
    rows = [
        ". ".join(filter(None, cells)) for cells in films.table[["title", "overview"]].to_numpy()
    ]
    found = np.full((len(rows), 16), np.nan, np.float32)
    for i, text in enumerate(rows):
        if text:
            found[i] = made([text])[0]
    return found


def test_the_record_says_which_encoder_it_was(studio: Path) -> None:
    record = RunRecord.read(studio / "runs/svm")
    found = record.text_encoders["text-embedding"]
    (store,) = EmbeddingCache(str(studio / "cache")).stores()
    files = {"weights": "model.safetensors", "tokenizer": "tokenizer.json"}
    for key, file in files.items():
        digest = hashlib.sha256((studio / "tiny" / file).read_bytes()).hexdigest()
        assert found.key[key] == digest
    assert (found.name, found.licence) == ("tiny", "unknown")
    assert found.fingerprint == store.fingerprint == store.folder.name
    assert dict(found.key) == dict(store.stands_for)
    assert (found.cache.embeddings, found.cache.sha256) == (N - len(BLANK), store.digest())
    assert found.path == str(studio / "tiny")
    assert (studio / "runs/svm" / str(found.relative)).resolve() == studio / "tiny"
    assert record.blocks == ("text-embedding", "metadata")
    assert record.backbone is None
    assert RunRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    missing = record.missing["text-embedding"]
    part = dict(zip(*(read_split_columns(studio)), strict=True))
    by_hand = [part.get(f"f{i}") for i in BLANK]
    assert missing == {name: by_hand.count(name) for name in ("train", "validation", "test")}


def read_split_columns(studio: Path) -> tuple[list[str], list[str]]:
    table = pd.read_csv(studio / "splits.csv", dtype=str)
    return table["id"].tolist(), table["split"].tolist()


def test_a_run_without_text_embeddings_has_no_key_for_them(studio: Path) -> None:
    assert "text_encoders" not in RunRecord(name="svm").to_json()


def test_the_block_is_what_plain_scikit_learn_makes_of_the_embeddings(studio: Path) -> None:
    films = load_catalogue(studio / "catalogue.csv")
    ids, parts = read_split_columns(studio)
    rows = {name: i for i, name in enumerate(films.ids.tolist())}
    learnt = [rows[n] for n, part in zip(ids, parts, strict=True) if part != "test"]
    raw = raw_embeddings(films, studio / "tiny")
    scaler = StandardScaler().fit(raw[learnt])
    has = ~np.isnan(raw[:, 0])
    context = Context(cache=str(studio / "cache"))
    model = load_head(studio / "runs/svm", RunRecord.read(studio / "runs/svm"), context)
    block = dict(model.fusion_.fitted_)["text-embedding"]
    found = block.transform(films.frame)
    np.testing.assert_allclose(found[has], normalize(scaler.transform(raw[has])), atol=2e-5)
    assert np.isnan(found[~has]).all()
    assert np.flatnonzero(~has).tolist() == list(BLANK)
    assert block.missing(films.frame).tolist() == (~has).tolist()


# Cost and provenance


def test_texts_of_the_run_cost_what_they_cost_when_they_were_embedded(
    text_encoder: Path, tmp_path: Path
) -> None:
    films = load_catalogue(write_catalogue(tmp_path / "catalogue.csv", "overview", "year"))
    few = films.only(films.ids[:40].tolist())
    context = Context(cache=str(tmp_path / "cache"))
    spec = resolve_text_encoder(str(text_encoder))
    store = make_text_store(context.cache, spec, EXACT, "float32")
    texts = {text for text in films.table["overview"] if text}
    keys = [hashlib.sha256(text.encode()).digest() for text in texts]
    random = np.random.default_rng(0).normal(size=(len(keys), 16))
    store.append(keys, random, RowCosts.even(0.25 * len(keys), len(keys), "a card"))
    others = [bytes([i]) * 32 for i in range(50)]
    store.append(others, np.ones((50, 16)), RowCosts.even(9e4, 50, "a card"))
    run = fit(few, tmp_path / "runs/svm", context)
    cost = run.record.cost
    own = {text for text in few.table["overview"] if text}
    found = cost.extraction["text-embedding"]
    assert len(own) < len(texts)
    assert (found.backbone, found.posters, found.unknown) == (spec.name, len(own), 0)
    assert found.seconds == pytest.approx(0.25 * len(own))
    assert found.devices == ("a card",)
    stages = {stage.name: stage.seconds or 0.0 for stage in run.record.stages}
    by_hand = stages["fit"] + stages["predict"] + 0.25 * len(own)
    assert cost.total_seconds == pytest.approx(by_hand)
    assert cost.disk_bytes.embeddings == store.bytes_on_disk()
    names = [part.name for part in cost.components]
    assert names[0] == f"extraction of text-embedding ({spec.name})"


def test_the_keys_of_a_block_are_those_of_its_items_texts(studio: Path) -> None:
    films = load_catalogue(studio / "catalogue.csv")
    context = Context(cache=str(studio / "cache"))
    model = make_hybrid(films, blocks=["text-embedding"], context=context)
    experiment = Experiment(films, split_catalogue(films), Path("runs/x"), context=context)
    found = block_keys(model, experiment, "train", "validation", "test")
    rows = films.table[["title", "overview"]].to_numpy()[
        experiment.rows("train", "validation", "test")
    ]
    wanted = [hashlib.sha256(". ".join(r).encode()).digest() for r in rows if r[0]]
    assert found == {"text-embedding": wanted}


def test_an_encoder_is_given_unless_its_store_says_what_it_learnt_from(studio: Path) -> None:
    run = read_run(studio / "runs/svm")
    assert run.record.cost.not_counted == ()
    assert run.record.ancestors == ()
    assert run.record.audit is not None
    assert not [said for said in run.record.audit.skipped if "backbone" in said]
    (given,) = EmbeddingCache(str(studio / "cache")).stores()
    assert store_provenance(given).unknown == ()
    tuned = Ancestor("9f2c", "tuned", "c", "s", ItemHashes(), 220.0, "a card")
    learnt = Provenance((tuned,)).to_bytes()
    fields = {**given.stands_for, "weights": "ab" * 32}
    store = EmbeddingCache(str(studio / "tuned")).make(fields, given.recorded, learnt)
    films = load_catalogue(studio / "catalogue.csv")
    keys = [key for each in features_of(given).keys(films.frame) for key in each]
    store.append(keys, np.ones((len(keys), 16)))
    context = Context(cache=str(studio / "tuned"))
    model = make_hybrid(films, blocks=["text-embedding"], context=context)
    assert [each.name for each in backbone_provenance(model).ancestors] == ["tuned"]


def test_the_audit_asks_what_a_tuned_encoder_has_learnt_from(studio: Path, tmp_path: Path) -> None:
    films = load_catalogue(studio / "catalogue.csv")
    split, nothing = split_catalogue(films), [None] * N
    test = np.isin(films.ids, split.ids[split.parts == "test"])
    hashes = hash_items(films, nothing)
    runs = {
        "given": (),
        "clean": (Ancestor("1", "clean", films.sha256, "s", hashes.take(~test)),),
        "leaky": (Ancestor("2", "leaky", films.sha256, "s", hashes),),
    }
    (like,) = EmbeddingCache(str(studio / "cache")).stores()
    keys = [key for each in features_of(like).keys(films.frame) for key in each]
    for name, learnt in runs.items():
        fields = {**like.stands_for, "weights": name}
        provenance = Provenance(learnt).to_bytes() if learnt else None
        recorded = {**like.recorded, "text_encoder": name}
        store = EmbeddingCache(str(tmp_path / "cache")).make(fields, recorded, provenance)
        store.append(keys, np.ones((len(keys), 16)))
    items = HashedItems.of(films, nothing, [[] for _ in nothing], ())
    found = audit_cached_backbones(split, items, [], str(tmp_path / "cache"), split, films)
    verdicts = [(each.description.partition(",")[0], each.verdict) for each in found]
    assert verdicts == [("leaky", "leak"), ("clean", "clean"), ("given", "clean")]
    assert found[0].count == test.sum() > 0
    assert found[0].learnt_by == ("leaky",)


def features_of(store: Any) -> TextEmbeddingFeatures:
    return TextEmbeddingFeatures(str(store.folder.parent), store.fingerprint)


# Prediction


def test_new_items_are_answered_as_in_the_run(moved: Path) -> None:
    out = moved / "p.csv"
    context = Context(cache=str(moved / "fresh"))
    summary = predict_catalogue(moved / "runs/svm", moved / "catalogue.csv", out, context=context)
    assert (summary.items, summary.missing_columns) == (N, ())
    old, new = read_predictions(moved / "runs/svm/predictions.csv"), read_predictions(out)
    row = {name: i for i, name in enumerate(new.ids)}
    test = old.splits == "test"
    rows = [row[name] for name in old.ids[test]]
    np.testing.assert_allclose(new.probabilities[rows], old.probabilities[test], atol=1e-5)
    (store,) = EmbeddingCache(context.cache).stores()
    wanted = RunRecord.read(moved / "runs/svm").text_encoders["text-embedding"]
    assert store.fingerprint == wanted.fingerprint
    # What the cache has needs no encoder any more.
    shutil.rmtree(moved / "tiny")
    predict_catalogue(moved / "runs/svm", moved / "catalogue.csv", moved / "q.csv", context=context)
    assert (moved / "q.csv").read_bytes() == out.read_bytes()
    new_items = write_catalogue(moved / "new.csv", "title", "overview", start=200)
    with pytest.raises(WeightsError, match=r"text encoder tiny at .*, found no such folder\. Name"):
        predict_catalogue(moved / "runs/svm", new_items, moved / "r.csv", context=context)


def test_new_texts_are_embedded_with_the_layers_of_the_run(
    text_encoder: Path, tmp_path: Path, make_text_encoder: Callable[..., Path]
) -> None:
    folder = tmp_path / "two"
    shutil.copytree(text_encoder, folder / "tiny")
    films = load_catalogue(write_catalogue(folder / "catalogue.csv", "title", "overview", "year"))
    context = Context(cache=str(folder / "cache"))
    two = replace(EXACT, last_layers=2)
    done = extract_texts(films, str(folder / "tiny"), options=two, context=context)
    fit(films, folder / "runs/svm", context)
    record = RunRecord.read(folder / "runs/svm").text_encoders["text-embedding"]
    assert (record.key["last_layers"], record.fingerprint) == (2, done.fingerprint)

    place = folder / "runs/svm", folder / "catalogue.csv", folder / "p.csv"
    fresh = Context(cache=str(folder / "fresh"))
    predict_catalogue(*place, context=fresh)
    old, new = read_predictions(folder / "runs/svm/predictions.csv"), read_predictions(place[2])
    row = {name: i for i, name in enumerate(new.ids)}
    test = old.splits == "test"
    rows = [row[name] for name in old.ids[test]]
    np.testing.assert_allclose(new.probabilities[rows], old.probabilities[test], atol=1e-5)
    (store,) = EmbeddingCache(fresh.cache).stores()
    assert store.fingerprint == done.fingerprint

    shutil.rmtree(folder / "tiny")
    make_text_encoder(folder / "tiny", layers=1)
    with pytest.raises(WeightsError, match=r"cannot be made with .*1 to 1, the layers of tiny"):
        predict_catalogue(*place, context=Context(cache=str(folder / "other")))


def test_another_encoder_is_never_used_silently(
    moved: Path, make_text_encoder: Callable[..., Path]
) -> None:
    shutil.rmtree(moved / "tiny")
    make_text_encoder(moved / "tiny", layers=1)
    for given in ([], [str(moved / "tiny")]):
        with pytest.raises(
            WeightsError, match=r"cannot be made with the text encoder .*weights: exp"
        ):
            predict_catalogue(
                moved / "runs/svm",
                moved / "catalogue.csv",
                moved / "p.csv",
                text_encoders=given,
                context=Context(cache=str(moved / "fresh")),
            )
    assert not (moved / "p.csv").exists()


def test_an_encoder_outside_the_project_is_read_where_it_is_named(
    moved: Path, text_encoder: Path
) -> None:
    shutil.rmtree(moved / "tiny")
    change_record(moved / "runs/svm", path=str(text_encoder), relative=None)
    how = {"context": Context(cache=str(moved / "fresh"))}
    place = (moved / "runs/svm", moved / "catalogue.csv", moved / "p.csv")
    with pytest.raises(WeightsError, match=r"outside the project at .*only where you name it"):
        predict_catalogue(*place, **how)
    predict_catalogue(*place, text_encoders=[str(text_encoder)], **how)
    assert len(read_predictions(moved / "p.csv").ids) == N


def test_a_damaged_record_is_refused(moved: Path) -> None:
    change_record(moved / "runs/svm", stands_for={"kind": "text", "dimension": 16, "prefix": 3})
    with pytest.raises(RunError, match="expected chunks, prefix, precision, dtype, max_length at"):
        predict_catalogue(
            moved / "runs/svm",
            moved / "catalogue.csv",
            moved / "p.csv",
            context=Context(cache=str(moved / "fresh")),
        )


def test_items_without_texts_lack_the_block(studio: Path, tmp_path: Path) -> None:
    folder = studio / "runs/svm"
    path = write_catalogue(tmp_path / "new.csv", "year")
    context = Context(cache=str(tmp_path / "fresh"))
    summary = predict_catalogue(folder, path, tmp_path / "p.csv", context=context)
    assert summary.missing_columns == ("title", "overview")
    films = load_catalogue(studio / "catalogue.csv")
    model = load_head(folder, RunRecord.read(folder), Context(cache=str(studio / "cache")))
    blank = films.frame.assign(title="", overview="")
    np.testing.assert_allclose(
        read_predictions(tmp_path / "p.csv").probabilities, model.predict_proba(blank), atol=1e-6
    )
    assert not EmbeddingCache(context.cache).stores()
    with pytest.raises(
        SettingError, match=r"--text-encoder: expected none, .*new\.csv has no texts"
    ):
        predict_catalogue(folder, path, tmp_path / "p.csv", text_encoders=["tiny"])


def test_the_folder_of_the_cache_is_the_users(studio: Path) -> None:
    text = (studio / "runs/svm/model.json").read_text()
    assert str(studio) not in text


# Two encoders, by the command


def test_the_command_makes_a_block_of_each_encoder(
    make_text_encoder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    films = load_catalogue(write_catalogue(tmp_path / "catalogue.csv", "title", "overview"))
    for name, pooling in (("one", "mean"), ("two", "max")):
        make_text_encoder(tmp_path / name, pooling=pooling)
        extract_texts(films, name, options=replace(EXACT, dtype="float16"))
    write_split(split_catalogue(films), Path("splits.csv"))

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(hybrid, arguments)

    fixed = ("--C", "0.3", "--folds", "2")
    refused = call("fit-svm", "--blocks", "text-embedding", *fixed)
    assert refused.exit_code != 0
    assert isinstance(refused.exception, (SettingError, SystemExit))
    refused = call("fit-svm", "--blocks", "text", "--text-encoder", "one", *fixed)
    assert refused.exit_code != 0
    said = ("--text-encoder", "two", "--text-encoder", "./one")
    made = call(
        "fit-svm", "--blocks", "text-embedding,text", *said,
        "--block-weight", "text-embedding=0.5", "--name", "both", *fixed,
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    record = read_run(Path("runs/both")).record
    assert record.blocks == ("text-embedding", "text-embedding:one", "text")
    assert [each.name for each in record.text_encoders.values()] == ["two", "one"]
    assert [each.key["pooling"] for each in record.text_encoders.values()] == ["max", "mean"]
    assert record.settings["text_encoder"] == ["two", "./one"]
    assert record.head is not None
    assert record.head.chosen["block_weights"]["text-embedding"] == 0.5
    assert list(record.cost.extraction) == ["text-embedding", "text-embedding:one"]
    write_catalogue(tmp_path / "new.csv", "title", "overview", start=100)
    predicted = call(
        "predict", "both", "--catalogue", "new.csv", "--text-encoder", "two",
        "--text-encoder", "one", "--out", "p.csv",
    )  # fmt: skip
    assert predicted.exit_code == 0, predicted.output
    assert len(read_predictions(Path("p.csv")).ids) == N
    told = call("describe", "both")
    assert "text-embedding:one" in told.output
    assert "two" in told.output


# Studies, report, model card


def test_studies_and_papers_know_the_block(studio: Path) -> None:
    folder, context = studio / "runs/svm", Context(cache=str(studio / "cache"))
    run = study_run(folder, Studies(ablation=True, curve=True), context=context)
    found = run.record.studies.ablation
    assert found is not None
    assert [each.blocks for each in found.subsets] == [
        ("text-embedding",),
        ("metadata",),
        ("text-embedding", "metadata"),
    ]
    lost = {each.missing for each in found.missing}
    assert "text-embedding" in lost
    described = describe_run(folder)
    assert described.backbones == {"text-embedding": "tiny"}  # type: ignore[union-attr]
    card = model_card(None, None, folder, studio / "runs", draws=20)
    assert "text-embedding, metadata; tiny" in card.replace("\\", "")
    assert "licences of the weights: tiny: unknown" in card.replace("\\", "").replace("**", "")
