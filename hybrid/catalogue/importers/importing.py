"""Import a data set: read it row by row, write a catalogue, and say what fell away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hybrid.catalogue.importers.genre_names import namer
from hybrid.catalogue.importers.importer import Importer, ImportOptions, Source
from hybrid.catalogue.importers.kinds import IMPORTERS, get_importer
from hybrid.catalogue.importers.writer import FILES, LEFT_OUT, CatalogueWriter, move_files
from hybrid.catalogue.readers.csv_rows import long_fields
from hybrid.errors import CatalogueError, SettingError
from hybrid.types import Finding
from hybrid.utils.counts import counted
from hybrid.utils.files import TEMPORARY, make_folder, writer_name
from hybrid.utils.leftovers import discard, remove_leftovers
from hybrid.utils.options import Rule, given_options, list_unused
from hybrid.utils.progress import current_progress
from hybrid.utils.refusals import describe_refusal

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
POLL = 200  # rows between two looks at the progress


@dataclass(frozen=True)
class ImportSummary:
    """What `import_catalogue` wrote.

    Parameters
    ----------
    kind : str
    folder : Path
    items : int
        Rows of the catalogue.
    labelled : int
        Those with a label.
    labels : dict of str to int
        Items by label, the most frequent first.
    posters, poster_urls : int
        Items with a poster, and those with the URL of one (``hybrid fetch-posters``).
    parts : dict of str to int
        Items by part of the published split; empty where there is none.
    left_out : dict of str to int
        Rows that are not in the catalogue, by reason, and by file where these are few; ``left-out.csv``
        lists them all.
    findings : tuple of Finding
        How the data set was understood.
    """

    kind: str
    folder: Path
    items: int
    labelled: int
    labels: dict[str, int]
    posters: int
    poster_urls: int
    parts: dict[str, int]
    left_out: dict[str, int]
    findings: tuple[Finding, ...]


def import_catalogue(
    kind: str, source: str | Path, out: str | Path, options: ImportOptions | None = None
) -> ImportSummary:
    r"""Import a data set: write ``catalogue.csv``, ``left-out.csv``, its posters and its split.

    The memory does not depend on the number of rows. Nothing is overwritten, and the files appear when all
    of them are whole.

    Parameters
    ----------
    kind : str
        Of `hybrid.catalogue.importers.kinds.IMPORTERS`.
    source : str or Path
        The data set: a folder or a file.
    out : str or Path
        Folder for the catalogue.
    options : ImportOptions, optional

    Returns
    -------
    ImportSummary

    Raises
    ------
    CatalogueError
        If it is not such a data set, or has no item, or `out` cannot be written.
    SettingError
        If the kind is unknown, an option means nothing to it, or `out` holds files of that name.

    Examples
    --------
    >>> import shutil, tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> text = "imdbId,Imdb Link,Title,IMDB Score,Genre,Poster\n114709,,Toy Story (1995),8.3,Comedy,\n"
    >>> _ = (folder / "MovieGenre.csv").write_text(text)
    >>> summary = import_catalogue("movie-genre", folder, folder / "films")
    >>> summary.items, summary.labels
    (1, {'Comedy': 1})
    >>> shutil.rmtree(folder)
    """
    importer, options = get_importer(kind), options or ImportOptions()
    _check_options(importer, options)
    folder = Path(out)
    remove_leftovers(folder)
    _check_out(folder)
    _check_source(Path(source))
    scratch = folder / f"{TEMPORARY}{writer_name()}"
    made = not folder.exists()
    try:
        make_folder(scratch)
        with long_fields():
            summary = _import(importer, str(source), folder, scratch, options)
        _check_out(folder)
        move_files(scratch, folder)
    except OSError as error:
        raise CatalogueError(
            f"cannot import {source}: {describe_refusal(folder, error)}"
        ) from error
    finally:
        with suppress(OSError):  # what is to be told is the first error
            discard(scratch)
        if made:
            with suppress(OSError):
                folder.rmdir()  # unless there is something in it
    return summary


def _import(
    importer: Importer, source: str, folder: Path, scratch: Path, options: ImportOptions
) -> ImportSummary:
    opened = importer.open(source, options, scratch)
    rename = namer(options.genre_names, opened.notes)
    with CatalogueWriter(
        scratch,
        opened.columns,
        rename,
        opened.notes,
        options.posters,
        by_file=not opened.many_files,
        id_kind=importer.id_kind,
        join=options.join,
    ) as writer:
        _write(writer, opened, importer.kind)
        counts = writer.counts
    if not counts.items:
        reasons = "; ".join(f"{n:,} x {reason}" for reason, n in counts.left_out.most_common(3))
        raise CatalogueError(
            f"{source}: expected at least one item, found none{f' ({reasons})' if reasons else ''}."
        )
    return ImportSummary(
        importer.kind,
        folder,
        counts.items,
        counts.labelled,
        dict(counts.labels.most_common()),
        counts.posters,
        counts.poster_urls,
        dict(counts.parts),
        dict(counts.left_out.most_common()),
        opened.notes.findings(),
    )


def _write(writer: CatalogueWriter, opened: Source, kind: str) -> None:
    items = 0

    def note() -> str:
        return counted(items, "item")

    with current_progress().bar(f"importing {kind}", opened.total, opened.unit, note) as advance:
        before = 0
        for number, items in enumerate(writer.write(opened.rows)):  # noqa: B007
            if number % POLL == 0:
                before = _advance(advance, before, opened.done())
        _advance(advance, before, opened.total)


def _advance(advance: Callable[[int], None], before: int, now: int) -> int:
    if now > before:
        advance(now - before)
    return max(now, before)


def _check_options(importer: Importer, options: ImportOptions) -> None:
    """Refuse the options that mean nothing to a kind."""
    default = ImportOptions()
    values = {
        "posters": (options.posters, default.posters),
        "join": (options.join, default.join),
        "title-type": (options.title_types, default.title_types),
        "map": (options.mapping, default.mapping),
        "label-separator": (options.label_separator, default.label_separator),
        "encoding": (options.encoding, default.encoding),
    }
    rules = [
        Rule((name,), name in importer.options, f"{importer.kind} is {_not_asked(name)}")
        for name in values
    ]
    if problems := list_unused(rules, given_options(values, "import")):
        raise SettingError("\n".join(problems))


def _not_asked(option: str) -> str:
    takers = [name for name, each in IMPORTERS.items() if option in each.options]
    return f"not of a kind that takes it ({', '.join(takers)})"


def _check_source(source: Path) -> None:
    """Data sets are published as archives."""
    if source.name.lower().endswith(ARCHIVES) and source.is_file():
        raise CatalogueError(
            f"{source}: expected the data set unpacked, found an archive. Unpack it, and name the folder."
        )


def _check_out(folder: Path) -> None:
    """Nothing that is there is overwritten."""
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"--out: expected a folder, found the file {folder}.")
    if there := [name for name in FILES if (folder / name).exists()]:
        raise SettingError(
            f"--out {folder}: expected a folder without {', '.join(FILES)}, found {', '.join(there)}. "
            "Nothing is overwritten: name another folder."
        )


def left_out_file(folder: Path) -> Path:
    """Where the rows that fell away are listed."""
    return folder / LEFT_OUT
