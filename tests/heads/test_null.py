"""Labels without meaning: whatever is fitted to them is told from chance by no interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from hybrid.catalogue import load_catalogue
from hybrid.evaluation import Outputs, paired_difference
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.folder import Run
from hybrid.splitting.methods import split_catalogue

BLOCKS = ("text", "metadata")
FITTED = ("svm", "stacking", "logistic", "sgd", "ridge", "naive-bayes", "knn")


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """400 items whose words depend on their labels, after the labels were dealt anew."""
    random = np.random.default_rng(0)
    labels = random.random((400, 4)) < (0.5, 0.35, 0.2, 0.1)
    labels[~labels.any(axis=1), 0] = True
    names = np.array(["Drama", "Comedy", "Horror", "Western"])
    words = [" ".join(random.choice([*names[row], "a", "film"], 12)) for row in labels]
    frame = pd.DataFrame(
        {
            "id": [f"f{i}" for i in range(400)],
            "genres": ["|".join(names[row]) for row in random.permutation(labels)],
            "overview": [f"{text} number {i}" for i, text in enumerate(words)],
            "year": random.integers(1950, 2020, 400),
        }
    )
    folder = tmp_path_factory.mktemp("null")
    frame.to_csv(folder / "catalogue.csv", index=False)
    catalogue = load_catalogue(folder / "catalogue.csv")
    return Experiment(catalogue, split_catalogue(catalogue), folder / "runs")


def fit(experiment: Experiment, head: str) -> Run:
    catalogue = experiment.catalogue
    model = make_hybrid(catalogue, head=head, blocks=BLOCKS)
    folder = experiment.folder / head
    return fit_head(Experiment(catalogue, experiment.split, folder), model, {})


def answers(run: Run) -> Outputs:
    test = run.predictions.splits == "test"
    return Outputs(run.predictions.labels[test], run.predictions.probabilities[test])


@pytest.fixture(scope="module")
def dummy(shuffled: Experiment) -> Run:
    return fit(shuffled, "dummy-stratified")


@pytest.mark.parametrize("head", FITTED)
def test_no_run_differs_significantly_from_the_dummy(
    head: str, shuffled: Experiment, dummy: Run
) -> None:
    run = fit(shuffled, head)
    truth = shuffled.catalogue.labels[shuffled.rows("test")]
    ranked = paired_difference(truth, answers(run), answers(dummy), "map_macro")
    assert ranked.low <= 0 <= ranked.high
    # Thresholds that are chosen for F1 give a label that cannot be known to all: the best that chance can do.
    always = f1_score(truth, np.ones_like(truth), average="weighted")
    f1, chance = (each.record.metrics["f1_weighted"] for each in (run, dummy))
    assert f1.low <= always
    assert f1.high >= chance.low


def test_the_same_words_are_significant_where_labels_are_real(
    shuffled: Experiment, tmp_path: Path
) -> None:
    """Else the test above would pass for a model that learns nothing at all."""
    path = shuffled.catalogue.path
    frame = pd.read_csv(path)
    genres = shuffled.catalogue.genres
    frame["genres"] = [
        "|".join(g for g in genres if g in text) or "Drama" for text in frame["overview"]
    ]
    frame.to_csv(tmp_path / "catalogue.csv", index=False)
    catalogue = load_catalogue(tmp_path / "catalogue.csv")
    experiment = Experiment(catalogue, split_catalogue(catalogue), tmp_path / "runs")
    run, dummy = (fit(experiment, head) for head in ("svm", "dummy-stratified"))
    truth = catalogue.labels[experiment.rows("test")]
    assert paired_difference(truth, answers(run), answers(dummy), "map_macro").low > 0.3
