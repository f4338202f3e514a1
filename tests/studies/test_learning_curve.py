"""The learning curve: nested, by whole groups, judged on held-out items, and said in plain words."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.cli.main import _run
from hybrid.datasets.sample import write_sample
from hybrid.heads import HybridClassifier
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.studies.learning_curve import (
    CurvePoint,
    Gain,
    conclusion,
    freeze_settings,
    learning_curve,
)
from hybrid.types import Interval


class Spy(HybridClassifier):
    """Remembers what each copy was fitted to and asked."""

    seen: list[dict[str, Any]] = []  # noqa: RUF012

    def fit(self, X: pd.DataFrame, y: Any, *, groups: Any = None, sample_weight: Any = None) -> Spy:
        super().fit(X, y, groups=groups)
        self.seen.append({"learnt": list(X.index), "groups": groups, "model": self})
        return self

    def predict_proba(self, X: pd.DataFrame) -> Any:
        found = super().predict_proba(X)
        self.seen[-1] |= {"judged": list(X.index), "found": found}
        return found


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, n_items=240, seed=0)
    return load_catalogue(folder / "catalogue.csv")


def test_the_curve_is_made_as_promised(catalogue: Catalogue) -> None:
    X, y = catalogue.frame.iloc[:200], catalogue.labels[:200, :4]
    groups = np.array([f"g{k // 2}" for k in range(200)])
    made = make_hybrid(catalogue, blocks=["text", "metadata"], grid={"C": [0.1, 1.0]}, folds=2)
    model = Spy(**made.get_params(deep=False)).fit(X, y, groups=groups)
    Spy.seen.clear()
    curve = learning_curve(model, X, y, groups, catalogue.genres[:4])
    probe, *fits = Spy.seen
    assert len(fits) == 5 * 2
    assert set(probe["learnt"]) == set(fits[4]["learnt"])
    for k in range(2):
        own = fits[k::2]
        for small, large in itertools.pairwise(own):
            assert set(small["learnt"]) < set(large["learnt"])
        for fit in own:
            assert not set(fit["learnt"]) & set(fit["judged"])
            assert set(fit["judged"]) == set(X.index[model.fold_ == k])
            counts = pd.Series(fit["groups"]).value_counts()
            assert (counts == 2).all()
        assert set(own[-1]["learnt"]) == set(X.index[model.fold_ != k])
    sizes = [point.items for point in curve.points]
    assert sizes == pytest.approx([100 / 16, 100 / 8, 25, 50, 100], rel=0.3)
    for fit in fits:
        settled = fit["model"]
        assert settled.chosen_.parameters == {}
        assert settled.estimator.get_params()["C"] == model.chosen_.parameters["C"]
        assert settled.fusion_.weights == model.fusion_.weights
    for size, point in enumerate(curve.points):
        scores, labels = np.zeros(y.shape), np.zeros(y.shape)
        for fit in fits[2 * size : 2 * size + 2]:
            rows = X.index.get_indexer(fit["judged"])
            scores[rows], labels[rows] = fit["found"], fit["model"].label(fit["found"])
        expected = f1_score(y, labels, average="weighted", zero_division=0)
        assert point.f1_weighted.value == pytest.approx(expected)
        known = y.any(axis=0)
        assert point.map_macro.value == pytest.approx(
            average_precision_score(y[:, known], scores[:, known])
        )
    assert curve.gain is not None
    last, before = curve.points[-1], curve.points[-2]
    assert curve.gain.f1_weighted.value == pytest.approx(
        last.f1_weighted.value - before.f1_weighted.value
    )
    assert (curve.gain.before, curve.gain.after) == (before.items, last.items)
    assert curve.judged == 200
    assert curve.points[-1].f1_weighted.value > curve.points[0].f1_weighted.value


def test_a_size_that_cannot_be_fitted_is_left_out_with_its_reason(catalogue: Catalogue) -> None:
    X, y = catalogue.frame.iloc[:24], catalogue.labels[:24, :3]
    model = make_hybrid(catalogue, blocks=["metadata"], grid={"C": [0.3]}, folds=3).fit(X, y)
    curve = learning_curve(model, X, y, None, catalogue.genres[:3])
    assert curve.left_out[0].items <= 3
    assert "folds" in curve.left_out[0].reason
    assert len(curve.points) + len(curve.left_out) == 5


def test_nothing_is_left_to_choose(catalogue: Catalogue) -> None:
    X, y = catalogue.frame.iloc[:80], catalogue.labels[:80, :3]
    model = make_hybrid(catalogue, blocks=["text", "metadata"], grid={"C": [0.1, 1.0]}, folds=2)
    model.fit(X, y)
    again = freeze_settings(model).fit(X, y)
    np.testing.assert_allclose(again.decision_function(X), model.decision_function(X), atol=1e-9)
    assert (freeze_settings(model).grid, freeze_settings(model).block_weights) == (None, ())


def interval(value: float, margin: float = 0.008) -> Interval:
    return Interval(value, value - margin, value + margin)


def points(*values: float) -> list[CurvePoint]:
    return [CurvePoint(100 * 2**k, interval(v), interval(v)) for k, v in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "f1", "ranking", "said"),
    [
        (
            (0.5, 0.53, 0.542),
            0.012,
            0.02,
            "Doubling the labelled items from 1,800 to 3,600 added 0.012 (0.004 to 0.020) to weighted "
            "F1 and 0.020 (0.012 to 0.028) to mAP. More labelled items are worth it, with "
            "diminishing returns: the doubling before added 0.030. If that continues, the next doubling, to "
            "7,200, adds less than 0.012; the curve does not extend further.",
        ),
        ((0.5, 0.51, 0.53), 0.02, 0.02, "The gains do not diminish yet"),
        ((0.5, 0.52), 0.02, 0.02, "The gains do not diminish yet"),
        (
            (0.5, 0.51, 0.515),
            0.005,
            0.02,
            "More items improve the ranking; the gain in weighted F1 is not",
        ),
        ((0.5, 0.51, 0.51), 0.0, 0.0, "mAP. The gain in weighted F1 is not significant."),
        ((0.5, 0.51, 0.49), -0.02, 0.0, "mAP. The gain in weighted F1 is not significant."),
    ],
)
def test_the_conclusion_follows_from_the_last_doublings(
    values: tuple[float, ...], f1: float, ranking: float, said: str
) -> None:
    gain = Gain(1800, 3600, interval(f1), interval(ranking))
    assert said in conclusion(points(*values), gain)


def test_no_conclusion_from_one_size() -> None:
    assert "Too few sizes" in conclusion(points(0.5), None)


def test_the_command_records_prints_and_reports_it(
    catalogue: Catalogue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(catalogue.path.parent, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYBRID_CACHE", str(tmp_path / "cache"))
    assert _run(["split", "--quiet"]) == 0
    capsys.readouterr()
    code = _run(["fit-svm", "--blocks", "metadata", "--C", "0.3", "--folds", "2", "--curve"])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "learning curve: 5 sizes x 2 folds, about " in said.err
    curve = json.loads(Path("runs/svm/studies/curve.json").read_text())["result"]
    assert curve["verdict"] in said.out
    counts = json.loads(Path("runs/svm/run.json").read_text())["split"]["counts"]
    assert curve["judged"] == counts["train"] + counts["validation"]
    assert _run(["report", "--draws", "5"]) == 0
    page = Path("report.html").read_text()
    assert "Learning curve" in page
    chart = re.search(r'<svg[^>]*aria-label="Learning curve\..*?</svg>', page)[0]
    assert chart.count("<use ") == 2 * len(curve["points"])  # a marker for each point of both lines
