"""Check of a catalogue: every bad row, every poster that cannot be decoded or is damaged, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from hybrid.catalogue.catalogue import Catalogue
from hybrid.catalogue.packed import find_repeated
from hybrid.cluster.connection import use_cluster
from hybrid.images.damage import find_damage
from hybrid.images.decode import BadPoster, decode_poster
from hybrid.images.files import held_poster
from hybrid.images.on_cluster import read_on_cluster
from hybrid.images.suspicion import find_look
from hybrid.types import MAX_SHARED, BadRow, Columns, Finding
from hybrid.utils.context import Context
from hybrid.utils.progress import Advance
from hybrid.utils.threads import map_ahead

SHOWN = 80  # characters of a text
SIZE = (64, 64)  # any size proves that the whole file can be decoded
EXAMPLES = 5
OTHERS = "; the item's other posters are used"


def check_catalogue(catalogue: Catalogue, context: Context | None = None) -> tuple[BadRow, ...]:
    """Check the rows and posters of a catalogue.

    Parameters
    ----------
    catalogue : Catalogue
    context : Context, optional
        Its workers or its cluster decode the posters; its progress is shown.

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
        again = cells[find_repeated(cells) & (cells != "").to_numpy()].astype(object)
        counts = again.value_counts() + 1  # the first of each
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
        Its workers or its cluster decode the posters; its progress is shown.

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
    return look_at_posters(catalogue, context)[0]


def look_at_posters(
    catalogue: Catalogue, context: Context | None = None
) -> tuple[tuple[BadRow, ...], tuple[Finding, ...]]:
    r"""Check the posters of a catalogue, and tell of those that look damaged.

    Parameters
    ----------
    catalogue, context
        As for `check_posters`.

    Returns
    -------
    tuple of BadRow
        As `check_posters` returns.
    tuple of Finding
        One of the kind ``"looks damaged"``, where posters do whose files cannot tell. They are used.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from hybrid.catalogue import load_catalogue
    >>> import numpy as np
    >>> pixels = np.random.default_rng(0).integers(90, 99, (60, 40, 3), dtype=np.uint8)
    >>> pixels.reshape(-1)[2460:4020] = 0
    >>> Image.fromarray(pixels).save("one.ppm")
    >>> _ = Path("films.csv").write_text("id,genres,poster\n1,Drama,one.ppm\n")
    >>> bad, (finding,) = look_at_posters(load_catalogue("films.csv"))
    >>> bad, finding.kind, finding.examples
    ((), 'looks damaged', ('one.ppm',))
    """
    if catalogue.posters_told or catalogue.columns.poster is None:
        return (), ()
    bad, looks, context = [], dict[str, str](), context or Context()
    problems, several = catalogue.poster_problems, catalogue.several_posters
    with context.progress.bar("checking posters", len(catalogue), "posters") as advance:
        firsts = []
        for i, (path, found) in enumerate(_look(catalogue.each_poster_path(), context, advance)):
            firsts.append(problems.get(i, found.problem))
            looks |= {path: found.look} if found.look else {}
        others = [path for each in several.values() for path in each[1:]]
        later = list(_look(others, context, lambda count: None))
    looks |= {path: found.look for path, found in later if found.look}
    further = iter([found for _, found in later])
    for i, reason in enumerate(firsts):
        reasons = [reason] if reason else []
        if files := several.get(i):
            rest = [found.problem for found in islice(further, len(files) - 1)]
            each = zip(files, [reason, *rest], strict=True)
            reasons = [f"{Path(path).name}: {found}" for path, found in each if found]
        used = len(reasons) < len(several.get(i, [""]))
        reasons += catalogue.part_problems.get(i, ())
        bad += [catalogue.bad_row(i, f"{each}{OTHERS if used else ''}") for each in reasons]
    return tuple(bad), _tell_looks(catalogue, looks)


class _Found(NamedTuple):
    """What is wrong with a poster, and what looks wrong with it where nothing is."""

    problem: str
    look: str = ""


def _look(paths: Iterable[str], context: Context, advance: Advance) -> Iterator[tuple[str, _Found]]:
    """Look at posters here or on a cluster; each path with what was found, in order."""
    with use_cluster(context) as cluster:
        if cluster is not None:
            named, found = list(paths), dict[int, _Found]()
            read_on_cluster(cluster, _look_at, enumerate(named), found.__setitem__, advance)
            yield from ((path, found[i]) for i, path in enumerate(named))
            return
    with ThreadPoolExecutor(context.workers) as pool:
        for path, one in map_ahead(pool, _look_at, paths):
            advance(1)
            yield path, one


def _look_at(path: str) -> _Found:
    with held_poster(path) as data:
        return _Found(data.reason) if isinstance(data, BadPoster) else _look_into(data)


def _look_into(data: bytes) -> _Found:
    image = decode_poster(data, SIZE)
    problem = image.reason if isinstance(image, BadPoster) else find_damage(data)
    return _Found(problem) if problem else _Found("", find_look(data))


def _tell_looks(catalogue: Catalogue, looks: dict[str, str]) -> tuple[Finding, ...]:
    if not looks:
        return ()
    path, look = next(iter(looks.items()))
    name = Path(path).name
    message = (
        f"posters that look damaged, though their files cannot tell: {len(looks):,}, such as {name!r} "
        f"({look}); they are used. Look at them, and leave their cells empty if they are"
    )
    examples = tuple(Path(each).name for each in list(looks)[:EXAMPLES])
    return (
        Finding("looks damaged", message, len(looks), catalogue.columns.poster or "", examples),
    )
