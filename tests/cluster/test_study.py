"""Studies whose fits workers compute: the results of one process, to the bit; each fit is kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hybrid import load_catalogue, write_sample
from hybrid.cli.main import _run
from hybrid.cluster.connection import Cluster
from hybrid.errors import HybridError, RunError
from hybrid.extraction.extract import extract_embeddings
from hybrid.heads import HybridClassifier
from hybrid.studies import on_cluster
from hybrid.studies.fits import Fit, Fits
from hybrid.studies.on_cluster import SubjectOrder
from hybrid.studies.study import Studies, study_run
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context
from tests.studies.test_study import timeless

pytestmark = [
    pytest.mark.filterwarnings("ignore:random weights"),
    pytest.mark.usefixtures("few_draws"),
]
ALL = Studies(nested=True, curve=True, ablation=True, repeats=3)
FIT_BLOCK = on_cluster.fit_block
FITS = {"nested": 2, "curve": 10, "ablation": 2, "repeats": 2}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose run has posters and metadata, and its studies in one process; not to be changed."""
    folder = tmp_path_factory.mktemp("fitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("HYBRID_CACHE", raising=False)
        write_sample("films", n_items=90)
        options = EmbeddingOptions(precision="float32", input_size=(32, 32))
        films = load_catalogue("films/catalogue.csv")
        extract_embeddings(
            films, "small", weights="random", options=options, context=Context(workers=2)
        )
        at = ["--catalogue", "films/catalogue.csv", "--quiet"]
        assert _run(["split", *at]) == 0
        fit = [
            "fit-svm",
            "--blocks",
            "poster,metadata",
            "--C",
            "0.3",
            "--folds",
            "2",
            "--name",
            "svm",
        ]
        assert _run([*fit, *at]) == 0
        shutil.copytree("runs/svm", "runs/alone")
        study_run("runs/alone", ALL, context=Context(workers=1))
    return folder


@pytest.fixture
def home(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, and the current directory in it: another one than that of the workers."""
    folder = Path(shutil.copytree(fitted, tmp_path / "project", symlinks=True))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    return folder


def result(run: str, kind: str) -> Any:
    return timeless(json.loads(Path(f"runs/{run}/studies/{kind}.json").read_text())["result"])


def together() -> Context:
    return Context(workers=2, cluster="local:2")


def no_fit(self: HybridClassifier, *data: Any, **named: Any) -> None:
    raise AssertionError("a fit in the command")


def noting(log: Path, die_at: str = "") -> Callable[..., Any]:
    """Let workers note each fit, and end their process at one of them."""

    def call(order: Any, key: str, turn: Any) -> Any:
        with log.open("a") as file:
            file.write(f"{order.kind} {key}\n")
        if key == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return FIT_BLOCK(order, key, turn)

    return call


def test_all_studies_find_what_they_find_in_one_process(
    home: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_cluster, "fit_block", noting(home / "log"))
    monkeypatch.setattr(HybridClassifier, "fit", no_fit)
    run = study_run("runs/svm", ALL, context=together())
    for kind, count in FITS.items():
        assert result("svm", kind) == result("alone", kind)
        noted = [
            line.split()[1] for line in (home / "log").read_text().splitlines() if kind in line
        ]
        assert len(noted) == len(set(noted)) == count
    assert (home / "runs/svm/studies/contributions.csv").read_bytes() == (
        home / "runs/alone/studies/contributions.csv"
    ).read_bytes()
    assert run.record.studies.costs is not None
    assert all(cost.seconds > 0 for cost in run.record.studies.costs)


@pytest.mark.slow
def test_a_fit_that_kills_workers_is_told_and_all_others_are_kept(
    home: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_cluster, "fit_block", noting(home / "log", die_at="size-1-fold-1"))
    with pytest.raises(
        RunError, match=r"1 fit given up:\n  size-1-fold-1: 3 workers died(.|\n)*Go on with"
    ):
        study_run("runs/svm", Studies(curve=True), context=together())
    kept = {path.stem for path in (home / "runs/svm/studies/curve.partial").glob("*.npz")}
    noted = {line.split()[1] for line in (home / "log").read_text().splitlines()}
    lost = [key for key in noted - kept if key != "size-1-fold-1"]
    assert all(key.startswith("size-0") for key in lost)  # too few items
    monkeypatch.setattr(on_cluster, "fit_block", noting(home / "again"))
    study_run("runs/svm", Studies(curve=True), context=together())
    assert result("svm", "curve") == result("alone", "curve")
    again = {line.split()[1] for line in (home / "again").read_text().splitlines()}
    assert again == {"size-1-fold-1", *lost}


def test_an_interrupted_study_goes_on_without_the_cluster(
    home: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = on_cluster.BlockRun

    def first_alone(*given: Any, **more: Any) -> Any:
        results = iter(run(*given, **more))
        yield next(results)
        given[3].number = signal.SIGINT
        results.close()

    with monkeypatch.context() as patch:
        patch.setattr(on_cluster, "BlockRun", first_alone)
        with pytest.raises(KeyboardInterrupt):
            study_run("runs/svm", Studies(repeats=3), context=together())
    assert len(list((home / "runs/svm/studies/repeats.partial").glob("*.npz"))) == 1
    study_run("runs/svm", Studies(repeats=3), context=Context(workers=1))
    assert result("svm", "repeats") == result("alone", "repeats")


def test_what_fits_elsewhere_say_is_raised_where_they_are_asked_for(tmp_path: Path) -> None:
    fits = Fits("curve", folder=tmp_path / "partial")
    asked = Fit("size-0-fold-0", "", lambda: pytest.fail("was computed"))
    fits.fail(asked.key, HybridError("too rare"))
    with pytest.raises(HybridError, match="too rare"):
        fits.get(asked)
    assert fits.lacks([asked]) == [asked]


def test_a_fit_that_cannot_be_made_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise RunError("label Drama is too rare.")

    monkeypatch.setattr(on_cluster, "_plan", lambda *given: {"a": Fit("a", "", fail)})
    turn: Any = SimpleNamespace(threads=1)
    made = on_cluster.fit_block(None, "a", turn)  # type: ignore[arg-type]
    assert (made.fit, made.problem) == (None, "label Drama is too rare.")


def test_a_worker_that_stays_reads_a_run_that_was_fitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "run.json"
    monkeypatch.setattr(on_cluster, "_subjects", {})
    monkeypatch.setattr(on_cluster, "load_subject", lambda folder, **more: record.read_text())

    def order() -> SubjectOrder:
        experiment = SimpleNamespace(
            catalogue=SimpleNamespace(path=tmp_path / "films.csv"), split_path=tmp_path
        )
        subject: Any = SimpleNamespace(experiment=experiment)
        return SubjectOrder.of(tmp_path, subject, "utf-8", Context())

    orders = []
    for content in ("first", "second"):
        record.write_text(content)
        orders.append(order())
        assert on_cluster._load(orders[-1], Context()) == content
    with pytest.raises(RunError, match="as it is where the command runs, found another"):
        on_cluster._load(orders[0], Context())


def test_the_command_takes_a_cluster_and_says_how_to_go_on(
    home: Path,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = ["study", "svm", "--ablation", "--cluster", "local:2"]

    def fail(order: Any, key: str, turn: Any) -> Any:
        return 1 // 0

    monkeypatch.setattr(on_cluster, "fit_block", fail)
    assert _run([*study, "--quiet"]) == 1
    assert "hybrid study runs/svm --ablation --cluster local:2" in capsys.readouterr().err
    monkeypatch.setattr(on_cluster, "fit_block", noting(home / "log"))
    assert _run(study) == 0
    assert result("svm", "ablation") == result("alone", "ablation")
