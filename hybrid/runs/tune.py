"""Catalogue + split + text encoder → tuned text encoder, and its scores in the cache."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.devices import device_name
from hybrid.backbones.provenance import Ancestor, Provenance
from hybrid.backbones.startup import start_keras
from hybrid.cache import EmbeddingCache
from hybrid.cache.sealed import PROVENANCE
from hybrid.errors import CatalogueError, RunError, SettingError
from hybrid.extraction.extract_texts import extract_texts
from hybrid.extraction.texts import item_texts, text_keys
from hybrid.heads.scoring import score_out_of_fold
from hybrid.runs.experiment import Experiment
from hybrid.runs.folder import check_run_name
from hybrid.splitting.tasks import TRAINING
from hybrid.text_encoders.arrays import pack_tensors, read_arrays
from hybrid.text_encoders.registry import resolve_text_encoder
from hybrid.text_encoders.spec import TransformerSpec
from hybrid.text_encoders.tokens import Tokenizer, Tokens
from hybrid.text_encoders.tuned import (
    BASE,
    FOLD,
    TUNED,
    is_tuned,
    text_numbers,
    write_tuned_encoder,
)
from hybrid.tuning.base_files import copy_base
from hybrid.tuning.folds import plan_folds
from hybrid.tuning.options import TuneOptions, TunePlan, TuneSummary
from hybrid.tuning.work_folder import WorkFolder
from hybrid.utils.context import limited_by_context
from hybrid.utils.counts import counted
from hybrid.utils.files import locked, make_folder, remove, remove_tree, write_new
from hybrid.utils.read_only import reads_only
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.resources import peak_mib
from hybrid.utils.unknown_labels import as_codes
from hybrid.utils.writable import check_new_folder

TRIED_TEXTS = 64  # that a plan computes the lower layers of


@dataclass(frozen=True, eq=False)
class TuneJob:
    """What is to be tuned.

    Parameters
    ----------
    experiment : Experiment
        Its folder is that of the encoder.
    spec : TransformerSpec
        To start from, with the maximum length that texts are cut to.
    options : TuneOptions
        With the layers and the length that the encoder has.
    rows, fold : ndarray of shape (n,), int
        Rows in the catalogue of the items that are learnt from: train and validation, with a text.
    texts : list of n str
    tokens : Tokens
    without_text : int
        Items of train and validation that have none.
    """

    experiment: Experiment
    spec: TransformerSpec
    options: TuneOptions
    rows: NDArray[np.int64]
    texts: list[str]
    tokens: Tokens
    fold: NDArray[np.int64]
    without_text: int

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """Labels of the items that are learnt from; masked where unknown."""
        return self.experiment.catalogue.labels[self.rows]

    @cached_property
    def numbers(self) -> NDArray[np.uint64]:
        """What identifies the text of each item."""
        return text_numbers(self.tokens)

    @cached_property
    def precision(self) -> str:
        """Of the training."""
        from hybrid.tuning.encoder import choose_precision

        return choose_precision(self.options)

    @cached_property
    def work(self) -> WorkFolder:
        """Where the folds are saved."""
        said = hashlib.sha256()
        for array in (self.numbers, self.fold, as_codes(self.labels)):
            said.update(np.ascontiguousarray(array).tobytes())
        identity = {
            **asdict(self.options),
            "precision": self.precision,
            "seed": self.experiment.context.seed,
            "weights": self.spec.weights,
            "tokenizer": self.spec.tokenizer,
            "prefix": self.spec.prefix,
            "labels": list(self.experiment.catalogue.genres),
            "task": self.experiment.task.kind,
            "items": said.hexdigest(),
        }
        return WorkFolder(self.experiment.folder, identity)

    @property
    def missing_folds(self) -> list[int]:
        """Folds that are not done."""
        return [k for k in range(self.options.folds) if self.work.seconds(FOLD.format(k)) is None]


@limited_by_context
def tune_text_encoder(
    experiment: Experiment,
    text_encoder: str,
    options: TuneOptions | None = None,
    *,
    force: bool = False,
) -> TuneSummary:
    """Tune a text encoder on the labels of train and validation, cross-fitted; write it and its scores.

    K encoders are trained, each without the items of its fold. In the cache, an item that was learnt from has
    the scores of the encoder that has not seen it; every other text has the means of all encoders' scores.

    Parameters
    ----------
    experiment : Experiment
        Its folder is that of the tuned encoder, ``encoders/NAME``.
    text_encoder : str
        See `hybrid.text_encoders.registry.resolve_text_encoder`.
    options : TuneOptions, optional
    force : bool, default=False
        Replace an encoder of that name, or an interrupted tuning with other options.

    Returns
    -------
    TuneSummary

    Raises
    ------
    CatalogueError, SplitError, SettingError, RunError, WeightsError
        If something does not fit, before anything is trained.
    TrainingError
        If a training diverges.
    KeyboardInterrupt
        After Ctrl-C; the folds that are done are kept, and the same call continues.

    Examples
    --------
    >>> tune_text_encoder(experiment, "all-MiniLM-L6-v2").oof_map  # doctest: +SKIP
    0.56
    """
    job = plan_job(experiment, text_encoder, options or TuneOptions())
    folder, say = experiment.folder, experiment.context.progress.say
    _check_target(folder, force)
    hashes = experiment.hashed.take(job.rows).hashes
    with _held(folder):
        job.work.begin(anew=force)
        say("starting Keras")
        start_keras()
        resumed = job.options.folds - len(job.missing_folds)
        if resumed:
            say(f"continuing: {counted(resumed, 'encoder is', 'encoders are')} there already")
        _train(job)
        seconds = _assemble(job, hashes)
    say(f"{folder} is written; embedding the texts of the catalogue with it")
    found = extract_texts(experiment.whole.catalogue, str(folder), context=experiment.context)
    return TuneSummary(
        **_said(job),
        resumed=resumed,
        oof_map=_out_of_fold_map(job, found.fingerprint),
        seconds=seconds,
        embedding_seconds=found.seconds,
        peak_mib=peak_mib(),
        bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        fingerprint=found.fingerprint,
        embedded=found.embedded,
    )


@reads_only
@limited_by_context
def plan_tuning(
    experiment: Experiment, text_encoder: str, options: TuneOptions | None = None
) -> TunePlan:
    """Estimate what `tune_text_encoder` would do, from some steps; nothing is written."""
    job = plan_job(experiment, text_encoder, options or TuneOptions())
    job.work.check()
    start_keras()
    from hybrid.text_encoders.keras_network import build_lower
    from hybrid.text_encoders.tuned_engine import take_pieces
    from hybrid.tuning.encoder import measure_step
    from hybrid.tuning.states import MEMORY, compute_states, state_bytes

    arrays, lengths = read_arrays(job.spec), job.tokens.lengths
    own = job.options.layers
    lower = build_lower(job.spec, arrays, job.spec.architecture.layers - own, job.precision)
    some = take_pieces(job.tokens, np.arange(min(TRIED_TEXTS, len(lengths))))
    compute_states(lower, some, None, experiment.context.progress)  # compiles
    start = time.perf_counter()
    compute_states(lower, some, None, experiment.context.progress)
    seconds = (time.perf_counter() - start) / len(some.lengths) * len(lengths)
    step, parameters = measure_step(
        job.spec, arrays, lengths, job.labels, job.options, job.precision, experiment.context.seed
    )
    todo = job.missing_folds
    steps = sum(-(-int((job.fold != k).sum()) // job.options.batch_size) for k in todo)
    size = state_bytes(job.tokens, job.spec.architecture.hidden)
    base = sum(path.stat().st_size for path in job.spec.folder.glob("*.safetensors"))
    return TunePlan(
        **_said(job),
        done=job.options.folds - len(todo),
        parameters=parameters,
        seconds=(seconds if todo else 0.0) + steps * job.options.epochs * step,
        state_bytes=size,
        on_disk=size > MEMORY,
        bytes=base + 4 * parameters * job.options.folds,
    )


def plan_job(experiment: Experiment, text_encoder: str, options: TuneOptions) -> TuneJob:
    """Check options, catalogue and split, tokenise the texts, and assign them to folds."""
    check_run_name(experiment.folder.name)
    problems = options.problems()
    if problems:
        raise SettingError("\n".join(problems))
    experiment.check_items()
    catalogue = experiment.catalogue
    if not catalogue.columns.text:
        raise CatalogueError(
            f"{catalogue.path}: expected a text column, found none. Name it with --text COLUMN."
        )
    spec = resolve_text_encoder(text_encoder)
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
    fold = plan_folds(
        catalogue.labels[rows],
        options.folds,
        experiment.groups(*TRAINING)[has],
        text_numbers(tokens),
        experiment.context.seed,
        catalogue.ids[rows],
    )
    return TuneJob(experiment, spec, options, rows, texts, tokens, fold, int((~has).sum()))


def _check_target(folder: Path, force: bool) -> None:
    if folder.exists() and not is_tuned(folder):
        raise RunError(
            f"{folder}: expected a tuned encoder or nothing, found something else. Choose another --name."
        )
    if folder.exists() and not force:
        raise RunError(
            f"{folder}: expected nothing, found a tuned encoder. Choose another --name, or replace it with "
            f"--force. hybrid extract --text-encoder {folder} embeds texts with it."
        )
    check_new_folder("--encoders", folder.parent)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other processes from tuning an encoder of this name; name what the disk refuses."""
    try:
        make_folder(folder.parent)
        with locked(folder.with_name(f".{folder.name}.lock")):
            yield
    except BlockingIOError:
        raise RunError(
            f"{folder}: expected no other process to tune this encoder, found one. Wait for it, or choose "
            "another --name."
        ) from None
    except OSError as error:
        raise RunError(describe_refusal(f"the encoder {folder}", error)) from error


def _train(job: TuneJob) -> None:
    """Train the encoders that are not there yet; the states of the lower layers are computed once."""
    from hybrid.text_encoders.keras_network import build_lower
    from hybrid.tuning.encoder import tune_fold
    from hybrid.tuning.states import MEMORY, compute_states, state_bytes

    todo = job.missing_folds
    if not todo:
        return
    experiment, options, spec = job.experiment, job.options, job.spec
    context, folds = experiment.context, job.options.folds
    arrays, start = read_arrays(spec), time.perf_counter()
    lower = build_lower(spec, arrays, spec.architecture.layers - options.layers, job.precision)
    size = state_bytes(job.tokens, spec.architecture.hidden)
    file = job.work.states if size > MEMORY else None
    try:
        states = compute_states(lower, job.tokens, file, context.progress)
        del lower
        for k in todo:
            made = tune_fold(
                *(spec, arrays, states, job.labels, np.flatnonzero(job.fold != k), options),
                *(job.precision, context.seed + k, experiment.task.multiclass, context.progress),
                f"tuning encoder {k + 1} of {folds}",
            )
            job.work.save(FOLD.format(k), pack_tensors(made), time.perf_counter() - start)
            start = time.perf_counter()
    except KeyboardInterrupt:
        done = folds - len(job.missing_folds)
        context.progress.say(
            f"stopped: {done} of {counted(folds, 'encoder')} done and saved. Run the same command again to "
            "continue."
        )
        raise
    finally:
        remove(job.work.states)


def _assemble(job: TuneJob, hashes: Any) -> float:
    """Complete the folder of the encoder and give it its name; the seconds of the training."""
    work, experiment = job.work, job.experiment
    remove_tree(work.encoder / BASE)  # of an earlier attempt
    for name in (TUNED, PROVENANCE):
        remove(work.encoder / name)
    copy_base(job.spec, work.encoder / BASE)
    numbers, first = np.unique(job.numbers, return_index=True)
    digest = write_tuned_encoder(
        work.encoder,
        job.spec,
        experiment.catalogue.genres,
        numbers,
        job.fold[first],
        {**asdict(job.options), "precision": job.precision, "seed": experiment.context.seed},
    )
    spent = [work.seconds(FOLD.format(k)) for k in range(job.options.folds)]
    seconds = sum(each for each in spent if each is not None)
    learnt = Ancestor(
        digest=digest,
        name=experiment.folder.name,
        catalogue=experiment.catalogue.sha256,
        split=experiment.split.sha256,
        items=hashes,
        seconds=seconds,
        device=device_name(),
    )
    write_new(work.encoder / PROVENANCE, Provenance((learnt,)).to_bytes())
    work.finish()
    return seconds


def _out_of_fold_map(job: TuneJob, fingerprint: str) -> float | None:
    store = EmbeddingCache(job.experiment.context.cache).find(fingerprint)
    scores = store.read(text_keys(job.texts, job.spec.prefix)).astype(np.float64)
    found = score_out_of_fold(job.labels, scores, job.fold, "map").value
    return float(found) if np.isfinite(found) else None


def _said(job: TuneJob) -> dict[str, Any]:
    """What summary and plan have in common."""
    return {
        "name": job.experiment.folder.name,
        "folder": str(job.experiment.folder),
        "base": job.spec.name,
        "licence": job.spec.licence,
        "labels": tuple(job.experiment.catalogue.genres),
        "items": len(job.rows),
        "texts": len(np.unique(job.numbers)),
        "without_text": job.without_text,
        "longer": int(job.tokens.longer.sum()),
        "folds": job.options.folds,
        "layers": job.options.layers,
        "epochs": job.options.epochs,
        "precision": job.precision,
        "device": device_name(),
    }
