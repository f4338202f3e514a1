"""The tuning of a backbone: which posters are learnt from, trained, written and embedded."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import (
    BACKBONES,
    BackboneSpec,
    Weights,
    configure,
    get_backbone,
    resolve_weights,
)
from hybrid.backbones.licences import check_licences, weights_licence
from hybrid.backbones.provenance import Provenance
from hybrid.backbones.startup import start_keras
from hybrid.backbones.tuned import FOLD, write_tuned_backbone
from hybrid.backbones.tuned_folder import BASE
from hybrid.backbones.weights import trained_input_size
from hybrid.cache import EmbeddingStore
from hybrid.catalogue.columns import POSTER
from hybrid.catalogue.poster_paths import split_paths
from hybrid.errors import CatalogueError, SettingError
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.pooling import read_pooled
from hybrid.runs.experiment import Experiment
from hybrid.runs.tune_job import TuneJob, check_job
from hybrid.splitting.tasks import TRAINING
from hybrid.tuning.base_files import copy_file
from hybrid.tuning.effort import Effort
from hybrid.tuning.folds import join_groups, plan_folds
from hybrid.tuning.lesson import Lesson
from hybrid.tuning.options import TuneOptions
from hybrid.tuning.posters import UsablePosters, read_posters
from hybrid.types import ExtractSummary
from hybrid.utils.files import remove
from hybrid.utils.options import Rule, given_options, list_unused


@dataclass(frozen=True, eq=False)
class PosterJob(TuneJob):
    """A backbone that is to be tuned.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
        To start from.
    posters : UsablePosters
        Of the items that are learnt from. Each is an example; an item's scores are the means of those of its
        posters.
    """

    spec: BackboneSpec
    weights: Weights
    posters: UsablePosters

    kind: ClassVar[str] = "poster"
    option: ClassVar[str] = "--backbone"
    fold_file: ClassVar[str] = FOLD

    @property
    def contents(self) -> Sequence[NDArray[Any]]:
        """See `TuneJob.contents`."""
        return [self.posters.pixels, self.posters.owners]

    @property
    def base(self) -> dict[str, Any]:
        """See `TuneJob.base`."""
        return {"backbone": self.spec.key, "weights": self.weights.digest, "start": "unit scale"}

    @property
    def base_provenance(self) -> Provenance:
        """See `TuneJob.base_provenance`."""
        return self.weights.provenance

    @property
    def said(self) -> dict[str, Any]:
        """See `TuneJob.said`."""
        licence = weights_licence(self.spec, self.weights)
        return {"base": self.spec.name, "licence": licence, "longer": 0}

    @cached_property
    def examples(self) -> NDArray[np.uint8]:
        """Labels of the items of the posters."""
        return self.labels[self.posters.owners]

    def train(self, names: Sequence[int | str]) -> Generator[tuple[bytes, int]]:
        """See `TuneJob.train`; what the lower layers compute is kept until all encoders are done."""
        from hybrid.backbones.tuned_network import pack_arrays
        from hybrid.tuning.poster_encoder import make_source, tune_poster_fold

        context, source = self.experiment.context, None
        for name in names:
            lesson = self._of_posters(self.lesson(name))
            network = self._network(lesson.seed)
            if source is None:
                how = (self.work.states, context.workers, context.progress)
                source = make_source(network, self.posters.paths, *how)
            made, epochs = tune_poster_fold(
                *(network, source, self.examples, lesson),
                *(self.options, self.experiment.task.multiclass, context.workers),
                context.progress,
            )
            content = pack_arrays(made)
            del network, made  # before the next one is built
            yield content, epochs
        remove(self.work.states)

    def _of_posters(self, lesson: Lesson) -> Lesson:
        """A lesson of items as one of their posters."""

        def of(items: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.flatnonzero(np.isin(self.posters.owners, items)).astype(np.int64)

        watched = None if lesson.watched is None else of(lesson.watched)
        return replace(lesson, rows=of(lesson.rows), watched=watched)

    def _network(self, seed: int) -> Any:
        from hybrid.tuning.poster_encoder import TunedNetwork

        labels = self.labels.shape[1]
        return TunedNetwork(self.spec, self.weights, labels, self.options, self.precision, seed)

    def write_record(self, folder: Path) -> str:
        """See `TuneJob.write_record`."""
        from hybrid.tuning.poster_encoder import trained_blocks

        if self.weights.path is not None:
            copy_file(self.weights.path, folder / BASE / self.weights.path.name)
        fold = self.fold[self.posters.owners].tolist()
        learnt = {
            number: k
            for numbers in (self.posters.files, self.posters.pixels)
            for number, k in zip(numbers.tolist(), fold, strict=True)
        }
        return write_tuned_backbone(
            folder,
            self.experiment.folder.name,
            self.spec,
            self.weights,
            weights_licence(self.spec, self.weights),
            self.experiment.catalogue.genres,
            trained_blocks(self.spec, self.options.layers),
            learnt,
            self.settings,
        )

    def embed(self) -> ExtractSummary:
        """See `TuneJob.embed`."""
        experiment = self.experiment
        catalogue, folder = experiment.whole.catalogue, str(experiment.folder)
        return extract_embeddings(catalogue, folder, context=experiment.context)

    def read_scores(self, store: EmbeddingStore) -> NDArray[np.float32]:
        """See `TuneJob.read_scores`."""
        return read_pooled(store, self.experiment.key_sets[self.rows])

    def measure(self) -> Effort:
        """See `TuneJob.measure`."""
        from hybrid.tuning.poster_encoder import measure_posters

        posters, context = self.posters, self.experiment.context
        lower, step, parameters, size = measure_posters(
            *(self._network(context.seed), posters.paths, self.examples, self.options),
            *(context.seed, context.workers),
        )
        n, path = len(posters.paths), self.weights.path
        base = 0 if path is None else path.stat().st_size
        return Effort(lower * n, step, parameters, parameters, size * n, True, base)


def plan_poster_job(
    experiment: Experiment,
    backbone: str,
    weights: str,
    input_size: tuple[int, int] | None,
    options: TuneOptions,
    licence: str = "any",
) -> PosterJob:
    """Check options, catalogue and split, read the posters, and assign their items to folds.

    Parameters and errors as of `hybrid.runs.tune.tune_backbone`.
    """
    _check_options(options)
    check_job(experiment, options)
    catalogue = experiment.catalogue
    catalogue.require_posters()
    spec = get_backbone(backbone)
    if spec.has_own_weights:
        kind = "a tuned one" if spec.tuned else "an ONNX file"
        raise SettingError(
            f"--backbone: expected a backbone that Keras can train, found {kind}: {backbone}. Name one "
            "that hybrid backbones lists."
        )
    spec = configure(spec, input_size=input_size or trained_input_size(weights))
    name = experiment.folder.name
    if name in BACKBONES:
        raise SettingError(
            f"--name: expected a name that no backbone has, found {name}. Choose another name."
        )
    given = resolve_weights(spec, weights, experiment.context.seed)
    check_licences(licence, [(spec.name, weights_licence(spec, given))])
    rows = experiment.rows(*TRAINING)
    cells = [split_paths(cell) for cell in catalogue.frame.iloc[rows][POSTER].tolist()]
    context = experiment.context
    posters = read_posters(cells, spec.input_size, context.workers, context.progress)
    has = np.isin(np.arange(len(rows)), posters.owners)
    if not has.any():
        raise CatalogueError(
            f"{catalogue.path}: expected train and validation items with a usable poster, found none."
        )
    posters = replace(posters, owners=(np.cumsum(has) - 1)[posters.owners])
    rows = rows[has]
    start_keras()
    from hybrid.backbones.networks import build_application
    from hybrid.backbones.unfreezing import count_blocks

    options = replace(options, layers=min(options.layers, count_blocks(build_application(spec))))
    groups = join_groups(experiment.groups(*TRAINING)[has], posters.groups(len(rows)))
    fold = plan_folds(
        catalogue.labels[rows], options.folds, groups, context.seed, catalogue.ids[rows]
    )
    without = int((~has).sum())
    return PosterJob(experiment, options, rows, fold, groups, without, spec, given, posters)


def _check_options(options: TuneOptions) -> None:
    defaults = TuneOptions()
    rules = (
        Rule(("max-length",), False, "posters have no tokens"),
        Rule(("lora-rank", "lora-alpha"), False, "low-rank updates are those of text encoders"),
    )
    values = {
        "max-length": (options.max_length, defaults.max_length),
        "lora-rank": (options.lora_rank, defaults.lora_rank),
        "lora-alpha": (options.lora_alpha, defaults.lora_alpha),
    }
    if problems := list_unused(rules, given_options(values, "tune")):
        raise SettingError("\n".join(problems))
