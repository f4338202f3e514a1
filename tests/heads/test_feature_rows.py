"""Features in memory and on disk: the same folds, settings and labels, each in the order of the items."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hybrid.cache import EmbeddingCache
from hybrid.errors import RowsError, SettingError
from hybrid.extraction.import_embeddings import import_embeddings
from hybrid.features import ImportedFeatures, PosterFeatures, TextFeatures
from hybrid.features.embeddings import StoredRows
from hybrid.features.fusion import Fusion
from hybrid.heads import HybridClassifier, MultilabelLinearSVC, feature_rows, get_head
from hybrid.heads.feature_rows import ROWS_FOLDER, RowsOnDisk, choose_rows
from hybrid.heads.logistic import MultilabelLogistic
from hybrid.heads.make_hybrid import use_context
from hybrid.model_file import load_model, save_model
from hybrid.utils.context import Context
from hybrid.utils.progress import Progress, show_progress

N = 150
OUT = ("groups_", "fold_", "oof_scores_", "oof_probabilities_")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fusion, pd.DataFrame, Any]:
    """Blocks of embeddings, which lie in the cache in another order, and of texts; items; labels."""
    random = np.random.default_rng(0)
    labels = (random.random((N, 3)) < [0.5, 0.4, 0.3]).astype(np.uint8)
    ids = np.array([f"f{i}" for i in range(N)])
    vectors = labels @ random.standard_normal((3, 8)) + random.standard_normal((N, 8))
    shuffled = random.permutation(N)[:-5]  # five items have none
    cache = str(tmp_path_factory.mktemp("cache") / "cache")
    made = import_embeddings(
        pd.DataFrame(vectors[shuffled], index=ids[shuffled]),
        block="clip",
        context=Context(cache=cache),
    )
    words = np.array(["ghost", "sheriff", "wedding"])
    texts = [" ".join([*random.choice(words, 2), *words[row == 1]]) for row in labels]
    fusion = Fusion(
        [
            ("clip", ImportedFeatures(cache, made.fingerprint)),
            ("text", TextFeatures(["overview"], max_chars=0)),
        ]
    )
    return fusion, pd.DataFrame({"overview": texts}, index=ids), labels


def make(fusion: Fusion, rows: str, estimator: Any = None, **options: Any) -> HybridClassifier:
    head = estimator or MultilabelLinearSVC(random_state=0, tol=1e-8)
    given = {"grid": {"C": [0.1, 1.0]}, "folds": 3, **options}
    return HybridClassifier(fusion, head, rows=rows, **given)


@pytest.fixture
def halving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halving begins with few items."""
    for name, value in {"LEAST": 60, "FIRST": 16, "USUAL": 64}.items():
        monkeypatch.setattr(f"hybrid.heads.halving.{name}", value)


@pytest.mark.parametrize("search", ["full", "auto"])
@pytest.mark.parametrize(
    "head", [MultilabelLinearSVC(random_state=0, tol=1e-8), MultilabelLogistic(tol=1e-5)]
)
def test_a_fit_on_disk_is_that_in_memory(
    films: tuple[Fusion, pd.DataFrame, Any], halving: None, search: str, head: Any
) -> None:
    fusion, X, y = films
    groups = np.arange(N) // 2
    weight = 1.0 + np.arange(N) % 3
    told = {"groups": groups, "sample_weight": weight}
    memory, disk = (
        make(fusion, r, head, search=search).fit(X, y, **told) for r in ("memory", "disk")
    )
    assert (memory.rows_, disk.rows_) == ("memory", "disk")
    assert disk.chosen_ == memory.chosen_
    assert len({each.items for each in disk.search_results_}) == (1 if search == "full" else 3)
    assert disk.groups_.tolist() == groups.tolist()
    assert disk.fold_.tolist() == memory.fold_.tolist()
    np.testing.assert_allclose(disk.oof_scores_, memory.oof_scores_, atol=0.02)
    np.testing.assert_allclose(disk.predict_proba(X), memory.predict_proba(X), atol=0.01)
    assert (disk.oof_labels_ != memory.oof_labels_).mean() < 0.01


def test_unknown_labels_stay_with_their_items(films: tuple[Fusion, pd.DataFrame, Any]) -> None:
    fusion, X, y = films
    some = np.where(np.random.default_rng(1).random(y.shape) < 0.2, np.nan, y)
    memory, disk = (make(fusion, rows).fit(X, some) for rows in ("memory", "disk"))
    np.testing.assert_allclose(disk.oof_scores_, memory.oof_scores_, atol=5e-3)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param({0: 1.0}, id="one item has it, and the others are not known"),
        pytest.param(dict.fromkeys(range(9), 0.0), id="none that is known has it"),
        pytest.param({i: float(i == 7) for i in range(N)}, id="one item has it"),
    ],
)
@pytest.mark.parametrize("others", [0, 2])  # further genres
def test_what_cannot_be_learnt_is_a_constant(
    films: tuple[Fusion, pd.DataFrame, Any], known: dict[int, float], others: int
) -> None:
    fusion, X, y = films
    last = np.full(N, np.nan)
    last[[*known]] = [*known.values()]
    some = np.column_stack([y[:, :others], last])
    given: Any = {"grid": {}, "block_weights": ()}
    memory, disk = (make(fusion, rows, **given).fit(X, some) for rows in ("memory", "disk"))
    np.testing.assert_allclose(disk.oof_scores_, memory.oof_scores_, atol=5e-3)
    scores = memory.decision_function(X)
    np.testing.assert_allclose(disk.decision_function(X), scores, atol=5e-3)
    assert np.isnan(memory.oof_scores_[:, -1]).any()


@pytest.mark.parametrize(
    ("memory", "head", "expected"),
    [
        (10**12, "svm", "memory"),
        (1000, "svm", "disk"),
        (1000, "logistic", "disk"),
        (1000, "knn", "memory"),
    ],
)
def test_rows_are_on_disk_where_memory_is_small(
    films: tuple[Fusion, pd.DataFrame, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    memory: int,
    head: str,
    expected: str,
) -> None:
    monkeypatch.setattr("hybrid.heads.feature_rows.usable_memory", lambda: memory)
    with show_progress(Progress(quiet=False)):
        model = make(films[0], "auto", get_head(head).build(0))
        found = choose_rows(model, films[0].look_up(films[1]), N)
    assert found.name == expected
    said = capsys.readouterr().err
    assert ("features of 150 items would take about 0 GiB in memory" in said) == (
        expected == "disk"
    )


def test_rows_of_texts_alone_are_on_disk_where_their_terms_would_fill_memory(
    films: tuple[Fusion, pd.DataFrame, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_rows, "LEAST", N)
    _, X, _ = films
    text = TextFeatures(["overview"])
    model = make(Fusion([("text", text)]), "auto")
    needed = feature_rows.TERM_BYTES * text.fit(X).transform(X).nnz  # all terms come again
    for memory, expected in ((2 * needed + 1, "memory"), (2 * needed - 1, "disk")):
        monkeypatch.setattr(feature_rows, "usable_memory", lambda memory=memory: memory)
        assert choose_rows(model, {"text": X}, N).name == expected
    monkeypatch.setattr(feature_rows, "LEAST", N + 1)  # so few fit in any memory
    assert choose_rows(model, {"text": X}, N).name == "memory"
    nothing = X.assign(overview="")
    assert text.entries_a_row(nothing) == 0


def test_a_chain_and_asked_for_rows(
    films: tuple[Fusion, pd.DataFrame, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid.heads.feature_rows.usable_memory", lambda: 1000)
    fusion, X, _ = films
    for model in (make(fusion, "auto", chain=True), make(fusion, "memory")):
        assert choose_rows(model, fusion.look_up(X), N).name == "memory"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": "tape"}, "rows: expected one of auto, memory, disk, found 'tape'"),
        (
            {"rows": "disk", "estimator": get_head("knn").build(0), "grid": {}},
            "found MultilabelKNN",
        ),
        ({"rows": "disk", "chain": True}, "found a chain of MultilabelLinearSVC"),
    ],
)
def test_heads_that_need_memory_are_refused(
    films: tuple[Fusion, pd.DataFrame, Any], options: dict[str, Any], message: str
) -> None:
    fusion, X, y = films
    with pytest.raises(SettingError, match=message):
        make(fusion, **options).fit(X, y)


def test_nothing_is_left_on_disk(
    films: tuple[Fusion, pd.DataFrame, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fusion, X, y = films
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen, encode = [], RowsOnDisk.encode

    @contextmanager
    def watched(self: RowsOnDisk, *arguments: Any) -> Iterator[Any]:
        with encode(self, *arguments) as matrix:
            seen.append(len([*tmp_path.iterdir()]))
            yield matrix

    monkeypatch.setattr(RowsOnDisk, "encode", watched)
    make(fusion, "disk", grid={}, block_weights=()).fit(X, y)
    assert seen == [1, 2] * 3 + [1]  # of one fold at a time, then of all items
    assert not [*tmp_path.iterdir()]

    def fail(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("hybrid.heads.cross_fitting.fit_head", fail)
    with pytest.raises(KeyboardInterrupt):
        make(fusion, "disk").fit(X, y)
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_refuses_is_named(
    films: tuple[Fusion, pd.DataFrame, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fusion, X, y = films
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(RowsError, match=str(tmp_path / "gone")):
        make(fusion, "disk").fit(X, y)


def test_a_model_keeps_where_its_rows_were(
    films: tuple[Fusion, pd.DataFrame, Any], tmp_path: Path
) -> None:
    fusion, X, y = films
    model = make(fusion, "disk", grid={}, block_weights=()).fit(X, y)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model", HybridClassifier)
    assert (loaded.rows, loaded.rows_) == ("disk", "disk")
    use_context(loaded, Context(cache=fusion.blocks[0][1].cache))
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_folders_that_killed_processes_left_are_removed_and_those_of_others_stay(
    films: tuple[Fusion, pd.DataFrame, Any], tmp_path: Path
) -> None:
    fusion, X, _ = films
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True
    )
    names = [
        f"{ROWS_FOLDER}{socket.gethostname()}-{pid}-0a" for pid in (int(dead.stdout), os.getpid())
    ]
    for name in names:
        (tmp_path / name / "text").mkdir(parents=True)
    with RowsOnDisk(tmp_path).encode(fusion.fit(X), fusion.look_up(X)):
        assert len([*tmp_path.iterdir()]) == 2
    assert [path.name for path in tmp_path.iterdir()] == names[1:]


def test_a_folder_that_cannot_be_removed_is_named_and_the_fit_stands(
    films: tuple[Fusion, pd.DataFrame, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fusion, X, _ = films
    monkeypatch.setattr("hybrid.heads.feature_rows.remove_tree", lambda folder: None)
    rows, fitted = RowsOnDisk(tmp_path), fusion.fit(X)
    with show_progress(Progress(quiet=False)), rows.encode(fitted, fusion.look_up(X)) as matrix:
        assert matrix.is_lazy
    assert f"note: {tmp_path / ROWS_FOLDER}" in capsys.readouterr().err


def test_the_keys_of_the_items_are_computed_once(
    films: tuple[Fusion, pd.DataFrame, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fusion, X, y = films
    items, keys = [], ImportedFeatures._item_keys

    def counted(self: ImportedFeatures, X: pd.DataFrame) -> Any:
        items.append(len(X))
        return keys(self, X)

    monkeypatch.setattr(ImportedFeatures, "_item_keys", counted)
    make(fusion, "disk", grid={}, block_weights=()).fit(X, y)
    assert items == [N]


def test_the_order_of_several_posters_is_that_of_the_first(tmp_path: Path) -> None:
    cache = EmbeddingCache(str(tmp_path))
    store = cache.make({"dimension": 1}, {})
    keys = [bytes([i]) * 32 for i in range(3)]
    store.append([keys[2], keys[0], keys[1]], np.zeros((3, 1), np.float32))
    block = PosterFeatures(str(tmp_path), store.fingerprint)
    rows = StoredRows(
        [[keys[0], keys[2]], [], [keys[2], keys[1]]], lambda some: np.zeros((len(some), 1))
    )
    assert block.storage_order(rows).tolist() == [2, 0, 1]
