"""Check of a catalogue: every bad row, every poster that cannot be decoded or is damaged, with the reason."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from hybrid.catalogue.catalogue import Catalogue
from hybrid.images.damage import find_damage
from hybrid.images.decode import BadPoster, decode_poster, read_poster
from hybrid.types import MAX_SHARED, BadRow, Columns, Finding
from hybrid.utils.context import Context

SHOWN = 80  # characters of a text
SIZE = (64, 64)  # any size proves that the whole file can be decoded
OTHERS = "; the item's other posters are used"


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


def tell_shared_texts(catalogue: Catalogue) -> tuple[Finding, ...]:
    r"""Tell of texts that more items have, letter for letter, than duplicates do.

    Parameters
    ----------
    catalogue : Catalogue

    Returns
    -------
    tuple of Finding
        Of the kind ``"shared by many"``; one for each text column, but titles, that has such texts.

    Examples
    --------
    >>> from pathlib import Path
    >>> from hybrid.catalogue import load_catalogue
    >>> text = "id,overview\n" + "".join(f"f{i},None yet.\n" for i in range(20))
    >>> _ = Path("films.csv").write_text(text)
    >>> [(f.column, f.count, f.examples) for f in tell_shared_texts(load_catalogue("films.csv"))]
    [('overview', 20, ('None yet.',))]
    """
    findings = []
    for name in catalogue.columns.text:
        if (
            name.casefold() == "title"
        ):  # films of one title in one year are duplicates, see docs/splits.md
            continue
        cells = catalogue.table[name]
        counts = cells[cells.duplicated() & (cells != "")].value_counts() + 1  # the first of each
        many = counts[counts > MAX_SHARED]
        if len(many):
            items, example = int(many.sum()), str(many.index[0])
            shown = example if len(example) <= SHOWN else f"{example[: SHOWN - 1]}…"
            message = (
                f"column {name!r}: {items:,} items have a text that more than {MAX_SHARED} share, such as "
                f"{shown!r}; such texts tell nothing of a film, and tie no items in a split"
            )
            findings.append(Finding("shared by many", message, items, name, (example,)))
    return tuple(findings)


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
        Posters that cannot be decoded or are damaged, in the order of the file. None where the catalogue
        tells that no item's poster is a file (`Catalogue.posters_told`).

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
        several = catalogue.several_posters
        firsts = []
        for i, found in enumerate(pool.map(_problem, paths)):
            advance(1)
            firsts.append(problems.get(i, found))
        further = pool.map(_problem, [path for each in several.values() for path in each[1:]])
        for i, reason in enumerate(firsts):
            reasons = [reason] if reason else []
            if files := several.get(i):
                each = zip(files, [reason, *islice(further, len(files) - 1)], strict=True)
                reasons = [f"{Path(path).name}: {found}" for path, found in each if found]
            used = len(reasons) < len(several.get(i, [paths[i]]))
            reasons += catalogue.part_problems.get(i, ())
            bad += [catalogue.bad_row(i, f"{each}{OTHERS if used else ''}") for each in reasons]
    return tuple(bad)


def _problem(path: str) -> str:
    data = read_poster(path) if path else BadPoster("no poster named")
    if isinstance(data, BadPoster):
        return data.reason
    image = decode_poster(data, SIZE)
    return image.reason if isinstance(image, BadPoster) else find_damage(data)
