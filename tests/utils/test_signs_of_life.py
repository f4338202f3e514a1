"""What takes long shows a sign of life, whether or not it advances; of nested stages the innermost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import hybrid.utils.progress
from hybrid.catalogue import load_catalogue
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.report import make_report
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.splitting.methods import split_catalogue
from hybrid.utils.context import Context
from hybrid.utils.progress import Advance, Progress, current_progress, show_progress, shows_step


class Recorded(Progress):
    """Keeps the labels of bars and steps, and how far the bars advanced."""

    def __init__(self) -> None:
        super().__init__(quiet=False)
        self.steps: list[str] = []
        self.bars: dict[str, tuple[int, int]] = {}

    def say(self, message: str) -> None:
        pass

    @contextmanager
    def bar(
        self, label: str, total: int, unit: str, note: Callable[[], str] | None = None
    ) -> Iterator[Advance]:
        done = [0]

        def advance(n: int) -> None:
            done[0] += n

        yield advance
        self.bars[label] = done[0], total

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        self.steps.append(label)
        yield


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is under way shows itself at once, and again and again."""
    monkeypatch.setattr(hybrid.utils.progress, "DELAY", 0.01)
    monkeypatch.setattr(hybrid.utils.progress, "EVERY", 0.01)


class Lines:
    """A stderr that tells when a text was written to it."""

    def __init__(self) -> None:
        self.text = ""
        self.written = threading.Condition()

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> None:
        with self.written:
            self.text += text
            self.written.notify_all()

    def flush(self) -> None:
        pass

    def wait_for(self, text: str) -> None:
        with self.written:
            assert self.written.wait_for(lambda: text in self.text, timeout=60), self.text


def test_a_bar_that_does_not_advance_shows_itself(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Lines()
    monkeypatch.setattr("sys.stderr", lines)
    with Progress(quiet=False).bar("cross-fitting", 8, "fits"):
        lines.wait_for("cross-fitting: 0 of 8 fits\n")


def test_of_nested_steps_the_innermost_shows_itself(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Lines()
    monkeypatch.setattr("sys.stderr", lines)
    progress = Progress(quiet=False)
    with progress.step("outer"):
        lines.wait_for("outer: 0 s so far\n")
        with progress.step("inner"):
            lines.wait_for("inner: 0 s so far\ninner: 0 s so far\n")
        lines.text = ""
        lines.wait_for("outer")
        assert "inner" not in lines.text


def test_what_ends_soon_or_is_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=False).step("short"):
        pass
    with Progress().step("quiet"), Progress().bar("quiet", 1, "items") as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_the_progress_that_is_shown_is_that_of_the_innermost_block() -> None:
    assert current_progress().quiet
    shown = Recorded()

    @shows_step("adding")
    def add(a: int, b: int) -> int:
        return a + b

    with show_progress(shown):
        assert current_progress() is shown
        assert add(1, 2) == 3
    assert shown.steps == ["adding"]
    assert current_progress() is not shown


@pytest.mark.parametrize(
    ("head", "search"),
    [("svm", "full"), ("svm", "grid"), ("forest", "auto"), ("dummy-uniform", "auto")],
)
def test_every_stage_of_a_fit_and_of_a_report_is_shown(
    head: str, search: str, films: Path, tmp_path: Path
) -> None:
    shown = Recorded()
    context = Context(cache=str(tmp_path / "cache"), workers=1, progress=shown)
    with show_progress(shown):
        catalogue = load_catalogue(films)
    split = split_catalogue(catalogue, context=context)
    experiment = Experiment(catalogue, split, tmp_path / "runs" / "one", context=context)
    model = make_hybrid(
        catalogue, head=head, blocks=["text", "metadata"], search=search, folds=2, context=context
    )
    fit_head(experiment, model, {})
    done, total = shown.bars["cross-fitting"]
    assert done == total == 2 * len(model.search_results_)
    with show_progress(shown):
        make_report(catalogue, [tmp_path / "runs" / "one"], tmp_path / "report.html", draws=10)
    for stage in (
        "reading the catalogue",
        "searching for duplicates",
        "audit",
        "choosing thresholds and calibration",
        "fitting on all items",
        "predict",
        "explain",
        "writing the model",
        "evaluate",
        "drawing the page",
    ):
        assert stage in shown.steps
    assert any(step.startswith("comparing the runs") for step in shown.steps)
