"""`hybrid fetch-posters`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from hybrid.cli.options import OutputFile, Project, common_options, encoding_option
from hybrid.cli.output import reasons_text, show, size_text, tell_catalogue
from hybrid.utils.counts import counted


@click.command("fetch-posters")
@common_options("catalogue", "workers", "cluster", "force")
@click.option("--id-column", help="Column with the ids.  [default: id, or the first *_id]")
@click.option(
    "--url-column", help="Column with the URLs, or TMDB's paths.  [default: found by its cells]"
)
@encoding_option
@click.option(
    "--out",
    type=OutputFile(),
    metavar="FILE",
    help="Catalogue that names the files; they go to posters/ beside it.  "
    "[default: NAME-posters.csv beside the catalogue]",
)
@click.option("--base-url", help="URL that cells without one of their own are appended to.")
@click.option(
    "--tmdb-size",
    type=click.Choice(["w92", "w154", "w185", "w342", "w500", "w780", "original"]),
    default="w342",
    show_default=True,
    help="Size of the posters that TMDB's paths stand for.",
)
@click.option(
    "--concurrency",
    type=int,
    default=16,
    show_default=True,
    help="Requests under way at the same time.",
)
@click.option(
    "--rate", type=float, help="Maximum number of requests a second.  [default: no limit]"
)
@click.option(
    "--timeout", type=float, default=30.0, show_default=True, help="Seconds for one attempt."
)
@click.option(
    "--retries",
    type=int,
    default=4,
    show_default=True,
    help="Further attempts where a later one may succeed.",
)
@click.option("--max-bytes", type=int, default=20 * 2**20, show_default=True, help="Of a poster.")
@click.option("--max-pixels", type=int, default=89_478_485, show_default=True, help="Of a poster.")
@click.option(
    "--max-shared",
    type=int,
    metavar="N",
    help="Leave out pictures that more than N URLs give: placeholders.  [default: only told]",
)
@click.option(
    "--allow-private",
    is_flag=True,
    help="Follow redirects to addresses of this machine and of private networks.",
)
@click.option("--retry-failed", is_flag=True, help="Fetch again what failed in an earlier call.")
@click.option(
    "--refresh",
    is_flag=True,
    help="Ask the servers whether fetched posters have changed (ETag, Last-Modified).",
)
@click.option("--strict", is_flag=True, help="Exit 1 if an item has no poster that it names.")
def command(
    project: Project,
    id_column: str | None,
    encoding: str,
    url_column: str | None,
    out: Path | None,
    base_url: str | None,
    tmdb_size: str,
    max_shared: int | None,
    strict: bool,
    **settings: object,
) -> int:
    """Fetch posters by their URLs; write a catalogue that names the files.

    An interrupted call is continued by calling it again.
    """
    from hybrid.catalogue import load_catalogue
    from hybrid.catalogue.column_findings import POSTER_FINDINGS
    from hybrid.catalogue.download import FetchSettings, fetch_posters
    from hybrid.types import ColumnOptions

    catalogue = load_catalogue(project.catalogue, ColumnOptions(id=id_column, encoding=encoding))
    told = tuple(each for each in catalogue.findings if each.kind not in POSTER_FINDINGS)
    catalogue = replace(catalogue, findings=told)  # the others advise to call this command
    tell_catalogue(catalogue)
    summary = fetch_posters(
        catalogue,
        out,
        FetchSettings(**settings),  # type: ignore[arg-type]
        project.context,
        url_column=url_column,
        base_url=base_url,
        tmdb_size=tmdb_size,
        max_shared=max_shared,
    )
    lines = [f"note: {finding.message}" for finding in summary.findings]
    if summary.failed:
        failed = Path(summary.catalogue).with_suffix(".failed.csv")
        lines += [
            f"{counted(len(summary.failed), 'poster is', 'posters are')} not there, listed in {failed}:"
        ]
        lines += [reasons_text(summary.failed)]
    lines.append(
        f"{summary.catalogue}: {counted(summary.urls, 'URL')} of {counted(summary.items, 'item')} in column "
        f"{summary.column!r}: {summary.fetched} fetched, {summary.kept} there before, "
        f"{summary.urls - summary.fetched - summary.kept} failed; "
        f"{counted(summary.without, 'item names', 'items name')} no poster, {summary.local} a file; "
        f"{size_text(summary.size)}, {summary.seconds:.1f} s"
    )
    show(project.json, summary, "\n".join(lines), catalogue)
    return int(bool(summary.failed) and (strict or not summary.fetched + summary.kept))
