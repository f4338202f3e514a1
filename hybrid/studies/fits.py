"""The fits of a study: shown, and remembered one by one, so that an interrupted study goes on."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from hybrid.errors import HybridError
from hybrid.evaluation import Outputs
from hybrid.heads import HybridClassifier
from hybrid.types import SEARCH
from hybrid.utils.counts import counted
from hybrid.utils.files import make_folder, remove_tree, write_atomically
from hybrid.utils.progress import Progress, duration
from hybrid.utils.reading import STUDY, TRAINING, read_bytes, read_text

SETTINGS = "settings.json"


class Fit(NamedTuple):
    """A fit of a study.

    Parameters
    ----------
    key : str
        Tells the fits of the study apart; a plain file name.
    label : str
        For the progress.
    compute : callable
        Fits and predicts.
    """

    key: str
    label: str
    compute: Callable[[], Outputs]


@dataclass(frozen=True)
class StudyFit:
    """What a fitted model of a study gave, and the seconds that fit and prediction took."""

    outputs: Outputs
    seconds: float


def make_fit(compute: Callable[[], Outputs]) -> StudyFit:
    """Compute a fit, and take the time.

    Examples
    --------
    >>> make_fit(lambda: Outputs(np.ones((1, 1), np.uint8), np.ones((1, 1)))).outputs.labels.tolist()
    [[1]]
    """
    start = time.perf_counter()
    outputs = compute()
    return StudyFit(outputs, time.perf_counter() - start)


def unfitted_copy(model: HybridClassifier) -> HybridClassifier:
    """An unfitted copy of a model, for items that may be too few for halving, which then is not used.

    Examples
    --------
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> fusion = Fusion([("text", TextFeatures(["overview"]))])
    >>> unfitted_copy(HybridClassifier(fusion, MultilabelLinearSVC(), search="halving")).search
    'auto'
    """
    found: HybridClassifier = clone(model)
    return found.set_params(search=SEARCH) if model.search == "halving" else found


class Fits:
    """Computes the fits of one study; with a folder, remembers each once it is done.

    Parameters
    ----------
    name : str, default="study"
        For the progress.
    total : int, default=0
        Number of fits; 0: no line is shown for each.
    progress : Progress, optional
    folder : Path, optional
        Where the fits are remembered.
    settings : mapping, optional
        What the fits depend on. Fits that were remembered with other settings are not used, and removed.

    Examples
    --------
    >>> outputs = Outputs(np.ones((1, 1), np.uint8), np.ones((1, 1)))
    >>> first = Fits("ablation", 2, folder=Path("partial"), settings={"seed": 0})
    >>> _ = first.get(Fit("0", "text", lambda: outputs))
    >>> again = Fits("ablation", 2, folder=Path("partial"), settings={"seed": 0})
    >>> again.known
    1
    >>> again.get(Fit("0", "text", lambda: None)).outputs.labels.tolist()  # is not computed again
    [[1]]
    """

    def __init__(
        self,
        name: str = "study",
        total: int = 0,
        progress: Progress | None = None,
        folder: Path | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.total, self.folder = name, total, folder
        self.progress = progress or Progress()
        self.done, self.seconds, self.restored_seconds = 0, 0.0, 0.0
        self.failed: dict[str, HybridError] = {}
        self._here: set[str] = set()  # computed now, though not by `get`
        if folder is not None:
            self._open(folder, json.dumps(settings or {}, sort_keys=True, indent=2) + "\n")
        if self.known:
            self.progress.say(f"{name}: going on; {counted(self.known, 'fit is', 'fits are')} done")

    @property
    def known(self) -> int:
        """Number of fits that are remembered."""
        return 0 if self.folder is None else len(list(self.folder.glob("*.npz")))

    def get(self, fit: Fit) -> StudyFit:
        """Compute a fit, or recall it.

        Parameters
        ----------
        fit : Fit
            An error in it is remembered by nobody.

        Raises
        ------
        HybridError
            That of a fit that was put in with `fail`.
        """
        if fit.key in self.failed:
            raise self.failed[fit.key]
        found = self._recall(fit.key)
        if found is None:
            self._show(fit.label)
            found = make_fit(fit.compute)
            self._remember(fit.key, found)
        elif fit.key not in self._here:
            self.restored_seconds += found.seconds
        self.done += 1
        self.seconds += found.seconds
        return found

    def lacks(self, fits: Sequence[Fit]) -> list[Fit]:
        """Those that are not remembered."""
        return [fit for fit in fits if self._recall(fit.key) is None]

    def put(self, key: str, fit: StudyFit) -> None:
        """Remember a fit that was computed elsewhere meanwhile."""
        self._here.add(key)
        self._remember(key, fit)

    def fail(self, key: str, error: HybridError) -> None:
        """Let `get` raise the error of a fit elsewhere."""
        self.failed[key] = error

    def forget(self) -> None:
        """Remove what is remembered: the study is complete."""
        if self.folder is not None:
            remove_tree(self.folder)

    def _show(self, label: str) -> None:
        if not self.total:
            return
        left = ""
        if self.done:
            seconds = (self.total - self.done) * self.seconds / self.done
            left = f", about {duration(seconds)} left"
        self.progress.say(f"{self.name}: fit {self.done + 1} of {self.total}, {label}{left}")

    def _open(self, folder: Path, settings: str) -> None:
        try:
            before = read_text(folder / SETTINGS, STUDY)
        except (OSError, UnicodeDecodeError):
            before = None
        if before == settings:
            return
        if folder.exists():
            self.progress.say(
                f"{self.name}: starting anew; what an interrupted study left has other settings"
            )
            remove_tree(folder)
        make_folder(folder)
        write_atomically(folder / SETTINGS, settings.encode())

    def _remember(self, key: str, fit: StudyFit) -> None:
        if self.folder is None:
            return
        file = io.BytesIO()
        np.savez(file, labels=fit.outputs.labels, scores=fit.outputs.scores, seconds=fit.seconds)
        write_atomically(self.folder / f"{key}.npz", file.getvalue())

    def _recall(self, key: str) -> StudyFit | None:
        if self.folder is None:
            return None
        try:
            data = io.BytesIO(read_bytes(self.folder / f"{key}.npz", TRAINING))
            with np.load(data, allow_pickle=False) as file:
                outputs = Outputs(file["labels"], file["scores"])
                return StudyFit(outputs, float(file["seconds"]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # not there, or damaged: it is computed
