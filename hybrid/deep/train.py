"""Training of one stage: `keras.Model.fit` with early stopping, a learning rate schedule and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from hybrid.backbones.backend import backend_has_gpu
from hybrid.deep.checkpoint import TrainingState
from hybrid.deep.dataset import Batches, run_keras
from hybrid.deep.optimizers import make_optimizer, make_schedule
from hybrid.deep.options import DeepOptions
from hybrid.deep.registry import Stage
from hybrid.deep.training_metrics import epoch_metrics
from hybrid.errors import TrainingError
from hybrid.utils.progress import Advance, Progress

MAX_IDS = 10  # in a message


class StageCallback(keras.callbacks.EarlyStopping):
    """Early stopping of a stage that records, reports and saves each epoch.

    The best epoch is that of all stages: a stage that only makes the network worse leaves it as it was.
    `keras.callbacks.BackupAndRestore` cannot save the epochs: it writes weights and epoch number one after
    the other, so that a kill between them restores a wrong epoch; it leaves out the states of the random
    generators (dropout, augmentation), the best weights and the history of earlier stages; and it does not
    notice that a backup is of another training.

    Parameters
    ----------
    stage : Stage
    train : Batches
    options : DeepOptions
    state : TrainingState
        To continue from; changed in place.
    save : callable
        Called with the state after each epoch.
    progress : Progress
    advance : callable
        Called with the number of batches that are done.
    """

    def __init__(
        self,
        stage: Stage,
        train: Batches,
        options: DeepOptions,
        state: TrainingState,
        save: Callable[[TrainingState], None],
        progress: Progress,
        advance: Advance,
    ) -> None:
        super().__init__(
            "val_mean_loss", patience=options.patience, mode="min", restore_best_weights=True
        )
        self.stage, self.train, self.options, self.state = stage, train, options, state
        self.save, self.progress, self.advance = save, progress, advance

    def on_train_begin(self, logs: Any = None) -> None:
        """Continue from the state: the best loss, the weights that had it, the epochs since."""
        super().on_train_begin(logs)
        self.best, self.wait = self.state.best, self.state.wait
        self.best_weights = self.state.best_weights or self.model.get_weights()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Shuffle, and note the learning rate in the few digits that float32 has."""
        self.start = time.perf_counter()
        self.rate = float(str(ops.convert_to_numpy(self.model.optimizer.learning_rate)))
        self.train.shuffle(epoch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Check that the loss is finite; advance the progress bar."""
        if not math.isfinite(logs["loss"]):
            raise self._diverged(batch)
        if (batch + 1) % self.train.pieces == 0:
            self.advance(1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record and save the epoch; stop if the best one is `patience` epochs ago."""
        super().on_epoch_end(epoch, logs)
        # Keras never stops after epoch 0, but here it may be that of a later stage.
        self.model.stop_training |= self.wait >= self.patience
        state = self.state
        state.epoch, state.wait, state.best = epoch + 1, self.wait, self.best
        state.best_weights = self.best_weights
        further = "accuracy" if "accuracy" in logs else "best_f1"
        state.append(
            stage=self.stage.name,
            loss=logs["mean_loss"],
            val_loss=logs["val_mean_loss"],
            f1=logs["f1"],
            val_f1=logs["val_f1"],
            **{name: logs[name] for name in (further, f"val_{further}")},
            learning_rate=self.rate,
            seconds=time.perf_counter() - self.start,
        )
        # The variables themselves: copies of them all would be three times the network.
        state.variables, state.optimizer = self.model.variables, self.model.optimizer.variables
        self.save(state)
        state.variables, state.optimizer = [], []
        self.progress.say(_epoch_line(state, self.options.epochs))

    def _diverged(self, batch: int) -> TrainingError:
        ids = [str(self.train.ids[row]) for row in self.train.batch_rows(batch)]
        more = f" and {len(ids) - MAX_IDS} more" if len(ids) > MAX_IDS else ""
        return TrainingError(
            f"stage {self.stage.name}, epoch {self.state.epoch + 1}: expected a finite loss, found NaN or "
            f"infinity at the batch with the items {', '.join(ids[:MAX_IDS])}{more}. Lower the learning "
            f"rate (it is {self.rate:g}), choose --precision float32, or look at these posters."
        )


def compile_inference(model: keras.Model, **settings: Any) -> None:
    """Compile a model, with XLA on a GPU; on processors its convolutions are slower than oneDNN's.

    Parameters
    ----------
    model : keras.Model
    **settings
        See `keras.Model.compile`.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> compile_inference(model)
    >>> model.compiled
    True
    """
    fast = keras.backend.backend() == "jax" or backend_has_gpu()
    model.compile(**settings, jit_compile="auto" if fast else False)


def compile_stage(
    model: keras.Model, stage: Stage, loss: keras.losses.Loss, options: DeepOptions, pieces: int = 1
) -> None:
    """Compile a model for training: optimizer, loss and metrics.

    Parameters
    ----------
    model : keras.Model
        Inputs → log-odds.
    stage : Stage
    loss : keras.losses.Loss
    options : DeepOptions
    pieces : int, default=1
        Number of pieces that each batch is computed in; their gradients are accumulated.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> loss = keras.losses.BinaryCrossentropy(from_logits=True)
    >>> compile_stage(model, Stage("top", "head", "adam", 1e-3), loss, DeepOptions())
    >>> type(model.optimizer).__name__
    'Adam'
    """
    compile_inference(
        model,
        optimizer=make_optimizer(stage, options, pieces),
        loss=loss,
        weighted_metrics=epoch_metrics(loss, model.output_shape[-1], options.task == "multiclass"),
    )
    model.optimizer.build(model.trainable_variables)


def fit_stage(
    model: keras.Model,
    stage: Stage,
    train: Batches,
    validation: Batches,
    options: DeepOptions,
    state: TrainingState,
    save: Callable[[TrainingState], None],
    progress: Progress,
) -> None:
    """Train one stage from where the training state stands; the model ends with its best weights.

    Parameters
    ----------
    model : keras.Model
        Compiled by `compile_stage`.
    stage : Stage
    train, validation : Batches
        With labels.
    options : DeepOptions
    state : TrainingState
        Changed in place; afterwards it stands at the beginning of the next stage.
    save : callable
        Called with the state after each epoch.
    progress : Progress

    Raises
    ------
    TrainingError
        If the loss is no longer finite.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.deep.items import Arrays
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> loss = keras.losses.BinaryCrossentropy(from_logits=True)
    >>> stage, options = Stage("top", "head", "adam", 1e-3), DeepOptions(epochs=2)
    >>> compile_stage(model, stage, loss, options)
    >>> labels = np.array([[1], [0], [1], [0]], dtype=np.uint8)
    >>> batches = Batches(Arrays(np.eye(4, 2)), 2, labels, ids=["1", "2", "3", "4"])
    >>> state = TrainingState()
    >>> fit_stage(model, stage, batches, batches, options, state, lambda state: None, Progress())
    >>> len(state.history["loss"]), state.stage
    (2, 1)
    """
    if state.variables:
        _assign(model.variables, state.variables)
        _assign(model.optimizer.variables, state.optimizer)
    # A stage that was interrupted at its end has no epoch left.
    epochs = options.epochs if state.wait < options.patience else state.epoch
    left = (epochs - state.epoch) * len(train) // train.pieces
    label = f"training ({stage.name})"
    with progress.bar(label, left, "batches", lambda: _bar_note(state, epochs)) as advance:
        callback = StageCallback(stage, train, options, state, save, progress, advance)
        with run_keras(train, validation):
            model.fit(
                train,
                validation_data=validation,
                initial_epoch=state.epoch,
                epochs=epochs,
                callbacks=[
                    *make_schedule(stage, options, state.stage_losses(stage.name)),
                    callback,
                ],
                shuffle=False,
                verbose=0,
            )
    state.next_stage()


def _assign(variables: Any, values: Any) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _bar_note(state: TrainingState, epochs: int) -> str:
    """The epoch under way, of at most `epochs`; once all are done, the last one."""
    losses = state.history.get("val_loss", [])
    said = f"epoch {min(state.epoch + 1, epochs)} of at most {epochs}"
    return f"{said}, val_loss {losses[-1]:.3f}" if losses else said


def _epoch_line(state: TrainingState, epochs: int) -> str:
    last = {name: values[-1] for name, values in state.history.items()}
    if "val_accuracy" in last:
        quality = f"val_accuracy {last['val_accuracy']:.3f}, val_f1 {last['val_f1']:.3f}"
    else:
        quality = (
            f"val_f1 {last['val_best_f1']:.3f} at the best thresholds ({last['val_f1']:.3f} at 0.5)"
        )
    return (
        f"{last['stage']}, epoch {state.epoch} of at most {epochs}: loss {last['loss']:.3f}, "
        f"val_loss {last['val_loss']:.3f}, {quality}, {last['seconds']:.1f} s"
    )
