"""Every error that `hybrid` raises on purpose.

A message says what was expected, what was found and what to do. `exit_code` is what the command
line exits with: 1 for a job that failed, 2 for a call that was wrong.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HybridError(Exception):
    """Base class of all errors that a user can fix.

    Examples
    --------
    >>> try:
    ...     raise SettingError("--top: expected 1 or more, found 0.")
    ... except HybridError as error:
    ...     print(f"exit {error.exit_code}: {error}")
    exit 2: --top: expected 1 or more, found 0.
    """

    exit_code = 1


class CatalogueError(HybridError):
    """The catalogue cannot be read or lacks what is needed."""


class SplitError(HybridError):
    """A split cannot be made or read."""


class CacheError(HybridError):
    """The embedding cache cannot be read or written."""


class WeightsError(HybridError):
    """The weights of a backbone are missing or damaged, or are those of another network."""


class NotDownloadedError(WeightsError):
    """Weights are not on this machine, and a plan downloads nothing."""


class ClusterError(HybridError):
    """A cluster cannot be reached, or gave up some of its work."""


class ExtractionError(HybridError):
    """Embeddings that are needed have not been extracted."""


class RowsError(HybridError):
    """Rows of features on disk cannot be read or written."""


class TemporaryFileError(HybridError):
    """A temporary file cannot be written: no `OSError`, so that nobody takes it for a bad poster."""


class RunError(HybridError):
    """A run folder cannot be read or written."""


class TrainingError(HybridError):
    """A training diverged."""


class SampleError(HybridError):
    """The sample catalogue cannot be written."""


class MissingExtraError(HybridError):
    """An optional dependency is not installed."""


class SettingError(HybridError, ValueError):
    """A parameter or option is wrong; the message lists all problems."""

    exit_code = 2


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """Suggest known names that are spelled almost like one that is unknown.

    Parameters
    ----------
    name : str
        What was found.
    known : iterable of str
        All names that would have been right.
    cutoff : float, default=0.5
        Similarity from 0 to 1 (`difflib.SequenceMatcher.ratio`) from which a name is suggested.

    Returns
    -------
    str
        A sentence with up to three names, closest first, and a space before it; empty if none is close.

    Examples
    --------
    >>> did_you_mean("vgg61", ["inception", "vgg16"])
    ' Did you mean vgg16?'
    """
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=cutoff)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SettingError:
    """Build the error for an unknown name; it suggests close matches.

    Parameters
    ----------
    kind : str
        The kind of thing, for instance ``"backbone"``.
    name : str
        What was found.
    known : iterable of str
        All names that would have been right.

    Returns
    -------
    SettingError
        To be raised by the caller.

    Examples
    --------
    >>> print(unknown_name("engine", "kers", ["openvino", "keras"]))
    unknown engine 'kers'. Did you mean keras? Known: keras, openvino.
    """
    known = sorted(known)
    hint = did_you_mean(name, known)
    return SettingError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(known) or 'none'}.")
