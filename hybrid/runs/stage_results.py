"""What each stage of a training was worth: its own answers, judged as those of the run are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.errors import RunError
from hybrid.evaluation import Outputs, evaluate, paired_difference
from hybrid.runs.predictions_file import TEXTS, parse_predictions, predictions_table
from hybrid.runs.record_metrics import recorded_thresholds
from hybrid.runs.training_records import StageResultRecord, TrainingRecord
from hybrid.types import Interval, Predictions
from hybrid.utils.csv_text import csv_text, unescape_columns
from hybrid.utils.files import write_atomically
from hybrid.utils.progress import shows_step
from hybrid.utils.reading import PREDICTIONS, open_file

if TYPE_CHECKING:
    from hybrid.deep.baseline import DeepBaseline

STAGES = "stages.csv"
STAGE = "stage"
METRIC = "f1_weighted"  # of the gain
NAMES = {METRIC: "weighted F1"}


@dataclass(frozen=True)
class StageAnswers:
    """Answers of a network at the end of a stage, by the decision rule of its own validation answers.

    Parameters
    ----------
    stage : str
    thresholds : tuple of float or None
    predictions : Predictions
        Of the validation items, then of the test items.
    """

    stage: str
    thresholds: tuple[float | None, ...]
    predictions: Predictions


@shows_step("calibrating the stages")
def answer_stages(
    model: DeepBaseline, truth: NDArray[np.uint8], predictions: Predictions
) -> tuple[StageAnswers, ...]:
    """Turn the scores that a training kept of its stages into answers.

    Parameters
    ----------
    model : DeepBaseline
        Fitted, with the test items as `evaluated`.
    truth : ndarray of shape (n, L), uint8
        Labels of the validation items.
    predictions : Predictions
        The run's own, of the validation items, then of the test items.

    Returns
    -------
    tuple of StageAnswers
        Of each stage but the last, whose answers are the run's.
    """
    found = []
    for stage, scores in model.stage_scores_.items():
        decision = model.fit_decision(truth, scores[0])
        probabilities = np.concatenate([model.to_probabilities(part, decision) for part in scores])
        labels = model.label(probabilities, decision)
        answers = replace(predictions, labels=labels, probabilities=probabilities)
        found.append(StageAnswers(stage, recorded_thresholds(decision), answers))
    return tuple(found)


@shows_step("evaluating the stages")
def judge_stages(
    answers: tuple[StageAnswers, ...],
    truth: NDArray[np.uint8],
    final: Predictions,
    groups: NDArray[Any],
    seed: int,
) -> tuple[StageResultRecord, ...]:
    """Evaluate the answers of the stages on the test items, and what the later stages added.

    Parameters
    ----------
    answers : tuple of StageAnswers
    truth : ndarray of shape (n, L), uint8
        Labels of the test items.
    final : Predictions
        The run's own.
    groups : ndarray of shape (n,)
        The bootstrap draws whole groups.
    seed : int
    """
    test = final.splits == "test"

    def outputs(predictions: Predictions) -> Outputs:
        return Outputs(predictions.labels[test], predictions.probabilities[test])

    last = outputs(final)
    return tuple(
        StageResultRecord(
            stage=one.stage,
            thresholds=one.thresholds,
            metrics=evaluate(
                truth, outputs(one.predictions), final.genres, groups=groups, seed=seed
            ).metrics,
            metric=METRIC,
            gain=paired_difference(
                truth, last, outputs(one.predictions), METRIC, groups=groups, seed=seed
            ),
        )
        for one in answers
    )


def gain_sentences(training: TrainingRecord) -> list[str]:
    """Say what the stages after each stage added, one sentence for each stage but the last.

    Examples
    --------
    >>> from hybrid.runs.training_records import HistoryRecord
    >>> before, gain = Interval(0.4, 0.38, 0.42), Interval(0.02, -0.01, 0.05)
    >>> result = StageResultRecord("top", (), {"f1_weighted": before}, "f1_weighted", gain)
    >>> history = HistoryRecord(stage=("top", "top", "fine"))
    >>> gain_sentences(TrainingRecord(history, stage_results=(result,)))[0]
    'the stage fine, after top: weighted F1 +0.020 (-0.010 to +0.050), from 0.400; the interval includes 0'
    """
    stages = list(dict.fromkeys(training.history.stage))
    found = []
    for result in training.stage_results:
        later = " and ".join(stages[stages.index(result.stage) + 1 :])
        gain, before = result.gain, result.metrics[result.metric]
        found.append(
            f"the stage {later}, after {result.stage}: {NAMES[result.metric]} {gain.value:+.3f} "
            f"({gain.low:+.3f} to {gain.high:+.3f}), from {before.value:.3f}" + _remark(gain)
        )
    return found


def _remark(gain: Interval) -> str:
    if gain.low == gain.value == gain.high == 0:
        return "; the answers are the same"
    return "; the interval includes 0" if gain.low <= 0 <= gain.high else ""


def write_stages(folder: Path, answers: tuple[StageAnswers, ...]) -> None:
    """Write ``stages.csv``: the name of the stage, and the columns of predictions.csv, if any.

    Parameters
    ----------
    folder : Path
        Of the run.
    answers : tuple of StageAnswers
    """
    if not answers:
        return
    tables = []
    for one in answers:
        table = predictions_table(one.predictions)
        table.insert(0, STAGE, one.stage)
        tables.append(table)
    text = csv_text(pd.concat(tables), "%.6f")
    write_atomically(folder / STAGES, text.encode())


def read_stages(folder: Path) -> Mapping[str, Predictions]:
    """Read ``stages.csv``: stage → its predictions; empty where a run has none.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    RunError
        If it cannot be read.

    Examples
    --------
    >>> read_stages(Path("runs/svm"))
    {}
    """
    path = folder / STAGES
    if not path.exists():
        return {}
    try:
        with open_file(path, PREDICTIONS) as file:
            table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}.") from error
    table = unescape_columns(table, (STAGE, *TEXTS))
    if STAGE not in table:
        raise RunError(f"{path}: expected the column {STAGE}, found {', '.join(table.columns)}.")
    parts = table.groupby(STAGE, sort=False)
    return {
        str(stage): parse_predictions(part.drop(columns=STAGE).reset_index(drop=True), path)
        for stage, part in parts
    }
