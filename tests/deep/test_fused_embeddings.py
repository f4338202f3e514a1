"""Embeddings of the cache as blocks of the network `fused`: of texts, and imported ones."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.preprocessing import StandardScaler, normalize

from hybrid import import_embeddings
from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.provenance import Ancestor, Provenance
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.cli.main import hybrid
from hybrid.deep.fused import FusedBaseline, make_baseline
from hybrid.deep.fused_network import input_name
from hybrid.deep.options import DeepOptions
from hybrid.deep.saved import load_baseline
from hybrid.errors import SettingError, WeightsError
from hybrid.explain.contributions import SharedPrediction
from hybrid.extraction.extract_texts import extract_texts
from hybrid.features import MetadataFeatures
from hybrid.heads.make_hybrid import choose_blocks
from hybrid.inspection.item import explain_item
from hybrid.inspection.loaded_network import LoadedNetwork
from hybrid.inspection.loaded_run import load_run
from hybrid.report.item_card import render_card
from hybrid.report.model_card import model_card
from hybrid.runs.deep_inputs import make_checkpoint, make_fusion, plan_deep
from hybrid.runs.describe import describe_run
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_deep import fit_deep
from hybrid.runs.folder import Run
from hybrid.runs.predict import predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.runs.record import RunRecord
from hybrid.splitting.methods import split_catalogue
from hybrid.splitting.split_file import read_split, write_split
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.registry import resolve_text_encoder
from hybrid.types import TextEmbeddingOptions
from hybrid.utils.context import Context
from tests.explain.shapley_orders import by_orders

EXACT = TextEmbeddingOptions(precision="float32", dtype="float32")
BLANK, LACK = (
    (7, 20, 33),
    70,
)  # items without a text; from which item on there is no imported embedding
NAMES = ("text-embedding", "text-embedding:other", "metadata", "clip")
QUICK = DeepOptions(epochs=2, batch_size=32, head_units="6")
BLIND = replace(
    QUICK, blocks=("text-embedding", "metadata", "clip"), text_encoder=("tiny", "other")
)
SEEING = replace(
    QUICK,
    body="mobilenet-075",
    weights="random",
    input_size=(32, 32),
    epochs=1,
    text_encoder=("tiny",),
)


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """Whatever is trained here, in whatever order, is the shallow network."""


@pytest.fixture(scope="module")
def studio(
    films: Path,
    text_encoder: Path,
    make_text_encoder: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Films, some without a text, two text encoders, imported embeddings, and a run without posters."""
    folder = tmp_path_factory.mktemp("studio")
    shutil.copytree(films.parent, folder, dirs_exist_ok=True)
    shutil.copytree(text_encoder, folder / "tiny")
    make_text_encoder(folder / "other", layers=1)
    table = pd.read_csv(folder / "catalogue.csv", dtype=str, keep_default_na=False)
    table.loc[list(BLANK), ["title", "overview"]] = ""
    table.to_csv(folder / "catalogue.csv", index=False)
    catalogue, context = load(folder)
    write_split(split_catalogue(catalogue, context=context), folder / "splits.csv")
    for encoder in ("tiny", "other"):
        extract_texts(catalogue, str(folder / encoder), options=EXACT, context=context)
    vectors = pd.DataFrame(draw_clip(catalogue)[:LACK], index=catalogue.ids[:LACK])
    import_embeddings(vectors, catalogue, block="clip", context=context)
    fit(folder, "blind", BLIND)
    return folder


def load(studio: Path) -> tuple[Catalogue, Context]:
    return load_catalogue(studio / "catalogue.csv"), Context(cache=str(studio / "cache"), workers=1)


def draw_clip(catalogue: Catalogue) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(catalogue), 5)).astype(np.float32)


def fit(studio: Path, name: str, options: DeepOptions, **how: Any) -> Run:
    catalogue, context = load(studio)
    split = read_split(studio / "splits.csv")
    experiment = Experiment(
        catalogue, split, studio / "runs" / name, studio / "splits.csv", context=context
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "random weights")
        return fit_deep(experiment, "fused", options, **how)


def saved(studio: Path, name: str = "blind") -> FusedBaseline:
    model = load_baseline(studio / "runs" / name, cache=str(studio / "cache"))
    assert isinstance(model, FusedBaseline)
    return model


def encode(catalogue: Catalogue, encoder: Path) -> np.ndarray:
    """What the encoder itself makes of each item's text; NaN without one."""
    spec = resolve_text_encoder(str(encoder))
    made = TextEncoder(spec, EngineChoice("openvino", "float32", "processor"))
    cells = catalogue.table[["title", "overview"]].to_numpy().tolist()
    texts = [". ".join(filter(None, each)) for each in cells]
    rows = iter(made([text for text in texts if text]))
    return np.array([next(rows) if text else np.full(16, np.nan) for text in texts], np.float32)


def block_by_hand(raw: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Standardised on train and of length 1 by scikit-learn, with the column that says what is missing."""
    has = ~np.isnan(raw[:, 0])
    found = np.zeros((len(raw), raw.shape[1] + 1))
    found[has, :-1] = normalize(StandardScaler().fit(raw[train & has]).transform(raw[has]))
    found[:, -1] = ~has
    return found


def parts_of(studio: Path, catalogue: Catalogue) -> np.ndarray:
    split = read_split(studio / "splits.csv")
    part = dict(zip(split.ids.tolist(), split.parts.tolist(), strict=True))
    return np.array([part[name] for name in catalogue.ids.tolist()])


def test_the_answers_are_those_of_numpy_on_the_same_arrays(studio: Path) -> None:
    (catalogue, _), model = load(studio), saved(studio)
    parts = parts_of(studio, catalogue)
    train = parts == "train"
    clip = draw_clip(catalogue)
    clip[LACK:] = np.nan
    columns = catalogue.columns
    metadata = MetadataFeatures(
        columns.numeric, columns.categorical, columns.list, dates=columns.date
    )
    fields = metadata.fit(catalogue.frame[train]).transform(catalogue.frame)
    fields = np.asarray(fields.todense() if hasattr(fields, "todense") else fields)
    blocks = [
        *(block_by_hand(encode(catalogue, studio / name), train) for name in ("tiny", "other")),
        np.hstack([fields, np.zeros((len(catalogue), 1))]),
        block_by_hand(clip, train),
    ]
    (kernel, bias), (last, start) = [
        layer.get_weights() for layer in model.network_.head.layers if layer.get_weights()
    ]
    scores = np.maximum(np.hstack(blocks) @ kernel + bias, 0) @ last + start
    wanted = model.to_probabilities(scores, model.decision_)
    run = read_predictions(studio / "runs/blind/predictions.csv")
    rows = [catalogue.ids.tolist().index(name) for name in run.ids.tolist()]
    np.testing.assert_allclose(run.probabilities, wanted[rows], atol=2e-5)
    assert set(run.splits) == {"validation", "test"}


def test_the_record_knows_encoders_cost_and_what_is_missing(studio: Path) -> None:
    record = RunRecord.read(studio / "runs/blind")
    catalogue, _ = load(studio)
    assert (record.kind, record.blocks, record.backbone) == ("deep", NAMES, None)
    for block, encoder in zip(NAMES[:2], ("tiny", "other"), strict=True):
        found = record.text_encoders[block]
        digest = hashlib.sha256((studio / encoder / "model.safetensors").read_bytes()).hexdigest()
        assert (found.name, found.key["weights"]) == (encoder, digest)
        assert record.cost.extraction[block].posters == len(catalogue) - len(BLANK)
    parts = parts_of(studio, catalogue).tolist()
    wanted = {
        part: [parts[i] for i in BLANK].count(part) for part in ("train", "validation", "test")
    }
    assert record.missing["text-embedding"] == wanted
    assert record.missing["text-embedding:other"] == wanted
    assert record.missing["clip"] == {
        part: parts[LACK:].count(part) for part in ("train", "validation", "test")
    }
    assert record.settings["text_encoder"] == ["tiny", "other"]
    assert record.settings["blocks"] == list(NAMES)
    described = describe_run(studio / "runs/blind")
    assert described.settings["blocks"] == NAMES
    card = model_card(catalogue, None, Path("blind"), studio / "runs", draws=20)
    assert "fused on text-embedding, text-embedding:other, metadata, clip; tiny, other" in card
    assert "- licences of the weights: tiny: unknown, other: unknown" in card


def test_what_a_tuned_encoder_has_learnt_is_learnt_by_the_network(
    studio: Path, tmp_path: Path
) -> None:
    (catalogue, context), split = load(studio), read_split(studio / "splits.csv")
    (like,) = (
        s
        for s in EmbeddingCache(context.cache).stores()
        if s.recorded.get("text_encoder") == "tiny"
    )
    experiment = Experiment(catalogue, split, tmp_path / "runs/tuned", context=context)
    leaky = Ancestor(
        "9f2c", "leaky", catalogue.sha256, "s", experiment.hashed.hashes, 220.0, "a card"
    )
    recorded = {**like.recorded, "text_encoder": "learnt"}
    fields = {**like.stands_for, "weights": "ab" * 32}
    cache = str(tmp_path / "cache")
    store = EmbeddingCache(cache).make(fields, recorded, Provenance((leaky,)).to_bytes())
    block = saved(studio).fusion_.fitted_[0][1]
    keys = list(dict.fromkeys(key for each in block.keys(catalogue.frame) for key in each))
    store.append(keys, np.random.default_rng(1).normal(size=(len(keys), 16)))
    options = replace(QUICK, blocks=("text-embedding", "metadata"), epochs=1)
    run = fit_deep(replace(experiment, context=Context(cache=cache, workers=1)), "fused", options)
    assert [each.name for each in run.record.ancestors] == ["leaky"]
    assert [each.name for each in run.record.cost.ancestors] == ["leaky"]
    assert run.record.audit is not None
    assert not run.record.audit.clean
    assert "backbone trained on test items" in {leak.kind for leak in run.record.audit.leaks}


# Prediction


@pytest.fixture
def moved(studio: Path, tmp_path: Path) -> Path:
    """A copy of the project elsewhere, without the cache."""
    shutil.copytree(studio, tmp_path / "moved", ignore=shutil.ignore_patterns("cache"))
    return tmp_path / "moved"


def test_new_texts_are_encoded_by_the_encoders_of_the_run(studio: Path, moved: Path) -> None:
    fresh = Context(cache=str(moved / "fresh"), workers=1)
    out = moved / "p.csv"
    summary = predict_catalogue(moved / "runs/blind", moved / "catalogue.csv", out, context=fresh)
    assert len(summary.lacking["clip"]) == 90  # nothing can compute them
    assert [finding.count for finding in summary.findings if "clip" in finding.message] == [90]
    stores = {store.fingerprint for store in EmbeddingCache(fresh.cache).stores()}
    known = RunRecord.read(moved / "runs/blind").text_encoders
    assert stores == {each.fingerprint for each in known.values()}
    # With the imported embeddings, too, each item is answered as in the run.
    catalogue, _ = load(studio)
    vectors = pd.DataFrame(draw_clip(catalogue)[:LACK], index=catalogue.ids[:LACK])
    import_embeddings(vectors, catalogue, block="clip", context=fresh)
    summary = predict_catalogue(moved / "runs/blind", moved / "catalogue.csv", out, context=fresh)
    assert summary.lacking["clip"] == tuple(catalogue.ids[LACK:])
    old, new = read_predictions(moved / "runs/blind/predictions.csv"), read_predictions(out)
    rows = [new.ids.tolist().index(name) for name in old.ids.tolist()]
    np.testing.assert_allclose(new.probabilities[rows], old.probabilities, atol=1e-5)


def test_another_encoder_is_refused(moved: Path, make_text_encoder: Callable[..., Path]) -> None:
    shutil.rmtree(moved / "tiny")
    make_text_encoder(moved / "tiny", layers=2, kind="distilbert")
    fresh = Context(cache=str(moved / "fresh"), workers=1)
    with pytest.raises(WeightsError, match=r"cannot be made with the text encoder .*weights: exp"):
        predict_catalogue(
            moved / "runs/blind", moved / "catalogue.csv", moved / "p.csv", context=fresh
        )


# Options


def test_the_blocks_are_by_default_those_of_a_head(studio: Path, project: Path) -> None:
    (catalogue, context), options = load(studio), DeepOptions(text_encoder=("tiny",))
    found = make_fusion(catalogue, "fused", context, options)
    assert found is not None
    assert found.names == ("poster", "text-embedding", "text", "metadata")
    plain, empty = load_catalogue(project / "catalogue.csv"), Context(cache=str(project / "none"))
    found = make_fusion(plain, "fused", empty)
    assert found is not None
    assert found.names == choose_blocks(plain, None, (), empty) == ("poster", "text", "metadata")
    few = load_catalogue(write_columns(project / "few.csv", "id", "genres", "overview", "year"))
    found = make_fusion(few, "fused", empty)
    assert found is not None
    assert found.names == ("text", "metadata")
    assert make_baseline("fused", fusion=found).spec.backbone is None


def write_columns(path: Path, *columns: str) -> Path:
    with (path.parent / "catalogue.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pd.DataFrame(rows)[list(columns)].to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("network", "options", "said"),
    [
        (
            "text",
            {"text_encoder": ("tiny",)},
            "--text-encoder: expected none, since text is not fused",
        ),
        ("scratch", {"blocks": ("text",)}, "--blocks: expected none, since scratch is not fused"),
        (
            "fused",
            {"blocks": ("text", "metadata"), "body": "vgg16"},
            "--body: expected none, since the block poster is not among text, metadata",
        ),
        (
            "fused",
            {"blocks": ("text",), "unfreeze": "1", "weights": "random"},
            r"--weights: expected none, since the block poster .*\n--unfreeze: expected none, since",
        ),
        (
            "fused",
            {"blocks": ("poster", "text"), "text_embeddings": ("0a",)},
            "--text-embeddings: expected none, since the block text-embedding is not among poster, text",
        ),
        ("fused", {"blocks": ("poster",)}, "--blocks: expected another block beside poster"),
        ("fused", {"blocks": ("text", "klip")}, "--blocks: unknown block 'klip'.*clip"),
    ],
)
def test_what_has_no_effect_is_refused(
    studio: Path, network: str, options: dict[str, Any], said: str
) -> None:
    (catalogue, context), how = load(studio), DeepOptions(**options)
    with pytest.raises(SettingError, match=f"(?s){said}"):
        make_baseline(network, how, fusion=make_fusion(catalogue, network, context, how))


def test_a_training_is_resumed_with_the_same_embeddings_alone(studio: Path, tmp_path: Path) -> None:
    (catalogue, context), split = load(studio), read_split(studio / "splits.csv")
    experiment = Experiment(catalogue, split, tmp_path / "runs/x", context=context)

    def checkpoint(options: DeepOptions) -> Any:
        model = make_baseline(
            "fused", options, fusion=make_fusion(catalogue, "fused", context, options)
        )
        return make_checkpoint(experiment.folder, model, None, catalogue, split, experiment.task)

    one, two = (
        checkpoint(replace(BLIND, text_encoder=(name,), blocks=BLIND.blocks))
        for name in ("tiny", "other")
    )
    assert set(one.identity["embeddings"]) == {"text-embedding", "clip"}
    assert one.identity["embeddings"]["clip"] == two.identity["embeddings"]["clip"]
    assert (
        one.identity["embeddings"]["text-embedding"] != two.identity["embeddings"]["text-embedding"]
    )
    # That of blocks without embeddings is as earlier versions wrote it.
    plain = checkpoint(replace(QUICK, blocks=("poster", "text", "metadata")))
    assert not {"embeddings", "blocks", "text_encoder", "text_embeddings"} & set(plain.identity)


def test_the_command_trains_plans_describes_and_predicts(
    studio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(studio, tmp_path / "p", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.chdir(tmp_path / "p")

    def call(line: str) -> str:
        result = CliRunner().invoke(
            hybrid, [*line.split(), "--cache", "cache"], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output

    how = "--blocks text-embedding,clip --text-encoder tiny --head-units 4 --epochs 1 --name both"
    plan = call(f"fit-deep --backbone fused {how} --dry-run")
    assert "on the blocks text-embedding, clip" in plan
    assert f"fused: {(17 + 6) * 4 + 4 + 4 * 3 + 3} parameters" in plan
    call(f"fit-deep --backbone fused {how}")
    record = json.loads(Path("runs/both/run.json").read_text())
    assert record["blocks"] == ["text-embedding", "clip"]
    assert "20 of 90 items lack the block clip" in call("predict runs/both --out p.csv")
    text = CliRunner().invoke(hybrid, ["describe", "both"], catch_exceptions=False).output
    assert "blocks: text-embedding, clip" in text
    plain = (
        CliRunner()
        .invoke(hybrid, ["describe", "fused", "--text-encoder", "tiny"], catch_exceptions=False)
        .output
    )
    assert "blocks: poster, text-embedding, text, metadata" in plain


# Explanation


@pytest.mark.parametrize("item", ["f002", "f007", "f080"])
def test_the_score_is_shared_among_the_blocks(studio: Path, item: str) -> None:
    catalogue, context = load(studio)
    run = load_run(studio / "runs/blind", studio / "catalogue.csv", context=context)
    assert isinstance(run, LoadedNetwork)
    row = catalogue.ids.tolist().index(item)
    has = [
        name
        for name in NAMES
        if not ((row in BLANK and "text" in name) or (row >= LACK and name == "clip"))
    ]
    # Each subset by a plain call of the network on rows that are masked by hand.
    model = saved(studio)
    items = run.items(np.array([row]))
    matrix = dict(model.fusion_.transform(model._data(items)).blocks)
    rows = {
        n: np.asarray(b.todense() if hasattr(b, "todense") else b, np.float32)
        for n, b in matrix.items()
    }
    scores = np.empty((1 << len(has), len(run.genres)))
    for subset in range(len(scores)):
        inputs = {}
        for name, value in rows.items():
            kept = name in has and subset >> has.index(name) & 1
            inputs[name] = value if kept else np.eye(1, value.shape[1], value.shape[1] - 1)
        named = {input_name(name): value for name, value in inputs.items()}
        scores[subset] = np.asarray(model.network_.head(named))[0]
    wanted = by_orders(scores)
    card = explain_item(run, item, run.genres)
    assert {type(score) for score in card.scores} == {SharedPrediction}
    for score in card.scores:
        assert isinstance(score, SharedPrediction)
        j = run.genres.index(score.genre)
        assert list(score.blocks) == has
        np.testing.assert_allclose(list(score.blocks.values()), wanted[:, j], atol=1e-5)
        assert score.intercept == pytest.approx(scores[0, j], abs=1e-5)
        assert score.intercept + sum(score.blocks.values()) == pytest.approx(score.score, abs=1e-5)
    page = render_card(card, {})
    assert "Shapley values of the blocks" in page
    assert "<dt>without any block</dt>" in page
    assert "<dt>metadata</dt>" in page
    assert "Words and fields" not in page


def test_a_network_with_posters_is_shared_likewise_and_told(
    studio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fit(studio, "seeing", SEEING)
    assert run.record.blocks == ("poster", "text-embedding", "text", "metadata")
    context = Context(cache=str(studio / "cache"), workers=1)
    opened = load_run(run.folder, studio / "catalogue.csv", context=context)
    for score in opened.predict_item(3):
        assert isinstance(score, SharedPrediction)
        assert list(score.blocks) == ["poster", "text-embedding", "text", "metadata"]
        assert score.intercept is not None
        assert score.intercept + sum(score.blocks.values()) == pytest.approx(score.score, abs=1e-3)
    monkeypatch.chdir(studio)
    line = "explain seeing f003 --cache cache --genre Horror"
    text = CliRunner().invoke(hybrid, line.split(), catch_exceptions=False).output
    (sum_line,) = (each for each in text.splitlines() if each.startswith("  score "))
    assert [name for name in run.record.blocks if f" {name}" in sum_line] == list(run.record.blocks)
    assert "without any block" in sum_line
    assert "shared among its blocks (Shapley values)" in text
    # The nearest texts are those of the greatest cosine among the validation items.
    catalogue, _ = load(studio)
    parts = parts_of(studio, catalogue)
    rows = block_by_hand(encode(catalogue, studio / "tiny"), parts == "train")[:, :-1]
    others = np.flatnonzero((parts == "validation") & (np.arange(90) != 3) & rows.any(axis=1))
    order = others[np.argsort(-(rows[others] @ rows[3]), kind="stable")][:3]
    assert [i for i, _ in opened.nearest(3, 3, "texts")] == order.tolist()
    assert opened.nearest(3, 3, "posters") == []
    assert "nearest texts by cosine similarity, among the validation items" in text


def test_a_plan_reads_what_the_cache_has(studio: Path) -> None:
    catalogue, context = load(studio)
    split = read_split(studio / "splits.csv")
    end_to_end = replace(SEEING, unfreeze="1")
    plan = plan_deep(catalogue, split, "fused", end_to_end, context=context)
    assert plan.stages[1].reads == "posters and the blocks text-embedding, text, metadata"
