"""Deep baselines: networks on posters, trained end to end."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import Weights, resolve_weights
from hybrid.backbones.load import dtype_policy
from hybrid.deep.checkpoint import Checkpoint, TrainingState
from hybrid.deep.dataset import Batches, predict
from hybrid.deep.distribution import make_distribution
from hybrid.deep.frozen import cache_activations
from hybrid.deep.items import Arrays, Items, Posters, Source, labels_of
from hybrid.deep.losses import make_loss
from hybrid.deep.network import Network, count_pieces
from hybrid.deep.options import DeepOptions
from hybrid.deep.random_seed import random_seed
from hybrid.deep.registry import HEAD, NetworkSpec, Stage, configure_network, get_network
from hybrid.deep.several_posters import mean_log_odds, usable_examples, usable_posters
from hybrid.deep.tensorboard import open_tensorboard
from hybrid.deep.train import compile_inference, compile_stage, fit_stage
from hybrid.errors import SettingError
from hybrid.heads.decision_rule import ARGMAX, DecisionOptions, DecisionRule, fit_decision
from hybrid.utils.counts import counted
from hybrid.utils.progress import Progress, shows_step

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]


class DeepBaseline:
    """Multi-label classifier of posters: a network that is trained in stages.

    It learns from train items. Validation items stop it, and choose its calibration and thresholds. Each
    poster of an item is an example; its prediction is the mean of those of its posters.

    Parameters
    ----------
    network : str, default="scratch"
        See `hybrid.deep.registry.network_names`.
    options : DeepOptions, default=DeepOptions()
    seed : int, default=0
        Of initialization, dropout, augmentation and the order of the items.
    workers : int, default=1
        Threads that decode.
    tensorboard : Path, optional
        Folder for TensorBoard event files. By default there are none.
    decision : DecisionOptions, default=DecisionOptions()
        How scores become labels.
    devices : str, default="1"
        Number of devices that share each batch; see `hybrid.deep.distribution.make_distribution`. It
        changes the result only as another order of adding does.

    Attributes
    ----------
    spec : NetworkSpec
        With what the options change.
    devices : int
        Number of devices.
    network_ : Network
    decision_ : DecisionRule
        Calibration and thresholds, from the validation items; neither where items have one label each.
    validation_scores_ : ndarray of shape (n, L), float64
        Log-odds of the validation items; only after `fit`.
    history_ : dict of str to list
        One entry an epoch; see `hybrid.runs.training_records.HistoryRecord`.
    earlier_seconds_ : float
        Of the epochs before the training was interrupted, if it was resumed.
    stage_scores_ : dict of str to (ndarray, ndarray)
        Each stage but the last → log-odds at its end, of the validation items and of those in `evaluated`.

    Examples
    --------
    >>> model = DeepBaseline("mobilenet-075", DeepOptions(epochs=5, unfreeze="4"))
    >>> [(stage.name, stage.trains) for stage in model.spec.stages]
    [('top', 'head'), ('fine', '4')]
    """

    def __init__(
        self,
        network: str = "scratch",
        options: DeepOptions | None = None,
        seed: int = 0,
        workers: int = 1,
        tensorboard: Path | None = None,
        decision: DecisionOptions | None = None,
        devices: str = "1",
    ) -> None:
        self.options = (options or DeepOptions()).settled()
        self.decision = decision or DecisionOptions()
        if self.options.task == "multiclass":
            self.decision = replace(self.decision, objective=ARGMAX)
        self.decision.check()
        self.spec: NetworkSpec = configure_network(get_network(network), self.options)
        self.seed = seed
        self.workers = workers
        self._tensorboard = open_tensorboard(tensorboard) if tensorboard else None
        self._distribution = make_distribution(devices, self.spec.batch_size)
        self.devices = int(self._distribution.device_mesh.shape[0]) if self._distribution else 1

    def starting_weights(self) -> Weights | None:
        """Return the initial weights of the body; None where Keras initializes it.

        Raises
        ------
        WeightsError
            If they cannot be read or downloaded.
        """
        if self.options.weights is None and not self.spec.pretrained:
            return None
        return resolve_weights(self.spec.body, self.options.weights or "imagenet", self.seed)

    def fit(
        self,
        train: Items,
        validation: Items,
        progress: Progress | None = None,
        checkpoint: Checkpoint | None = None,
        resume: bool = False,
        evaluated: Items | None = None,
    ) -> DeepBaseline:
        """Train the network; items whose posters cannot be used are left out.

        Parameters
        ----------
        train, validation : Items
            With labels.
        progress : Progress, default=Progress()
        checkpoint : Checkpoint, optional
            For the state after each epoch. By default it is not saved.
        resume : bool, default=False
            Continue from the checkpoint.
        evaluated : Items, optional
            Items, such as the test items, that are predicted at the end of each stage but the last; nothing
            is learnt from them. By default none.

        Returns
        -------
        DeepBaseline
            Itself.

        Raises
        ------
        SettingError
            If train or validation has no usable poster.
        TrainingError
            If the training diverges.
        """
        progress = progress or Progress()
        if self.options.epochs < 1:
            raise SettingError(
                f"--epochs: expected 1 or more to train, found {self.options.epochs}."
            )
        (learnt, _), (held, _) = map(self._examples, (train, validation))
        if self.options.task == "multiclass" and (labels_of(train).sum(axis=1) != 1).any():
            raise SettingError(
                "--task multiclass: expected one label an item, found items with none or several. Choose "
                "one with --single-label."
            )
        if not (len(learnt) and len(held)):
            raise SettingError(
                f"expected usable posters in train and validation, found {len(learnt)} and {len(held)}."
            )
        with random_seed(self.seed), self._scope(), tempfile.TemporaryDirectory() as temporary:
            self._prepare(train)
            self._build(labels_of(learnt).shape[1])
            self.network_.load_weights(self.starting_weights())
            folder = checkpoint.folder if checkpoint else Path(temporary)
            followed = (validation, evaluated or validation.take(np.arange(0)))
            self._train(learnt, held, followed, folder, progress, checkpoint, resume)
        self._score_validation(validation, progress)
        return self

    def decision_function(self, items: Items, progress: Progress | None = None) -> Floats:
        """Return log-odds of shape (n, L), float64; NaN rows where an item has no usable poster."""
        return self._scores(items, progress or Progress(), "predicting")

    def _scores(self, items: Items, progress: Progress, label: str) -> Floats:
        examples, owners = self._examples(items)
        if not len(examples):
            return np.full((len(items), self.n_labels), np.nan)
        learner, source = self._inference_inputs(examples)
        how = (self.spec.batch_size, self.workers, progress, label)
        with self._scope():
            scores = predict(learner, source, *how)
        return mean_log_odds(scores, owners, len(items), self.options.task == "multiclass")

    def predict_proba(self, items: Items, progress: Progress | None = None) -> Floats:
        """Return calibrated probabilities of shape (n, L); NaN rows as in `decision_function`."""
        return self.to_probabilities(self.decision_function(items, progress), self.decision_)

    def label(self, probabilities: Floats, decision: DecisionRule | None = None) -> Labels:
        """Return labels of shape (n, L), uint8, by a decision rule; none where probabilities are NaN."""
        return (decision or self.decision_).label(probabilities)

    def poster_model(self, item: Items) -> keras.Model:
        """Make the model from an item's poster to its log-odds, other inputs fixed.

        Parameters
        ----------
        item : Items
            One item.

        Returns
        -------
        keras.Model
            Preprocessed posters of shape (n, height, width, 3) → log-odds of shape (n, L).
        """
        body = self.network_.body
        return keras.Model(body.input, self.network_.head(body.output))

    def _scope(self) -> AbstractContextManager[None]:
        """Make and run networks on the devices."""
        return self._distribution.scope() if self._distribution else nullcontext()

    def _prepare(self, train: Items) -> None:
        """Fit what the network needs before it can be built: nothing."""

    def _network(self, n_labels: int) -> Network:
        return Network(self.spec, n_labels)

    def _build(self, n_labels: int) -> None:
        self.n_labels = n_labels
        with dtype_policy(self.options.precision):
            self.network_ = self._network(n_labels)
            self._whole, self._head = self.network_.whole(), self.network_.head
        for answering in (self._whole, self._head):
            compile_inference(answering)

    def _train(
        self,
        train: Items,
        validation: Items,
        followed: tuple[Items, Items],
        folder: Path,
        progress: Progress,
        checkpoint: Checkpoint | None,
        resume: bool,
    ) -> None:
        state, self.earlier_seconds_ = TrainingState(), 0.0
        if checkpoint and resume:
            state = checkpoint.read()
            self.earlier_seconds_ = sum(state.history.get("seconds", []))
            progress.say(f"resuming stage {state.stage + 1} after {counted(state.epoch, 'epoch')}")
        elif checkpoint:
            checkpoint.remove()

        def save(state: TrainingState) -> None:
            if checkpoint:
                checkpoint.write(state)
            if self._tensorboard:
                self._tensorboard(state)

        try:
            for number, stage in enumerate(self.spec.stages):
                if number >= state.stage:
                    model, learnt, held_out = self._prepare_stage(
                        number, stage, train, validation, folder, progress
                    )
                    how = (self.options, state, save, progress)
                    fit_stage(model, stage, learnt, held_out, *how)
                    if number + 1 < len(self.spec.stages):
                        state.stage_scores.append(self._stage_scores(number, followed, progress))
        except KeyboardInterrupt:
            if checkpoint and state.history:
                kept = counted(len(state.history["loss"]), "epoch is kept", "epochs are kept")
                progress.say(f"stopped: {kept}. Give the same command with --resume to go on.")
            raise
        self.history_ = state.history
        parts = [np.split(np.asarray(s), [len(followed[0])]) for s in state.stage_scores]
        self.stage_scores_ = {
            stage.name: (part[0], part[1])
            for stage, part in zip(self.spec.stages, parts, strict=False)
        }

    def _stage_scores(
        self, number: int, followed: tuple[Items, Items], progress: Progress
    ) -> Floats:
        """Return the log-odds at the end of a stage: of the validation items, then of the others.

        On the way that the final answers take, also where the cache has embeddings: these differ by their
        precision, which is not what a stage gains.
        """
        label = f"predicting at the end of stage {self.spec.stages[number].name}"
        return np.concatenate([self._scores(items, progress, label) for items in followed])

    def _prepare_stage(
        self,
        number: int,
        stage: Stage,
        train: Items,
        validation: Items,
        folder: Path,
        progress: Progress,
    ) -> tuple[keras.Model, Batches, Batches]:
        """Compile what the stage trains, and batch what it reads; frozen layers are computed only once."""
        self.network_.freeze(stage)
        lower, model = self.parts_of(stage)
        size = self.spec.batch_size
        pieces = count_pieces(model, size)

        def batches(items: Items, name: str, **settings: Any) -> Batches:
            path = folder / f"frozen-{number}-{name}.npy"
            source = self._source(stage, lower, items, path, progress)
            return Batches(source, labels=labels_of(items), workers=self.workers, **settings)

        seed = (self.seed, number)
        learnt = batches(train, "train", batch_size=size, ids=train.ids, pieces=pieces, seed=seed)
        held_out = batches(validation, "validation", batch_size=-(-size // pieces))
        compile_stage(model, stage, self._loss(train), self.options, pieces)
        return model, learnt, held_out

    def parts_of(self, stage: Stage) -> tuple[keras.Model | None, keras.Model]:
        """Make the models of a stage.

        Parameters
        ----------
        stage : Stage

        Returns
        -------
        lower : keras.Model or None
            Frozen layers, computed once before the stage, if any.
        learner : keras.Model
            What the stage trains.
        """
        frozen = stage.trains == HEAD or self.options.cache_frozen
        with dtype_policy(self.options.precision):
            lower = self.network_.lower(stage) if frozen and not stage.augment else None
            learner = self.network_.upper(stage) if lower else self.network_.whole(stage.augment)
        return lower, learner

    def _source(
        self,
        stage: Stage,
        lower: keras.Model | None,
        items: Items,
        path: Path,
        progress: Progress,
    ) -> Source:
        if lower is None:
            return self._poster_source(items)
        if stage.trains == HEAD and items.embeddings is not None:
            return self._embedding_source(items.embeddings)
        compile_inference(lower)
        posters, size = self._poster_source(items), self.spec.batch_size
        return Arrays(cache_activations(path, lower, posters, size, self.workers, progress))

    def _inference_inputs(self, items: Items) -> tuple[keras.Model, Source]:
        """Return the model that predicts these items, and its inputs."""
        if items.embeddings is not None and not self.spec.trains_body:
            return self._head, self._embedding_source(items.embeddings)
        return self._whole, self._poster_source(items)

    def _loss(self, train: Items) -> keras.losses.Loss:
        options = self.options
        multiclass = options.task == "multiclass"
        return make_loss(str(options.loss), labels_of(train), options.label_smoothing, multiclass)

    def _poster_source(self, items: Items) -> Posters:
        return Posters(items.paths, self.spec.body.input_size)

    def _embedding_source(self, embeddings: NDArray[np.float32]) -> Arrays:
        if embeddings.shape[1:] != self.network_.head.input_shape[1:]:
            raise SettingError(
                f"embeddings: expected shape (n, {self.network_.head.input_shape[1]}), which is what "
                f"{self.spec.name} has, found {embeddings.shape}."
            )
        return Arrays(embeddings)

    def _examples(self, items: Items) -> tuple[Items, NDArray[np.int64]]:
        """What the network reads of the items, one for each usable poster; and the item of each."""
        return usable_examples(items, usable_posters(items, self.workers))

    def _score_validation(self, items: Items, progress: Progress) -> None:
        self.validation_scores_ = self.decision_function(items, progress)
        self.decision_ = self.fit_decision(labels_of(items), self.validation_scores_)

    @shows_step("choosing thresholds and calibration")
    def fit_decision(self, labels: Labels, scores: Floats) -> DecisionRule:
        """Fit calibration and thresholds to log-odds; neither where items have one label each."""
        if self.options.task == "multilabel":
            return fit_decision(labels, scores, self.decision)
        return DecisionRule(None, np.empty(0), self.decision)

    def to_probabilities(self, scores: Floats, decision: DecisionRule) -> Floats:
        """Return calibrated probabilities of shape (n, L) of log-odds; NaN where these are."""
        if self.options.task == "multilabel":
            return np.where(np.isnan(scores), np.nan, decision.probabilities(scores))
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)
