"""Fetch the posters that a catalogue names by URL, and write a catalogue that names their files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid.catalogue.catalogue import Catalogue
from hybrid.catalogue.download.ledger import FETCH_LEDGER, Fetched, Ledger, is_ledger
from hybrid.catalogue.download.on_cluster import transfer_on_cluster
from hybrid.catalogue.download.results import (
    FAILED,
    FETCHED,
    gather_files,
    mixed_cells,
    place_items,
    several_posters,
    shared_pictures,
    write_catalogue,
    write_failures,
)
from hybrid.catalogue.download.settings import FetchSettings
from hybrid.catalogue.download.transfer import (
    FOLDER,
    is_there,
    remove_unfinished,
    transfer_posters,
)
from hybrid.catalogue.download.urls import TMDB_SIZES, cell_url, find_url_column, split_references
from hybrid.catalogue.poster_paths import POSTER, POSTERS
from hybrid.cluster.connection import use_cluster
from hybrid.errors import CatalogueError, SettingError
from hybrid.types import BadRow, Finding
from hybrid.utils.context import Context
from hybrid.utils.files import locked, make_folder
from hybrid.utils.options import Rule, given_options, list_unused
from hybrid.utils.outputs import is_forced, output_problem
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.writable import check_local


@dataclass(frozen=True)
class FetchSummary:
    """What a download of posters gave.

    Parameters
    ----------
    catalogue : str
        The catalogue that names the files.
    column : str
        Where the URLs were found.
    items, urls : int
        Items of the catalogue, and different URLs that they name.
    fetched, kept : int
        URLs whose poster was fetched now, and those that an earlier call had fetched.
    without, local : int
        Items that name no poster, and items that name a file already.
    failed : tuple of BadRow
        Posters that are named but not there; their ``poster`` is the URL, or what else the cell has.
    findings : tuple of Finding
        Items with several posters, cells that name URLs and files; pictures that many URLs share.
    size : int
        Bytes of all posters.
    seconds : float

    Examples
    --------
    >>> FetchSummary("c-posters.csv", "poster", 2, 2, 1, 1, 0, 0, (), (), 10, 0.1).fetched
    1
    """

    catalogue: str
    column: str
    items: int
    urls: int
    fetched: int
    kept: int
    without: int
    local: int
    failed: tuple[BadRow, ...]
    findings: tuple[Finding, ...]
    size: int
    seconds: float


def fetch_posters(
    catalogue: Catalogue,
    out: str | Path | None = None,
    settings: FetchSettings | None = None,
    context: Context | None = None,
    *,
    url_column: str | None = None,
    base_url: str | None = None,
    tmdb_size: str = "w342",
    max_shared: int | None = None,
) -> FetchSummary:
    r"""Fetch the posters of a catalogue by their URLs.

    The posters go to the folder ``posters`` beside `out`, each under a name that its content gives. Beside
    `out` there is also a ledger of all URLs (``….ledger.jsonl``), by which an interrupted call is
    continued, and a table of what failed (``….failed.csv``).

    Parameters
    ----------
    catalogue : Catalogue
        One column holds URLs, or the paths of TMDB.
    out : str or Path, optional
        The catalogue that is written: the same table, with the files in the column ``poster``, or in
        ``posters`` where a cell has several URLs. By default
        ``NAME-posters.csv`` beside the catalogue.
    settings : FetchSettings, optional
    context : Context, optional
        Its workers check and write the images, or its cluster fetches them; its progress is shown.
    url_column : str, optional
        Name of the column with the URLs; by default it is found.
    base_url : str, optional
        URL that cells without one of their own are appended to.
    tmdb_size : {"w92", "w154", "w185", "w342", "w500", "w780", "original"}, default="w342"
        Size of TMDB's posters.
    max_shared : int, optional
        A picture that more different URLs give is taken for a placeholder: their items have no poster. By
        default such pictures are told only, from 5 URLs on.

    Returns
    -------
    FetchSummary

    Raises
    ------
    CatalogueError
        If no column with URLs is found, `out` would overwrite a file that is not of this kind, it cannot be
        written, another process is fetching to it, or no server can be reached.
    SettingError
        If a setting is out of range.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "films.csv"
    >>> _ = path.write_text("id,genres,poster\n1,Drama,N/A\n2,Horror,see a.org\n")
    >>> summary = fetch_posters(load_catalogue(path), url_column="poster")
    >>> summary.without, [bad.reason for bad in summary.failed]
    (1, ['is neither a URL nor the path of a file'])
    >>> folder.cleanup()
    """
    settings, context = settings or FetchSettings(), context or Context()
    _check(settings, base_url, tmdb_size, max_shared)
    start = time.perf_counter()
    path = catalogue.path
    out = Path(out) if out else path.with_name(f"{path.stem}-posters.csv")
    check_local("--out", out)
    separator = catalogue.columns.label_separator
    column = find_url_column(catalogue.table, url_column, path, separator)
    given = catalogue.table[column].astype(str)
    based = base_url is not None
    named = [split_references(each, separator, based, path.parent) for each in given]
    several = sum(len(each) > 1 for each in named)
    file_column = POSTERS if several else POSTER
    cells = [cell for each in named for cell in each]
    items = [i for i, each in enumerate(named) for _ in each]
    _check_used(cells, base_url, tmdb_size)
    urls = [cell_url(cell, base_url, tmdb_size) for cell in cells]
    different = list(dict.fromkeys(filter(None, urls)))
    with _writing(out, path) as ledger:
        todo = [url for url in different if _is_due(url, ledger, settings)]
        with (
            use_cluster(context) as cluster,
            context.progress.bar("fetching posters", len(todo), "posters") as advance,
        ):
            if cluster is None:
                transfer_posters(todo, ledger, settings, context.workers, advance)
            else:
                transfer_on_cluster(cluster, todo, ledger, settings, advance)
        ledger.rewrite(different)
        places = place_items(cells, urls, ledger.entries, path.parent, max_shared)
        failed = tuple(
            BadRow(int(catalogue.rows[i]), str(catalogue.ids[i]), cell, place.reason)
            for i, cell, place in zip(items, cells, places, strict=True)
            if place.reason
        )
        write_failures(out.with_suffix(".failed.csv"), failed)
        files = gather_files(places, items, len(catalogue))
        write_catalogue(out, catalogue.table, column, files, separator, file_column)
    there = _files(different, ledger)
    answered = {i for i, place in zip(items, places, strict=True) if place.file or place.reason}
    return FetchSummary(
        catalogue=str(out),
        column=column,
        items=len(catalogue),
        urls=len(different),
        fetched=len(set(there) & set(todo)),
        kept=len(set(there) - set(todo)),
        without=len(catalogue) - len(answered),
        local=len(
            {i for i, each, url in zip(items, places, urls, strict=True) if each.file and not url}
        ),
        failed=failed,
        findings=(
            *several_posters(several),
            *mixed_cells(named, urls),
            *shared_pictures(urls, ledger.entries),
        ),
        size=sum({entry.file: entry.size for entry in there.values()}.values()),
        seconds=time.perf_counter() - start,
    )


def _files(urls: Sequence[str], ledger: Ledger) -> dict[str, Fetched]:
    """What the ledger has of these URLs, without those that failed."""
    found = ((url, ledger.entries.get(url)) for url in urls)
    return {url: entry for url, entry in found if isinstance(entry, Fetched)}


def _is_due(url: str, ledger: Ledger, settings: FetchSettings) -> bool:
    """Tell whether a URL is to be asked for: new, gone from the disk, or to be asked for again."""
    known = ledger.entries.get(url)
    if known is None:
        return True
    if isinstance(known, Fetched):
        there = is_there(ledger.file.parent / known.file, known.size)
        return settings.refresh or not there
    return settings.retry_failed


@contextlib.contextmanager
def _writing(out: Path, source: Path) -> Iterator[Ledger]:
    """Take hold of the files beside `out`: check that they are ours, lock them, read the ledger."""
    file = out.with_suffix(".ledger.jsonl")
    if out.suffix.lower() != ".csv":
        raise CatalogueError(f"--out: expected a name that ends in .csv, found {out}.")
    _check_replaced(out, source)
    folder = out.parent / FOLDER
    try:
        make_folder(folder)
        with locked(out.with_suffix(".lock")):
            remove_unfinished(folder)
            yield Ledger(file)
    except BlockingIOError:
        raise CatalogueError(
            f"{out}: expected that nobody else writes it, found another process that fetches posters to it. "
            "Wait for its end, or name another file with --out."
        ) from None
    except OSError as error:
        said = describe_refusal(error.filename or out, error)
        raise CatalogueError(f"{said} What was fetched before is kept.") from error


def _check_replaced(out: Path, source: Path) -> None:
    """Raise where a file that is not of an earlier call would be replaced."""
    beside = {each: out.with_suffix(each) for each in (".failed.csv", ".ledger.jsonl", ".lock")}
    failed, ledger, lock = beside.values()
    problems = {
        out: output_problem(out, FETCHED, [source]) or _unknown(out, ledger),
        failed: output_problem(failed, FAILED),
        ledger: output_problem(ledger, FETCH_LEDGER, known=ledger.is_file() and is_ledger(ledger)),
        lock: output_problem(lock, "lock", known=lock.is_file() and not lock.stat().st_size),
    }
    for path, problem in problems.items():
        if problem:
            same = path == out and out.exists() and source.exists() and out.samefile(source)
            what = "is the catalogue itself" if same else f"is there already, {problem}"
            raise CatalogueError(
                f"--out: expected the name of a new file, found {path}, which {what}. "
                "Name another one with --out, or replace it with --force."
            )


def _unknown(out: Path, ledger: Path) -> str | None:
    """Why a file is not of an earlier call, which left a ledger; whoever calls this, records or not."""
    if is_forced() or not out.exists() or ledger.exists():
        return None
    return "which has no ledger"


def _check_used(cells: Sequence[str], base_url: str | None, tmdb_size: str) -> None:
    """Raise where an option changes no URL."""
    based = any(cell_url(cell, base_url) != cell_url(cell) for cell in cells)
    paths = any(cell_url(cell, base_url, "w92") != cell_url(cell, base_url) for cell in cells)
    rules = (
        Rule(("base-url",), based, "each cell of the column has a URL of its own"),
        Rule(("tmdb-size",), paths, "no cell of the column is a path of TMDB's that stands alone"),
    )
    values = {"base-url": (base_url, None), "tmdb-size": (tmdb_size, "w342")}
    if problems := list_unused(rules, given_options(values, "fetch-posters")):
        raise SettingError("\n".join(problems))


def _check(
    settings: FetchSettings, base_url: str | None, tmdb_size: str, max_shared: int | None
) -> None:
    problems = settings.problems()
    if base_url is not None and not base_url.lower().startswith(("http://", "https://")):
        problems.append(f"--base-url: expected http://… or https://…, found {base_url!r}.")
    if tmdb_size not in TMDB_SIZES:
        problems.append(
            f"--tmdb-size: expected one of {', '.join(TMDB_SIZES)}, found {tmdb_size!r}."
        )
    if max_shared is not None and max_shared < 1:
        problems.append(f"--max-shared: expected 1 or more, found {max_shared}.")
    if problems:
        raise SettingError("\n".join(problems))
