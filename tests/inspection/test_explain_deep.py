"""What a deep baseline saw: Grad-CAM of its own head, against TensorFlow's tape and a closed form."""

from __future__ import annotations

import functools
import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from hybrid.backbones import activation_maximisation, configure, get_backbone, resolve_weights
from hybrid.catalogue import load_catalogue
from hybrid.cli.main import _run
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.channels import weigh_channels
from hybrid.deep.options import DeepOptions
from hybrid.explain.channels import Channel, FeatureVisualisation
from hybrid.explain.contributions import GenrePrediction
from hybrid.images.files import load_poster
from hybrid.inspection.item import explain_item
from hybrid.inspection.loaded_run import LoadedRun, MapOptions, load_run
from hybrid.model_file.manifest import write_manifest
from hybrid.report.feature_page import BackboneImages, render_feature_page
from hybrid.report.item_card import ItemCard, render_card
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_deep import fit_deep
from hybrid.runs.predictions_file import read_predictions
from hybrid.splitting.methods import split_catalogue
from hybrid.splitting.tasks import Task
from hybrid.utils.context import Context

SIDE, SMALL = 96, 40  # of MobileNet and scratch, and of the small network: 3 x 3 cells
QUICK = {"epochs": 1, "batch_size": 16, "weights": "random", "input_size": (SIDE, SIDE)}
OWN = {"weights": None, "stages": 1, "input_size": (SMALL, SMALL)}
# Run → network, and how it is trained.
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("mobilenet-075", {"unfreeze": "1"}),
    "half": ("small", {**OWN, "head_units": "8", "precision": "bfloat16"}),
    "scratch": ("scratch", {"weights": None, "stages": 1}),
    "fused": ("fused", {"body": "mobilenet-075", "head_units": "16"}),
    "one": ("small", {**OWN, "task": "multiclass"}),
}


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """Whatever is trained here, in whatever order, is the shallow network."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, films: Path) -> Path:
    """Small films and, trained for an epoch, a run of each kind of network."""
    folder = tmp_path_factory.mktemp("studio")
    shutil.copytree(films.parent, folder, dirs_exist_ok=True)
    catalogue, cache = load_catalogue(folder / "catalogue.csv"), str(folder / "cache")
    split = split_catalogue(catalogue, context=Context(cache=cache))
    for name, (network, how) in RUNS.items():
        experiment = Experiment(
            catalogue, split, folder / "runs" / name, context=Context(cache=cache)
        )
        task = Task(single_label="dominant") if name == "one" else None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "random weights")
            fit_deep(experiment, network, DeepOptions(**{**QUICK, **how}), task=task)
    pretend_text_run(folder / "runs/one", folder / "runs/text")
    return folder


def pretend_text_run(source: Path, target: Path) -> None:
    """A run whose record says that it looks at no poster."""
    shutil.copytree(source, target)
    record = json.loads((target / "run.json").read_text())
    (target / "run.json").write_text(json.dumps({**record, "model": "text", "blocks": ["text"]}))
    write_manifest(target)


@pytest.fixture(scope="module")
def faulty(studio: Path) -> Path:
    """The films, the first without a file of its poster, the second with one that is no image."""
    (studio / "bad").mkdir()
    (studio / "bad/1.png").write_bytes(b"no image")
    text = (studio / "catalogue.csv").read_text()
    text = text.replace("posters/0.png", "bad/0.png").replace("posters/1.png", "bad/1.png")
    path = studio / "faulty.csv"
    path.write_text(text)
    return path


@functools.cache
def load(studio: Path, name: str) -> LoadedRun:
    return load_run(
        studio / "runs" / name,
        studio / "catalogue.csv",
        context=Context(cache=str(studio / "cache")),
    )


@functools.cache
def load_with_maps(
    studio: Path, name: str, item: str = "f041"
) -> tuple[LoadedRun, np.ndarray, np.ndarray]:
    """A run, its maps of all genres of an item, (L, h, w), and the item's poster as it sees it."""
    run = load(studio, name)
    card = explain_item(run, item, run.genres, top=3, maps=MapOptions())
    assert [(m.block, m.genre, m.method) for m in card.maps] == [
        ("poster", genre, "grad-cam") for genre in run.genres
    ]
    row = int(np.flatnonzero(run.catalogue.ids == item)[0])
    poster = load_poster(run.catalogue.poster_paths[row], run.model.spec.body.input_size)
    return run, np.array([m.cells for m in card.maps]), poster[None].astype(np.float32)


def taped(features: Any, head: Any) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds, and Grad-CAM as the paper has it but for its ReLU, one genre after the other."""
    found, features = [], tf.cast(features, tf.float32)
    for genre in range(3):
        with tf.GradientTape() as tape:
            tape.watch(features)
            log_odds = head(features)
            score = log_odds[0, genre]
        alpha = tf.reduce_mean(tape.gradient(score, features), axis=(0, 1, 2))
        found.append(tf.reduce_sum(alpha * features, axis=-1)[0].numpy())
    return log_odds.numpy()[0], np.array(found)


def check(run: LoadedRun, cells: np.ndarray, expected: tuple[np.ndarray, np.ndarray]) -> None:
    """The log-odds by hand are those of the run, and so are the maps."""
    scores = [answer.score for answer in run.predict_item(41)]
    np.testing.assert_allclose(expected[0], scores, rtol=1e-4, atol=1e-5)
    assert expected[1].std() > 0
    scale = np.abs(expected[1]).max()
    np.testing.assert_allclose(cells / scale, expected[1] / scale, atol=1e-4)


def body_features(model: DeepBaseline, poster: np.ndarray) -> Any:
    """MobileNet's last feature map."""
    return model.network_.application(poster / 127.5 - 1, training=False)


def test_a_linear_head_has_the_closed_form(studio: Path) -> None:
    run, cells, poster = load_with_maps(studio, "linear")
    features = body_features(run.model, poster)[0].numpy()
    kernel, bias = run.model.network_.head.layers[-1].get_weights()
    expected = features @ kernel / (features.shape[0] * features.shape[1])
    assert features.shape[:2] == (3, 3)
    expected = np.moveaxis(expected, -1, 0)
    assert (expected > 0).any()
    assert (expected < 0).any()
    np.testing.assert_allclose(np.maximum(cells, 0), np.maximum(expected, 0), atol=1e-5)
    np.testing.assert_allclose(cells, expected, atol=1e-5)
    scores = [answer.score for answer in run.predict_item(41)]
    np.testing.assert_allclose(cells.sum(axis=(1, 2)) + bias, scores, rtol=1e-4, atol=1e-5)


def test_a_head_on_a_pooled_body_is_that_of_the_tape(studio: Path) -> None:
    run, cells, poster = load_with_maps(studio, "linear")
    check(
        run,
        cells,
        taped(
            body_features(run.model, poster),
            lambda x: run.model.network_.head(tf.reduce_mean(x, axis=(1, 2)), training=False),
        ),
    )


def own_features(model: DeepBaseline, poster: np.ndarray) -> tuple[Any, list[Any]]:
    """The last feature map of a scratch or small network, and the layers of the body after it."""
    layers = model.network_.application.layers[1:]
    (flatten,) = (i for i, layer in enumerate(layers) if type(layer).__name__ == "Flatten")
    features = poster / 255
    for layer in layers[:flatten]:
        features = layer(features)
    return features, layers[flatten:]


def test_a_dense_head_on_scratch_is_that_of_the_tape(studio: Path) -> None:
    run, cells, poster = load_with_maps(studio, "scratch")
    features, dense = own_features(run.model, poster)

    def head(x: Any) -> Any:
        for layer in dense:
            x = layer(x, training=False) if "dropout" in layer.name else layer(x)
        return run.model.network_.head(x, training=False)

    assert features.shape == (1, 4, 4, 128)
    check(run, cells, taped(features, head))


def test_half_precision_gives_nearly_the_same_map(studio: Path) -> None:
    run, cells, poster = load_with_maps(studio, "half")
    features, (_, embed) = own_features(run.model, poster)
    assert features.dtype == tf.bfloat16
    (first, bias), (second, end) = (
        layer.get_weights() for layer in run.model.network_.head.layers if layer.weights
    )

    def head(x: Any) -> Any:
        kernel, shift = embed.get_weights()
        x = tf.nn.relu(tf.reshape(x, (1, -1)) @ kernel + shift)
        return tf.nn.relu(x @ first + bias) @ second + end

    _, expected = taped(features, head)
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(cells / scale, expected / scale, atol=0.05)


def test_a_fused_networks_map_takes_the_other_blocks_as_they_are(studio: Path) -> None:
    run, cells, poster = load_with_maps(studio, "fused")
    model = run.model
    blocks = model.fusion_.transform(
        {**dict.fromkeys(model.spec.blocks, run.frame.iloc[[41]]), "poster": np.ones((1, 768))}
    ).blocks
    others = {
        name: np.asarray(x.toarray() if hasattr(x, "toarray") else x) for name, x in blocks[1:]
    }
    fitted = dict(model.fusion_.fitted_)["poster"]
    (first, bias), (second, end) = (
        layer.get_weights() for layer in model.network_.head.layers if "dense" in layer.name
    )

    def head(x: Any) -> Any:
        rows = (tf.reduce_mean(x, axis=(1, 2)) - fitted.mean_) / fitted.scale_
        rows = rows / tf.norm(rows, axis=1, keepdims=True)
        parts = [rows, tf.zeros((1, 1)), *(tf.cast(x, tf.float32) for x in others.values())]
        return tf.nn.relu(tf.concat(parts, axis=1) @ first + bias) @ second + end

    assert list(others) == ["text", "metadata"]
    check(run, cells, taped(body_features(model, poster), head))


@pytest.mark.parametrize("name", ["linear", "scratch", "fused", "one"])
def test_the_card_says_what_the_predictions_say(studio: Path, name: str) -> None:
    run = load(studio, name)
    told = read_predictions(studio / "runs" / name / "predictions.csv")
    (row,) = np.flatnonzero(told.splits == "test")[:1]
    card = explain_item(run, str(told.ids[row]), [], top=3)
    said = {score.genre: score for score in card.scores}
    tolerance = (
        2e-2 if name == "fused" else 1e-4
    )  # its predictions are of cached, rounded embeddings
    for j, genre in enumerate(told.genres):
        assert said[genre].probability == pytest.approx(told.probabilities[row, j], abs=tolerance)
        assert said[genre].given == told.labels[row, j]
        assert (said[genre].threshold is None) == (name == "one")
    assert card.part == "test"
    assert (card.neighbours, card.out_of_fold, card.maps) == ((), {}, ())
    assert any("available for linear heads only" in note for note in card.notes)


def test_covering_a_part_of_the_poster_changes_the_log_odds(studio: Path) -> None:
    run = load(studio, "scratch")
    card = explain_item(run, "f041", ["Horror"], top=3, maps=MapOptions(occlude=True))
    poster = load_poster(run.catalogue.poster_paths[41], (SIDE, SIDE))
    covered = poster.copy()
    # A patch is of whole cells: 1, 2 and 1 of the 4.
    covered[: SIDE // 4, : SIDE // 4] = np.rint(poster.mean(axis=(0, 1)))
    head = run.model.network_.whole()
    whole, less = np.asarray(head(np.stack([poster, covered])))[:, run.genres.index("Horror")]
    (found,) = card.maps
    assert np.shape(found.occlusion.drops) == (3, 3)
    assert found.occlusion.drops[0][0] == pytest.approx(whole - less, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("item", "reason"), [("f000", "file not found"), ("f001", "image")])
def test_a_poster_that_is_not_there_is_said_not_drawn(
    studio: Path, faulty: Path, capfd: pytest.CaptureFixture[str], item: str, reason: str
) -> None:
    page = studio / f"{item}.html"
    assert run_explain(studio, "scratch", item, "--html", str(page), catalogue=faulty) == 0
    said = capfd.readouterr().out
    why = re.search(r"no poster: (.*)", said)[1]
    assert reason in why
    assert "probability" not in said
    assert f"no poster: {why}" in page.read_text()
    assert "<img" not in page.read_text()
    assert run_explain(studio, "scratch", item, "--map", catalogue=faulty) == 2
    assert "--map: expected an item with a poster, found: " in capfd.readouterr().err
    assert run_explain(studio, "fused", item, catalogue=faulty) == 0
    assert "probability" in capfd.readouterr().out  # from its words and fields


def run_explain(folder: Path, run: str, *arguments: str, catalogue: Path | None = None) -> int:
    places = ["--catalogue", str(catalogue or folder / "catalogue.csv")]
    places += ["--cache", str(folder / "cache")]
    return _run(["explain", str(folder / "runs" / run), *arguments, *places])


@pytest.mark.parametrize("name", ["scratch", "one"])
def test_map_on_terminal_in_json_and_on_the_page(
    studio: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    page = tmp_path / "card.html"
    wanted = ["f003", "--map", "--occlude", "--genre", "Comedy", "--genre", "Horror"]
    assert run_explain(studio, name, *wanted, "--html", str(page)) == 0
    text = capfd.readouterr().out
    assert len(re.findall(r"^  map of poster +highest: .*occlusion", text, re.MULTILINE)) == 2
    assert ("the most likely label is predicted" in text) == (name == "one")
    assert not re.search(r"^  (score|for|against) ", text, re.MULTILINE)
    assert run_explain(studio, name, *wanted, "--json") == 0
    card = json.loads(capfd.readouterr().out)
    assert [m["genre"] for m in card["maps"]] == ["Comedy", "Horror"]
    assert {(m["method"], m["contribution"], m["rounding"]) for m in card["maps"]} == {
        ("grad-cam", None, None)
    }
    assert set(card["scores"][0]) == {"genre", "score", "probability", "threshold", "given"}
    html = page.read_text()
    assert html.count('<img class="poster" src="data:image/jpeg') == 3
    assert len(re.findall(r"Grad-CAM, (4 x 4|3 x 3) cells</small>", html)) == 2
    assert "default-src 'none'" in html
    for exact in (
        "Decomposition of the score",
        "Words and fields for the label",
        "Contributions are exact",
    ):
        assert exact not in html


def test_the_page_of_a_network_without_an_answer_can_be_made() -> None:
    answers = (
        GenrePrediction("a", 0.5, 0.6, None, True),
        GenrePrediction("b", -0.5, 0.4, float("inf"), False),
    )
    card = ItemCard("r", "1", "", "", None, answers, ("a",), {}, "", (), ("<script>",), kind="deep")
    html = render_card(card, {})
    assert "it is the most likely label" in html
    assert "<td>never</td>" in html
    assert "<script" not in html
    assert "<h2>Explanation</h2>" not in html


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("test", "not used to fit the run"),
        (
            "validation",
            "validation item: used to choose the epoch and thresholds, so its scores are optimistic",
        ),
        (
            "train",
            "no prediction recorded for this item: if it is a train item, its scores are optimistic",
        ),
    ],
)
def test_an_item_that_taught_the_network_is_told(
    studio: Path, capfd: pytest.CaptureFixture[str], part: str, said: str
) -> None:
    told = read_predictions(studio / "runs/scratch/predictions.csv")
    known = dict(zip(told.ids.tolist(), told.splits.tolist(), strict=True))
    ids = load_catalogue(studio / "catalogue.csv").ids.tolist()
    item = next(name for name in ids if known.get(name, "train") == part)
    assert run_explain(studio, "scratch", item) == 0
    assert said in capfd.readouterr().out.partition("\n")[0]


@pytest.mark.parametrize("name", ["linear", "fused"])
def test_channels_of_a_network_have_the_weights_of_its_head(studio: Path, name: str) -> None:
    """A dense layer in closed form; the others by finite differences."""
    run = load(studio, name)
    items = run.items(run.training_rows)
    found = weigh_channels(run.model, items)
    body = run.model.network_.body
    posters = np.stack([load_poster(path, (SIDE, SIDE)) for path in items.paths])
    embeddings = body(posters / 127.5 - 1, training=False).numpy().astype(np.float64)
    deviation = embeddings.std(axis=0)
    expected = (embeddings - embeddings.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    np.testing.assert_allclose(found.activations, expected, atol=0.01)
    if name == "linear":
        kernel = run.model.network_.head.layers[-1].get_weights()[0]
        np.testing.assert_allclose(found.coef, kernel.T * deviation, atol=1e-5)
        return
    head = run.model.network_.embedding_head()
    channel = int(np.abs(found.coef).max(axis=0).argmax())
    step = 0.1 * deviation[channel]
    moved = np.repeat([np.eye(len(deviation))[channel] * step], len(embeddings), axis=0)
    ends = [head((embeddings + sign * moved).astype(np.float32)).numpy() for sign in (1, -1)]
    slope = (ends[0] - ends[1]).mean(axis=0) / (2 * step) * deviation[channel]
    np.testing.assert_allclose(found.coef[:, channel], slope, rtol=0.05, atol=1e-4)


@pytest.mark.parametrize("name", ["scratch", "linear", "half", "fused"])
def test_features_of_any_network_at_once(
    studio: Path,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(activation_maximisation, "STEPS", 2)
    page = tmp_path / "features.html"
    arguments = ["--features", "--genre", "Horror", "--top", "2", "--html", str(page)]
    assert run_explain(studio, name, *arguments) == 0
    said, html = capfd.readouterr().out, page.read_text()
    assert "poster, channel " in said
    told = read_predictions(studio / "runs" / name / "predictions.csv")
    stopped_by = f"of {(told.splits == 'validation').sum()} validation items, by which"
    assert stopped_by in said
    assert stopped_by.removeprefix("of ") in html
    assert "the run was fitted on" not in said + html
    lists = re.findall(r"^  posters of +(.*)$", said, re.MULTILINE)
    assert lists
    figures = [
        float(poster.rsplit(maxsplit=1)[1])
        for each in lists
        if not each.startswith("none")
        for poster in each.split(", ")
    ]
    assert min(figures, default=0) >= 0
    assert 1 <= html.count('<article class="channel">') <= 2
    assert html.count("first convolution</h2>") == 1


def test_an_image_that_excites_no_more_than_noise_is_called_noise() -> None:
    spec = configure(get_backbone("small"), input_size=(32, 32))
    weights, units = resolve_weights(spec, "random"), [3, 5, 8]
    images = activation_maximisation.maximise_activations(spec, weights, units)
    grey = np.full_like(images[:1], 128)
    mixed = np.concatenate([images[:1], grey, images[2:]])
    found = activation_maximisation.find_noise(spec, weights, units, mixed)
    assert found == [False, True, False]
    plate = BackboneImages("poster", "small", np.ones((2, 3, 3, 3), np.float32),
                           dict(zip(units, mixed, strict=True)), frozenset({5}))  # fmt: skip
    channels = tuple(Channel("poster", unit, {}, {}, ()) for unit in units)
    html = render_feature_page(FeatureVisualisation("net", 1, channels, ()), [plate], {})
    assert html.count("No poster above the mean.") == len(units)
    articles = html.split('<article class="channel">')[1:]
    assert ["Noise:" in article for article in articles] == found


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["scratch"], 2, "expected a run with a linear head for feature importance, "
         "found the deep baseline scratch. Name an item .* ID --map.*scratch --features"),
        (["scratch", "--features", "--html", "p.html", "--weights", "w.h5"], 2,
         "--weights: expected none, .* w.h5"),
        (["text"], 2, "a deep baseline on posters or several blocks, found the deep baseline text. Fit one"),
        (["text", "f003", "--map"], 2, "on posters or several blocks, found the deep baseline text"),
        (["scratch", "f003", "--map", "--weights", "w.h5"], 2, "--weights: expected none, .* w.h5"),
        (["scratch", "f003", "--map", "--genre", "Horrer"], 2, "Did you mean Horror"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(
    studio: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert run_explain(studio, *arguments) == code
    assert re.search(said, capfd.readouterr().err, re.DOTALL)
