"""Predictions as they come: some items at a time give the file that all at once give, and none is torn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hybrid.catalogue import load_catalogue
from hybrid.errors import RunError
from hybrid.features.fusion import Fusion
from hybrid.features.lazy_block import spans
from hybrid.heads import HybridClassifier, fitting
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.predict import load_head, predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.runs.record import RunRecord
from hybrid.splitting.methods import split_catalogue
from hybrid.types import Predictions
from hybrid.utils import csv_text
from hybrid.utils.context import Context


@pytest.fixture(scope="module")
def run(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on text and metadata."""
    folder = tmp_path_factory.mktemp("run") / "runs/svm"
    catalogue = load_catalogue(films)
    model = make_hybrid(catalogue, blocks=["text", "metadata"], grid={"C": [0.3]})
    fit_head(Experiment(catalogue, split_catalogue(catalogue), folder), model, {})
    return folder


@pytest.fixture
def new(films: Path, tmp_path: Path) -> Path:
    """The films again, with lines between them, and at both ends, that cannot be read."""
    table = pd.read_csv(films, dtype=str, keep_default_na=False)
    lines = [json.dumps(row) for row in table.to_dict("records")]
    for place in (len(lines), 31, 31, 7, 1, 0):
        lines.insert(place, "{no json")
    path = tmp_path / "new.jsonl"
    path.write_text("\n".join(lines))
    return path


def predict(run: Path, path: Path, out: Path, pieces: int, workers: int = 1) -> bytes:
    """The file that so many items at a time give."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "TOGETHER", pieces)
        patch.setattr(fitting, "PIECES", 1)
        predict_catalogue(run, path, out, context=Context(workers=workers))
    return out.read_bytes()


def written_at_once(run: Path, path: Path) -> str:
    """The same by pandas, of probabilities that are all in memory."""
    record = RunRecord.read(run)
    catalogue = load_catalogue(path, like=record.require_model(run), every_row=True)
    model = load_head(run, record)
    frame = catalogue.frame_for(record.require_model(run))
    probabilities = pd.DataFrame(model.predict_proba(frame), columns=list(record.genres))
    labels = (probabilities >= model.thresholds_).to_numpy()
    genres = [
        "|".join(g for g, yes in zip(record.genres, row, strict=True) if yes) for row in labels
    ]
    table = probabilities.add_prefix("p:")
    table = pd.concat(
        [pd.DataFrame({"id": catalogue.ids, "split": "", "genres": genres}), table], axis=1
    )
    table.index = pd.Index(catalogue.rows)
    numbers = range(1, len(table) + len(catalogue.left_out) + 1)
    table = table.reindex(numbers)
    return str(table.to_csv(index=False, float_format="%.6f", lineterminator="\n"))


@pytest.mark.parametrize("workers", [1, 2])
def test_pieces_of_any_size_give_the_same_file(
    run: Path, new: Path, tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "p.csv"
    expected = written_at_once(run, new).encode()
    assert expected.count(b"\n,,,") == 6
    for pieces in (1, 7, 2**13):
        assert predict(run, new, out, pieces, workers) == expected


def test_pieces_are_put_together_to_the_bit(run: Path, films: Path) -> None:
    catalogue = load_catalogue(films)
    model = load_head(run, RunRecord.read(run))
    whole = model.predict_proba(catalogue.frame)
    assert whole.shape == (90, 3)
    for pieces in (1, 7):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fitting, "TOGETHER", pieces)
            patch.setattr(fitting, "PIECES", 1)
            each = list(model.each_proba(catalogue.frame))
        assert len(each) == -(-90 // pieces)
        np.testing.assert_array_equal(np.concatenate(each), whole)


def test_a_deep_baseline_predicts_some_items_at_a_time(films: Path, tmp_path: Path) -> None:
    from hybrid.deep.baseline import DeepBaseline
    from hybrid.deep.options import DeepOptions
    from hybrid.runs.fit_deep import fit_deep

    catalogue = load_catalogue(films)
    run = tmp_path / "runs/net"
    fit_deep(Experiment(catalogue, split_catalogue(catalogue), run), "text", DeepOptions(epochs=1))
    whole = predict_catalogue(run, films, tmp_path / "whole.csv").predictions
    sizes: list[int] = []
    predict_proba = DeepBaseline.predict_proba

    def count(self: DeepBaseline, items: Any, *rest: Any) -> Any:
        sizes.append(len(items))
        return predict_proba(self, items, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeepBaseline, "predict_proba", count)
        patch.setattr("hybrid.runs.predict.spans", lambda n: spans(n, 40))
        pieces = predict_catalogue(run, films, tmp_path / "pieces.csv").predictions
    assert sizes == [40, 40, 10]
    assert pieces.ids.tolist() == whole.ids.tolist()
    assert np.ptp(whole.probabilities, axis=0).min() > 0.001  # items differ
    np.testing.assert_allclose(pieces.probabilities, whole.probabilities, atol=2e-6)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_is_encoded_than_threads_are_at(run: Path, films: Path, workers: int) -> None:
    model = load_head(run, RunRecord.read(run), Context(workers=workers))
    encoded: list[int] = []
    transform = Fusion.transform

    def count(self: Fusion, X: Any) -> Any:
        matrix = transform(self, X)
        encoded.append(len(matrix))
        return matrix

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fusion, "transform", count)
        patch.setattr(fitting, "TOGETHER", 5)
        patch.setattr(fitting, "PIECES", 1)
        pieces = model.each_proba(load_catalogue(films).frame)
        next(pieces)
        pieces.close()
    assert set(encoded) == {5}
    assert len(encoded) <= workers + 1  # of 18


def test_where_pieces_end_depends_on_the_number_of_items_alone() -> None:
    for items in (8192, 8193, 32_768, 32_769, 100_003):
        sizes = [
            [len(piece) for piece in fitting.each_piece(lambda a, b: np.zeros(b - a), items, jobs)]
            for jobs in (1, 2, 3)
        ]
        assert sizes[0] == sizes[1] == sizes[2]
        assert sum(sizes[0]) == items
        assert max(sizes[0]) <= 8192


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_was_there_stays_where_a_prediction_is_cut_short(
    run: Path, new: Path, tmp_path: Path, error: type[BaseException]
) -> None:
    out = tmp_path / "p.csv"
    out.write_text("earlier")
    found = HybridClassifier.each_proba

    def cut_short(self: HybridClassifier, X: pd.DataFrame) -> Iterator[Any]:
        pieces = found(self, X)
        yield from (next(pieces) for _ in range(3))
        assert list(tmp_path.glob(".tmp-*"))
        raise error("here")

    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HybridClassifier, "each_proba", cut_short)
        with pytest.raises(error, match="here"):
            predict(run, new, out, 7)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert out.read_text() == "earlier"


def test_a_full_disk_is_told_and_leaves_what_was_there(
    run: Path, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "p.csv"
    out.write_text("earlier")

    def full(*arguments: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hybrid.utils.files.os.write", full)
    with pytest.raises(RunError, match=r"p\.csv.*No space left on device"):
        predict(run, new, out, 7)
    monkeypatch.undo()
    assert out.read_text() == "earlier"
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_summary_has_the_predictions_of_its_file(run: Path, films: Path, tmp_path: Path) -> None:
    summary = predict_catalogue(run, films, tmp_path / "p.csv")
    read = read_predictions(tmp_path / "p.csv")
    assert summary.predictions.ids.tolist() == read.ids.tolist()
    np.testing.assert_array_equal(summary.predictions.probabilities, read.probabilities)
    assert summary.items == len(read.ids) == 90


def test_text_is_quoted_in_all_pieces_or_none(tmp_path: Path) -> None:
    """An id with a carriage return in a later piece: the first has quotes, too, as one file has."""
    from hybrid.runs.predictions_file import predictions_table, write_predicted

    ids = np.array(["a", "b", "c\rd", "=e"])
    labels = np.eye(4, 2, dtype=np.uint8)
    whole = Predictions(ids, np.full(4, ""), ("War", "Drama"), labels, labels / 3)
    each = [
        Predictions(
            ids[i : i + 1], np.full(1, ""), whole.genres, labels[i : i + 1], labels[i : i + 1] / 3
        )
        for i in range(4)
    ]
    write_predicted(tmp_path / "p.csv", each, quoted=csv_text.holds_return(ids))
    expected = csv_text.csv_text(predictions_table(whole), "%.6f")
    assert (tmp_path / "p.csv").read_bytes() == expected.encode()
    assert read_predictions(tmp_path / "p.csv").ids.tolist() == ids.tolist()
