"""What all tunings share: encoders are trained and saved fold by fold, their scores go into the cache."""

from __future__ import annotations

import gc
import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.devices import device_name
from hybrid.backbones.provenance import Ancestor, Provenance
from hybrid.backbones.startup import start_keras
from hybrid.backbones.tuned_folder import ALL, BASE, TUNED, is_tuned
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.cache.sealed import PROVENANCE
from hybrid.errors import RunError, SettingError
from hybrid.heads.scoring import score_out_of_fold
from hybrid.runs.experiment import Experiment
from hybrid.runs.folder import check_run_name
from hybrid.tuning.effort import Effort
from hybrid.tuning.folds import carve_watched
from hybrid.tuning.lesson import Lesson
from hybrid.tuning.options import TuneOptions, TunePlan, TuneSummary
from hybrid.tuning.work_folder import Trained, WorkFolder, is_begun
from hybrid.types import ExtractSummary, TextExtractSummary
from hybrid.utils.counts import counted
from hybrid.utils.files import locked, make_folder, remove, remove_tree, write_new
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.resources import peak_mib
from hybrid.utils.unknown_labels import as_codes
from hybrid.utils.writable import check_new_folder


@dataclass(frozen=True, eq=False)
class TuneJob(ABC):
    """What is to be tuned; of texts or of posters.

    Parameters
    ----------
    experiment : Experiment
        Its folder is that of the encoder.
    options : TuneOptions
        With the layers that the encoder has.
    rows, fold : ndarray of shape (n,), int
        Rows in the catalogue of the items that are learnt from, of train and validation, and their folds.
    groups : ndarray of shape (n,), int
        Items that are in one fold: see `hybrid.tuning.folds.join_groups`.
    without : int
        Items of train and validation that have nothing to learn from.
    """

    experiment: Experiment
    options: TuneOptions
    rows: NDArray[np.int64]
    fold: NDArray[np.int64]
    groups: NDArray[np.int64]
    without: int

    kind: ClassVar[str]
    option: ClassVar[str]  # that names the encoder
    fold_file: ClassVar[str]  # name of the file of a fold, with {} for its number

    @property
    @abstractmethod
    def contents(self) -> Sequence[NDArray[Any]]:
        """What is learnt from, item by item: one array or more, each of n items, the first of numbers."""

    @property
    @abstractmethod
    def base(self) -> dict[str, Any]:
        """What identifies the encoder that it starts from, as JSON has it."""

    @property
    def base_provenance(self) -> Provenance:
        """What the encoder that it starts from has learnt from: it is given, unless a job says otherwise."""
        return Provenance()

    @property
    @abstractmethod
    def said(self) -> dict[str, Any]:
        """What only this kind of job says in `TuneSummary` and `TunePlan`."""

    @abstractmethod
    def train(self, names: Sequence[int | str]) -> Generator[tuple[bytes, int]]:
        """Train some encoders by the lessons of their names: the content of each file, and its epoch."""

    @abstractmethod
    def write_record(self, folder: Path) -> str:
        """Write the encoder that it starts from, and ``tuned.json``, beside the files of the folds.

        Returns
        -------
        str
            SHA-256 of ``tuned.json``.
        """

    @abstractmethod
    def embed(self) -> ExtractSummary | TextExtractSummary:
        """Put the scores of the whole catalogue into the cache, with the encoder that is written."""

    @abstractmethod
    def read_scores(self, store: EmbeddingStore) -> NDArray[np.float32]:
        """The scores of the items that were learnt from, of shape (n, L)."""

    @abstractmethod
    def measure(self) -> Effort:
        """Estimate what it would take, from some steps."""

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """Labels of the items that are learnt from; masked where unknown."""
        return self.experiment.catalogue.labels[self.rows]

    @cached_property
    def precision(self) -> str:
        """Of the training."""
        from hybrid.tuning.precision import choose_precision

        return choose_precision(self.options)

    @cached_property
    def work(self) -> WorkFolder:
        """Where the folds are saved."""
        said = hashlib.sha256()
        for array in (*self.contents, self.fold, as_codes(self.labels)):
            said.update(np.ascontiguousarray(array).tobytes())
        identity = {
            **asdict(self.options),
            "precision": self.precision,
            "seed": self.experiment.context.seed,
            **self.base,
            "labels": list(self.experiment.catalogue.genres),
            "task": self.experiment.task.kind,
            "items": said.hexdigest(),
        }
        return WorkFolder(self.experiment.folder, identity)

    @property
    def settings(self) -> dict[str, Any]:
        """What is recorded of the training."""
        return {
            **asdict(self.options),
            "precision": self.precision,
            "seed": self.experiment.context.seed,
            "kept_epochs": [self.trained(name).epochs for name in self.names],
        }

    @property
    def names(self) -> list[int | str]:
        """Names of the encoders: the numbers of the folds, and `ALL` for that of all items."""
        return [*range(self.options.folds), *[ALL] * self.options.refit]

    @property
    def missing(self) -> list[int | str]:
        """Names of the encoders that are not done."""
        files = {name: self.fold_file.format(name) for name in self.names}
        return [name for name, file in files.items() if self.work.record(file) is None]

    def trained(self, name: int | str, *, placed: bool = False) -> Trained:
        """What is known of an encoder that is done, or that has its name."""
        found = self.work.record(self.fold_file.format(name), placed=placed)
        assert found is not None, "an encoder that is done"
        return found

    def lesson(self, name: int | str) -> Lesson:
        """What an encoder learns from, and until when; for `ALL`, those of the folds are done.

        The encoder of all items has none that could stop it: it learns for as many epochs as the others, in
        the median.
        """
        folds, seed = self.options.folds, self.experiment.context.seed
        if name == ALL:
            kept = [self.trained(k).epochs for k in range(folds)] if self.options.patience else []
            epochs = round(float(np.median(kept))) if kept else None
            rows = np.arange(len(self.rows))
            return Lesson("tuning the encoder of all items", seed + folds, rows, epochs=epochs)
        rows, watched = self.divide(int(name))
        label = f"tuning encoder {int(name) + 1} of {folds}"
        return Lesson(label, seed + int(name), rows, watched)

    def divide(self, fold: int) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """The items that the encoder of a fold learns from, and with patience those that stop it."""
        rows = np.flatnonzero(self.fold != fold)
        if not self.options.patience:
            return rows, None
        ids, seed = self.experiment.catalogue.ids[self.rows], self.experiment.context.seed
        how = (self.validation, self.labels, self.groups, seed + fold, ids)
        return carve_watched(rows, *how)

    @property
    def validation(self) -> NDArray[np.bool_]:
        """Which of the items are validation items of the split."""
        return np.isin(self.rows, self.experiment.rows("validation"))


def check_job(experiment: Experiment, options: TuneOptions) -> None:
    """Check name, options, catalogue and split, before anything is read.

    Raises
    ------
    CatalogueError, SplitError, SettingError, RunError
        If something does not fit.
    """
    check_run_name(experiment.folder.name)
    if problems := options.problems():
        raise SettingError("\n".join(problems))
    experiment.check_items()


def run_job(job: TuneJob, force: bool) -> TuneSummary:
    """Train the encoders that are not there yet, write the folder, and embed the catalogue with it."""
    folder, say = job.experiment.folder, job.experiment.context.progress.say
    placed = _is_placed(job)
    _check_target(job, folder, force or placed)
    with _held(folder):
        resumed = len(job.names) if placed else _make_encoder(job, force)
        trained = [job.trained(name, placed=True) for name in job.names]
    say(f"{folder} is written; embedding the {job.kind}s of the catalogue with it")
    found = job.embed()
    job.work.close()
    return TuneSummary(
        **_said(job),
        kept_epochs=tuple(one.epochs for one in trained),
        resumed=resumed,
        oof_map=_out_of_fold_map(job, found.fingerprint),
        seconds=sum(one.seconds for one in trained),
        embedding_seconds=found.seconds,
        peak_mib=peak_mib(),
        bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        fingerprint=found.fingerprint,
        embedded=found.embedded,
    )


def plan_of_job(job: TuneJob) -> TunePlan:
    """Estimate what `run_job` would do; nothing is written."""
    job.work.check()
    start_keras()
    effort, todo = job.measure(), [] if _is_placed(job) else job.missing
    sizes = [len(job.rows) if name == ALL else len(job.divide(int(name))[0]) for name in todo]
    steps = sum(-(-size // job.options.batch_size) for size in sizes)
    return TunePlan(
        **_said(job),
        done=len(job.names) - len(todo),
        parameters=effort.parameters,
        seconds=(effort.seconds if todo else 0.0) + steps * job.options.epochs * effort.step,
        state_bytes=effort.state_bytes,
        on_disk=effort.on_disk,
        bytes=effort.base_bytes + 4 * effort.stored * len(job.names),
    )


def _check_target(job: TuneJob, folder: Path, force: bool) -> None:
    if folder.exists() and not is_tuned(folder):
        raise RunError(
            f"{folder}: expected a tuned encoder or nothing, found something else. Choose another --name."
        )
    if folder.exists() and not force:
        raise RunError(
            f"{folder}: expected nothing, found a tuned encoder. Choose another --name, or replace it with "
            f"--force. hybrid extract {job.option} {folder} embeds {job.kind}s with it."
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


def _is_placed(job: TuneJob) -> bool:
    """Whether the encoder is whole, and its scores may be missing: a disk refused them, or it was killed."""
    begun = is_begun(job.experiment.folder) and is_tuned(job.experiment.folder)
    return begun and job.work.is_placed([job.fold_file.format(name) for name in job.names])


def _make_encoder(job: TuneJob, force: bool) -> int:
    """Train the encoders that are not there yet, and write the folder; how many were there."""
    say, hashes = job.experiment.context.progress.say, job.experiment.hashed.take(job.rows).hashes
    job.work.begin(anew=force)
    say("starting Keras")
    start_keras()
    resumed = len(job.names) - len(job.missing)
    if resumed:
        say(f"continuing: {counted(resumed, 'encoder is', 'encoders are')} there already")
    _train(job)
    _assemble(job, hashes)
    return resumed


def _train(job: TuneJob) -> None:
    """Train the encoders that are not there yet, and save each when it is done."""
    todo = job.missing
    if not todo:
        return
    start = time.perf_counter()
    try:
        with closing(job.train(todo)) as trained:
            for name, (content, epochs) in zip(todo, trained, strict=True):
                seconds = time.perf_counter() - start
                job.work.save(job.fold_file.format(name), content, seconds, epochs)
                gc.collect()  # networks refer to themselves
                start = time.perf_counter()
    except KeyboardInterrupt:
        done = len(job.names) - len(job.missing)
        job.experiment.context.progress.say(
            f"stopped: {done} of {counted(len(job.names), 'encoder')} done and saved. Run the same command "
            "again to continue."
        )
        raise


def _assemble(job: TuneJob, hashes: Any) -> None:
    """Complete the folder of the encoder and give it its name."""
    work, experiment = job.work, job.experiment
    remove_tree(work.encoder / BASE)  # of an earlier attempt
    for name in (TUNED, PROVENANCE):
        remove(work.encoder / name)
    digest = job.write_record(work.encoder)
    learnt = Ancestor(
        digest=digest,
        name=experiment.folder.name,
        catalogue=experiment.catalogue.sha256,
        split=experiment.split.sha256,
        items=hashes,
        seconds=sum(job.trained(name).seconds for name in job.names),
        device=device_name(),
    )
    write_new(work.encoder / PROVENANCE, job.base_provenance.then(learnt).to_bytes())
    work.place()


def _out_of_fold_map(job: TuneJob, fingerprint: str) -> float | None:
    store = EmbeddingCache(job.experiment.context.cache).find(fingerprint)
    scores = job.read_scores(store).astype(np.float64)
    found = score_out_of_fold(job.labels, scores, job.fold, "map").value
    return float(found) if np.isfinite(found) else None


def _said(job: TuneJob) -> dict[str, Any]:
    """What summary and plan have in common."""
    divided = [job.divide(k)[1] for k in range(job.options.folds)]
    watched = [some for some in divided if some is not None]
    return {
        "kind": job.kind,
        "name": job.experiment.folder.name,
        "folder": str(job.experiment.folder),
        "labels": tuple(job.experiment.catalogue.genres),
        "items": len(job.rows),
        "different": len(np.unique(job.contents[0])),
        "without": job.without,
        "folds": job.options.folds,
        "refit": job.options.refit,
        "watched": sum(map(len, watched)) // len(watched) if watched else 0,
        "carved": any(not job.validation[some].all() for some in watched),
        "layers": job.options.layers,
        "epochs": job.options.epochs,
        "precision": job.precision,
        "device": device_name(),
        **job.said,
    }
