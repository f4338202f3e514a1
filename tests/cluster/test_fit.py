"""Heads whose rows are on workers: one objective, and the same result for any number of workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from hybrid import load_catalogue, write_sample
from hybrid.backbones.devices import processor_name
from hybrid.cluster.connection import Cluster, use_cluster
from hybrid.cluster.futures import LostError
from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads import feature_rows
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.heads.on_cluster import workers
from hybrid.heads.on_cluster.newton import minimise
from hybrid.heads.on_cluster.units import Unit
from hybrid.heads.on_cluster.workers import RowsOnWorkers, rows_on, solve_on_cluster
from hybrid.heads.out_of_core.losses import Logistic, Loss, SignedItems, SquaredHinge
from hybrid.heads.out_of_core.solver import solve_from_disk
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.splitting.methods import split_catalogue
from hybrid.utils.context import Context
from tests.cluster.rows_here import RowsHere

N, D, K = 400, 20, 3
GRID = {"C": [1.0]}
LOSSES = [SquaredHinge, Logistic]


@pytest.fixture
def matrix() -> FusionMatrix:
    random = np.random.default_rng(0)
    dense = random.normal(size=(N, D)).astype(np.float32)
    words = sparse.random(N, 200, 0.05, random_state=1, format="csr", dtype=np.float32)
    return FusionMatrix.from_blocks([dense, words, np.ones((N, 1))], weights=[0.3, 0.7, 1.0])


@pytest.fixture
def items(matrix: FusionMatrix) -> SignedItems:
    random = np.random.default_rng(2)
    labels = matrix @ random.normal(size=(matrix.shape[1], K)) > 1
    weight = random.choice([0.0, 1.0, 2.0], N)
    return SignedItems(labels, weight, np.array([[1.0] * K, [2.0] * K]))


def units(matrix: FusionMatrix, loss: Loss, size: int) -> list[Unit]:
    rows = [slice(start, min(start + size, N)) for start in range(0, N, size)]
    hinge = isinstance(loss, SquaredHinge)
    return [Unit(matrix[some], loss.signed(np.arange(N)[some]), hinge) for some in rows]


def objective(matrix: FusionMatrix, loss: Loss, coef: np.ndarray) -> np.ndarray:
    margins = matrix @ coef.T
    return (coef**2).sum(axis=1) / 2 + loss.primal(loss.signed(np.arange(N)), margins)


@pytest.mark.parametrize("kind", LOSSES)
def test_the_optimum_is_that_of_coordinate_descent(
    kind: Any, matrix: FusionMatrix, items: SignedItems
) -> None:
    loss = kind(items)
    other = solve_from_disk(matrix, loss, tol=1e-9, random_state=0)
    found = minimise(RowsHere(units(matrix, loss, 300)), tol=1e-9)
    assert found.gap.max() <= 1e-9
    np.testing.assert_allclose(
        objective(matrix, loss, found.coef), objective(matrix, loss, other.coef), rtol=1e-8
    )


@pytest.mark.parametrize("kind", LOSSES)
def test_the_gap_bounds_the_distance_to_the_optimum(
    kind: Any, matrix: FusionMatrix, items: SignedItems
) -> None:
    loss = kind(items)
    best = objective(matrix, loss, minimise(RowsHere(units(matrix, loss, N)), tol=1e-9).coef)
    rows = RowsHere(units(matrix, loss, N))
    early = minimise(rows, tol=1e-9, max_iter=2)
    reached = objective(matrix, loss, early.coef)
    assert (early.gap > 1e-9).any()
    assert ((reached - best) / reached <= early.gap + 1e-9).all()


@pytest.mark.parametrize("kind", LOSSES)
def test_the_result_is_the_same_on_any_number_of_workers(
    kind: Any,
    matrix: FusionMatrix,
    items: SignedItems,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "ROWS", 150)
    loss = kind(items)
    here = minimise(RowsHere(units(matrix, loss, 150)), tol=0.1)
    with rows_on(cluster):
        two = solve_from_disk(matrix, loss, tol=0.1)
    assert here.n_iter.min() >= 2
    np.testing.assert_array_equal(two.coef, here.coef)
    np.testing.assert_array_equal(two.gap, here.gap)


def test_a_worker_that_dies_with_its_rows_changes_nothing_that_matters(
    matrix: FusionMatrix, items: SignedItems, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ROWS", 150)
    loss = SquaredHinge(items)

    def kill(number: int, gap: np.ndarray) -> None:
        if number in (1, 2):
            worker = cluster.workers()[0]
            process = cluster.client.run(os.getpid, workers=[worker])[worker]
            os.kill(process, signal.SIGKILL)

    found = minimise(RowsOnWorkers(cluster, matrix, loss), tol=1e-4, tell=kill)
    here = minimise(RowsHere(units(matrix, loss, 150)), tol=1e-9)
    np.testing.assert_allclose(
        objective(matrix, loss, found.coef), objective(matrix, loss, here.coef), rtol=1e-4
    )


def test_workers_that_die_again_and_again_end_the_fit(
    matrix: FusionMatrix, items: SignedItems, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*arguments: Any) -> None:
        raise LostError("a worker died")

    monkeypatch.setattr(workers, "wait_for", lost)
    with pytest.raises(workers.ClusterError, match=r"1 unit of rows.*6 times.*a worker died"):
        solve_on_cluster(cluster, matrix, SquaredHinge(items), tol=1e-3, max_iter=10)


def test_numbers_that_are_not_finite_are_refused(items: SignedItems, cluster: Cluster) -> None:
    matrix = FusionMatrix.from_blocks([np.full((N, 2), np.nan)], ["poster"])
    with pytest.raises(SettingError, match="poster: expected finite numbers"):
        solve_on_cluster(cluster, matrix, SquaredHinge(items), tol=1e-3, max_iter=10)


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.chdir(tmp_path)
    write_sample("films", n_items=80)
    films = load_catalogue("films/catalogue.csv")
    context = Context("cache", workers=2, cluster="local:2")
    return Experiment(films, split_catalogue(films), Path("runs/svm"), context=context)


def test_a_run_is_fitted_on_the_cluster(
    experiment: Experiment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_rows, "LEAST", 10)
    model = make_hybrid(experiment.catalogue, blocks=["text"], grid=GRID)
    run = fit_head(experiment, model)
    assert run.record.head.rows == "cluster"
    assert "and 2 workers of a cluster" in (run.folder / "run.json").read_text()
    other = make_hybrid(experiment.catalogue, blocks=["text"], grid=GRID, rows="disk")
    training = experiment.items("train", "validation")
    with monkeypatch.context() as patch:
        patch.setattr(feature_rows, "current_cluster", lambda: None)
        other.fit(training.frame, training.labels, groups=training.groups)
    np.testing.assert_allclose(model.oof_scores_, other.oof_scores_, atol=0.02)


def test_few_items_are_fitted_here(
    experiment: Experiment, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_hybrid(experiment.catalogue, blocks=["text"], grid=GRID)
    record = fit_head(experiment, model).record
    assert (record.head.rows, record.cost.device) == ("memory", processor_name())


def test_heads_that_need_all_rows_are_refused_before_the_work(experiment: Experiment) -> None:
    forest = make_hybrid(experiment.catalogue, head="forest", blocks=["text"])
    with pytest.raises(SettingError, match=r"--cluster: expected the SVM or the logistic"):
        fit_head(experiment, forest)
    svm = make_hybrid(experiment.catalogue, blocks=["text"], rows="memory")
    with pytest.raises(SettingError, match=r"--rows: expected auto or disk with --cluster"):
        fit_head(experiment, svm)
    assert not Path("runs/svm").exists()


def test_the_connection_is_shared_by_what_is_nested(cluster: Cluster) -> None:
    with use_cluster(Context(cluster="local:2")) as inner:
        assert inner is cluster
