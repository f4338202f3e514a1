"""Every error that `hybrid` raises on purpose.

A message says what was expected, what was found and what to do. `exit_code` is what the command
line exits with: 1 for a job that failed, 2 for a call that was wrong.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HybridError(Exception):
    """Base of all errors that a user can mend."""

    exit_code = 1


class CatalogueError(HybridError):
    """The catalogue cannot be read or lacks what is needed."""


class SplitError(HybridError):
    """The split cannot be made or read."""


class CacheError(HybridError):
    """The embedding cache cannot be read or written."""


class WeightsError(HybridError):
    """A backbone's weights cannot be had, or are not the ones that were asked for."""


class ExtractionError(HybridError):
    """Embeddings that are needed have not been extracted."""


class RunError(HybridError):
    """A run folder cannot be read or written."""


class TrainingError(HybridError):
    """A training diverged."""


class SampleError(HybridError):
    """The sample catalogue cannot be written."""


class BadPosterError(HybridError):
    """`--strict`, and at least one poster is bad."""


class MissingExtraError(HybridError):
    """An optional dependency is not installed."""


class SettingError(HybridError, ValueError):
    """A parameter or option is wrong; lists all that are."""

    exit_code = 2


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SettingError:
    """Build the error for an unknown name, with close matches first.

    Parameters
    ----------
    kind : str
        What was to be named, for instance ``"backbone"``.
    name : str
        What was found.
    known : iterable of str
        All names that would have been right.

    Returns
    -------
    SettingError
        To be raised by the caller.
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return SettingError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(known) or 'none'}.")
