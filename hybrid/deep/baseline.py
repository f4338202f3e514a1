"""A deep baseline: posters → probabilities, trained end to end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from hybrid.backbones import BackboneSpec, get_backbone
from hybrid.backbones.networks import build_body, with_preprocessing
from hybrid.backbones.weights import RUN_WEIGHTS
from hybrid.deep.losses import WeightedCrossEntropy, genre_weights
from hybrid.deep.options import DeepOptions
from hybrid.deep.stream import PosterStream, usable
from hybrid.errors import RunError, SettingError
from hybrid.heads.decision import Decision, DecisionOptions, fit_decision
from hybrid.progress import Progress

HEAD_WEIGHTS = "model.head.weights.h5"
SCORING = "model.scoring.json"
EDGE = 1e-7

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]


class DeepBaseline:
    """The scratch net: trained on train, stopped, calibrated and thresholded on validation.

    Parameters
    ----------
    backbone : str
    options : DeepOptions
    seed : int
        Sets Keras' global seed when `fit` begins.
    workers : int
        Threads that decode.
    decision : DecisionOptions, optional
        How scores become labels.

    Attributes
    ----------
    decision_ : Decision
        Calibration and thresholds, from the validation items.
    validation_scores_ : ndarray of shape (n, L)
        Log-odds of the validation items; of a net that was just fitted.
    history_ : dict of str to list
        Loss of each epoch on train and validation.
    """

    def __init__(
        self,
        backbone: str,
        options: DeepOptions | None = None,
        seed: int = 0,
        workers: int = 1,
        decision: DecisionOptions | None = None,
    ) -> None:
        self.spec: BackboneSpec = get_backbone(backbone)
        if self.spec.application:
            raise SettingError(
                f"--backbone: expected 'scratch', the one that can be trained so far, found {backbone!r}."
            )
        self.options = options or DeepOptions()
        self.options.check()
        self.decision = decision or DecisionOptions()
        self.decision.check()
        self.seed = seed
        self.workers = workers

    def fit(
        self,
        train: Sequence[str],
        train_labels: Labels,
        validation: Sequence[str],
        validation_labels: Labels,
        progress: Progress | None = None,
    ) -> DeepBaseline:
        """Train; posters that cannot be used are left out of it.

        Parameters
        ----------
        train, validation : sequence of str
            Poster files, ``""`` where an item has none.
        train_labels, validation_labels : ndarray of shape (n, L)
        progress : Progress, optional

        Raises
        ------
        SettingError
            If train or validation has no usable poster.
        """
        keep, held = usable(train), usable(validation)
        if not (keep.any() and held.any()):
            raise SettingError(
                f"expected usable posters in train and validation, found {keep.sum()} and {held.sum()}."
            )
        keras.utils.set_random_seed(self.seed)
        self._build(train_labels.shape[1])
        self.network.compile(
            optimizer=keras.optimizers.Nadam(self.options.learning_rate),
            loss=WeightedCrossEntropy(genre_weights(train_labels[keep])),
        )
        stop = keras.callbacks.EarlyStopping(
            patience=self.options.patience, restore_best_weights=True
        )
        history = self.network.fit(
            self._stream(_pick(train, keep), train_labels[keep], self.seed),
            validation_data=self._stream(_pick(validation, held), validation_labels[held], None),
            epochs=self.options.epochs,
            callbacks=[stop, _Report(progress or Progress(), self.options.epochs)],
            verbose=0,
        )
        self.history_ = {k: [float(v) for v in values] for k, values in history.history.items()}
        self._score_validation(validation, validation_labels)
        return self

    def decision_function(self, paths: Sequence[str]) -> Floats:
        """Log-odds of shape (n, L); NaN rows where an item has no usable poster."""
        good = usable(paths)
        scores = np.full((len(paths), self.n_labels), np.nan)
        if good.any():
            stream = self._stream(_pick(paths, good), None, None)
            probabilities = np.asarray(self.network.predict(stream, verbose=0), dtype=np.float64)
            clipped = np.clip(probabilities, EDGE, 1 - EDGE)
            scores[good] = np.log(clipped) - np.log1p(-clipped)
        return scores

    def predict_proba(self, paths: Sequence[str]) -> Floats:
        """Calibrated probabilities of shape (n, L); NaN rows where there is no usable poster."""
        scores = self.decision_function(paths)
        return np.where(np.isnan(scores), np.nan, self.decision_.probabilities(scores))

    def label(self, probabilities: Floats) -> Labels:
        """Labels of shape (n, L), uint8; none where the probability is NaN."""
        return self.decision_.label(probabilities)

    def save(self, folder: Path) -> None:
        """Write the weights of backbone and head, and what turns scores into labels."""
        self.body.save_weights(str(folder / RUN_WEIGHTS))
        self.head.save_weights(str(folder / HEAD_WEIGHTS))
        scoring = {
            "backbone": self.spec.name,
            "options": asdict(self.options),
            **self.decision_.as_plain(),
        }
        (folder / SCORING).write_text(json.dumps(scoring, indent=2, allow_nan=False) + "\n")

    @classmethod
    def load(cls, folder: Path, workers: int = 1) -> DeepBaseline:
        """Read what `save` wrote.

        Raises
        ------
        RunError
            If a file is missing or does not fit.
        """
        try:
            scoring = json.loads((folder / SCORING).read_text())
            model = cls(scoring["backbone"], DeepOptions(**scoring["options"]), workers=workers)
            model.decision_ = Decision.from_plain(scoring)
            model._build(len(model.decision_.thresholds))
            model.body.load_weights(str(folder / RUN_WEIGHTS))
            model.head.load_weights(str(folder / HEAD_WEIGHTS))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{folder}: expected a saved deep baseline, found: {error}.") from error
        return model

    def _build(self, n_labels: int) -> None:
        self.n_labels = n_labels
        self.body = build_body(self.spec)
        embedding = keras.Input((self.spec.dimension,))
        dropped = layers.Dropout(0.5)(embedding)
        self.head = keras.Model(embedding, layers.Dense(n_labels, activation="sigmoid")(dropped))
        self.network = with_preprocessing(self.spec, keras.Sequential([self.body, self.head]))

    def _stream(
        self, paths: Sequence[str], labels: Labels | None, seed: int | None
    ) -> PosterStream:
        options = self.options
        return PosterStream(
            paths, labels, self.spec.input_size, options.batch_size, seed, self.workers
        )

    def _score_validation(self, paths: Sequence[str], labels: Labels) -> None:
        self.validation_scores_ = self.decision_function(paths)
        self.decision_ = fit_decision(labels, self.validation_scores_, self.decision)


class _Report(keras.callbacks.Callback):
    """One line an epoch."""

    def __init__(self, progress: Progress, epochs: int) -> None:
        super().__init__()
        self.progress = progress
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Say how far training is."""
        losses = ", ".join(f"{name} {value:.3f}" for name, value in (logs or {}).items())
        self.progress.say(f"epoch {epoch + 1} of at most {self.epochs}: {losses}")


def _pick(paths: Sequence[str], keep: NDArray[np.bool_]) -> list[str]:
    return [path for path, good in zip(paths, keep.tolist(), strict=True) if good]
