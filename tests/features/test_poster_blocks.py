"""Several backbones, or layers of one, are several poster blocks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from hybrid.backbones import get_backbone
from hybrid.backbones.load import init_random_weights
from hybrid.backbones.networks import build_body
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.cli.main import hybrid
from hybrid.errors import ExtractionError, SettingError
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.lookup import embedding_selectors, find_poster_blocks, hash_catalogue
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.images.decode import BadPoster
from hybrid.report import make_report
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.folder import read_run
from hybrid.runs.json_dataclass import to_json
from hybrid.runs.predict import predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.runs.record import RunRecord
from hybrid.runs.run_provenance import read_run_provenance
from hybrid.split_types import Split
from hybrid.splitting.methods import split_catalogue
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context

NET = "mobilenet-075"
EARLY = "conv_pw_3_relu"


@pytest.fixture(scope="module")
def catalogue(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The films, the first of which has no readable poster, and the second none at all."""
    folder = tmp_path_factory.mktemp("catalogue")
    shutil.copytree(films.parent / "posters", folder / "posters")
    (folder / "posters" / "0.png").write_bytes(b"no image")
    table = pd.read_csv(films, dtype=str, keep_default_na=False)
    table.loc[1, "poster"] = ""
    table.to_csv(folder / "catalogue.csv", index=False)
    return load_catalogue(folder / "catalogue.csv")


Store = Callable[..., EmbeddingStore]


@pytest.fixture
def store(catalogue: Catalogue, tmp_path: Path) -> Store:
    """Make a store with embeddings drawn at random for all readable posters."""

    def make(architecture: str, layer: str = "last", pooling: str = "avg", lacks: int = 0) -> Any:
        said = {"architecture": architecture, "pooling": pooling, "dimension": 4, "weights": "w"}
        said |= {} if layer == "last" else {"layer": layer}
        recorded = {"weights": "random", "kind": "random", "path": None, "seed": 0}
        made = EmbeddingCache(str(tmp_path / "cache")).make(said, recorded)
        keys = [key for key in hash_catalogue(catalogue) if isinstance(key, bytes)]
        values = np.random.default_rng(len(said)).random((len(keys), 4))
        made.append(keys[lacks:], values[lacks:].astype(np.float32))
        return made

    return make


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


# Names


def test_one_set_of_embeddings_is_the_block_poster(
    catalogue: Catalogue, store: Store, cache: str
) -> None:
    one = store("vgg16", layer="block3_pool")
    found = find_poster_blocks(catalogue, context=Context(cache=cache))
    assert {name: s.fingerprint for name, s in found.items()} == {"poster": one.fingerprint}


def test_others_are_named_by_what_they_are(catalogue: Catalogue, store: Store, cache: str) -> None:
    made = [
        store("inception"),
        store("vgg16"),
        store("inception", layer="mixed7"),
        store("vgg16", pooling="max"),
    ]
    digits = [s.fingerprint[:12] for s in made]
    found = find_poster_blocks(
        catalogue, embedding_selectors(fingerprints=digits), Context(cache=cache)
    )
    assert list(found) == [
        "poster",
        "poster:vgg16",
        "poster:inception/mixed7",
        f"poster:vgg16#{digits[3][:6]}",
    ]
    assert [s.fingerprint for s in found.values()] == [s.fingerprint for s in made]


def test_backbones_make_blocks_in_their_order(
    catalogue: Catalogue, store: Store, cache: str
) -> None:
    made = {name: store(name).fingerprint for name in ("inception", "vgg16")}
    model = make_hybrid(
        catalogue,
        select=embedding_selectors(["vgg16", "inception"]),
        context=Context(cache=cache),
    )
    blocks = dict(model.fusion.blocks)
    assert list(blocks) == ["poster", "poster:inception", "text", "metadata"]
    assert blocks["poster"].fingerprint == made["vgg16"]
    assert blocks["poster:inception"].fingerprint == made["inception"]


def test_the_block_poster_is_all_of_them(catalogue: Catalogue, store: Store, cache: str) -> None:
    for name in ("inception", "vgg16"):
        store(name)
    select = embedding_selectors(["inception", "vgg16"])
    model = make_hybrid(catalogue, blocks=["poster"], select=select, context=Context(cache=cache))
    assert model.fusion.names == ("poster", "poster:vgg16")


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fingerprints": ["", ""]}, "expected one set of embeddings .*found 2"),
        (
            {"backbones": ["vgg16", "vgg16"]},
            "different embeddings for each block, found twice: vgg",
        ),
        (
            {"backbones": ["vgg16", "inception"], "fingerprints": ["a", "b", "c"]},
            "--backbone: expected one, or one for each of 3 poster blocks, found 2",
        ),
    ],
)
def test_what_does_not_go_together(
    catalogue: Catalogue, store: Store, cache: str, options: dict[str, Any], message: str
) -> None:
    for name in ("inception", "vgg16"):
        store(name)
    with pytest.raises(SettingError, match=message):
        find_poster_blocks(catalogue, embedding_selectors(**options), Context(cache=cache))


def test_every_block_needs_all_posters(catalogue: Catalogue, store: Store, cache: str) -> None:
    store("inception")
    store("vgg16", lacks=5)
    with pytest.raises(ExtractionError, match=r"5 of .* have no embedding in .*vgg16"):
        find_poster_blocks(
            catalogue, embedding_selectors(["inception", "vgg16"]), Context(cache=cache)
        )


def test_a_weight_for_a_block_that_is_not_there(
    catalogue: Catalogue, store: Store, cache: str
) -> None:
    store("inception")
    model = make_hybrid(
        catalogue, block_weights={"poster:vgg16": 2.0}, context=Context(cache=cache)
    )
    with pytest.raises(SettingError, match="block 'poster:vgg16' is not among poster, text"):
        model.fit(catalogue.frame, catalogue.labels)


# Fit, record, predict, report


@pytest.fixture(scope="module")
def studio(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on two layers of one backbone, and the cache."""
    folder = tmp_path_factory.mktemp("studio")
    cache, digits, weights = str(folder / "cache"), [], str(folder / "net.weights.h5")
    body = build_body(get_backbone(NET))
    init_random_weights(body, 0)
    body.save_weights(weights)
    for layer in ("last", EARLY):
        options = EmbeddingOptions(layer=layer, precision="float32", input_size=(64, 48))
        done = extract_embeddings(
            catalogue, NET, weights=weights, options=options, context=Context(cache=cache)
        )
        digits.append(done.fingerprint)
    model = make_hybrid(
        catalogue,
        grid={"C": [0.3]},
        block_weights={"poster": 0.5, f"poster:{NET}/{EARLY}": 0.25},
        select=embedding_selectors(fingerprints=digits),
        context=Context(cache=cache),
    )
    split = split_catalogue(catalogue, context=Context(cache=cache))
    fit_head(
        Experiment(catalogue, split, folder / "runs/svm", context=Context(cache=cache)), model, {}
    )
    return folder


def test_the_record_tells_all_backbones(studio: Path) -> None:
    record = json.loads((studio / "runs/svm/run.json").read_text())
    second = f"poster:{NET}/{EARLY}"
    assert record["blocks"] == ["poster", second, "text", "metadata"]
    assert record["backbone"]["name"] == NET
    found = RunRecord.read(studio / "runs/svm").backbones
    assert list(found) == ["poster", second]
    assert found[second].key["layer"] == EARLY
    assert record["chosen"]["block_weights"][second] == 0.25
    assert sum(record["missing"]["poster"].values()) == 1  # the one that names no file
    assert record["missing"][second] == record["missing"]["poster"]


def test_what_reads_posters_alone_has_not_learnt_from_an_item_without_one(
    studio: Path, catalogue: Catalogue
) -> None:
    context = Context(cache=str(studio / "cache"))
    digits = [store.fingerprint for store in EmbeddingCache(context.cache).stores()]
    how: dict[str, Any] = {"grid": {"C": [0.3]}, "folds": 2, "context": context}
    model = make_hybrid(
        catalogue, blocks=["poster"], select=embedding_selectors(fingerprints=digits), **how
    )
    given = read_run(studio / "runs/svm").predictions
    split = dict(zip(given.ids.tolist(), given.splits.tolist(), strict=True))
    bad = int(np.flatnonzero([isinstance(k, BadPoster) for k in hash_catalogue(catalogue)])[0])
    parts = np.array([split[name] for name in catalogue.ids.tolist()])
    parts[bad] = "train"
    run = fit_head(
        Experiment(
            catalogue,
            Split(catalogue.ids, parts, catalogue.ids, ""),
            studio / "runs/seeing",
            context=context,
        ),
        model,
        {},
    )
    assert len(run.record.blocks) == 2
    learnt = read_run_provenance(run.folder, run.record, run.predictions).run.items
    assert len(learnt) == np.isin(parts, ["train", "validation"]).sum() - 1


def test_new_items_get_all_their_embeddings(
    studio: Path, catalogue: Catalogue, tmp_path: Path
) -> None:
    """A fresh cache: both layers are extracted again, and the answers are those of the run."""
    summary = predict_catalogue(
        studio / "runs/svm",
        catalogue.path,
        tmp_path / "p.csv",
        context=Context(cache=str(tmp_path / "fresh")),
    )
    assert [row.id for row in summary.bad] == ["f000", "f001"]
    assert len(EmbeddingCache(str(tmp_path / "fresh")).stores()) == 2
    old = read_predictions(studio / "runs/svm/predictions.csv")
    new = read_predictions(tmp_path / "p.csv")
    row = {name: i for i, name in enumerate(new.ids)}
    test = old.splits == "test"
    rows = [row[name] for name in old.ids[test]]
    np.testing.assert_allclose(new.probabilities[rows], old.probabilities[test], atol=1e-3)


def test_the_report_tells_all_backbones(studio: Path, catalogue: Catalogue, tmp_path: Path) -> None:
    make_report(catalogue, [studio / "runs/svm"], tmp_path / "r.html", draws=10)
    page = (tmp_path / "r.html").read_text()
    assert page.count(f"poster:{NET}/{EARLY}") > 1  # its blocks, and which embeddings each is


# The command


def test_fit_svm_searches_and_estimates(
    catalogue: Catalogue, store: Store, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("inception", "vgg16"):
        store(name)
    monkeypatch.chdir(tmp_path)
    where = ["--catalogue", str(catalogue.path), "--cache", cache, "--quiet"]
    assert CliRunner().invoke(hybrid, ["split", *where]).exit_code == 0
    options = ["--backbone", "inception", "--backbone", "vgg16", "--blocks", "poster,text"]
    tuned = ["--metric", "macro-f1", "--search", "--nested", "--folds", "2", "--C", "0.1"]
    done = CliRunner().invoke(hybrid, ["fit-svm", *where, *options, *tuned])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    record = json.loads((tmp_path / "runs/svm/run.json").read_text())
    tried = record["tried"]
    assert len(tried) == 9 + 6  # two blocks at three weights, then each of three at two
    assert lines[0].split() == ["quality", "spread", "seconds", "settings"]
    assert float(lines[1].split()[0]) == pytest.approx(max(t["quality"] for t in tried), abs=1e-4)
    assert "C 0.1, poster:vgg16" in "\n".join(lines[1 : 1 + len(tried)])
    nested = read_run(tmp_path / "runs" / "svm").record.studies.nested
    estimate = to_json(nested)
    f1 = estimate["metrics"]["f1_weighted"]
    assert f"nested estimate on the {estimate['items']} items" in done.output
    assert f"weighted F1 {f1['value']:.3f} ({f1['low']:.3f} to {f1['high']:.3f})" in done.output
    assert record["settings"]["metric"] == "macro-f1"
    assert {stage["name"] for stage in record["stages"]} >= {"fit", "predict"}
    named = ["--catalogue", str(catalogue.path), "--quiet"]
    shown = CliRunner().invoke(hybrid, ["report", *named])
    assert shown.exit_code == 0, shown.output
    assert "nested estimate" in (tmp_path / "report.html").read_text()
