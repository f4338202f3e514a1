"""The run folder: run.json, predictions.csv, model.*, manifest.json; written atomically."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from hybrid.audit.ancestry import RunProvenance
from hybrid.errors import HybridError, RunError, SettingError
from hybrid.model_file.manifest import write_manifest
from hybrid.runs.predictions_file import read_predictions
from hybrid.runs.record import RECORD, RunRecord
from hybrid.runs.replacement import (
    hold_run,
    lost_runs,
    put_in_place,
    recover_run,
    temporary_folder,
)
from hybrid.runs.run_provenance import read_run_provenance
from hybrid.runs.study_files import read_studies
from hybrid.splitting.tasks import Task
from hybrid.types import Predictions
from hybrid.utils.files import remove_tree
from hybrid.utils.refusals import describe_refusal, refusal_number

PREDICTIONS = "predictions.csv"
MODEL, MODEL_ARRAYS = "model.json", "model.npz"
MAX_NAME = 180  # bytes; with what names of temporary files add, file systems take 255


@dataclass(frozen=True)
class Run:
    """A run as read from its folder; see `read_run`.

    Parameters
    ----------
    folder : Path
    record : RunRecord
        Of run.json.
    predictions : Predictions
        Of predictions.csv.
    """

    folder: Path
    record: RunRecord
    predictions: Predictions

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def task(self) -> Task:
        """Which items and labels it is about."""
        return self.record.task

    @property
    def fitted_on(self) -> Mapping[str, tuple[str, ...]]:
        """Preprocessing and thresholds → parts of the split that they were fitted on."""
        return self.record.fitted_on

    @cached_property
    def provenance(self) -> RunProvenance:
        """What the run and its ancestors have learnt from, read from the folder when it is asked for."""
        return read_run_provenance(self.folder, self.record, self.predictions)


@contextmanager
def new_run(folder: Path) -> Iterator[Path]:
    """Write a run folder atomically: as a context manager that gives a temporary folder to fill.

    When the block ends without an error, the temporary folder becomes `folder`. An existing run is replaced
    then, in one step; after an error, or if the process is killed, it stays as it was. What a killed process
    left is removed by the next one.

    Raises
    ------
    RunError
        If `folder` exists and is not a run, cannot be written, or another process writes it.
    SettingError
        If the name is not a plain folder name.

    Examples
    --------
    >>> with new_run(Path("runs/svm")) as folder:
    ...     RunRecord(name="svm").write(folder)
    >>> RunRecord.read(Path("runs/svm")).name
    'svm'
    """
    check_run_folder(folder)
    with hold_run(folder):
        temporary = temporary_folder(folder)
        try:
            recover_run(folder)
            temporary.mkdir()
            yield temporary
            check_run_folder(folder)  # it may be something else by now
            write_manifest(temporary)
            put_in_place(temporary, folder)
        except Exception as error:  # HDF5 raises errors of its own where the disk refuses
            refused = _refused(error, temporary)
            if refused is None:
                raise
            raise RunError(describe_refusal(f"the run {folder}", refused)) from error
        finally:
            remove_tree(temporary)


def _refused(error: Exception, temporary: Path) -> BaseException | None:
    """The error of the disk that refused to write a run; None if it is another, as of a file that is read."""
    found: BaseException | None = error
    if isinstance(error, HybridError):
        found = error.__cause__ if str(temporary) in str(error) else None
    name = getattr(found, "filename", None)
    if found is None or (name and not Path(os.fsdecode(name)).is_relative_to(temporary.parent)):
        return None
    return found if isinstance(found, OSError) or refusal_number(found) is not None else None


def check_run_folder(folder: Path) -> None:
    """Check that a run can be written to `folder`, before hours of work.

    Raises
    ------
    RunError
        If it exists and is not a run.
    SettingError
        If its name is not that of a folder; see `check_run_name`.
    """
    check_run_name(folder.name)
    if folder.exists() and not (folder / RECORD).is_file():
        raise RunError(
            f"{folder}: expected a run or nothing, found something else. Choose another --name."
        )


def check_run_name(name: str) -> None:
    """Check that a name is that of a folder, and no path to another one.

    Raises
    ------
    SettingError
        If it is empty, of more than 180 bytes, begins with a dot, begins or ends with a space, or holds a
        slash, a backslash or a character that is not printed.

    Examples
    --------
    >>> check_run_name("svm text")
    >>> check_run_name("../svm")
    Traceback (most recent call last):
    ...
    hybrid.errors.SettingError: --name: expected a plain folder name, found '../svm'.
    """
    size = len(name.encode(errors="surrogatepass"))
    if size > MAX_NAME:
        raise SettingError(
            f"--name: expected a plain folder name of at most {MAX_NAME} bytes, found {size:,} bytes."
        )
    plain = name.isprintable() and not set(name) & {"/", "\\"}
    if not name or name.startswith(".") or name != name.strip() or not plain:
        raise SettingError(f"--name: expected a plain folder name, found {name!r}.")


def read_run(folder: str | Path) -> Run:
    """Read the record and the predictions of a run, and the studies beside it.

    Parameters
    ----------
    folder : str or Path
        The run folder.

    Raises
    ------
    RunError
        If it is not a run, or a file in it is damaged.

    Examples
    --------
    >>> from hybrid import read_run
    >>> read_run("catalogue")
    Traceback (most recent call last):
    ...
    hybrid.errors.RunError: catalogue: expected a run (a folder with run.json), found none...
    """
    folder = Path(folder)
    record = RunRecord.read(folder)
    record = replace(record, studies=read_studies(folder, record.studies))
    predictions = read_predictions(folder / PREDICTIONS)
    return Run(folder, record, predictions)


def find_runs(folder: Path) -> list[Path]:
    """List the run folders in `folder`, sorted by name.

    Raises
    ------
    RunError
        If there is none.

    Examples
    --------
    >>> with new_run(Path("runs/svm")) as folder:
    ...     RunRecord().write(folder)
    >>> [run.name for run in find_runs(Path("runs"))]
    ['svm']
    """
    for lost in lost_runs(folder):
        recover_run(lost)
    found = sorted(path.parent for path in folder.glob(f"[!.]*/{RECORD}"))
    if not found:
        raise RunError(
            f"{folder}: expected runs, found none. Make one with hybrid fit-svm, fit-ovr or fit-deep."
        )
    return found
