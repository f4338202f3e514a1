"""`hybrid study`: on a finished run, beside it, never at its risk; interrupted and resumed, same result."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hybrid.audit.item_hashes import hash_items
from hybrid.backbones import Weights, get_backbone
from hybrid.backbones.provenance import Ancestor, Provenance
from hybrid.catalogue import load_catalogue
from hybrid.cli.main import _run
from hybrid.cli.output import MAIN
from hybrid.cli.study_output import studies_text
from hybrid.evaluation import Outputs, evaluate
from hybrid.extraction.lookup import hash_catalogue, make_store
from hybrid.heads import HybridClassifier
from hybrid.model_file.manifest import write_manifest
from hybrid.runs.folder import read_run
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import AncestorRecord
from hybrid.runs.replacement import hold_run
from hybrid.runs.study_records import (
    AblationRecord,
    LearntRecord,
    RepeatsRecord,
    SpreadRecord,
    StudiesRecord,
    VariantRecord,
)
from hybrid.splitting.repeats import further_splits
from hybrid.splitting.split_file import read_split, write_split
from hybrid.splitting.splits import make_fold_splits
from hybrid.studies.ablation import ablate_blocks
from hybrid.studies.learning_curve import evaluate_curve, learning_curve
from hybrid.studies.learnt_items import warn_of_ancestors
from hybrid.studies.nested_cv import nested_cv_predict
from hybrid.studies.subject import load_subject
from hybrid.types import Interval
from hybrid.utils.context import Context

pytestmark = pytest.mark.usefixtures("few_draws")
KINDS = {"nested": 3, "curve": 15, "ablation": 2, "repeats": 2}  # fits of each
OPTIONS = {kind: [f"--{kind}"] for kind in KINDS} | {"repeats": ["--repeats", "3"]}
RUN = ("manifest.json", "model.json", "model.npz", "predictions.csv", "run.json")


@pytest.fixture(scope="module")
def fitted(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run of text and metadata; not to be changed."""
    folder = tmp_path_factory.mktemp("fitted")
    shutil.copy(films, folder)
    shutil.copytree(films.parent / "posters", folder / "posters")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("HYBRID_CACHE", raising=False)
        assert _run(["split", "--seed", "3", "--quiet"]) == 0
        assert _run([*FIT, "--seed", "5", "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def studied(fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """A copy of the project, not to be changed, whose run has all studies; how many fits each took."""
    folder = tmp_path_factory.mktemp("studied") / "project"
    shutil.copytree(fitted, folder, symlinks=True)
    fits = {}
    for kind, options in OPTIONS.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.delenv("HYBRID_CACHE", raising=False)
            done = stop_at(patch, np.inf, RuntimeError())
            assert _run(["study", "runs/svm", *options, "--quiet"]) == 0
        fits[kind] = len(done)
    return folder, fits


FIT = ["fit-svm", "--blocks", "text,metadata", "--C", "0.3", "--folds", "3"]


@pytest.fixture
def home(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, and the current directory in it."""
    folder = Path(shutil.copytree(fitted, tmp_path / "project", symlinks=True))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in RUN}


def result(kind: str, folder: Path = Path("runs/svm")) -> Any:
    """What a study found, without the times."""
    data = json.loads((folder / "studies" / f"{kind}.json").read_text())
    return timeless(data["result"])


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k != "seconds"}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def stop_at(monkeypatch: pytest.MonkeyPatch, fits: float, error: BaseException) -> list[int]:
    """Let a fit end in an error once so many are done; the list counts them."""
    fit, done = HybridClassifier.fit, []

    def counted(self: HybridClassifier, *data: Any, **named: Any) -> HybridClassifier:
        if len(done) >= fits:
            raise error
        done.append(1)
        return fit(self, *data, **named)

    monkeypatch.setattr(HybridClassifier, "fit", counted)
    return done


def test_all_studies_are_written_beside_the_run_and_read_with_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(Path("runs/svm"))
    asked = [option for options in OPTIONS.values() for option in options]
    assert _run(["study", "svm", *asked]) == 0
    said = capsys.readouterr()
    assert digests(Path("runs/svm")) == before
    names = sorted(path.name for path in Path("runs/svm/studies").iterdir())
    assert names == [
        "ablation.json", "contributions.csv", "curve.json", "nested.json", "repeats.json",
    ]  # fmt: skip
    for kind, fits in KINDS.items():
        if kind != "curve":  # which has a bar
            assert f"{kind}: fit {fits} of {fits}, " in said.err
        data = json.loads(Path(f"runs/svm/studies/{kind}.json").read_text())
        assert (data["study"], data["seed"]) == (kind, 5)
        assert data["run"] == before["run.json"]
        assert data["cost"]["seconds"] > 0
        assert data["versions"]["numpy"] == np.__version__
    studies = read_run("runs/svm").record.studies
    assert studies.nested is not None
    assert studies.learning_curve is not None
    assert studies.repeats is not None
    assert studies.nested.items == studies.learning_curve.evaluated
    assert studies.costs is not None
    assert {cost.name for cost in studies.costs} == {
        "nested", "learning curve", "ablation", "repeats",
    }  # fmt: skip
    f1 = studies.repeats.metrics["f1_weighted"]
    assert f"mean {f1.mean:.3f}" in said.out
    assert studies.learning_curve.verdict in said.out
    assert _run(["report", "--draws", "5", "--quiet"]) == 0
    page = Path("report.html").read_text()
    assert "Learning curve" in page
    assert "over 3 splits" in page


def test_the_figures_are_those_of_the_model_in_memory(
    studied: tuple[Path, dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(studied[0])
    studies = read_run("runs/svm").record.studies
    catalogue, split = load_catalogue("catalogue.csv"), read_split("splits.csv")
    position = {name: i for i, name in enumerate(catalogue.ids.tolist())}

    def items(*parts: str) -> Any:
        chosen = np.isin(split.parts, parts)
        rows = [position[name] for name in split.ids[chosen].tolist()]
        return catalogue.frame.iloc[rows], catalogue.labels[rows], split.groups[chosen]

    X, y, groups = items("train", "validation")
    model = load_subject(Path("runs/svm")).fitted.model
    # As the command fitted it, but without the command and its folder.
    model = HybridClassifier(**model.get_params(deep=False)).fit(X, y, groups=groups)
    ablation = ablate_blocks(model, (X, y, groups), items("test"), seed=5)
    assert studies.ablation is not None
    pairs = zip(
        (*ablation.subsets, *ablation.missing),
        (*studies.ablation.subsets, *studies.ablation.missing),
        strict=True,
    )
    for expected, found in pairs:
        assert found.metrics == expected.metrics
        assert found.difference == expected.difference
    curve = learning_curve(model, X, y, groups, catalogue.genres, seed=5)
    assert studies.learning_curve is not None
    assert [vars(p) for p in studies.learning_curve.points] == [vars(p) for p in curve.points]
    nested = nested_cv_predict(model, X, y, groups)
    whole = evaluate(y, nested, catalogue.genres, groups=groups, seed=5).metrics
    assert studies.nested is not None
    assert studies.nested.metrics == whole
    assert whole != evaluate(y, nested, catalogue.genres, seed=5).metrics  # groups do matter here


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("nested", KeyboardInterrupt()),
        ("curve", MemoryError("no memory left")),
        ("ablation", MemoryError("no memory left")),
        ("repeats", KeyboardInterrupt()),
    ],
)
def test_an_interrupted_study_goes_on_and_finds_the_same(
    kind: str,
    error: BaseException,
    home: Path,
    studied: tuple[Path, dict[str, int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = digests(Path("runs/svm"))
    command = ["study", "runs/svm", *OPTIONS[kind]]
    expected, all_fits = result(kind, studied[0] / "runs/svm"), studied[1][kind]
    stopped = all_fits // 2
    with monkeypatch.context() as patch:
        stop_at(patch, stopped, error)
        assert _run(command) == (130 if isinstance(error, KeyboardInterrupt) else 1)
    said = capsys.readouterr().err
    words = " ".join(OPTIONS[kind])
    assert f"Go on with: hybrid study runs/svm {words}\n" in said
    if isinstance(error, MemoryError):
        assert f"runs/svm: the study {kind} failed, the run itself is complete: MemoryError" in said
    else:
        assert f"runs/svm: the study {kind} is interrupted" in said
    assert digests(Path("runs/svm")) == before
    assert read_run("runs/svm").record.studies.costs is None
    with monkeypatch.context() as patch:
        rest = stop_at(patch, np.inf, error)
        assert _run(command) == 0
    if kind == "curve":  # sizes that cannot be fitted are tried again
        assert len(rest) < all_fits
    else:
        assert len(rest) == all_fits - stopped
    assert "going on; " in capsys.readouterr().err
    assert json.dumps(result(kind)) == json.dumps(expected)
    assert not Path(f"runs/svm/studies/{kind}.partial").exists()
    assert digests(Path("runs/svm")) == before


def test_other_settings_start_anew_and_say_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 1, KeyboardInterrupt())
        assert _run(["study", "svm", "--ablation"]) == 130
    capsys.readouterr()
    assert _run(["study", "svm", "--ablation", "--seed", "6"]) == 0
    assert "ablation: starting anew; what an interrupted study left has other" in (
        capsys.readouterr().err
    )
    assert json.loads(Path("runs/svm/studies/ablation.json").read_text())["seed"] == 6


def test_a_fit_that_is_damaged_on_the_disk_is_done_again(
    home: Path, studied: tuple[Path, dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = result("ablation", studied[0] / "runs/svm")
    with monkeypatch.context() as patch:
        stop_at(patch, 1, KeyboardInterrupt())
        assert _run(["study", "svm", "--ablation", "--quiet"]) == 130
    (kept,) = Path("runs/svm/studies/ablation.partial").glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    assert _run(["study", "svm", "--ablation", "--quiet"]) == 0
    assert result("ablation") == expected


def test_a_study_that_fails_after_the_fit_leaves_the_run(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at(monkeypatch, 2, ValueError("broken"))  # the run itself, and one subset
    assert _run([*FIT, "--name", "new", "--ablation", "--curve"]) == 1
    said = capsys.readouterr()
    assert "runs/new: weighted F1" in said.out
    # The curve comes first, and is what fails.
    assert "error: runs/new: the study curve failed, the run itself is complete: ValueError" in (
        said.err
    )
    assert re.search(r"Go on with: hybrid study runs/new --curve --ablation .*\n", said.err)
    run = read_run("runs/new")
    assert run.record.metrics
    monkeypatch.undo()
    monkeypatch.chdir(home)
    assert _run(["predict", "runs/new", "--out", "p.csv", "--quiet"]) == 0


@pytest.mark.parametrize("write", ["nested", "ablation"])
def test_a_disk_that_is_full_leaves_the_run(
    write: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(Path("runs/svm"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert _run(["study", "svm", f"--{write}"]) == 1
    assert f"the study {write} failed, the run itself is complete: " in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(home)
    assert digests(Path("runs/svm")) == before
    assert read_run("runs/svm").record.studies.ablation is None


# What a study is about


def test_a_refitted_run_has_no_studies_of_the_old_model(
    home: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    assert _run(["study", "svm", "--ablation", "--quiet"]) == 0
    shutil.copytree("runs/svm/studies", "kept")
    assert _run([*FIT, "--seed", "6"]) == 0
    assert "runs/svm: the run is replaced, and with it go its studies (ablation)" in (
        capsys.readouterr().err
    )
    assert not Path("runs/svm/studies").exists()
    shutil.copytree("kept", "runs/svm/studies")
    with pytest.warns(UserWarning, match=r"ablation\.json belongs to another run, and is left out"):
        assert read_run("runs/svm").record.studies.ablation is None


def test_a_run_that_is_moved_keeps_its_studies(home: Path) -> None:
    assert _run(["study", "svm", "--ablation", "--quiet"]) == 0
    expected = read_run("runs/svm").record.studies.ablation
    Path("runs/svm").rename("runs/moved")
    assert expected is not None
    assert read_run("runs/moved").record.studies.ablation == expected
    assert _run(["study", "moved", "--nested", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"ablation\.json: expected a readable study, found: .*; remove the file, and make"),
        (
            None,
            r"ablation\.json: expected a list at subsets, found 1\. The record is damaged: remove",
        ),
        ('{"format": 1}', r"ablation\.json: expected a string at study, found no such key"),
    ],
)
def test_a_damaged_study_is_named(
    content: str | None, message: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["study", "svm", "--ablation", "--quiet"]) == 0
    path = Path("runs/svm/studies/ablation.json")
    data = json.loads(path.read_text())
    data["result"]["subsets"] = 1
    path.write_text(json.dumps(data) if content is None else content)
    capsys.readouterr()
    assert _run(["report"]) == 1
    assert re.search(message, capsys.readouterr().err)


def change(path: str) -> Callable[[], None]:
    return lambda: Path(path).write_text(Path(path).read_text().replace("ghost", "spirit"))


def other_groups() -> None:
    table = pd.read_csv("splits.csv", dtype=str)
    train = table.index[table["split"] == "train"][:2]
    table.loc[train, "group"] = "together"
    table.to_csv("splits.csv", index=False)


def other_split() -> None:
    assert _run(["split", "--seed", "9", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            change("catalogue.csv"),
            "expected the catalogue that the run was fitted on .* --catalogue",
        ),
        (
            lambda: Path("catalogue.csv").unlink(),
            r".*found none at catalogue\.csv\. Name it with --catalogue",
        ),
        (other_split, "expected the split that the run was fitted on .* Name it with --splits"),
        (
            lambda: Path("splits.csv").unlink(),
            r".*found none at splits\.csv\. Name it with --splits",
        ),
        (other_groups, "expected the groups that the run was fitted with"),
        (lambda: Path("runs/svm/model.json").unlink(), "expected the model model.json"),
    ],
)
def test_what_the_run_was_not_fitted_on_is_refused(
    spoil: Callable[[], None],
    message: str,
    home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil()
    assert _run(["study", "svm", "--ablation"]) == 1
    assert re.search(f"error: runs/svm: {message}", capsys.readouterr().err)
    assert not Path("runs/svm/studies").exists()


def test_catalogue_and_split_may_lie_elsewhere(home: Path) -> None:
    Path("catalogue.csv").rename("films.csv")
    Path("splits.csv").rename("s.csv")
    Path("splits.method.json").rename("s.method.json")
    where = ["--catalogue", "films.csv", "--splits", "s.csv", "--quiet"]
    assert _run(["study", "svm", "--repeats", "2", *where]) == 0


def test_a_run_that_is_written_by_someone_else_is_not_studied(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        pool.submit(stack.enter_context, hold_run(Path("runs/svm"))).result()
        assert _run(["study", "svm", "--ablation"]) == 1
    assert "runs/svm: expected no other process to write this run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected a study: --ablation, --curve, --repeats N or --nested"),
        (["--repeats", "1"], "--repeats"),
        (
            ["--ablation", "--by", "year"],
            "--by: expected --method temporal and --repeats N (2 or more) with it.",
        ),
        (
            ["--curve", "--method", "random"],
            "--method: expected --repeats N (2 or more) with it, found none.",
        ),
        (["--repeats", "3", "--method", "random"], "the split was made by iterative; leave"),
    ],
)
def test_wrong_usage(
    options: list[str], message: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["study", "svm", *options]) == 2
    assert message in capsys.readouterr().err


def test_what_a_study_cannot_say_is_said() -> None:
    """Two splits: t with one degree of freedom. One block: nothing to take away from it."""
    two, five = (
        RepeatsRecord(
            tuple(range(n)), {MAIN: SpreadRecord((0.5,) * n, 0.5, 0.0, 0.5, 0.5, Interval(0.5, 0.4, 0.6))},
            "random", (),
        )
        for n in (2, 5)
    )  # fmt: skip
    assert "An interval from two splits is hardly usable" in studies_text(
        StudiesRecord(repeats=two)
    )
    assert "hardly usable" not in studies_text(StudiesRecord(repeats=five))
    whole = VariantRecord(
        ("text",), None, metrics={MAIN: Interval(0.5, 0.4, 0.6)}, difference=Interval(0.0, 0.0, 0.0)
    )
    one = AblationRecord(subsets=(whole,))
    said = studies_text(StudiesRecord(ablation=one))
    assert "one block, which has no subsets" in said
    assert "difference to the full model (95 %)" in said  # a record of before
    new = AblationRecord(subsets=(whole,), simultaneous=True)
    assert "the full model (95 % for all at once)" in studies_text(StudiesRecord(ablation=new))


def test_runs_that_cannot_be_studied(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("runs/svm/run.json")
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "kind": "deep", "model": "scratch", "hybrid": None}))
    write_manifest(path.parent)
    assert _run(["study", "svm", "--ablation"]) == 1
    assert "expected a run of fit-svm or fit-ovr, found the deep baseline scratch" in (
        capsys.readouterr().err
    )
    path.write_text(json.dumps({**data, "format": 2}))
    write_manifest(path.parent)
    assert _run(["study", "svm", "--ablation"]) == 1
    assert "whose model cannot be loaded; fit it again with: " in capsys.readouterr().err


# Repeats


def names(folder: str = "runs/svm") -> list[str]:
    repeats = read_run(folder).record.studies.repeats
    assert repeats is not None
    assert repeats.splits is not None
    return [each.name for each in repeats.splits]


def test_repeats_of_a_temporal_split_test_on_earlier_years(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["split", "--method", "temporal", "--by", "year", "--quiet"]) == 0
    assert _run([*FIT, "--name", "t", "--repeats", "3"]) == 0
    assert names("runs/t")[0] == "the run itself"
    periods = [tuple(map(int, re.findall(r"\d{4}", name))) for name in names("runs/t")[1:]]
    table = pd.read_csv("catalogue.csv").merge(pd.read_csv("splits.csv"), on="id")
    table["newest"] = table.groupby("group")["year"].transform("max")
    first = table[table["split"] == "test"]["newest"].min()
    assert periods[1][1] < periods[0][0] <= periods[0][1] < first
    repeats = read_run("runs/t").record.studies.repeats
    assert repeats is not None
    assert repeats.metrics["f1_weighted"].interval is None
    assert "no interval of the mean" in capsys.readouterr().out


def test_repeats_of_folds_are_the_other_folds(home: Path) -> None:
    assert _run(["split", "--method", "kfold", "--folds", "3", "--quiet"]) == 0
    fit = [*FIT, "--splits", "splits-1.csv", "--name", "k", "--quiet"]
    assert _run(fit) == 0
    assert _run(["study", "k", "--repeats", "3", "--quiet"]) == 0
    assert names("runs/k") == ["the run itself", "fold 3 of 3", "fold 1 of 3"]
    splits = read_run("runs/k").record.studies.repeats
    assert splits is not None
    assert splits.splits is not None
    others = [read_split(f"splits-{i}.csv").sha256 for i in (1, 2, 0)]
    assert [each.sha256 for each in splits.splits] == others
    assert _run(["study", "k", "--repeats", "4", "--quiet"]) == 2


def test_a_run_of_a_task_is_studied_on_the_items_of_its_task(home: Path) -> None:
    task = ["--task", "multiclass", "--genres", "Comedy,Horror", "--name", "mc"]
    assert _run([*FIT, *task, "--quiet"]) == 0
    assert _run(["study", "mc", "--ablation", "--repeats", "2", "--quiet"]) == 0
    studies = read_run("runs/mc").record.studies
    assert studies.ablation is not None
    assert studies.repeats is not None
    assert studies.repeats.splits is not None
    cells = pd.read_csv("catalogue.csv")["genres"].str.split("|")
    items = sum(bool({"Comedy", "Horror"} & set(cell)) for cell in cells)
    assert [each.training + each.test for each in studies.repeats.splits] == [items, items]


def test_a_split_with_unused_items_is_repeated(home: Path) -> None:
    split = read_split("splits.csv")
    unused = np.flatnonzero(split.parts == "train")[:10]
    split.parts[unused] = "unused"
    table = {"id": split.ids, "split": split.parts, "group": split.groups}
    pd.DataFrame(table).to_csv("own.csv", index=False)
    assert _run([*FIT, "--splits", "own.csv", "--name", "own", "--quiet"]) == 0
    own = ["study", "own", "--repeats", "3", "--quiet"]
    assert _run(own) == 2
    assert _run([*own, "--method", "iterative"]) == 0
    repeats = read_run("runs/own").record.studies.repeats
    assert repeats is not None
    assert repeats.splits is not None
    assert {each.training + each.test for each in repeats.splits} == {80}


def test_a_split_that_leaks_by_construction_is_not_repeated(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["split", "--method", "legacy-2017", "--test", "0.2", "--quiet"]) == 0
    assert _run([*FIT, "--name", "leaky", "--repeats", "3"]) == 2
    assert "legacy-2017, which leaks by construction" in capsys.readouterr().err
    assert not Path("runs/leaky").exists()  # refused before the fit
    assert _run([*FIT, "--name", "leaky", "--quiet"]) == 0
    assert _run(["study", "leaky", "--repeats", "3"]) == 2
    assert "legacy-2017, which leaks by construction" in capsys.readouterr().err
    assert _run(["study", "leaky", "--ablation", "--quiet"]) == 0


def test_intervals_of_a_curve_draw_groups_whole() -> None:
    """Four copies of each item say no more than one: the intervals are the same."""
    random = np.random.default_rng(0)
    truth = (random.random((40, 3)) < 0.5).astype(np.uint8)
    scores = [truth * 0.5 + noise * random.random((40, 3)) for noise in (2.0, 1.0)]
    made = [Outputs((s > 0.5).astype(np.uint8), s) for s in scores]
    one = evaluate_curve(
        truth, list(zip((20, 40), made, strict=True)), (), "abc", groups=np.arange(40)
    )
    four = [Outputs(np.repeat(o.labels, 4, axis=0), np.repeat(o.scores, 4, axis=0)) for o in made]
    several = evaluate_curve(
        np.repeat(truth, 4, axis=0),
        list(zip((20, 40), four, strict=True)),
        (),
        "abc",
        groups=np.repeat(np.arange(40), 4),
    )
    for a, b in zip((*one.points, one.gain), (*several.points, several.gain), strict=True):
        assert a is not None
        assert b is not None
        assert vars(b.f1_weighted) == pytest.approx(vars(a.f1_weighted))


def test_folds_of_a_catalogue_are_made_again_from_what_is_recorded(home: Path) -> None:
    catalogue = load_catalogue("catalogue.csv")
    splits = make_fold_splits(catalogue.ids, catalogue.labels, 3, seed=1)
    write_split(splits[0], "splits.csv")
    assert _run([*FIT, "--name", "k", "--repeats", "2", "--quiet"]) == 0
    assert names("runs/k") == ["the run itself", "fold 2 of 3"]


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (
            ["repeats", "curve"],
            r"^--repeats and --curve: they test .* \(trained by tuned, scratch\)",
        ),
        (["nested", "repeats"], "^--nested and --repeats: "),
        (["curve", "ablation"], "^--curve: "),
        (["ablation"], None),
    ],
)
def test_a_study_warns_of_items_that_a_backbone_has_learnt_from(
    kinds: list[str], said: str | None
) -> None:
    trained = tuple(AncestorRecord("d", name, "c", "s", 60) for name in ("tuned", "scratch"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_ancestors(RunRecord(), kinds)
        if said is None:
            warn_of_ancestors(RunRecord(ancestors=trained), kinds)
    if said is not None:
        with pytest.warns(UserWarning, match=said):
            warn_of_ancestors(RunRecord(ancestors=trained), kinds)


def embed(learnt: Provenance) -> None:
    """Put embeddings of all posters into the cache, made up, by weights that have learnt from something."""
    catalogue = load_catalogue("catalogue.csv")
    keys = hash_catalogue(catalogue, Context(cache=".hybrid-cache"))
    spec = get_backbone("mobilenet-075")
    made = Weights("file", "a" * 64, Path("net.h5").absolute(), provenance=learnt)
    known = [key for key in keys if isinstance(key, bytes)]
    numbers = np.random.default_rng(0).normal(size=(len(known), 768))
    make_store(".hybrid-cache", spec, made).append(known, numbers.astype(np.float32))


POSTER = ["fit-svm", "--blocks", "poster", "--C", "0.3", "--folds", "2", "--seed", "5", "--quiet"]


def test_what_a_backbone_has_learnt_from_is_recorded_beside_each_figure(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue, split = load_catalogue("catalogue.csv"), read_split("splits.csv")
    hashes = hash_items(catalogue, hash_catalogue(catalogue, Context(cache=".hybrid-cache")))
    some = split.ids[split.parts == "train"][:9].tolist()
    items = hashes.take(np.flatnonzero(np.isin(catalogue.ids, some)))
    embed(Provenance((Ancestor("d", "scratch", catalogue.sha256, "s", items),)))
    assert _run([*POSTER, "--name", "net"]) == 0
    capsys.readouterr()
    with pytest.warns(UserWarning, match="^--nested and --curve and --repeats: they test on items"):
        assert _run(["study", "net", "--nested", "--curve", "--repeats", "3"]) == 0
    said = capsys.readouterr()
    group = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
    learnt = {name for name in group if group[name] in {group[one] for one in some}}
    studies = read_run("runs/net").record.studies
    assert studies.nested is not None
    assert studies.learning_curve is not None
    assert studies.repeats is not None
    assert studies.repeats.splits is not None
    whole = LearntRecord(len(learnt), ("scratch",))
    assert studies.nested.learnt == studies.learning_curve.learnt == whole
    labels = catalogue.labels[[catalogue.ids.tolist().index(name) for name in split.ids.tolist()]]
    further = [each.split for each in further_splits(split, labels, 3, 5)]
    expected = [len(learnt & set(s.ids[s.parts == "test"].tolist())) for s in [split, *further]]
    found = [each.learnt.items for each in studies.repeats.splits if each.learnt]
    assert found == expected
    assert expected[0] == 0 < sum(expected)
    leaking = sum(count > 0 for count in expected)
    assert f"learnt from test items of {leaking} of the 3 splits" in said.out
    assert said.out.count("too good: a backbone has learnt from") == leaking + 3
    assert _run(["report", "net", "--draws", "5", "--quiet"]) == 0
    page = Path("report.html").read_text()
    assert page.count("too good: a backbone has learnt from") == 3


def test_what_cannot_be_told_of_a_backbone_is_recorded_beside_each_figure(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(Provenance(unknown=("net.h5",)))
    assert _run([*POSTER, "--name", "net"]) == 0
    assert _run(["study", "net", "--nested", "--repeats", "2", "--quiet"]) == 0
    untold = "it cannot be told what net.h5 (SHA-256 aaaaaaaaaaaa…) has learnt from"
    studies = read_run("runs/net").record.studies
    assert studies.repeats is not None
    assert studies.repeats.splits is not None
    record = LearntRecord(0, (), (f"backbone trained on test items: {untold}",))
    assert [each.learnt for each in studies.repeats.splits] == [record, record]
    assert capsys.readouterr().out.count(f"; {untold}") == 3
