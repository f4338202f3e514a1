"""Check of a catalogue: every bad row and every poster that cannot be decoded, with the reason."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hybrid.catalogue.catalogue import Catalogue
from hybrid.images.decode import BadPoster, load_poster
from hybrid.types import BadRow, Columns
from hybrid.utils.context import Context

SIZE = (64, 64)  # any size proves that the whole file can be decoded


def check_catalogue(catalogue: Catalogue, context: Context | None = None) -> tuple[BadRow, ...]:
    """Check the rows and posters of a catalogue.

    Parameters
    ----------
    catalogue : Catalogue
    context : Context, optional
        Its workers decode the posters; its progress is shown.

    Returns
    -------
    tuple of BadRow
        In the order of the file; a row can be in it twice, with different reasons.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.datasets.sample import write_sample
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_sample(folder.name, n_items=60)
    >>> catalogue = load_catalogue(f"{folder.name}/catalogue.csv")
    >>> context = Context(cache=f"{folder.name}/.hybrid-cache", workers=1)
    >>> len(check_catalogue(catalogue, context))
    6
    >>> folder.cleanup()
    """
    posters: tuple[BadRow, ...] = ()
    if catalogue.columns.poster is not None:
        posters = check_posters(catalogue, context)
    return tuple(sorted(catalogue.bad_rows + posters, key=lambda bad: bad.row))


def not_found(columns: Columns) -> dict[str, str]:
    """What no column was found for: what it is → what names it.

    Examples
    --------
    >>> sorted(not_found(Columns("id", None, "genres", "|", ("title",), (), (), ())))
    ['metadata columns', 'poster column']
    """
    absent = {
        "label column": (columns.label, "a column 'genres', or --label-column"),
        "poster column": (columns.poster, "a column 'poster', or --poster-column"),
        "text columns": (columns.text, "columns 'title' and 'overview', or --text"),
        "metadata columns": (
            columns.metadata,
            "all other columns, or --numeric, --categorical, --list",
        ),
    }
    return {what: advice for what, (found, advice) in absent.items() if not found}


def check_posters(catalogue: Catalogue, context: Context | None = None) -> tuple[BadRow, ...]:
    """Check the posters of a catalogue.

    Parameters
    ----------
    catalogue : Catalogue
    context : Context, optional
        Its workers decode the posters; its progress is shown.

    Returns
    -------
    tuple of BadRow
        Items whose poster cannot be decoded, in the order of the file. None where the catalogue tells that no
        item's poster is a file (`Catalogue.posters_told`).

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.datasets.sample import write_sample
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_sample(folder.name, n_items=60)
    >>> catalogue = load_catalogue(f"{folder.name}/catalogue.csv")
    >>> context = Context(cache=f"{folder.name}/.hybrid-cache", workers=1)
    >>> "file not found" in [bad.reason for bad in check_posters(catalogue, context)]
    True
    >>> folder.cleanup()
    """
    if catalogue.posters_told:
        return ()
    bad, context = [], context or Context()
    paths, problems = catalogue.poster_paths, catalogue.poster_problems
    with (
        ThreadPoolExecutor(context.workers) as pool,
        context.progress.bar("checking posters", len(catalogue), "posters") as advance,
    ):
        for i, found in enumerate(pool.map(_problem, paths)):
            advance(1)
            reason = problems.get(i, found)
            if reason:
                bad.append(catalogue.bad_row(i, reason))
        several = catalogue.several_posters
        further = [(i, path) for i, each in several.items() for path in each[1:]]
        for (i, path), found in zip(
            further, pool.map(_problem, [p for _, p in further]), strict=True
        ):
            if found:
                bad.append(catalogue.bad_row(i, f"{Path(path).name}: {found}"))
    return tuple(sorted(bad, key=lambda row: row.row))


def _problem(path: str) -> str:
    image = load_poster(path, SIZE)
    return image.reason if isinstance(image, BadPoster) else ""
