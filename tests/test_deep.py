"""The first deep baseline: its loss, its size, its training, its run."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from hybrid.catalogue import load_catalogue
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.losses import WeightedCrossEntropy, genre_weights
from hybrid.deep.options import DeepOptions
from hybrid.deep.stream import PosterStream, usable
from hybrid.errors import ExtractionError, RunError, SettingError
from hybrid.experiment import Experiment, fit_deep, fit_head
from hybrid.extract import extract_embeddings
from hybrid.pipeline import make_hybrid
from hybrid.predict import predict_catalogue
from hybrid.runs import read_predictions
from hybrid.splitting import split_catalogue

QUICK = DeepOptions(epochs=2, batch_size=16)


@pytest.mark.parametrize(
    ("last_weight", "expected"), [(1.0, (2.0715, 0.6852)), (0.1, (0.6230, 0.4843))]
)
def test_weighted_cross_entropy_is_the_studys(
    last_weight: float, expected: tuple[float, float]
) -> None:
    truth = np.array([[1, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0]])
    said = np.array([[0.9, 0, 0, 0.3, 0, 0.2]] * 2, dtype=np.float32)
    loss = WeightedCrossEntropy([1, 1, 1, 1, 1, last_weight])
    found = [float(loss(truth[i : i + 1], said[i : i + 1])) for i in range(2)]
    assert found == pytest.approx(expected, abs=1e-4)
    copy = WeightedCrossEntropy.from_config(loss.get_config())
    assert float(copy(truth, said)) == pytest.approx(np.mean(expected), abs=1e-4)


def test_genre_weights_by_hand() -> None:
    labels = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 0]], dtype=np.uint8)
    np.testing.assert_array_equal(genre_weights(labels), [1.0, 2.0, 0.0])


def test_scratch_with_twenty_genres_has_the_published_size() -> None:
    model = DeepBaseline("scratch")
    model._build(20)
    assert model.network.count_params() == 20_042_932


def test_stream_gives_every_poster_once_an_epoch(films: Path) -> None:
    catalogue = load_catalogue(films)
    labels = np.arange(90, dtype=np.uint8)[:, None]
    stream = PosterStream(catalogue.poster_paths, labels, (32, 32), 16, seed=1, workers=1)
    epochs = []
    for _ in range(2):
        batches = [stream[i] for i in range(len(stream))]
        assert batches[0][0].shape == (16, 32, 32, 3)
        assert batches[0][0].dtype == np.uint8
        epochs.append(np.concatenate([b[1] for b in batches]).ravel().tolist())
        stream.on_epoch_end()
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(90))
    assert epochs[0] != epochs[1]


def test_a_poster_that_breaks_while_training_stops_it(films: Path) -> None:
    stream = PosterStream(["/nowhere.png"], None, (32, 32), 16, seed=None, workers=1)
    with pytest.raises(ExtractionError, match=r"/nowhere\.png: was usable when training began"):
        stream[0]


def test_usable_tells_good_from_bad(films: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    good = load_catalogue(films).poster_paths[0]
    assert usable([good, "", str(tmp_path / "bad.png")]).tolist() == [True, False, False]


def test_only_scratch_can_be_trained_so_far() -> None:
    with pytest.raises(SettingError, match="expected 'scratch'"):
        DeepBaseline("vgg16")


def test_bad_options_are_listed_together() -> None:
    with pytest.raises(SettingError, match=r"--epochs: .*\n--patience: .*\n--learning-rate: "):
        DeepBaseline("scratch", DeepOptions(epochs=0, patience=0, learning_rate=2.0))


@pytest.fixture(scope="module")
def trained(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """An experiment whose run is a scratch net trained for two epochs."""
    catalogue = load_catalogue(films)
    folder = tmp_path_factory.mktemp("deep") / "runs" / "scratch"
    experiment = Experiment(catalogue, split_catalogue(catalogue), folder)
    fit_deep(experiment, "scratch", QUICK)
    return experiment


def test_the_run_is_a_run_like_any_other(trained: Experiment) -> None:
    record = json.loads((trained.folder / "run.json").read_text())
    assert record["kind"] == "deep"
    assert record["audit"]["clean"] is True
    assert set(record["metrics"]) >= {"f1_weighted", "map_macro"}
    losses = record["history"]["loss"]
    assert losses[-1] < losses[0]


def test_saved_and_loaded_baseline_answers_the_same(trained: Experiment) -> None:
    first, again = DeepBaseline.load(trained.folder), DeepBaseline.load(trained.folder)
    paths = [*trained.catalogue.poster_paths[:5], ""]
    probabilities = first.predict_proba(paths)
    np.testing.assert_allclose(probabilities, again.predict_proba(paths), atol=1e-6)
    assert np.isfinite(probabilities[:5]).all()
    assert np.isnan(probabilities[5]).all()
    assert first.label(probabilities)[5].tolist() == [0, 0, 0]


def test_embedding_is_the_last_dense_layer_of_the_trained_net(
    trained: Experiment, tmp_path: Path
) -> None:
    summary = extract_embeddings(
        trained.catalogue, "scratch", weights=str(trained.folder), cache=str(tmp_path)
    )
    assert summary.computed == 90
    model = make_hybrid(trained.catalogue, blocks=["poster"], cache=str(tmp_path))
    embeddings = model.fusion.read(trained.catalogue.frame)["poster"][:4]
    net = DeepBaseline.load(trained.folder)
    dense = next(layer for layer in net.head.layers if isinstance(layer, keras.layers.Dense))
    kernel, bias = (np.asarray(w) for w in dense.get_weights())
    log_odds = net.decision_function(trained.catalogue.poster_paths[:4])
    np.testing.assert_allclose(embeddings @ kernel + bias, log_odds, rtol=1e-3, atol=1e-3)


def test_a_backbone_trained_on_another_split_is_a_leak(trained: Experiment, tmp_path: Path) -> None:
    catalogue, cache = trained.catalogue, str(tmp_path / "cache")
    extract_embeddings(catalogue, "scratch", weights=str(trained.folder), cache=cache)
    kinds = []
    for seed in (0, 1):
        model = make_hybrid(catalogue, blocks=["poster"], cache=cache, grid={"C": [0.3]})
        split = split_catalogue(catalogue, seed=seed)
        run = fit_head(Experiment(catalogue, split, tmp_path / f"runs/{seed}"), model, {})
        kinds.append([leak["kind"] for leak in run.record["audit"]["leaks"]])
    assert kinds == [[], ["backbone trained on test items"]]


def test_half_a_run_is_refused(trained: Experiment, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a saved deep baseline"):
        DeepBaseline.load(tmp_path)


def test_a_deep_run_predicts_new_items(trained: Experiment, films: Path, tmp_path: Path) -> None:
    summary = predict_catalogue(trained.folder, films, tmp_path / "p.csv")
    assert summary.bad == ()
    old = read_predictions(trained.folder / "predictions.csv")
    new = read_predictions(tmp_path / "p.csv")
    row = {name: i for i, name in enumerate(new.ids)}
    rows = [row[name] for name in old.ids]
    np.testing.assert_allclose(new.probabilities[rows], old.probabilities, atol=1e-4)
