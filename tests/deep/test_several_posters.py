"""Deep baselines on items with several posters: each is an example, and a prediction is their mean."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid.audit.ancestry import HashedItems
from hybrid.audit.item_hashes import find_learnt, poster_number
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.fused import FusedBaseline, make_baseline
from hybrid.deep.items import Items
from hybrid.deep.options import DeepOptions
from hybrid.deep.several_posters import mean_log_odds
from hybrid.errors import SettingError
from hybrid.extraction.lookup import hash_catalogue, load_embeddings
from hybrid.extraction.poster_keys import different_posters
from hybrid.inspection.loaded_run import MapOptions, load_run
from hybrid.runs.deep_inputs import make_fusion, plan_deep
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_deep import fit_deep
from hybrid.runs.folder import read_run
from hybrid.runs.predict import predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.splitting.methods import split_catalogue
from hybrid.utils.context import Context

SMALL = DeepOptions(epochs=1, input_size=(32, 32))
FUSED = DeepOptions(
    epochs=2, input_size=(32, 32), body="mobilenet-075", weights="random", head_units="8"
)


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """Whatever is trained here is the shallow network."""


@pytest.fixture(scope="module")
def several(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The films; every third has the poster of the next one, too, and some have copies or bad ones."""
    folder = tmp_path_factory.mktemp("several")
    shutil.copytree(films.parent / "posters", folder / "posters")
    with films.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    posters = [row.pop("poster") for row in rows]
    copy = folder / "copy.jpg"
    for i, row in enumerate(rows):
        row["posters"] = posters[i]
        if i % 3 == 0:
            row["posters"] = f"{posters[i]}|{posters[(i + 1) % len(rows)]}"
    copy.write_bytes((films.parent / posters[0]).read_bytes())
    rows[0]["posters"] = f"copy.jpg|{rows[0]['posters']}"
    rows[3]["posters"] = f"gone.jpg|{posters[3]}"
    rows[4]["posters"] = "gone.jpg|also-gone.jpg"
    path = folder / "films.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return load_catalogue(path)


def items_of(catalogue: Catalogue) -> Items:
    cells, _ = different_posters(catalogue)
    return Items(catalogue.ids.tolist(), cells, catalogue.labels)


def sigmoid(scores: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-scores))


def test_the_mean_is_of_the_probabilities() -> None:
    scores = np.array([[-3.0, 40.0], [1.0, -2.0], [0.5, 800.0], [0.0, 900.0]])
    found = sigmoid(mean_log_odds(scores, np.array([0, 0, 2, 2]), 3))
    np.testing.assert_allclose(found[0], sigmoid(scores[:2]).mean(axis=0), rtol=1e-12)
    assert np.isnan(found[1]).all()
    assert found[2, 1] == 1.0
    softmax = np.exp(scores[:2]) / np.exp(scores[:2]).sum(axis=1, keepdims=True)
    found = np.exp(mean_log_odds(scores[:2], np.array([0, 0]), 1, multiclass=True))
    np.testing.assert_allclose(found[0], softmax.mean(axis=0), rtol=1e-9)


def test_items_take_their_posters_with_them() -> None:
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    items = Items(["a", "b", "c"], ["1\0002", "3", "4\0005"], np.eye(3, dtype=np.uint8), rows)
    some = items.take(np.array([2, 0]))
    assert some.paths == ["4\0005", "1\0002"]
    np.testing.assert_array_equal(some.embeddings, rows[[3, 4, 0, 1]])
    each = some.by_poster()
    assert (each.ids, each.paths) == (["c", "c", "a", "a"], ["4", "5", "1", "2"])
    np.testing.assert_array_equal(each.labels, np.eye(3)[[2, 2, 0, 0]])


def test_a_prediction_is_the_mean_over_the_posters(several: Catalogue) -> None:
    items = items_of(several).take(np.arange(12))
    assert items.counts.tolist() == [2, 1, 1, 2, 2, 1, 2, 1, 1, 2, 1, 1]  # equal files are one
    model = DeepBaseline("small", SMALL)
    model.fit(items, items)
    found, each = model.decision_function(items), model.decision_function(items.by_poster())
    for i in (0, 6, 9):
        expected = sigmoid(each[items.owners == i]).mean(axis=0)
        np.testing.assert_allclose(sigmoid(found[i]), expected, rtol=1e-6)
    np.testing.assert_allclose(
        found[3], each[items.owners == 3][1], rtol=1e-4
    )  # the one that is there
    assert np.isnan(found[4]).all()
    examples, owners = model._examples(items)
    assert len(examples) == 14
    np.testing.assert_array_equal(examples.labels, items.labels[owners])


@pytest.mark.filterwarnings("ignore:random weights")
def test_a_frozen_fused_network_reads_pooled_embeddings(several: Catalogue) -> None:
    context = Context(cache=str(several.path.parent / "cache"), workers=1)
    folder = several.path.parent / "runs" / "fused"
    experiment = Experiment(several, split_catalogue(several), folder, context=context)
    options = replace(FUSED, poster_pooling="max")
    run = fit_deep(experiment, "fused", options)
    assert run.record.settings["poster_pooling"] == "max"
    new = read_predictions(predict_catalogue(folder, several.path, folder.parent / "p.csv").out)
    row = {name: i for i, name in enumerate(new.ids.tolist())}
    found = new.probabilities[[row[name] for name in run.predictions.ids.tolist()]]
    np.testing.assert_allclose(found, run.predictions.probabilities, atol=2e-2)
    loaded = load_run(folder, several.path, context=context)
    _check_pooled(several, context, loaded.model)  # type: ignore[attr-defined]
    assert loaded.saliency_maps(0, several.genres[:1], MapOptions()).maps
    _check_provenance(folder, experiment)


def _check_pooled(several: Catalogue, context: Context, model: FusedBaseline) -> None:
    """The block `poster` holds the maximum of the embeddings: of the cache in the fit, else computed anew."""
    keys = hash_catalogue(several, context)
    cells, each = different_posters(several, keys, context)
    stored = load_embeddings(several, context=context, pooling="max")
    items = Items(several.ids.tolist(), cells, frame=several.frame)
    (store,) = EmbeddingCache(context.cache).stores()
    known = replace(items, embeddings=store.read(each))
    np.testing.assert_array_equal(model._data(known)["poster"], stored)
    anew = model._data(model._examples(items)[0])["poster"]
    np.testing.assert_allclose(anew, stored, atol=3e-2)  # the cache has fewer digits
    mean = load_embeddings(several, context=context)
    assert np.nanmax(np.abs(mean - stored)) > 0.2


def _check_provenance(folder: Path, experiment: Experiment) -> None:
    """All posters of the train items count as learnt from, also for an item whose second it is."""
    found = read_run(folder).provenance
    training = experiment.keys_of("train", "validation")
    assert {poster_number(key) for key in training} <= set(found.run.items.posters.tolist())
    assert len(set(found.run.items.ids.tolist())) == len(experiment.rows("train", "validation"))
    extra = next(k for i, each in enumerate(experiment.key_sets) for k in each[1:]
                 if i in set(experiment.rows("train").tolist()))  # fmt: skip
    other = HashedItems.of(experiment.catalogue, [None] * 90, [[bytes(32), extra], *[[]] * 89])
    nothing = np.zeros_like(other.hashes.texts)
    foreign = replace(other.hashes, ids=other.hashes.ids + 1, texts=nothing)
    learnt = find_learnt(found.run, foreign, "another")
    assert other.ids[learnt].tolist() == [experiment.catalogue.ids[0]]
    assert read_run(folder).record.audit is not None


@pytest.mark.filterwarnings("ignore:random weights")
def test_a_fused_network_whose_body_is_trained_reads_each_poster(several: Catalogue) -> None:
    context = Context(cache=str(several.path.parent / "cache"), workers=1)
    fusion = make_fusion(several, "fused", context)
    model = make_baseline("fused", replace(FUSED, unfreeze="1"), fusion=fusion)
    _, owners = model._examples(items_of(several))
    counts = np.bincount(owners, minlength=90)
    assert counts[:7].tolist() == [2, 1, 1, 1, 1, 1, 2]  # an item without a good one is there, too
    plan = plan_deep(several, split_catalogue(several), "fused", replace(FUSED, batch_size=1))
    assert {stage.batches for stage in plan.stages} == {plan.train}
    each = plan_deep(several, split_catalogue(several), "small", replace(SMALL, batch_size=1))
    assert each.stages[0].batches > each.train
    # All blocks together score an item as the network does: the mean over its posters.
    items = replace(items_of(several), frame=several.frame)
    drawn = np.random.default_rng(0).normal(size=(int(items.counts.sum()), 768))
    model._prepare(replace(items, embeddings=drawn.astype(np.float32)))
    model._build(3)
    for row in (0, 1, 6):
        one = items.take(np.array([row]))
        names, scores = model.score_subsets(one)
        assert names == ("poster", "text", "metadata")
        np.testing.assert_allclose(scores[-1], model.decision_function(one)[0], atol=1e-4)


def test_a_pooling_without_effect_is_refused(several: Catalogue, films: Path) -> None:
    one = load_catalogue(films)
    with pytest.raises(SettingError, match="--poster-pooling: expected none, since no item of"):
        plan_deep(one, split_catalogue(one), "fused", replace(FUSED, poster_pooling="max"))
    wrong = replace(SMALL, poster_pooling="max")
    with pytest.raises(SettingError, match="since small reads each poster of an item by itself"):
        make_baseline("small", wrong)
    with pytest.raises(SettingError, match="since fused reads each poster of an item by itself"):
        make_baseline("fused", replace(FUSED, unfreeze="1", poster_pooling="max"))
    with pytest.raises(SettingError, match="--poster-pooling: unknown pooling 'median'"):
        make_baseline("fused", replace(FUSED, poster_pooling="median"))
