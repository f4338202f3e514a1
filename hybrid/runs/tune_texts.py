"""The tuning of a text encoder: what of a catalogue is learnt from, trained, written and embedded."""

from __future__ import annotations

import gc
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.devices import has_gpu, processor_has
from hybrid.backbones.licences import check_licences
from hybrid.backbones.startup import start_keras
from hybrid.backbones.tuned_folder import BASE
from hybrid.cache import EmbeddingStore
from hybrid.errors import CatalogueError, SettingError
from hybrid.extraction.extract_texts import extract_texts
from hybrid.extraction.licences_ahead import check_licences_ahead
from hybrid.extraction.precision_check import compare_precision
from hybrid.extraction.texts import item_texts, text_keys
from hybrid.runs.experiment import Experiment
from hybrid.runs.tune_job import TuneJob, check_job
from hybrid.splitting.tasks import TRAINING
from hybrid.text_encoders.arrays import pack_tensors, read_arrays
from hybrid.text_encoders.registry import resolve_text_encoder
from hybrid.text_encoders.spec import TransformerSpec
from hybrid.text_encoders.tokens import Tokenizer, Tokens
from hybrid.text_encoders.tuned import FOLD, text_numbers, write_tuned_encoder
from hybrid.text_encoders.tuned_engine import take_pieces
from hybrid.tuning.base_files import copy_base
from hybrid.tuning.effort import Effort
from hybrid.tuning.folds import join_groups, plan_folds
from hybrid.tuning.options import TuneOptions
from hybrid.tuning.precision import choose_precision
from hybrid.types import TextExtractSummary
from hybrid.utils.files import remove

TRIED_TEXTS = 64  # that a plan computes the lower layers of


@dataclass(frozen=True, eq=False)
class TextJob(TuneJob):
    """A text encoder that is to be tuned.

    Parameters
    ----------
    spec : TransformerSpec
        To start from, with the maximum length that texts are cut to.
    texts : list of n str
        Of the items that are learnt from.
    tokens : Tokens
    """

    spec: TransformerSpec
    texts: list[str]
    tokens: Tokens

    kind: ClassVar[str] = "text"
    option: ClassVar[str] = "--text-encoder"
    fold_file: ClassVar[str] = FOLD

    @cached_property
    def contents(self) -> Sequence[NDArray[Any]]:
        """See `TuneJob.contents`."""
        return [text_numbers(self.tokens)]

    @property
    def base(self) -> dict[str, Any]:
        """See `TuneJob.base`."""
        return {
            "weights": self.spec.weights,
            "tokenizer": self.spec.tokenizer,
            "prefix": self.spec.prefix,
        }

    @property
    def said(self) -> dict[str, Any]:
        """See `TuneJob.said`."""
        return {
            "base": self.spec.name,
            "licence": self.spec.licence,
            "longer": int(self.tokens.longer.sum()),
        }

    @cached_property
    def precision(self) -> str:
        """See `TuneJob.precision`; bfloat16 on a processor that has it, too, if it serves some texts."""
        if self.options.precision != "auto" or has_gpu() or not processor_has("bfloat16"):
            return choose_precision(self.options)
        start_keras()
        from hybrid.tuning.encoder import try_precision

        arrays, some = read_arrays(self.spec), self._some_texts()
        fast = try_precision(self.spec, arrays, some, "bfloat16")
        gc.collect()  # networks refer to themselves
        exact = try_precision(self.spec, arrays, some, "float32")
        gc.collect()
        progress = self.experiment.context.progress
        agrees = compare_precision(fast, exact, "bfloat16", progress)
        return "bfloat16" if agrees else "float32"

    def _some_texts(self) -> Tokens:
        return take_pieces(self.tokens, np.arange(min(TRIED_TEXTS, len(self.tokens.lengths))))

    def train(self, names: Sequence[int | str]) -> Generator[tuple[bytes, int]]:
        """See `TuneJob.train`; the states of the lower layers are computed once."""
        from hybrid.tuning.encoder import Learner, build_rest, tune_fold
        from hybrid.tuning.states import MEMORY, compute_states, state_bytes

        experiment, options, spec = self.experiment, self.options, self.spec
        context, arrays = experiment.context, read_arrays(self.spec)
        lower = build_rest(spec, arrays, options, self.precision)
        size = state_bytes(self.tokens, spec.architecture.hidden)
        file = self.work.states if size > MEMORY else None
        try:
            states = compute_states(lower, self.tokens, file, context.progress)
            del lower
            gc.collect()
            learner = Learner(spec, arrays, options, self.precision)
            for name in names:
                made, epochs = tune_fold(
                    *(learner, states, self.labels, self.lesson(name)),
                    *(experiment.task.multiclass, context.progress),
                )
                yield pack_tensors(made), epochs
        finally:
            remove(self.work.states)

    def write_record(self, folder: Path) -> str:
        """See `TuneJob.write_record`."""
        copy_base(self.spec, folder / BASE)
        numbers, first = np.unique(self.contents[0], return_index=True)
        labels = self.experiment.catalogue.genres
        return write_tuned_encoder(
            folder, self.spec, labels, numbers, self.fold[first], self.settings
        )

    def embed(self) -> TextExtractSummary:
        """See `TuneJob.embed`."""
        experiment = self.experiment
        catalogue, folder = experiment.whole.catalogue, str(experiment.folder)
        return extract_texts(catalogue, folder, context=experiment.context)

    def read_scores(self, store: EmbeddingStore) -> NDArray[np.float32]:
        """See `TuneJob.read_scores`."""
        return store.read(text_keys(self.texts, self.spec.prefix))

    def measure(self) -> Effort:
        """See `TuneJob.measure`."""
        from hybrid.tuning.encoder import build_rest, measure_step
        from hybrid.tuning.states import MEMORY, compute_states, state_bytes

        context, spec, lengths = self.experiment.context, self.spec, self.tokens.lengths
        arrays, some = read_arrays(spec), self._some_texts()
        lower = build_rest(spec, arrays, self.options, self.precision)
        compute_states(lower, some, None, context.progress)  # compiles
        start = time.perf_counter()
        compute_states(lower, some, None, context.progress)
        seconds = (time.perf_counter() - start) / len(some.lengths) * len(lengths)
        step, parameters, stored = measure_step(
            spec, arrays, lengths, self.labels, self.options, self.precision, context.seed
        )
        size = state_bytes(self.tokens, spec.architecture.hidden)
        base = sum(path.stat().st_size for path in spec.folder.glob("*.safetensors"))
        return Effort(seconds, step, parameters, stored, size, size > MEMORY, base)


def plan_text_job(
    experiment: Experiment, text_encoder: str, options: TuneOptions, licence: str = "any"
) -> TextJob:
    """Check options, catalogue and split, tokenise the texts, and assign them to folds.

    Parameters and errors as of `hybrid.runs.tune.tune_text_encoder`.
    """
    check_job(experiment, options)
    catalogue = experiment.catalogue
    if not catalogue.columns.text:
        raise CatalogueError(
            f"{catalogue.path}: expected a text column, found none. Name it with --text COLUMN."
        )
    check_licences_ahead(licence, (), [text_encoder])
    spec = resolve_text_encoder(text_encoder)
    check_licences(licence, [(spec.name, spec.licence)])
    if not isinstance(spec, TransformerSpec):
        raise SettingError(
            "--text-encoder: expected an encoder of the BERT family, with model.safetensors, found "
            f"{spec.name}, which is of a kind that cannot be trained."
        )
    spec = replace(spec, max_length=min(options.max_length, spec.max_length))
    layers = min(options.layers, spec.architecture.layers)
    options = replace(options, layers=layers, max_length=spec.max_length)
    rows = experiment.rows(*TRAINING)
    texts = item_texts(catalogue.frame.iloc[rows], catalogue.columns.text)
    has = np.array([bool(text) for text in texts], dtype=bool)
    if not has.any():
        raise CatalogueError(
            f"{catalogue.path}: expected train and validation items with a text, found none."
        )
    rows, texts = rows[has], [text for text in texts if text]
    tokens = Tokenizer(spec)(texts)
    groups = join_groups(experiment.groups(*TRAINING)[has], text_numbers(tokens))
    how = (groups, experiment.context.seed, catalogue.ids[rows])
    fold = plan_folds(catalogue.labels[rows], options.folds, *how)
    without = int((~has).sum())
    return TextJob(experiment, options, rows, fold, groups, without, spec, texts, tokens)
