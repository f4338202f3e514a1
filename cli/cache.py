"""`hybrid cache`."""

from __future__ import annotations

import click

from hybrid.cli.options import Project, project_options
from hybrid.cli.output import show


@click.group("cache")
def command() -> None:
    """Look after the embedding cache."""


@command.command("ls")
@project_options
def ls(project: Project) -> None:
    """List what the cache holds."""
    from hybrid.cache import EmbeddingCache
    from hybrid.extract import describe_store

    stores = EmbeddingCache(project.cache).stores()
    data = [
        {
            "fingerprint": store.fingerprint,
            "backbone": store.stands_for["architecture"],
            "weights": store.recorded["weights"],
            "dimension": store.dimension,
            "embeddings": len(store),
            "failures": len(store.failures),
            "bytes": store.bytes_on_disk(),
        }
        for store in stores
    ]
    text = "\n".join(
        f"{describe_store(store)}, {len(store.failures)} failures, "
        f"{store.bytes_on_disk() / 2**20:.1f} MiB"
        for store in stores
    )
    show(project.json, data, text or f"{project.cache}: no embeddings")
