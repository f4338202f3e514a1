"""Audit sheet: the pairs that an audit found with their posters, as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hybrid.audit.cached_backbones import CachedBackbone, restriction_in_words
from hybrid.audit.leaks import clean_in_words, unknown_learning
from hybrid.catalogue import Catalogue
from hybrid.errors import RunError
from hybrid.images.decode import BadPoster
from hybrid.images.files import first_good, load_poster
from hybrid.images.thumbnails import data_uri, encode_jpeg
from hybrid.report.page import make_environment
from hybrid.types import Audit
from hybrid.utils.outputs import write_output
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.writable import check_new_file

SHEET = "audit sheet"
SHOWN_PAIRS = 60  # of each kind: a page of a few MB
SIZE = (180, 120)  # height, width


def write_audit_sheet(
    audit: Audit, catalogue: Catalogue, path: Path, backbones: Sequence[CachedBackbone] = ()
) -> None:
    """Write the pairs that an audit found, with thumbnails. Text from the catalogue is escaped.

    Parameters
    ----------
    audit : Audit
    catalogue : Catalogue
    path : Path
    backbones : sequence of CachedBackbone, default=()
        Sets of embeddings in the cache; those that are not clean are listed.

    Raises
    ------
    RunError
        If the file cannot be written.

    Examples
    --------
    >>> write_audit_sheet(audit, catalogue, Path("sheet.html"))  # doctest: +SKIP
    """
    check_new_file("--sheet", path, SHEET)
    position = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    page = (
        make_environment()
        .get_template("audit_sheet.html.j2")
        .render(
            audit=audit,
            words=clean_in_words(bool(unknown_learning(audit.skipped)))
            + restriction_in_words(backbones),
            backbones=[each for each in backbones if each.verdict != "clean"],
            shown=SHOWN_PAIRS,
            picture=partial(_picture, catalogue, position),
            title=partial(_title, catalogue, position),
        )
    )
    try:
        write_output(path, page.encode(), SHEET)
    except OSError as error:
        raise RunError(f"--sheet: {describe_refusal(path, error)}") from error


def _picture(catalogue: Catalogue, position: dict[str, int], name: str) -> str | None:
    """Thumbnail of an item's first good poster as a ``data:`` URI; None where there is none."""
    files = catalogue.poster_files(position[name]) if name in position else ()
    pixels = first_good(files, partial(load_poster, size=SIZE))
    if isinstance(pixels, BadPoster):
        return None
    return data_uri(encode_jpeg(pixels, 70))


def _title(catalogue: Catalogue, position: dict[str, int], name: str) -> str:
    table = catalogue.folded
    known = "title" in table.columns and name in position
    return str(table["title"].iloc[position[name]]) if known else ""
