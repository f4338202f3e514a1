"""The folder of the posters that a run was made from, if it was named."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.images.references import join_folder
from hybrid.remote.address import remote_url
from hybrid.runs.record import RunRecord
from hybrid.runs.recorded_files import find_catalogue
from hybrid.types import ColumnOptions
from hybrid.utils.links import lies_in


def relative_posters(catalogue: Catalogue) -> str | None:
    """The folder that was named for the posters, relative to the catalogue's; None where none was.

    If it is at a URL, that; if only the catalogue is at one, the absolute path.
    """
    posters, here = catalogue.posters_folder, catalogue.path.parent
    if posters is None:
        return None
    if url := remote_url(posters):
        return url
    return str(posters.absolute()) if remote_url(here) else os.path.relpath(posters, here)


def load_like(
    folder: Path, record: RunRecord, path: str | Path | None, options: ColumnOptions | None
) -> Catalogue:
    """Load a catalogue, by default that of a run, with the roles and the posters' folder of the run."""
    path = path or find_catalogue(folder, record)
    found = load_catalogue(path, options, record.catalogue.columns)
    return use_recorded_posters(found, record, folder)


def use_recorded_posters(
    catalogue: Catalogue, record: RunRecord, folder: Path | None = None
) -> Catalogue:
    """Let the catalogue that a run was made from, and no other, find its posters where they were then.

    Parameters
    ----------
    catalogue : Catalogue
        As it was loaded; a folder that was named for it now goes first.
    record : RunRecord
    folder : Path, optional
        Of the run: its posters lie in its project. By default they lie beside the catalogue's folder.

    Returns
    -------
    Catalogue
    """
    made = record.catalogue
    if (
        made.posters is None
        or catalogue.posters_folder is not None
        or catalogue.sha256 != made.sha256
    ):
        return catalogue
    here = catalogue.path.parent
    project = here.absolute().parent if folder is None else folder.absolute().parent.parent
    posters = Path(join_folder(here, made.posters))
    if not lies_in(posters, here, project):
        warnings.warn(
            f"the run names {posters} as the folder of its posters, which lies outside its project: no "
            "poster in it is read. If they are yours, name it with --posters.",
            stacklevel=2,
        )
        return catalogue
    return replace(catalogue, posters_folder=posters, posters_trusted=False)
