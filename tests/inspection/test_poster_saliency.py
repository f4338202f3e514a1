"""Maps and channels of whole runs: the cells add up to what the run says, and the pages hold them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.backbones import configure, get_backbone
from hybrid.backbones.load import init_random_weights
from hybrid.backbones.networks import build_application
from hybrid.backbones.weights import RUN_WEIGHTS
from hybrid.catalogue import load_catalogue
from hybrid.cli.main import _run
from hybrid.errors import ExtractionError, SettingError, WeightsError
from hybrid.explain.contributions import EMBEDDING
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.lookup import embedding_selectors
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.inspection.feature_visualisation import visualise_features
from hybrid.inspection.item import explain_item
from hybrid.inspection.loaded_run import LoadedHead, MapOptions, load_run
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.splitting.methods import split_catalogue
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context

NET = "mobilenet-075"
# Name → what the embeddings were made with.
NETS = {
    "avg": {},
    "gem": {"pooling": "gem"},
    "layer": {"layer": "conv_pw_5_relu", "fit": "crop", "pooling": "max"},
}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, films: Path) -> Path:
    """Small films, three kinds of embeddings in one cache, and runs of one, of two, and of none."""
    folder = tmp_path_factory.mktemp("studio")
    shutil.copytree(films.parent, folder, dirs_exist_ok=True)
    catalogue, cache = load_catalogue(folder / "catalogue.csv"), str(folder / "cache")
    split = split_catalogue(catalogue, context=Context(cache=cache))
    prints = {}
    for name, said in NETS.items():
        options = EmbeddingOptions(
            input_size=(64, 64), precision="float32", dtype="float32", **said
        )
        with pytest.warns(UserWarning, match="random weights"):
            summary = extract_embeddings(
                catalogue,
                NET,
                weights="random",
                options=options,
                context=Context(cache=cache, seed=2),
            )
        prints[name] = summary.fingerprint
    runs = {name: (prints[name],) for name in ("avg", "gem")}
    runs["two"] = (prints["avg"], prints["layer"])
    for name, embeddings in runs.items():
        fit(folder, catalogue, split, name, select=embedding_selectors(fingerprints=embeddings))
    fit(folder, catalogue, split, "words", blocks=["text"])
    return folder


def fit(folder: Path, catalogue: Any, split: Any, name: str, **settings: Any) -> None:
    cache = str(folder / "cache")
    model = make_hybrid(
        catalogue, grid={"C": [1.0]}, folds=2, context=Context(cache=cache), **settings
    )
    model.set_params(block_weights=())
    fit_head(
        Experiment(catalogue, split, folder / "runs" / name, context=Context(cache=cache)),
        model,
        {},
    )


def load(folder: Path, name: str) -> LoadedHead:
    return load_run(
        folder / "runs" / name,
        folder / "catalogue.csv",
        context=Context(cache=str(folder / "cache"), workers=2),
    )


def stated(card: Any, genre: str, block: str) -> float:
    """What the card itself says that the embedding adds."""
    score = next(s for s in card.scores if s.genre == genre)
    return sum(p.contribution for p in score.parts if (p.block, p.name) == (block, EMBEDDING))


@pytest.mark.parametrize("name", ["avg", "gem", "two"])
def test_cells_add_up_to_the_posters_contribution(studio: Path, name: str) -> None:
    run = load(studio, name)
    card = explain_item(run, "f041", run.genres, top=3, maps=MapOptions())
    blocks = [b for b in run.model.fusion_.names if b.startswith("poster")]
    assert [(m.block, m.genre) for m in card.maps] == [(b, g) for b in blocks for g in run.genres]
    assert len(blocks) == (2 if name == "two" else 1)
    for found in card.maps:
        expected = stated(card, found.genre, found.block)
        assert found.method == "exact"
        assert found.contribution == pytest.approx(expected, abs=1e-6)
        assert np.sum(found.cells) == pytest.approx(expected, abs=1e-5)
        assert abs(found.rounding) < 1e-5
        side = 8 if "conv_pw_5" in found.block else 2
        assert np.shape(found.cells) == (side, side)


def test_a_backbone_of_a_run_folder_is_found_and_told_apart(
    studio: Path, tmp_path: Path, films: Path
) -> None:
    """A scratch net, whose dense layers leave Grad-CAM alone, out of a run's folder that has moved."""
    spec = get_backbone("scratch")
    catalogue, cache = load_catalogue(films), str(tmp_path / "cache")
    options = EmbeddingOptions(input_size=(78, 78), precision="float32", dtype="float32")
    small = configure(spec, input_size=(78, 78))
    trainer = tmp_path / "runs/scratch"
    trainer.mkdir(parents=True)
    network = build_application(small)
    init_random_weights(network, 5)
    network.save_weights(trainer / RUN_WEIGHTS)
    extract_embeddings(
        catalogue, "scratch", weights=str(trainer), options=options, context=Context(cache=cache)
    )
    model = make_hybrid(
        catalogue, blocks=["poster"], grid={"C": [1.0]}, folds=2, context=Context(cache=cache)
    )
    split = split_catalogue(catalogue, context=Context(cache=cache))
    fit_head(
        Experiment(catalogue, split, tmp_path / "runs/svm", context=Context(cache=cache)), model, {}
    )
    (tmp_path / "moved").mkdir()
    (tmp_path / "runs").rename(tmp_path / "moved/runs")
    run = load_run(tmp_path / "moved/runs/svm", films, context=Context(cache=cache))
    card = explain_item(run, "f003", ["Comedy"], top=3, maps=MapOptions(occlude=True))
    (found,) = card.maps
    assert found.method == "grad-cam"
    assert np.shape(found.cells) == (3, 3)
    assert found.contribution == pytest.approx(stated(card, "Comedy", "poster"), abs=1e-6)
    assert np.shape(found.occlusion.drops) == (3, 3)
    init_random_weights(network, 6)
    network.save_weights(tmp_path / "moved/runs/scratch" / RUN_WEIGHTS)
    with pytest.raises(WeightsError, match=r"cannot be made with .*weights: expected"):
        explain_item(run, "f003", ["Comedy"], top=3, maps=MapOptions())


def test_embeddings_that_the_backbone_does_not_give_are_refused(
    studio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load(studio, "avg")
    block = dict(run.model.fusion_.fitted_)["poster"]
    read = type(block).read
    monkeypatch.setattr(type(block), "read", lambda self, X: read(self, X)[:, ::-1])
    with pytest.raises(ExtractionError, match=r"--map: expected .* in the cache, found .* cosine"):
        explain_item(run, "f003", ["Comedy"], top=3, maps=MapOptions())


def test_an_item_without_a_poster_cannot_be_mapped(studio: Path) -> None:
    lines = (studio / "catalogue.csv").read_text().splitlines()
    bare = studio / "bare.csv"
    bare.write_text("\n".join([lines[0], lines[1].replace("posters/0.png", "posters/none.png")]))
    run = load_run(studio / "runs/avg", bare, context=Context(cache=str(studio / "cache")))
    with pytest.raises(
        SettingError, match=r"--map: expected an item with a poster, found: file not"
    ):
        explain_item(run, "f000", [], top=3, maps=MapOptions())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["avg", "--map"], 2, "--map: expected an ID"),
        (["avg", "f003", "--occlude"], 2, "--occlude: expected --map"),
        (["avg", "f003", "--features"], 2, "--features: expected no ID"),
        (["avg", "--html", "x.html"], 2, "--html: expected an ID.*or --features"),
        (["avg", "--features", "--html", "x.txt"], 2, "expected the name of a page"),
        (["words", "f003", "--map"], 2, "expected a run with a poster block, found text"),
        (["words", "--features"], 2, "expected a run with a block of embeddings, .*found text"),
        (["avg", "f003", "--map", "--weights", "none.h5"], 1, "found no file at none.h5"),
        (["two", "f003", "--map", *["--weights", "random"] * 3], 2, "--weights: expected one, or"),
    ],
)
def test_what_cannot_be_done_is_said(
    studio: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert run_explain(studio, *arguments) == code
    assert re.search(said, capfd.readouterr().err, re.DOTALL)


def run_explain(folder: Path, run: str, *arguments: str) -> int:
    places = ["--catalogue", str(folder / "catalogue.csv"), "--cache", str(folder / "cache")]
    return _run(["explain", str(folder / "runs" / run), *arguments, *places])


def test_map_on_terminal_in_json_and_on_the_page(
    studio: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "card.html"
    wanted = ["f003", "--map", "--occlude", "--genre", "Comedy", "--genre", "Horror"]
    assert run_explain(studio, "two", *wanted, "--html", str(page)) == 0
    text = capfd.readouterr().out
    assert len(re.findall(r"^  map of poster(:\S+)? +highest: ", text, re.MULTILINE)) == 4
    assert run_explain(studio, "two", *wanted, "--json") == 0
    card = json.loads(capfd.readouterr().out)
    assert [len(m["cells"]) for m in card["maps"]] == [2, 2, 8, 8]
    assert card["maps"][0]["where"] in ("upper left", "upper right", "lower left", "lower right")
    assert len(card["maps"][2]["occlusion"]["drops"]) == 3
    html = page.read_text()
    assert html.count("Saliency map for Comedy;") == 2
    assert html.count("Saliency map for Western;") == 0
    assert sealed(html)


def test_features_come_from_the_cache_and_the_page_is_sealed(
    studio: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import hybrid.backbones.activation_maximisation as activation_maximisation

    monkeypatch.setattr(activation_maximisation, "STEPS", 2)
    page = tmp_path / "features.html"
    assert run_explain(studio, "avg", "--features", "--top", "3", "--html", str(page)) == 0
    assert "poster, channel " in capfd.readouterr().out
    html = page.read_text()
    assert sealed(html)
    assert page.stat().st_size < 5 * 2**20
    run = load(studio, "avg")
    learned = visualise_features(run, ["Horror"], top=3)
    first_only = visualise_features(run, ["Horror"], top=3, most=1)
    assert first_only.channels == learned.channels[:1]
    assert f"1 of {len(learned.channels)} channels is shown" in first_only.notes[-1]
    assert html.count('<article class="channel">') >= len(learned.channels) == 2
    coefficients = run.model.head_.coef_[run.genres.index("Horror")]
    count = get_backbone(NET).dimension
    assert [c.number for c in learned.channels] == np.argsort(-coefficients[:count])[:2].tolist()
    first = learned.channels[0]
    embeddings = dict(run.model.fusion_.fitted_)["poster"].read(run.frame.iloc[run.training_rows])
    best = int(embeddings[:, first.number].argmax())
    assert first.posters[0].id == run.catalogue.ids[run.training_rows[best]]
    assert [p.activation for p in first.posters] == sorted(
        (p.activation for p in first.posters), reverse=True
    )


def sealed(html: str) -> bool:
    """No script, nothing to load, and a policy that says so."""
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    return (
        "default-src 'none'" in html
        and "<script" not in html
        and bool(sources)
        and all(source.startswith("data:image/") for source in sources)
        and html.count("<img") == html.count(' alt="')
    )


def test_titles_are_escaped(studio: Path) -> None:
    from hybrid.explain.channels import Channel, ChannelItem, FeatureVisualisation
    from hybrid.report.feature_page import BackboneImages, render_feature_page

    evil = "<script>window.owned = 1</script>"
    channel = Channel("poster", 0, {evil: 0.1}, {}, (ChannelItem("a", evil, 2.0),))
    plate = BackboneImages(
        "poster", NET, np.ones((2, 3, 3, 3), np.float32), {0: np.zeros((8, 8, 3), np.uint8)}
    )
    html = render_feature_page(
        FeatureVisualisation(evil, 1, (channel,), (evil,)), [plate], {"a": ""}
    )
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 5
    assert "no poster named" in html
