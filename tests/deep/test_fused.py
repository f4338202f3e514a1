"""Networks on fused blocks: text alone; posters, text and metadata; end to end."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hybrid.catalogue import load_catalogue
from hybrid.cli.main import hybrid
from hybrid.deep.fused import FusedBaseline, make_baseline
from hybrid.deep.fused_network import BlockDropout, PixelsAndBlocks, PosterBlock
from hybrid.deep.items import Items, Posters
from hybrid.deep.options import DeepOptions
from hybrid.deep.saved import load_baseline, save_baseline
from hybrid.errors import CatalogueError, RunError, SettingError
from hybrid.features import PosterFeatures
from hybrid.features.fusion import Fusion
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.decision_rule import DecisionRule
from hybrid.runs.deep_inputs import make_fusion, plan_deep
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_deep import fit_deep
from hybrid.runs.predict import predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.splitting.methods import split_catalogue
from hybrid.utils.context import Context

FUSED = DeepOptions(
    body="mobilenet-075", weights="random", input_size=(32, 32), epochs=2, batch_size=16
)


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """Whatever is trained here, in whatever order, is the shallow network."""


def test_a_block_is_taken_away_in_training_alone() -> None:
    block = np.array([[0.5, -0.5, 0.0], [0.0, 0.0, 1.0]], dtype=np.float32)
    always = BlockDropout(1.0)
    np.testing.assert_array_equal(always(block, training=True), [[0, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(always(block, training=False), block)
    np.testing.assert_array_equal(BlockDropout(0.0)(block, training=True), block)
    many = np.zeros((2000, 2), dtype=np.float32)
    gone = np.array(BlockDropout(0.25)(many, training=True))[:, 1]
    assert set(gone) == {0.0, 1.0}
    assert 0.2 < gone.mean() < 0.3


def test_the_layer_makes_the_block_that_the_fusion_makes() -> None:
    random = np.random.default_rng(0)
    embeddings = random.normal(3, 2, (20, 5)).astype(np.float32)
    embeddings[7] = np.nan
    fusion = Fusion([("poster", PosterFeatures())]).fit({"poster": embeddings})
    expected = fusion.transform({"poster": embeddings}).blocks[0][1]
    absent = np.isnan(embeddings[:, :1]).astype(np.float32)
    fitted = fusion.fitted_[0][1]
    anything = np.where(np.isnan(embeddings), 99, embeddings)
    made = PosterBlock(fitted.mean_, fitted.scale_)([anything, absent])
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_items_without_a_poster_are_masked_not_decoded(films: Path) -> None:
    paths = load_catalogue(films).poster_paths[:4]
    good = np.array([True, False, True, False])
    matrix = FusionMatrix.from_blocks([np.arange(8.0).reshape(4, 2)], ["text"])
    source = PixelsAndBlocks(Posters([paths[0], paths[2]], (32, 32)), good, matrix)
    order = np.array([3, 2, 1, 0])
    x = source.read(order)
    for i, row in enumerate(order):
        assert x["absent"][i, 0] == (0.0 if good[row] else 1.0)
        assert x["pixels"][i].any() == good[row]
        np.testing.assert_array_equal(x["text"][i], [2 * row, 2 * row + 1])


@pytest.mark.usefixtures("until_learnt")
@pytest.mark.parametrize("name", ["text", "fused"])
def test_networks_on_blocks_overfit_32_items(name: str, films: Path, tmp_path: Path) -> None:
    catalogue = load_catalogue(films)
    embeddings = np.random.default_rng(0).normal(size=(90, 768)).astype(np.float32)
    items = Items(catalogue.ids.tolist(), catalogue.poster_paths, catalogue.labels, embeddings)
    items = replace(items, frame=catalogue.frame).take(np.arange(32))
    how = DeepOptions(epochs=40, patience=40, weights=None if name == "text" else "random")
    if name == "fused":
        how = replace(how, body="mobilenet-075", input_size=(32, 32))
    model = make_baseline(name, how, fusion=make_fusion(catalogue, name)).fit(items, items)
    truth, said = catalogue.labels[:32], model.decision_function(items) > 0
    assert 2 * (truth * said).sum() / (truth.sum() + said.sum()) >= 0.95
    save_baseline(model, tmp_path)
    again = load_baseline(tmp_path)
    assert isinstance(model, FusedBaseline)
    assert isinstance(again, FusedBaseline)
    wanted, found = (each.fusion_.transform(each._data(items)) for each in (model, again))
    assert wanted.tocsr().toarray().tobytes() == found.tocsr().toarray().tobytes()
    np.testing.assert_allclose(again.predict_proba(items), model.predict_proba(items), atol=1e-6)


def test_blocks_that_are_a_pickle_are_not_opened(tmp_path: Path) -> None:
    model = make_baseline("text", DeepOptions())
    model.decision_ = DecisionRule(None, np.full(3, 0.5))
    plain = {"network": "text", "options": asdict(model.options), "labels": 3}
    (tmp_path / "model.scoring.json").write_text(json.dumps(plain | model.decision_.as_plain()))
    (tmp_path / "model.blocks.joblib").write_bytes(b"cbuiltins\nexit\n(tR.")
    with pytest.raises(RunError, match=r"It is a pickle: .* hybrid convert .* --allow-pickle"):
        load_baseline(tmp_path)


@pytest.fixture
def gappy(project: Path) -> Path:
    """The films, some without a poster or a text."""
    path = project / "catalogue.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        row["poster"] = "" if i % 5 == 0 else row["poster"]
        row["overview"], row["title"] = ("", "") if i % 7 == 0 else (row["overview"], row["title"])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.filterwarnings("ignore:random weights")
@pytest.mark.parametrize("unfreeze", [None, "1"], ids=["frozen", "end to end"])
def test_a_fused_run_answers_items_without_a_poster(unfreeze: str | None, gappy: Path) -> None:
    catalogue = load_catalogue(gappy)
    folder, cache = gappy.parent / "runs" / "fused", str(gappy.parent / ".hybrid-cache")
    experiment = Experiment(
        catalogue, split_catalogue(catalogue), folder, context=Context(cache=cache)
    )
    run = fit_deep(experiment, "fused", replace(FUSED, unfreeze=unfreeze))
    assert run.record.blocks == ("poster", "text", "metadata")
    assert run.record.missing["poster"]["test"] > 0
    assert run.record.training.history.stage == ("top",) * 2 + (("fine",) * 2 if unfreeze else ())
    assert np.isfinite(run.predictions.probabilities).all()
    summary = predict_catalogue(folder, gappy, gappy.parent / "p.csv")
    new = read_predictions(summary.out)
    row = {name: i for i, name in enumerate(new.ids.tolist())}
    found = new.probabilities[[row[name] for name in run.predictions.ids.tolist()]]
    np.testing.assert_allclose(found, run.predictions.probabilities, atol=2e-2)


def test_a_text_run_by_the_command(project: Path) -> None:
    for command in ("split", "fit-deep --backbone text --epochs 15"):
        CliRunner().invoke(hybrid, command.split(), catch_exceptions=False)
    record = json.loads((project / "runs/text/run.json").read_text())
    assert (record["blocks"], record["backbone"]) == (["text"], None)
    assert record["metrics"]["map_macro"]["value"] > 0.6  # the words tell the genres


def test_the_plan_of_a_fused_net_says_what_each_stage_reads(films: Path) -> None:
    catalogue = load_catalogue(films)
    plan = plan_deep(catalogue, split_catalogue(catalogue), "fused", replace(FUSED, unfreeze="1"))
    assert [stage.reads for stage in plan.stages] == [
        "the blocks poster, text, metadata",
        "posters and the blocks text, metadata",
    ]


@pytest.mark.parametrize(("network", "blocks"), [("text", None), ("fused", ("text", "metadata"))])
def test_weights_of_a_run_are_refused_alone_where_no_posters_are_read(
    network: str, blocks: tuple[str, ...] | None, films: Path, tmp_path: Path
) -> None:
    """The input size that the run tells was not given by anyone."""
    (tmp_path / "run.json").write_text('{"backbone": {"input_size": [64, 48]}}')
    catalogue = load_catalogue(films)
    options = DeepOptions(weights=str(tmp_path), blocks=blocks)
    with pytest.raises(SettingError, match="--weights: expected none") as refused:
        plan_deep(catalogue, split_catalogue(catalogue), network, options)
    assert "--input-size" not in str(refused.value)
    with pytest.raises(SettingError, match="--input-size: expected none"):
        plan_deep(
            catalogue, split_catalogue(catalogue), network, replace(options, input_size=(9, 9))
        )


def test_what_blocks_cannot_do_is_refused(films: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--weights: expected none, since text reads no posters"):
        make_baseline("text", DeepOptions(weights="random"))
    with pytest.raises(SettingError, match="--body: expected none, since text is not fused"):
        make_baseline("text", DeepOptions(body="vgg16"))
    with pytest.raises(
        SettingError, match="--body: expected a pretrained backbone, found 'scratch'"
    ):
        make_baseline("fused", DeepOptions(body="scratch"))
    for body in ("vit.onnx", "keras-hub:resnet_18_imagenet"):
        with pytest.raises(
            SettingError, match=f"--body: expected .* can be trained, found '{body}'"
        ):
            make_baseline("fused", DeepOptions(body=body))
    (tmp_path / "c.csv").write_text("id,genres\n1,a\n2,b\n")
    with pytest.raises(
        (SettingError, CatalogueError), match=r"block text: .* has no column for it"
    ):
        make_fusion(load_catalogue(tmp_path / "c.csv"), "text")
    catalogue = load_catalogue(films)
    items = Items(catalogue.ids.tolist(), catalogue.poster_paths, catalogue.labels)
    with pytest.raises(SettingError, match="fused: expected blocks and, if one is of posters"):
        FusedBaseline("fused", FUSED, fusion=make_fusion(catalogue, "fused")).fit(items, items)
