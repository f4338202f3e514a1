"""The training loop: epochs of one stage, each kept; early stopping; the best weights."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hybrid.backbones.backend import backend_has_gpu
from hybrid.deep.build import count_pieces
from hybrid.deep.checkpoint import Course
from hybrid.deep.options import DeepOptions
from hybrid.deep.registry import Stage
from hybrid.deep.schedules import learning_rate, make_optimizer
from hybrid.deep.stream import Source, batches, shuffled
from hybrid.errors import TrainingError
from hybrid.utils.progress import Advance, Progress

SHOWN = 10  # ids in a message


@dataclass(frozen=True, eq=False)
class Part:
    """Items to learn from, or to judge by: what the network reads, their labels and ids."""

    source: Source
    labels: NDArray[np.uint8]
    ids: Sequence[str]


@dataclass(frozen=True, eq=False)
class Lesson:
    """All that one stage needs.

    Parameters
    ----------
    number : int
        Of the stage, from 0.
    stage : Stage
    learner : keras.Model
        What the source gives → log-odds.
    loss : keras.losses.Loss
    train, validation : Part
    batch_size, workers, seed : int
    """

    number: int
    stage: Stage
    learner: keras.Model
    loss: keras.losses.Loss
    train: Part
    validation: Part
    batch_size: int
    workers: int
    seed: int

    @cached_property
    def pieces(self) -> int:
        """In how many pieces each batch is computed."""
        return count_pieces(self.learner, self.batch_size)


class F1(keras.metrics.F1Score):
    """Weighted F1 of log-odds, labels given where the probability is above one half.

    It counts until `begin` is called: newer versions of Keras reset the metrics of a model before each
    batch that it is trained on.
    """

    def __init__(self, multiclass: bool = False) -> None:
        super().__init__(average="weighted", threshold=None if multiclass else 0.5, name="f1")

    def begin(self) -> None:
        """Count anew."""
        super().reset_state()

    def reset_state(self) -> None:
        """Nothing."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch."""
        return super().update_state(ops.cast(y_true, y_pred.dtype), ops.sigmoid(y_pred))


def run_stage(
    lesson: Lesson,
    options: DeepOptions,
    course: Course,
    keep: Callable[[Course], None],
    progress: Progress,
) -> None:
    """Train one stage, from where the course stands; the learner ends with its best weights.

    Parameters
    ----------
    lesson : Lesson
    options : DeepOptions
    course : Course
        Changed in place; afterwards it stands at the beginning of the next stage.
    keep : callable
        Called with the course after each epoch.
    progress : Progress

    Raises
    ------
    TrainingError
        If the loss is no longer finite.
    """
    learner = lesson.learner
    f1 = compile_lesson(lesson, options)
    if course.variables:
        _assign(learner.variables, course.variables)
        _assign(learner.optimizer.variables, course.optimizer)
    course.best_weights = course.best_weights or _values(learner.trainable_variables)
    steps = -(-len(lesson.train.source) // lesson.batch_size)
    left = (options.epochs - course.epoch) * steps
    with progress.bar(f"training ({lesson.stage.name})", left, "batches", _note(course)) as advance:
        while course.epoch < options.epochs and course.since < options.patience:
            run_epoch(lesson, options, course, f1, advance)
            # As they are: copies of them all would be three times the network.
            course.variables = list(learner.variables)
            course.optimizer = list(learner.optimizer.variables)
            keep(course)
            course.variables, course.optimizer = [], []
            progress.say(_line(course, options.epochs))
    _assign(learner.trainable_variables, course.best_weights)
    _next_stage(course)


def forward(learner: keras.Model, source: Source, batch_size: int, workers: int) -> NDArray[Any]:
    """What a network makes of all items, float32, in their order."""
    at_once = -(-batch_size // count_pieces(learner, batch_size))
    found = [
        np.asarray(learner.predict_on_batch(x))
        for _, x in batches(source, np.arange(len(source)), at_once, workers)
    ]
    return np.concatenate(found).astype(np.float32, copy=False)


def compile_for(learner: keras.Model, **settings: Any) -> None:
    """Compile, with XLA on a GPU; on processors its convolutions are slower than oneDNN's."""
    # It would warn of each stage's own function, and of the last batch's own shape.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    fast = keras.backend.backend() == "jax" or backend_has_gpu()
    learner.compile(**settings, jit_compile="auto" if fast else False)


def compile_lesson(lesson: Lesson, options: DeepOptions) -> F1:
    """Give the learner its optimiser and loss, and the metric that counts while it is trained."""
    f1 = F1(options.task == "multiclass")
    optimizer = make_optimizer(lesson.stage, options, lesson.pieces)
    compile_for(lesson.learner, optimizer=optimizer, loss=lesson.loss, metrics=[f1])
    optimizer.build(lesson.learner.trainable_variables)
    return f1


def run_epoch(
    lesson: Lesson, options: DeepOptions, course: Course, f1: F1, advance: Advance
) -> None:
    """Train on all train items once, judge on validation, note both in the course."""
    start = time.perf_counter()
    stage, learner, epochs = lesson.stage, lesson.learner, options.epochs
    so_far = course.losses(stage.name)
    rate = learning_rate(options.schedule, stage.learning_rate, epochs, so_far)
    learner.optimizer.learning_rate = rate
    f1.begin()
    order = shuffled(len(lesson.train.source), lesson.seed, lesson.number, course.epoch)
    total = 0.0
    for rows, x in batches(lesson.train.source, order, lesson.batch_size, lesson.workers):
        loss = _learn(lesson, x, lesson.train.labels[rows])
        if not math.isfinite(loss):
            raise _diverged(lesson, course, rows, rate)
        total += loss * len(rows)
        advance(1)
    judged = _judge(lesson, options)
    course.note(
        stage=stage.name,
        loss=total / len(order),
        val_loss=judged[0],
        f1=float(f1.result()),
        val_f1=judged[1],
        learning_rate=rate,
        seconds=time.perf_counter() - start,
    )
    course.epoch += 1
    course.since += 1
    if judged[0] < course.best:
        course.best, course.since = judged[0], 0
        course.best_weights = _values(learner.trainable_variables)


def _learn(lesson: Lesson, x: Any, labels: NDArray[np.uint8]) -> float:
    """Train on one batch, piece by piece: one step along the gradient of the batch. Gives its loss."""
    n, pieces, total = len(labels), lesson.pieces, 0.0
    for part in np.array_split(np.arange(n), pieces):
        # The optimiser counts pieces, so a batch of fewer items has as many: some have no weight.
        rows = slice(part[0], part[-1] + 1) if len(part) else slice(1)
        # Keras takes the mean of a piece, and the optimiser that of all pieces.
        weight = np.full(max(1, len(part)), len(part) * pieces / n, dtype=np.float32)
        lesson.learner.reset_metrics()  # older versions of Keras would give the mean of all so far
        found = lesson.learner.train_on_batch(
            keras.tree.map_structure(lambda array, rows=rows: array[rows], x),
            labels[rows],
            sample_weight=weight if pieces > 1 else None,
            return_dict=True,
        )
        total += float(found["loss"]) / pieces
    return total


def _judge(lesson: Lesson, options: DeepOptions) -> tuple[float, float]:
    """Loss and F1 on validation."""
    part, f1 = lesson.validation, F1(options.task == "multiclass")
    said = forward(lesson.learner, part.source, lesson.batch_size, lesson.workers)
    truth = ops.convert_to_tensor(part.labels, dtype="float32")
    f1.update_state(truth, ops.convert_to_tensor(said))
    return float(lesson.loss(truth, ops.convert_to_tensor(said))), float(f1.result())


def _diverged(
    lesson: Lesson, course: Course, rows: NDArray[np.int64], rate: float
) -> TrainingError:
    ids = [str(lesson.train.ids[row]) for row in rows[:SHOWN]]
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return TrainingError(
        f"stage {lesson.stage.name}, epoch {course.epoch + 1}: expected a finite loss, found NaN or "
        f"infinity at the batch with the items {', '.join(ids)}{more}. Lower the learning rate (it is "
        f"{rate:g}), choose --precision float32, or look at these posters."
    )


def _next_stage(course: Course) -> None:
    """`best` stays: a stage that only makes the network worse leaves it as it was."""
    course.stage += 1
    course.epoch, course.since = 0, 0
    course.best_weights, course.variables, course.optimizer = [], [], []


def _values(variables: Sequence[Any]) -> list[NDArray[Any]]:
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _note(course: Course) -> Callable[[], str]:
    def note() -> str:
        losses = course.history.get("val_loss", [])
        return f"epoch {course.epoch + 1}" + (f", val_loss {losses[-1]:.3f}" if losses else "")

    return note


def _line(course: Course, epochs: int) -> str:
    last = {name: values[-1] for name, values in course.history.items()}
    return (
        f"{last['stage']}, epoch {course.epoch} of at most {epochs}: loss {last['loss']:.3f}, "
        f"val_loss {last['val_loss']:.3f}, val_f1 {last['val_f1']:.3f}, {last['seconds']:.1f} s"
    )
