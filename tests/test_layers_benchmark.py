"""The pure parts of benchmarks/layers.py: candidates, the split of train and test, the comparison."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score

from hybrid import load_catalogue, split_catalogue, write_sample
from hybrid.evaluation import Outputs

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmark, as a program of its own would import it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("layers")
    for name in ("layers", "layers_pooling"):
        sys.modules.pop(name, None)


def test_parts_are_put_side_by_side(layers: Any) -> None:
    one, other = np.array([[1.0, 2.0]]), np.array([[3.0, 6.0]])
    assert layers.Candidate("v", ("a", "b")).combine([one, other]).tolist() == [[1, 2, 3, 6]]


def test_an_encoder_gives_each_layer_and_averages_of_the_last_ones(
    layers: Any, tmp_path: Path, make_text_encoder: Callable[..., Path]
) -> None:
    from hybrid.text_encoders.arrays import read_arrays
    from hybrid.text_encoders.encoder import TextEncoder
    from hybrid.text_encoders.folder import read_text_encoder
    from hybrid.text_encoders.openvino_engine import OpenVINOTextEngine

    folder = make_text_encoder(tmp_path / "tiny", layers=3)
    (tmp_path / "c.csv").write_text(
        "id,genres,overview\na,Drama,a ghost\nb,Drama,\nc,Drama,the film\n"
    )
    passes = sys.modules["layers_pooling"].TextPasses(
        load_catalogue(tmp_path / "c.csv"), str(folder), tmp_path, lambda: None
    )
    (view,) = (each for each in passes.views if each == "overview 16")
    names = ("3.mean", "2.mean", "3-2.mean")
    wanted = [layers.Candidate(view, (name,)) for name in names]
    passes.prepare(wanted)
    last, second, average = map(passes.read, wanted)
    assert np.isnan(average[1]).all()
    spec = read_text_encoder(folder)
    choice = spec.choose_engine("openvino", passes.facts()[view]["precision"])
    texts = ["a ghost", "the film"]
    with_option = TextEncoder(spec.average_layers(2), choice)
    np.testing.assert_allclose(average[[0, 2]], with_option(texts), atol=1e-6)
    np.testing.assert_allclose(last[[0, 2]], TextEncoder(spec, choice)(texts), atol=1e-6)
    arrays = read_arrays(spec)
    two = OpenVINOTextEngine(spec, choice, replace(arrays, layers=arrays.layers[:2]))
    found = two.embed(with_option.tokenizer(texts))
    np.testing.assert_allclose(second[[0, 2]], found, atol=1e-6)


def test_candidates_start_with_the_default_and_have_names_of_their_own(layers: Any) -> None:
    pooling = sys.modules["layers_pooling"]
    found = {name: pooling.poster_candidates("v", some) for name, some in pooling.LAYERS.items()}
    found["text"] = pooling.text_candidates("v", 6)
    for name, candidates in found.items():
        default = "6.mean" if name == "text" else "last.avg"
        assert candidates[0] == layers.Candidate("v", (default,))
        assert len({layers.slug(one.name) for one in candidates}) == len(candidates)


def test_the_best_two_are_tried_side_by_side(layers: Any) -> None:
    one, other = layers.Candidate("v", ("a",)), layers.Candidate("v", ("b",))
    both, pooling = layers.Candidate("v", ("a", "b")), sys.modules["layers_pooling"]
    posters = object.__new__(pooling.PosterPasses)
    assert posters.side_by_side([one, other]) == [both]
    assert posters.side_by_side([both, other]) == []
    assert object.__new__(pooling.TextPasses).side_by_side([one, other]) == []


def test_features_that_are_not_standardised_are_scaled_to_length_1(
    layers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(layers.PLACES, "a", 0)
    monkeypatch.setitem(layers.PLACES, "b", 1)
    monkeypatch.setitem(layers.PLACES, "c", 2)
    table = np.array([[3.0, 4.0], [np.nan, np.nan], [3.0, 0.0]], np.float32)
    monkeypatch.setitem(layers.TABLES, "t", table)
    frame = pd.DataFrame(index=["c", "b", "a"])
    plain = layers.PooledFeatures("t", standardise=False).fit(frame)
    np.testing.assert_allclose(plain.transform(frame), [[1, 0], [np.nan] * 2, [0.6, 0.8]])
    assert plain.missing(frame).tolist() == [False, True, False]
    standardised = layers.PooledFeatures("t").fit(frame)
    np.testing.assert_allclose(standardised.transform(frame), [[0, -1], [np.nan] * 2, [0, 1]])


def test_metrics_are_those_of_each_split_and_differences_are_to_the_first(layers: Any) -> None:
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, (60, 3)).astype(np.uint8)
    splits = np.repeat([0, 1], 30)
    right, noise = truth * 0.6 + draw.random(truth.shape) * 0.5, draw.random(truth.shape)
    said = [
        layers.Answers(
            truth, Outputs((p > 0.5).astype(np.uint8), p), np.arange(60).astype(str), splits
        )
        for p in (noise, right)
    ]
    names = [layers.Candidate("v", (name,)) for name in ("noise", "right")]
    first, second = layers.compare(names, {"oof": said, "test": said})
    for row, p in ((first, noise), (second, right)):
        for k in (0, 1):
            at = splits == k
            f1 = f1_score(truth[at], p[at] > 0.5, average="weighted", zero_division=0)
            assert row["oof f1"][k] == pytest.approx(f1)
            assert row["test map"][k] == pytest.approx(average_precision_score(truth[at], p[at]))
    assert "test f1 difference" not in first
    for part in ("oof", "test"):
        value, low, high = second[f"{part} f1 difference"]
        both = [f1_score(truth, p > 0.5, average="weighted") for p in (right, noise)]
        assert value == pytest.approx(both[0] - both[1])
        assert 0 < low < value < high
    lines = layers.table([first, second]).splitlines()
    assert len(lines) == 4
    assert lines[3].startswith("| v: right |")
    assert "**" in lines[3]


def test_the_best_is_chosen_without_the_test_items(
    layers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sample(tmp_path / "films", n_items=60)
    catalogue = load_catalogue(tmp_path / "films" / "catalogue.csv")
    ids = catalogue.ids.tolist()
    for i, name in enumerate(ids):
        monkeypatch.setitem(layers.PLACES, name, i)
    splits = {0: split_catalogue(catalogue)}
    part = dict(zip(splits[0].ids.tolist(), splits[0].parts.tolist(), strict=True))
    test = np.array([part[name] == "test" for name in ids])
    truth = catalogue.labels.astype(np.float32)
    noise = np.random.default_rng(0).random(truth.shape).astype(np.float32)
    # "learns" knows the labels of all but the test items, "cheats" those of the test items alone.
    tables = {
        "cheats": np.where(test[:, None], truth, noise),
        "learns": np.where(test[:, None], noise, truth),
    }
    read = []

    def look_up(candidate: Any) -> Any:
        read.append(candidate.parts[0])
        return tables[candidate.parts[0]]

    fits = layers.Fits(catalogue, splits, look_up, tmp_path / "fits", lambda: None, {"quick": 0.03})
    candidates = [layers.Candidate("v", (name,)) for name in tables]
    assert [one.parts[0] for one in fits.best(candidates, 1, [0], layers.QUICK)] == ["learns"]
    assert sorted(read) == ["cheats", "learns"]
    answers = fits.answers(candidates[0], "test", [0], layers.QUICK)
    assert len(read) == 2  # what was fitted is not fitted again
    assert len(answers.truth) == test.sum()
    assert sorted(answers.truth.sum(axis=1)) == sorted(catalogue.labels[test].sum(axis=1))
