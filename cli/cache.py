"""`hybrid cache`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hybrid.cli.fit_options import pooling_option
from hybrid.cli.options import OutputFile, Project, column_options, common_options
from hybrid.cli.output import show, size_text, tell_catalogue
from hybrid.cli.text_encoder_options import any_embedding_options, encoder_options
from hybrid.types import (
    ColumnOptions,
    EmbeddingOptions,
    EmbeddingSelector,
    TextEmbeddingOptions,
    TextSelector,
)
from hybrid.utils.counts import agree, counted

if TYPE_CHECKING:
    from hybrid.extraction.cache_report import CacheExplanation, StoreSummary
    from hybrid.extraction.text_cache_report import TextCacheExplanation


@click.group("cache")
def command() -> None:
    """Inspect and maintain the embedding cache."""


@command.command("ls")
@common_options("cache", "workers")
def ls(project: Project) -> None:
    """List the sets of embeddings in the cache, and what they cost."""
    from hybrid.extraction.cache_report import list_stores

    stores = list_stores(project.context)
    text = "\n".join(
        f"{store.description}{_origin(store)}, {counted(store.failures, 'failure')}, "
        f"{size_text(store.bytes)}, {_cost(store)}"
        for store in stores
    )
    show(project.json, stores, text or f"{project.cache}: no embeddings")


def _origin(store: StoreSummary) -> str:
    """Licence of the weights; when imported embeddings were imported, and the digest of their file."""
    said = [f"licence {store.licence}"] if store.licence else []
    said += [f"imported {store.imported_at[:10]}"] if store.imported_at else []
    said += [f"SHA-256 of the file {store.file_sha256[:12]}…"] if store.file_sha256 else []
    return "".join(f", {each}" for each in said)


def _cost(store: StoreSummary) -> str:
    """What the embeddings of a store cost, as far as that is known."""
    from hybrid.utils.progress import duration

    if store.seconds is None:
        return "cost unknown" if store.embeddings else "no cost"
    known = f"{duration(store.seconds)} on {', '.join(store.devices)}"
    return known + (f", cost of {store.cost_unknown} unknown" if store.cost_unknown else "")


@command.command("explain")
@common_options("catalogue", "cache", "seed", "workers")
@column_options
@encoder_options()
def explain(
    project: Project,
    columns: ColumnOptions,
    backbone: str,
    weights: str,
    options: EmbeddingOptions,
    text_encoder: str | None,
    text_options: TextEmbeddingOptions,
    engine: str,
) -> None:
    """Report what extract would find in the cache, and which setting makes the rest a miss."""
    from hybrid.catalogue import load_catalogue
    from hybrid.extraction.cache_report import explain_cache
    from hybrid.extraction.text_cache_report import explain_text_cache

    catalogue = load_catalogue(project.catalogue, columns)
    tell_catalogue(catalogue)
    if text_encoder is not None:
        said = explain_text_cache(
            catalogue, text_encoder, options=text_options, engine=engine, context=project.context
        )
        show(project.json, said, _text_explanation_text(said), catalogue)
        return
    explanation = explain_cache(
        catalogue,
        backbone,
        weights=weights,
        options=options,
        engine=engine,
        context=project.context,
    )
    show(project.json, explanation, _explanation_text(explanation), catalogue)


def _explanation_text(said: CacheExplanation) -> str:
    lines = [
        f"{said.backbone} ({said.fingerprint[:12]}): {counted(said.items, 'item')}, {said.unreadable:,} "
        f"without a readable poster, {counted(said.images, 'different image')}",
        f"  {counted(said.hits, 'hit')}, {counted(said.misses, 'miss', 'misses')}, {said.failures:,} known "
        "to be undecodable",
    ]
    if not said.tried:
        lines.append(
            f"  there is no such store yet: extract will check {said.precision} on some posters, and use "
            "float32 if the embeddings differ"
        )
    for other in said.others:
        lines.append(
            f"{other.images:,} of the images it lacks {agree(other.images, '{are|is}')} in: {other.store}"
        )
        lines.append("  a miss, because:")
        lines += [f"    {key}: wanted {a}, there {b}" for key, (a, b) in other.differs.items()]
    return "\n".join(lines)


def _text_explanation_text(said: TextCacheExplanation) -> str:
    lines = [
        f"{said.text_encoder} ({said.fingerprint[:12]}): {counted(said.items, 'item')}, {said.missing:,} "
        f"without a text, {counted(said.texts, 'different text')}",
        f"  {counted(said.hits, 'hit')}, {counted(said.misses, 'miss', 'misses')}",
    ]
    if not said.tried:
        lines.append(
            f"  there is no such store yet: extract will check {said.precision} on some texts, and use "
            "float32 if the embeddings differ"
        )
    for other in said.others:
        lines.append(
            f"{other.texts:,} of the texts it lacks {agree(other.texts, '{are|is}')} in: {other.store}"
        )
        lines.append("  a miss, because:")
        lines += [f"    {key}: wanted {a!r}, there {b!r}" for key, (a, b) in other.differs.items()]
    return "\n".join(lines)


@command.command("verify")
@common_options("cache", "workers")
@click.option("--deep", is_flag=True, help="Read every value, and compare rows of the same image.")
def verify(project: Project, deep: bool) -> int:
    """Check every file of the cache (exit 0), or list what is damaged (exit 1); nothing is changed."""
    from hybrid.cache import EmbeddingCache
    from hybrid.cache.verify import verify as check

    found = check(EmbeddingCache(project.cache), deep)
    lines = [f"{path}: {problem}" for path, problem in found.problems]
    lines.append(
        f"{project.cache}: {counted(found.stores, 'store')}, {counted(found.parts, 'part')}, "
        f"{counted(found.embeddings, 'embedding')}, {counted(found.failures, 'failure')}, "
        f"{counted(found.duplicates, 'duplicate row')}, {counted(found.quarantined, 'file')} in quarantine; "
        f"problems: {len(found.problems) or 'none'}"
    )
    if found.problems:
        lines.append(
            "hybrid extract puts damaged files in quarantine and computes their rows again; hybrid cache "
            "gc removes what was superseded."
        )
    show(project.json, found, "\n".join(lines))
    return int(bool(found.problems))


@command.command("compact")
@common_options("cache", "workers")
def compact(project: Project) -> None:
    """Merge small parts, and write a snapshot that opens quickly. extract does so by itself."""
    from hybrid.cache import EmbeddingCache
    from hybrid.cache import compact as run

    stores = EmbeddingCache(project.cache).stores()
    done = [store.fingerprint for store in stores if run(store)]
    show(
        project.json,
        {"compacted": done},
        f"{project.cache}: {len(done)} of {len(stores)} compacted",
    )


@command.command("gc")
@common_options("cache", "workers")
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
def gc(project: Project, dry_run: bool) -> None:
    """Remove what is not needed: superseded parts, quarantined files, leftovers of killed jobs."""
    from hybrid.cache import EmbeddingCache
    from hybrid.cache.gc import collect

    found = collect(EmbeddingCache(project.cache), dry_run)
    lines = [f"{garbage.path}: {garbage.reason}" for garbage in found]
    verb = "would be removed" if dry_run else "removed"
    lines.append(f"{counted(len(found), 'file')}, {size_text(sum(g.bytes for g in found))}, {verb}")
    show(project.json, found, "\n".join(lines))


@command.command("export")
@common_options("catalogue", "cache", "seed", "workers", "force")
@column_options
@any_embedding_options
@click.option("--out", required=True, type=OutputFile(),
              help="A file that ends in .npz, .parquet, .csv or .h5.")  # fmt: skip
@click.option("--block", metavar="NAME",
              help="Embeddings that import-embeddings has imported under this name.")  # fmt: skip
@pooling_option
def export(
    project: Project,
    columns: ColumnOptions,
    select: EmbeddingSelector | TextSelector,
    out: Path,
    block: str | None,
    poster_pooling: str,
) -> None:
    """Export ids, embeddings and their cost of the catalogue's items to a file."""
    from hybrid.catalogue import load_catalogue
    from hybrid.extraction.cache_report import export_embeddings
    from hybrid.extraction.embeddings_frame import imported_selection

    chosen = select if block is None else imported_selection(block, select.fingerprint, "export")
    catalogue = load_catalogue(project.catalogue, columns)
    tell_catalogue(catalogue)
    summary = export_embeddings(catalogue, out, chosen, project.context, poster_pooling)
    show(
        project.json,
        summary,
        f"{out}: {counted(summary.items, 'embedding')} of dimension {summary.dimension}; "
        f"{counted(summary.missing, 'item has', 'items have')} none",
        catalogue,
    )
