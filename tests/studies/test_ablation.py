"""Ablation, contributions and repeated splits, on small films and by hand."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import SettingError
from hybrid.evaluation import METRICS, Outputs, compare_pairs
from hybrid.features import MetadataFeatures, TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.features.fusion_matrix import drop_block
from hybrid.heads import HybridClassifier
from hybrid.runs.fitted import LabelledItems
from hybrid.splitting.repeats import FurtherSplit, further_splits
from hybrid.splitting.splits import make_split
from hybrid.studies.ablation import (
    RATES,
    ablate_blocks,
    block_subsets,
    contribution_table,
    mean_contributions,
    restrict,
    shapley_values,
)
from hybrid.studies.repeated_splits import RepeatedRun, evaluate_repeated_splits


@pytest.fixture(scope="module")
def catalogue(films: Path) -> Catalogue:
    return load_catalogue(films)


def make_model() -> HybridClassifier:
    blocks = [
        ("text", TextFeatures(["overview"], min_df=1)),
        ("metadata", MetadataFeatures(lists=["directors"])),
    ]
    return HybridClassifier(
        Fusion(blocks), LinearSVC(C=0.3), block_weights=(), folds=3, random_state=0
    )


@pytest.fixture(scope="module")
def fitted(catalogue: Catalogue) -> HybridClassifier:
    return make_model().fit(catalogue.frame[:60], catalogue.labels[:60])


def blank(frame: pd.DataFrame, block: str) -> pd.DataFrame:
    """The same items without the block, as a catalogue that lacks it has them."""
    return frame.assign(**{{"text": "overview", "metadata": "directors"}[block]: ""})


@pytest.mark.parametrize("block", ["text", "metadata"])
def test_a_dropped_block_is_what_an_empty_cell_is(
    block: str, catalogue: Catalogue, fitted: HybridClassifier
) -> None:
    frame = catalogue.frame[60:]
    rows = np.array([0, 3, 7])
    found = drop_block(fitted.fusion_.transform(frame), block, rows)
    some = frame.copy()
    some.iloc[rows] = blank(frame, block).iloc[rows]
    expected = fitted.fusion_.transform(some)
    np.testing.assert_allclose(found.tocsr().toarray(), expected.tocsr().toarray())
    before = fitted.fusion_.transform(frame).tocsr()
    drop_block(fitted.fusion_.transform(frame), block, rows)
    assert (before != fitted.fusion_.transform(frame).tocsr()).nnz == 0


def test_a_dense_block_is_dropped_too(fitted: HybridClassifier, catalogue: Catalogue) -> None:
    from hybrid.features.fusion_matrix import FusionMatrix

    dense = np.hstack([np.random.default_rng(0).random((5, 3)), np.zeros((5, 1))])
    matrix = FusionMatrix.from_blocks([dense], ["poster"])
    found = drop_block(matrix, "poster", np.array([1, 4])).tocsr().toarray()
    np.testing.assert_array_equal(found[[1, 4]], [[0, 0, 0, 1]] * 2)
    np.testing.assert_array_equal(found[[0, 2, 3]], dense[[0, 2, 3]])
    with pytest.raises(SettingError, match="expected one of poster, found block 'text'"):
        drop_block(matrix, "text", np.array([0]))


def test_every_subset_and_every_rate(catalogue: Catalogue, fitted: HybridClassifier) -> None:
    frame, labels = catalogue.frame, catalogue.labels
    groups = np.arange(len(frame))
    said: list[str] = []
    found = ablate_blocks(
        fitted,
        (frame[:60], labels[:60], groups[:60]),
        (frame[60:], labels[60:], groups[60:]),
        say=said.append,
        fit_seconds=2.0,
    )
    assert said[0].startswith("ablation: 2 more fits, at most about 4 s")
    assert [v.blocks for v in found.subsets] == [("text",), ("metadata",), ("text", "metadata")]
    for variant in found.subsets:
        alone = make_model().set_params(
            fusion=Fusion([b for b in make_model().fusion.blocks if b[0] in variant.blocks])
        )
        labels_alone = alone.fit(frame[:60], labels[:60]).predict(frame[60:])
        expected = f1_score(labels[60:], labels_alone, average="weighted", zero_division=0)
        assert variant.metrics["f1_weighted"].value == pytest.approx(expected)
    full = found.subsets[-1].metrics["f1_weighted"].value
    for variant in (*found.subsets, *found.missing):
        difference = variant.metrics["f1_weighted"].value - full
        assert variant.difference.value == pytest.approx(difference)
    assert [(v.missing, v.rate) for v in found.missing] == list(
        itertools.product(["text", "metadata"], RATES)
    )
    by_place = {(v.missing, v.rate): v for v in found.missing}
    for block in ("text", "metadata"):
        assert by_place[block, 0.0].difference.value == 0
        gone = f1_score(
            labels[60:],
            fitted.predict(blank(frame[60:], block)),
            average="weighted",
            zero_division=0,
        )
        assert by_place[block, 1.0].metrics["f1_weighted"].value == pytest.approx(gone)


def test_differences_hold_all_at_once(catalogue: Catalogue, fitted: HybridClassifier) -> None:
    """A variant's interval contains that of a comparison of it alone."""
    frame, labels = catalogue.frame, catalogue.labels
    parts = [(frame[m], labels[m], np.arange(len(frame))[m]) for m in (slice(60), slice(60, None))]
    found = ablate_blocks(fitted, *parts, seed=3)
    gone = fitted.decision_.probabilities(
        fitted.score_matrix(
            drop_block(fitted.fusion_.transform(frame[60:]), "text", np.arange(len(frame) - 60))
        )
    )
    models = [Outputs(fitted.label(p), p) for p in (gone, fitted.predict_proba(frame[60:]))]
    alone = compare_pairs(labels[60:], models, seed=3).interval(0, 1)
    [same] = [v.difference for v in found.missing if (v.missing, v.rate) == ("text", 1.0)]
    assert same.value == pytest.approx(alone.value)
    assert same.low < alone.low < alone.high < same.high


def test_restriction_keeps_settings_and_the_model(fitted: HybridClassifier) -> None:
    fused = make_model().set_params(fusion__weights={"text": 2.0, "metadata": 0.5})
    smaller = restrict(fused, ["metadata"])
    assert smaller.fusion.names == ("metadata",)
    assert smaller.fusion.weights == {"metadata": 0.5}
    assert fused.fusion.names == ("text", "metadata")
    assert smaller.folds == 3
    assert block_subsets("abc") == [
        ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c"),
    ]  # fmt: skip


def test_contributions_are_means_over_orders(
    catalogue: Catalogue, fitted: HybridClassifier
) -> None:
    frame = catalogue.frame[60:]
    base, shares = shapley_values(fitted, frame)
    both = fitted.predict_proba(frame)
    none = fitted.predict_proba(blank(blank(frame, "text"), "metadata"))
    no_text, no_metadata = (fitted.predict_proba(blank(frame, b)) for b in ("text", "metadata"))
    np.testing.assert_allclose(base, none)
    np.testing.assert_allclose(shares[:, :, 0], ((no_metadata - none) + (both - no_text)) / 2)
    np.testing.assert_allclose(shares[:, :, 1], ((no_text - none) + (both - no_metadata)) / 2)
    np.testing.assert_allclose(base + shares.sum(axis=2), both)


def test_the_table_has_each_label_that_is_given(
    catalogue: Catalogue, fitted: HybridClassifier
) -> None:
    frame = catalogue.frame[60:]
    table = contribution_table(fitted, frame, catalogue.genres)
    given = {
        (name, genre)
        for name, row in zip(frame.index, fitted.predict(frame), strict=True)
        for genre, yes in zip(catalogue.genres, row, strict=True)
        if yes
    }
    assert set(zip(table["id"], table["genre"], strict=True)) == given
    total = table["base"] + table["text"] + table["metadata"]
    np.testing.assert_allclose(total, table["probability"])
    assert mean_contributions(table) == pytest.approx(
        {"text": table["text"].mean(), "metadata": table["metadata"].mean()}
    )
    assert mean_contributions(table[:0]) == {"text": None, "metadata": None}


def test_repeats_are_fits_on_splits_with_the_next_seeds(catalogue: Catalogue) -> None:
    frame, labels = catalogue.frame, catalogue.labels
    split = make_split(catalogue.ids, labels, shares=(0.6, 0.1, 0.3), seed=4)
    model = make_model()
    test = split.parts == "test"
    perfect = Outputs(labels[test], labels[test].astype(float))

    def items(each: FurtherSplit) -> Any:
        out = each.split.parts == "test"
        return tuple(LabelledItems(frame[m], labels[m], split.groups[m]) for m in (~out, out))

    own = RepeatedRun("own", 4, split.sha256, *items(FurtherSplit("", 4, split)), perfect)
    further = further_splits(split, labels, 3, 4)
    found = evaluate_repeated_splits(
        model, own, further, items, catalogue.genres, method="iterative"
    )
    assert found["seeds"] == [4, 5, 6]
    assert set(found["metrics"]) == set(METRICS)
    f1 = found["metrics"]["f1_weighted"]
    expected = [1.0]
    shares = [(split.parts == part).mean() for part in ("train", "validation", "test")]
    for seed, each in zip((5, 6), found["splits"][1:], strict=True):
        other = make_split(catalogue.ids, labels, shares=shares, seed=seed)
        out = other.parts == "test"
        again = make_model().set_params(random_state=seed)
        again.fit(frame[~out], labels[~out], groups=other.groups[~out])
        said = again.predict(frame[out])
        expected.append(f1_score(labels[out], said, average="weighted", zero_division=0))
        assert (each["name"], each["sha256"]) == (f"seed {seed}", other.sha256)
        assert (each["training"], each["test"]) == ((~out).sum(), out.sum())
        assert each["metrics"]["f1_weighted"].value == pytest.approx(expected[-1])
    assert f1["values"] == pytest.approx(tuple(expected))
    assert f1["interval"]["low"] < f1["mean"] < f1["interval"]["high"]
    assert not hasattr(model, "head_")


def test_rolling_origins_have_no_interval_of_their_mean(catalogue: Catalogue) -> None:
    frame, labels = catalogue.frame, catalogue.labels
    split = make_split(catalogue.ids, labels, seed=0)

    def items(each: FurtherSplit) -> Any:
        out = each.split.parts == "test"
        return tuple(LabelledItems(frame[m], labels[m], split.groups[m]) for m in (~out, out))

    training, test = items(FurtherSplit("", 0, split))
    own = RepeatedRun("own", 0, "", training, test, Outputs(test.labels, test.labels.astype(float)))
    further = further_splits(split, labels, 2, 0)
    how = {"method": "temporal"}
    found = evaluate_repeated_splits(make_model(), own, further, items, catalogue.genres, **how)
    assert found["metrics"]["f1_weighted"]["interval"] is None
    assert found["splits"][1]["metrics"]["f1_weighted"].low <= 1


def test_a_fit_writes_all_of_it(project: Path, hybrid_here: Any) -> None:
    assert hybrid_here("split", cwd=project).returncode == 0
    done = hybrid_here(
        "fit-svm", "--blocks", "text,metadata", "--ablation", "--repeats", 2, "--C", 0.3,
        "--max-labels", 2, "--at-least-one", "--thresholds", "micro", cwd=project,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ablation: 2 more fits, at most about" in done.stderr
    assert "ablation: fit 2 of 2, metadata" in done.stderr
    assert "repeats: fit 1 of 1, seed 1" in done.stderr
    assert "repeats: weighted F1 (95 %) on 2 splits, iterative" in done.stdout
    record = json.loads((project / "runs" / "svm" / "run.json").read_text())
    assert not {"ablation", "repeats", "studies"} & set(record)
    studies = project / "runs" / "svm" / "studies"
    assert sorted(path.name for path in studies.iterdir()) == [
        "ablation.json", "contributions.csv", "repeats.json",
    ]  # fmt: skip
    ablation, repeats = (
        json.loads((studies / f"{kind}.json").read_text())["result"]
        for kind in ("ablation", "repeats")
    )
    assert len(ablation["subsets"]) == 3
    assert len(ablation["missing"]) == 8
    assert set(ablation["mean_contribution"]) == {"text", "metadata"}
    table = pd.read_csv(studies / "contributions.csv")
    assert list(table.columns) == ["id", "genre", "base", "text", "metadata", "probability"]
    assert len(repeats["metrics"]["f1_weighted"]["values"]) == 2
    first = repeats["metrics"]["f1_weighted"]["values"][0]
    assert first == pytest.approx(record["metrics"]["f1_weighted"]["value"])
    decision = record["decision"]
    assert (decision["max_labels"], decision["at_least_one"]) == (2, True)
    assert (decision["objective"], decision["shrinkage"]) == ("micro", 300.0)
    assert decision["calibrated_by"] == ["sigmoid"] * 3
    assert len(record["threshold_spread"]) == 3
    assert len(record["reliability"]["genres"]) == 3
    cost = record["cost"]
    assert cost["fit_seconds"] > 0
    assert cost["disk_bytes"]["model"] > 0
    assert cost["parameters"]["head"] > 0
    assert cost["extract"] is None
    predictions = pd.read_csv(project / "runs" / "svm" / "predictions.csv")
    assert predictions["genres"].str.split("|").str.len().between(1, 2).all()
    done = hybrid_here("predict", "runs/svm", "--out", "new.csv", cwd=project)
    assert done.returncode == 0, done.stderr
    new = pd.read_csv(project / "new.csv").set_index("id")
    assert new["genres"].str.split("|").str.len().between(1, 2).all()
    test = predictions[predictions["split"] == "test"].set_index("id")
    assert (new.loc[test.index, "genres"] == test["genres"]).all()
