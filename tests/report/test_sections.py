"""What each section of the report shows, against independent computing."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, log_loss

from hybrid import report
from hybrid.errors import RunError
from hybrid.images.thumbnails import MAX_BYTES, make_thumbnails
from hybrid.report.comparison import Comparison
from hybrid.report.page import make_environment, render
from hybrid.report.plots import RUN_COLOURS, Curve, draw
from hybrid.report.sections import (
    SECTIONS,
    cooccurrence,
    cost,
    curves,
    data,
    genres,
    importance,
    items,
    leaks,
    learning_curve,
    reproduction,
    runs,
    training_history,
)
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import BackboneRecord, ExternalRecord
from hybrid.runs.study_records import CurvePointRecord, LearningCurveRecord
from hybrid.runs.training_records import HistoryRecord
from hybrid.types import Interval

Make = Callable[..., Comparison]
HALF = {"value": 0.5, "low": 0.4, "high": 0.6}
NAMES = ("Comedy", "Drama", "Horror")


def sample(n: int = 100, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and scores that say something of it, no two alike."""
    random = np.random.default_rng(seed)
    truth = (random.random((n, 3)) < [0.5, 0.6, 0.2]).astype(np.uint8)
    truth[truth.sum(axis=1) == 0, 1] = 1
    scores = np.clip(0.3 * truth + 0.7 * random.random(truth.shape), 0.001, 0.999)
    return truth, scores


def test_every_section_has_its_template_and_its_place(compared: Make) -> None:
    truth, scores = sample()
    leak = {"kind": "same id", "count": 1, "share": 0.01, "pairs": [["a", "train", "b", "test"]]}
    record = {
        "audit": {"clean": False, "checks": ["same id"], "leaks": [leak]},
        "stages": [{"name": "fit", "seconds": 1.0, "peak_mib": 9.0}],
        "history": {"loss": [2.0, 1.0], "val_loss": [2.0, 1.5]},
        "channels": [
            {
                "block": "poster",
                "number": 7,
                "towards": {"Drama": 0.4},
                "away": {},
                "posters": {"gone": 2.5},
            }
        ],
        "why": {"Drama": {"text": {"for": {"war": 0.4}, "against": {"joke": -0.3}}}},
        "curve": {
            "points": [{"items": n, "f1_weighted": HALF, "map_macro": HALF} for n in (50, 100)],
            "verdict": "doubling adds nothing",
            "judged": 40,
            "left_out": [],
        },
        "ablation": {
            "subsets": [
                {
                    "blocks": ["text"],
                    "missing": None,
                    "metrics": {"f1_weighted": HALF},
                    "difference": HALF,
                }
            ]
        },
    }
    page = render(compared(NAMES, truth, {"a": scores}, {"a": record}))
    found = re.findall(r'<summary><h2 id="([a-z_]+)">', page)
    # Confusion matrices are of one genre an item: tests/runs/test_multiclass.py.
    assert found == [section.name for section in SECTIONS if section.name != "confusion"]
    assert [f"#{name}" for name in found] == re.findall(r'<a href="(#[a-z_]+)">', page)


def test_sections_without_data_are_left_out(compared: Make) -> None:
    truth, scores = sample()
    page = render(compared(NAMES, truth, {"a": scores}))
    assert page.count("Classification report of a") == 1
    for name in ("leaks", "cost", "training_history", "ablation"):
        assert f'id="{name}"' not in page


@pytest.mark.parametrize("points", [7, 60, 10_000])
def test_precision_and_recall_are_those_of_some_threshold(
    points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "POINTS", points)
    truth, scores = (each[:, 0].copy() for each in sample())
    scores[:4] = np.nan
    scores[4:9] = 0.5
    recall, precision = curves.precision_recall(truth, scores)
    possible = set()
    for threshold in {-1.0, *scores[4:].tolist()}:
        said = np.nan_to_num(scores, nan=-1.0) >= threshold
        hits = (said & (truth == 1)).sum()
        possible.add((round(hits / truth.sum(), 9), round(hits / said.sum(), 9)))
    found = set(zip(recall.round(9).tolist(), precision.round(9).tolist(), strict=True))
    assert {point for point in found if point[0] > 0} <= possible
    assert (recall[0], recall[-1]) == (1.0, 0.0)
    assert len(recall) <= points
    if points > len(truth):
        area = -(np.diff(recall) * precision[:-1]).sum()
        known = np.nan_to_num(scores, nan=-1.0)
        assert area == pytest.approx(average_precision_score(truth, known))


def test_reliability_is_scikit_learns(compared: Make) -> None:
    truth, scores = sample()
    part = curves.make(compared(NAMES, truth, {"a": scores}))
    assert part is not None
    observed, predicted = calibration_curve(
        truth.ravel(), scores.ravel(), n_bins=curves.BINS, strategy="quantile"
    )
    assert part.errors[0].observed == pytest.approx(observed)
    assert part.errors[0].predicted == pytest.approx(predicted)
    assert part.errors[0].error == pytest.approx(np.abs(observed - predicted).mean())
    assert {panel.genre for panel in part.genres} == set(NAMES)


def test_curves_of_runs_without_probabilities_are_left_out(compared: Make) -> None:
    truth, scores = sample()
    part = curves.make(compared(NAMES, truth, {"a": np.full_like(scores, np.nan), "b": scores}))
    assert part is not None
    assert len(part.errors) == 1
    assert curves.make(compared(NAMES, truth, {"a": np.full_like(scores, np.nan)})) is None


def test_a_chart_has_nothing_of_the_chart_before() -> None:
    """Charts of one kind share their axes, which take long to make."""
    one = [Curve(0, [0, 1], [0.2, 0.8])]
    rich = [
        Curve(1, [0, 0.5, 1], [0.1, 0.3, 1], [0, 0.2, 0.9], [0.2, 0.4, 1], label="label"),
        Curve(2, [0.5], [0.5], steps=True),
    ]
    first = draw(one, "p", "words", axes=("new", "axes"))
    charts = [
        draw(curves, "p", "words", axes=("new", "axes"), diagonal=True) for curves in (rich, rich)
    ]
    assert charts[0] == charts[1]
    assert "label</text>" in charts[0]
    draw(one, "p", "words", axes=("new", "axes"), y_step=0.5, y_limits=(0, 2), boundaries=(0.5,))
    assert draw(one, "p", "words", axes=("new", "axes")) == first


def test_plot_has_the_data_and_the_pages_colours() -> None:
    svg = draw(
        [Curve(0, [0, 1], [0.2, 0.8]), Curve(9, [0, 1], [1, 0])], "p", "words", axes=("x", "y")
    )
    assert svg == draw(
        [Curve(0, [0, 1], [0.2, 0.8]), Curve(9, [0, 1], [1, 0])], "p", "words", axes=("x", "y")
    )
    assert 'role="img" aria-label="words"' in svg
    assert 'stroke="var(--run-1)"' in svg
    assert 'data-run="9"' in svg
    assert "style" not in svg
    assert "#0001" not in svg
    ids, used = (
        set(re.findall(r' id="([^"]+)"', svg)),
        set(re.findall(r'(?:href="|url\()#([^")]+)', svg)),
    )
    assert ids == used
    assert all(name.startswith("p-") for name in ids)
    first = re.search(r'data-run="0"><path d="M ([\d.]+) ([\d.]+) +L ([\d.]+) ([\d.]+) ', svg)
    assert first is not None
    x0, y0, x1, y1 = map(float, first.groups())
    assert x1 > x0
    # 0.2 to 0.8 of an axis from -0.01 to 1.01, drawn over 79 % of 2.9 inches of 72 units.
    assert y0 - y1 == pytest.approx(0.6 / 1.02 * 0.79 * 2.9 * 72, abs=0.2)


def test_genres_together_are_counted(compared: Make) -> None:
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.uint8)
    expected = np.array([[np.nan, 2 / 3, 0], [2 / 3, np.nan, 0], [np.nan] * 3])
    np.testing.assert_allclose(cooccurrence.conditional_frequencies(labels), expected)
    truth, scores = sample()
    part = cooccurrence.make(compared(NAMES, truth, {"a": scores}))
    assert part is not None
    table = pd.DataFrame(truth, columns=NAMES)
    said = pd.DataFrame((scores >= 0.5).astype(int), columns=NAMES)
    for genre, other, share, predicted in part.differences:
        assert share == pytest.approx(table.loc[table[genre] == 1, other].mean())
        assert predicted == pytest.approx(said.loc[said[genre] == 1, other].mean())
    gaps = [abs(a - b) for *_, a, b in part.differences]
    assert gaps == sorted(gaps, reverse=True)


def test_together_needs_two_genres_and_shows_at_most_twenty(compared: Make) -> None:
    random = np.random.default_rng(0)
    truth = (random.random((60, 25)) < 0.3).astype(np.uint8)
    truth[:, 0] = 1
    part = cooccurrence.make(
        compared(tuple(f"g{j}" for j in range(25)), truth, {"a": random.random(truth.shape)})
    )
    assert part is not None
    assert (len(part.genres), part.left_out, part.genres[0]) == (20, 5, "g0")
    assert cooccurrence.make(compared(("g",), truth[:, :1], {"a": truth[:, :1] * 0.5})) is None


def test_loss_of_an_item_is_the_log_loss(compared: Make) -> None:
    truth, scores = sample()
    comparison = compared(NAMES, truth, {"a": scores})
    loss = items.item_loss(truth, comparison.runs[0].outputs)
    expected = [log_loss(t, p, labels=[0, 1]) for t, p in zip(truth, scores, strict=True)]
    np.testing.assert_allclose(loss, expected)
    part = items.make(comparison)
    assert part.worst[0].id == f"i{np.argmax(expected)}"
    assert part.best[0].id == f"i{np.argmin(expected)}"
    assert not {i.id for i in part.worst} & {i.id for i in part.best}
    at = int(np.argmax(expected))
    assert set(part.worst[0].true) == {NAMES[j] for j in np.flatnonzero(truth[at])}
    assert part.worst[0].most_likely[0] == (
        NAMES[scores[at].argmax()],
        pytest.approx(scores[at].max()),
    )


def test_items_without_an_answer_or_without_probabilities(compared: Make) -> None:
    truth, scores = sample(20)
    scores[3] = np.nan
    part = items.make(compared(NAMES, truth, {"a": scores}))
    assert "i3" not in {item.id for item in (*part.worst, *part.best)}
    assert not part.pictures
    unscored = compared(NAMES, truth, {"a": np.full_like(scores, np.nan)})
    expected = truth.mean(axis=1)  # no label given
    np.testing.assert_allclose(items.item_loss(truth, unscored.runs[0].outputs), expected)
    assert not items.make(unscored).has_probabilities


def test_pictures_are_small_and_few(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    paths = []
    for k in range(6):
        pixels = random.integers(0, 255, (900, 600, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
        paths.append(str(tmp_path / f"{k}.png"))
    (tmp_path / "bad.png").write_text("<html>")
    limit = 5000
    found = make_thumbnails([*([path] for path in paths), [], [str(tmp_path / "bad.png")]], limit)
    sizes = []
    for picture in found:
        if picture.source:
            raw = base64.b64decode(picture.source.removeprefix("data:image/jpeg;base64,"))
            image = Image.open(io.BytesIO(raw))
            assert (image.format, image.size) == ("JPEG", (112, 168))
            sizes.append(len(raw))
    assert 1 <= len(sizes) < 6
    assert sum(sizes) <= limit
    assert max(sizes) <= MAX_BYTES
    assert [picture.reason for picture in found[-2:]] == [
        "no poster named",
        "is a web page (HTML or XML), not an image",
    ]
    assert "left out to keep the page small" in {picture.reason for picture in found}


def test_posters_and_titles_stand_on_the_page(compared: Make) -> None:
    truth, scores = sample(10)
    columns = {"title": [f"<i>Film {k}</i>" for k in range(20)], "poster": ["p.png"] * 20}
    comparison = compared(NAMES, truth, {"a": scores}, columns=columns)
    without = render(comparison)
    assert "No poster of these items could be read" in without
    assert "20 × file not found" in without
    Image.new("RGB", (40, 60), "teal").save(comparison.catalogue.path.parent / "p.png")
    page = render(comparison)
    assert page.count("<img ") == 10
    assert page.count('alt="Poster of &lt;i&gt;Film') == 10
    assert "No poster of these items could be read" not in page


def test_an_item_is_shown_by_any_of_its_posters(compared: Make) -> None:
    truth, scores = sample(10)
    comparison = compared(
        NAMES, truth, {"a": scores}, columns={"posters": ["gone.png|bad.png|p.png"] * 20}
    )
    folder = comparison.catalogue.path.parent
    (folder / "bad.png").write_text("<html>")
    Image.new("RGB", (40, 60), "teal").save(folder / "p.png")
    page = render(comparison)
    assert page.count("<img ") == 10
    assert "file not found" not in page


def test_learning_curves_are_read_with_care(compared: Make) -> None:
    assert training_history.series([3.0, math.inf, None, 1, math.nan]) == ([1, 4], [3.0, 1.0])
    assert training_history.series([]) == ([], [])
    for strange in ([], {"loss": "x"}, {"loss": ["inf"]}):
        with pytest.raises(RunError, match=r"expected .+ at history"):
            RunRecord.from_json({"format": 1, "history": strange})
    truth, scores = sample(20)
    history = {
        "loss": [3.0, 2.0, 1.0],
        "val_loss": [3.0, 1.5, 2.5],
        "stage": ["head"] * 3,
        "val_f1": [0.1, 0.2, 0.3],
    }
    comparison = compared(NAMES, truth, {"a": scores, "b": scores}, {"b": {"history": history}})
    part = training_history.make(comparison)
    assert part is not None
    assert [(p.epochs, p.lowest, len(p.plots)) for p in part] == [(3, 2, 2)]
    assert comparison.runs[part[0].run].name == "b"
    assert part[0].stages == (training_history.StageSpan("head", 1, 3, None),)


HISTORY = {
    "stage": ["top", "top", "fine"],
    "loss": [30.0, 20.0, 12.0],
    "val_loss": [28.0, 25.0, 26.0],
    "f1": [0.0, 0.0, 0.1],
    "val_f1": [0.0, 0.0, 0.0],
    "best_f1": [0.3, 0.4, 0.6],
    "val_best_f1": [0.25, 0.35, 0.3],
}


def drawn(svg: str) -> tuple[dict[str, float], list[list[tuple[float, float]]], list[float]]:
    """Ticks of y with their places, the curves, and the places of the boundaries."""
    ticks = {
        text: float(y0)
        for x0, y0, x1, y1, text in re.findall(
            r'<path d="M ([\d.]+) ([\d.]+)  L ([\d.]+) ([\d.]+)  "[^>]*stroke="var\(--line\)"[^>]*>'
            r".*?<text[^>]*>([\d.,]+)</text>",
            svg,
        )
        if y0 == y1
    }
    lines = re.findall(r'<path d="([^"]+)"[^>]*stroke="var\(--run-1\)"[^>]*stroke-linecap', svg)
    curves = [
        [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", line)]
        for line in lines
    ]
    dotted = re.findall(r'<path d="M ([\d.]+) [^"]+"[^>]*stroke-dasharray[^>]*>', svg)
    return ticks, curves, [float(x) for x in dotted]


def test_the_curves_of_a_training_are_whole(compared: Make) -> None:
    """From 0, both of train and validation, with the end of the first stage marked."""
    truth, scores = sample(20)
    (part,) = training_history.make(
        compared(NAMES, truth, {"a": scores}, {"a": {"history": HISTORY}})
    )
    wanted = [("loss", "0", "30", 30.0), ("best_f1", "0.0", "1.0", 1.0)]
    for svg, (name, zero, top, height) in zip(part.plots, wanted, strict=True):
        ticks, curves, dotted = drawn(str(svg))
        assert {zero, top} <= ticks.keys()
        assert 4 <= len(ticks) <= 6
        for curve, key in zip(curves, (name, f"val_{name}"), strict=True):
            heights = [height * (ticks[zero] - y) / (ticks[zero] - ticks[top]) for _, y in curve]
            assert heights == pytest.approx(HISTORY[key], abs=0.01 * height), key
        xs = [x for x, _ in curves[0]]
        assert dotted == [pytest.approx((xs[1] + xs[2]) / 2, abs=0.2)]
    assert "optimistic" in part.note


def test_the_quality_shown_is_that_of_the_task() -> None:
    history = HistoryRecord(f1=(0.5,), val_f1=(0.4,), accuracy=(0.8,), val_accuracy=(0.7,))
    assert training_history.quality(history).validation == (0.7,)
    assert training_history.quality(HistoryRecord(f1=(0.5,), val_f1=(0.4,))).validation == (0.4,)


def test_the_learning_curve_is_to_scale() -> None:
    def around(value: float) -> Interval:
        return Interval(value, value - 0.02, value + 0.02)

    sizes = (100, 200, 400)
    points = tuple(CurvePointRecord(n, around(0.3 + n / 1000), around(0.25)) for n in sizes)
    svg = learning_curve.draw_curve(0, LearningCurveRecord(points=points))
    assert svg is not None
    line = r'<path d="M ([\d.]+) ([\d.]+)  L ([\d.]+) ([\d.]+)  "[^>]*{}'
    label = r".*?<text[^>]*>([\d.,]+)</text>"
    grid = re.findall(line.format(r'stroke="var\(--line\)"[^>]*>') + label, svg)
    columns = {text: float(x0) for x0, _, x1, _, text in grid if x0 == x1}
    rows = {text: float(y0) for _, y0, _, y1, text in grid if y0 == y1}
    assert list(columns) == ["100", "200", "400"]
    assert list(rows) == ["0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8"]
    xs = list(columns.values())
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)
    marks = [
        tuple(map(float, at)) for at in re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"', svg)
    ]
    first, second = marks[:3], marks[3:]
    assert [x for x, _ in first] == [x for x, _ in second] == xs
    assert first[0][1] == pytest.approx(rows["0.4"], abs=0.1)
    assert second[0][1] == pytest.approx((rows["0.2"] + rows["0.3"]) / 2, abs=0.1)
    bars = re.findall(line.format(r'stroke="var\(--run-1\)" stroke-opacity="0.6" />'), svg)
    assert len(bars) == len(marks)
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
    for (x, y), (x0, low, x1, high) in zip(marks, bars, strict=True):
        assert float(x0) == float(x1) == x
        assert 0 < float(high) < y < float(low) < height
        assert 0 < x < width
    assert learning_curve.draw_curve(0, LearningCurveRecord()) is None
    single = learning_curve.draw_curve(0, LearningCurveRecord(points=points[:1]))
    assert str(single).count("<use ") == 2


def test_stages_of_a_training_begin_and_end_where_they_did() -> None:
    history = HistoryRecord(
        stage=("top", "top", "fine", "fine", "fine"), learning_rate=(0.1, 0.1, 0.02, 0.02, 0.01)
    )
    assert training_history.stages(history) == (
        training_history.StageSpan("top", 1, 2, (0.1, 0.1)),
        training_history.StageSpan("fine", 3, 5, (0.02, 0.01)),
    )
    assert training_history.stages(HistoryRecord()) == ()


def test_data_is_counted(compared: Make) -> None:
    truth, scores = sample(12)
    columns = {"year": ["1999", ""] * 12, "overview": ["a film"] * 24}
    part = data.make(compared(NAMES, truth, {"a": scores}, columns=columns))
    assert part.parts == {"train": 12, "validation": 0, "test": 12}
    assert dict(part.genres) == {
        name: {"train": count, "validation": 0, "test": count}
        for name, count in zip(NAMES, truth.sum(axis=0).tolist(), strict=True)
    }
    assert set(part.rare) == {
        n for n, c in zip(NAMES, truth.sum(axis=0), strict=True) if c < data.RARE
    }
    assert {c.name: c.missing for c in part.columns} == {
        "genres": 0.0,
        "overview": 0.0,
        "year": 0.5,
    }
    assert part.reasons == ()


def test_bad_rows_are_counted_and_the_command_lists_them(
    compared: Make, hybrid_here: Callable[..., Any]
) -> None:
    truth, scores = sample(12)
    made = compared(NAMES, truth, {"a": scores}, columns={"poster": ["no.jpg"] * 23 + [""]})
    part = data.make(made)
    assert (part.n_bad, len(part.bad), sum(count for _, count in part.reasons)) == (24, 20, 24)
    page = render(made)
    assert "The first 20 of 24" in page
    assert f"<code>{part.check}</code>" in page
    listed = json.loads(hybrid_here(*shlex.split(part.check)[1:]).stdout)["bad_rows"]
    assert len(listed) == 24


def test_stages_have_their_share(compared: Make) -> None:
    truth, scores = sample(12)
    stages = [
        {"name": "fit", "seconds": 4.0, "peak_mib": 10.0},
        {"name": "predict", "seconds": 1.0},
        {"name": "x"},
    ]
    parts = {"fit_seconds": 4.0, "predict_seconds": 1.0, "device": "a processor"}
    record = {"stages": stages, "cost": {"total_seconds": 5.0, **parts}}
    comparison = compared(NAMES, truth, {"a": scores}, {"a": record})
    found = cost.make(comparison)
    assert found is not None
    assert [row.share for row in found.stages] == [1.0, 0.25, 0.0]
    assert [(row.name, row.seconds, row.share) for row in found.components] == [
        ("fit", 4.0, 0.8),
        ("predict", 1.0, 0.2),
        ("total", 5.0, 1.0),
    ]
    assert comparison.front == (0,)
    assert found.unknown == ()


def test_an_unknown_cost_is_said_with_its_parts(compared: Make) -> None:
    truth, scores = sample(12)
    embeddings = {"backbone": "vgg16", "posters": 9, "unknown": 4, "devices": ["a GPU"]}
    parts = {"fit_seconds": 4.0, "predict_seconds": 1.0, "extraction": {"poster": embeddings}}
    record = {"cost": {**parts, "unknown": ["4 of 9 embeddings cost nobody knows what"]}}
    records = {"a": record, "b": {"cost": {"total_seconds": 50.0, "device": "a processor"}}}
    comparison = compared(NAMES, truth, {"a": scores, "b": scores}, records)
    found = cost.make(comparison)
    assert found is not None
    rows = [row for row in found.components if comparison.runs[row.run].name == "a"]
    assert [(row.name, row.seconds) for row in rows] == [
        ("extraction of poster (vgg16)", None),
        ("fit", 4.0),
        ("predict", 1.0),
        ("total", None),
    ]
    assert found.unknown == (("a", "4 of 9 embeddings cost nobody knows what"),)
    assert [comparison.runs[i].name for i in comparison.front] == ["b"]
    assert [note for note in comparison.notes if "devices" in note] == [
        "Costs were measured on 2 devices (a GPU, a processor): a second on one is not a second on another."
    ]
    page = render(comparison)
    assert ">unknown</td>" in page
    assert "The cost of a is unknown: 4 of 9 embeddings cost nobody knows what." in page


def test_best_of_a_column_and_words_on_a_run(compared: Make) -> None:
    truth, scores = sample()
    comparison = compared(NAMES, truth, {"a": scores, "b": scores[::-1]})
    table = runs.make(comparison)
    for name, best in table.best.items():
        values = [run.evaluation.metrics[name].value for run in comparison.runs]
        assert best == (min(values) if name == "hamming_loss" else max(values))
    record = RunRecord(
        model="SVC", blocks=("poster", "text"), backbone=BackboneRecord(name="vgg16")
    )
    assert runs.describe_model(record) == "SVC on poster, text; vgg16"
    external = ExternalRecord("theirs.csv", "c0ffee", ())
    assert runs.describe_model(RunRecord(external=external)) == "made elsewhere"
    assert runs.describe_model(RunRecord()) == "model not recorded"


def test_genres_come_by_their_items(compared: Make) -> None:
    truth, scores = sample()
    rows = genres.make(compared(NAMES, truth, {"a": scores}))
    assert Counter({row.genre: row.support for row in rows}) == dict(
        zip(NAMES, truth.sum(axis=0).tolist(), strict=True)
    )
    assert [row.support for row in rows] == sorted(truth.sum(axis=0).tolist(), reverse=True)


def test_leaks_are_shown_whatever_their_pairs_are(compared: Make) -> None:
    truth, scores = sample(12)
    found = [
        {
            "kind": "near-duplicate",
            "count": 50,
            "share": 0.5,
            "pairs": [["a", "train", "b", "test"]] * 50,
        },
        {"kind": "label words", "count": 2, "share": None, "pairs": [["a", "a comedy about"]]},
    ]
    record = {"audit": {"clean": False, "leaks": found}}
    parts = leaks.make(compared(NAMES, truth, {"a": scores}, {"a": record}))
    assert parts is not None
    assert (len(parts[0].lines), parts[0].more) == (leaks.SHOWN_PAIRS, True)
    assert parts[0].lines[0] == "a (train) – b (test)"
    assert "a comedy about" in parts[1].lines[0]


def test_what_made_a_run_has_commands_and_hashes(compared: Make) -> None:
    truth, scores = sample(12)
    record = {"command": "hybrid fit-svm --seed 3", "split": {"sha256": "c0ffee"}, "seed": 3}
    comparison = compared(NAMES, truth, {"a": scores}, {"a": record})
    facts = dict(reproduction.make(comparison)[0])
    assert (facts["command"], facts["split"], facts["seed"]) == (
        "hybrid fit-svm --seed 3",
        "c0ffee",
        "3",
    )
    page = render(comparison, "hybrid report --draws 20")
    assert "<pre>hybrid fit-svm --seed 3\nhybrid report --draws 20</pre>" in page
    assert comparison.catalogue.sha256 in page


def test_words_of_grammar_and_pieces_of_words_are_not_shown(compared: Make) -> None:
    truth, scores = sample(12)
    words = {
        "the": 0.5,
        "of the": 0.4,
        "the ghost": 0.3,
        "haunted house": 0.2,
        "'er '": 0.1,
        "Her": 0.1,
    }
    fields = {
        "the": 0.2,
        "year=1960-1969": 0.3,
        "vote_count": 0.1,
        "cast=R-2 Unit": 0.1,
        "runtime missing": 0.1,
    }
    pieces = {"'幽霊'": 0.4, "'er '": 0.3}
    why = {
        "Horror": {
            "text": {"for": words, "against": {"and": -0.2, "she": -0.1}},
            "metadata": {"for": fields, "against": {}},
        },
        "Drama": {"text": {"for": pieces, "against": {}}},
        "Comedy": {"text": {"for": {"of": 0.1}, "against": {}}},
    }
    part = importance.make(compared(NAMES, truth, {"a": scores}, {"a": {"why": why}}))
    assert part is not None
    shown = {row.genre: [[f.name for f in block] for block in row.positive] for row in part[0]}
    assert shown == {
        "Horror": [
            ["haunted house"],
            ["high the", "year: 1960–1969", "high vote count", "cast: R-2 Unit", "no runtime"],
        ],
        "Drama": [["“幽霊”", "“er␣”"]],
    }
    assert [row.negative for row in part[0]] == [(), ()]


# --- the style sheet ---------------------------------------------------------------------------------


def colours() -> dict[str, dict[str, str]]:
    """The style sheet's variables: scheme → name → ``#rrggbb``."""
    style = make_environment().get_template("style.css.j2").render()
    blocks = re.findall(r":root \{(.*?)\}", style, re.S)
    light, dark = (dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", block)) for block in blocks)
    assert set(light) == set(dark)
    return {"light": light, "dark": dark}


def contrast(a: str, b: str) -> float:
    """Of two colours, as WCAG 2.2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("style", "templates"),
    [
        ("card.css.j2", ["item_card.html.j2", "feature_page.html.j2"]),
        (
            "style.css.j2",
            ["report.html.j2", "group.html.j2", "macros.html.j2", "sections/*.html.j2"],
        ),
    ],
)
def test_every_class_is_styled(style: str, templates: list[str]) -> None:
    rules = make_environment().get_template(style).render()
    styled = set(re.findall(r"\.([a-z][\w-]*)", rules)) | {"sortable"}  # the script's
    folder = Path(report.__file__).parent
    for path in (path for pattern in templates for path in folder.glob(pattern)):
        for names in re.findall(r'class="([^"{]+)"', path.read_text()):
            assert set(names.split()) <= styled, path


RUNS = [f"run-{k + 1}" for k in range(RUN_COLOURS)]
TEXT = [
    *[(ink, ground) for ink in ("ink", "soft") for ground in ("paper", "wash")],
    *[("good", "good-wash"), ("bad", "bad-wash"), ("note", "note-wash"), ("accent", "paper")],
    *[("soft", "good-wash"), ("soft", "bad-wash"), ("soft", "note-wash")],
    *[("on-run", run) for run in RUNS],
    ("on-run", "soft"),
]
SHAPES = [*[(run, ground) for run in RUNS for ground in ("paper", "wash")], ("focus", "paper")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_aa(scheme: str) -> None:
    found = colours()[scheme]
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for pairs, least in ((TEXT, 4.5), (SHAPES, 3.0)):
        poor = {(a, b): round(contrast(found[a], found[b]), 2) for a, b in pairs}
        assert not {pair: value for pair, value in poor.items() if value < least}


@pytest.mark.parametrize("scheme", [0, 1])
def test_cooccurrence_figures_are_readable(scheme: int) -> None:
    style = make_environment().get_template("style.css.j2").render()
    found = colours()[("light", "dark")[scheme]]
    heat = [int(v) for v in re.findall(r"--shade: (\d+), (\d+), (\d+)", style)[scheme]]
    shades = [
        float(v)
        for v in re.findall(r"\.h\d \{ background: rgba\(var\(--shade\), ([\d.]+)\)", style)
    ]
    assert len(shades) == cooccurrence.STEPS + 1
    paper = [int(found["paper"][i : i + 2], 16) for i in (1, 3, 5)]
    for shade in shades:
        mixed = [round(shade * h + (1 - shade) * p) for h, p in zip(heat, paper, strict=True)]
        assert contrast(found["ink"], "#{:02x}{:02x}{:02x}".format(*mixed)) >= 4.5
