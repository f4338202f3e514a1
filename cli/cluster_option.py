"""The option ``--cluster``, and the connection that a command keeps."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import click


def _checked(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no address before the work."""
    if value is not None:
        from hybrid.cluster.address import parse_address

        parse_address(value)
    return value


cluster_option = click.option(
    "--cluster", metavar="WHERE", callback=_checked,
    help="Dask cluster that computes: local:N, tcp://HOST:PORT, tls://HOST:PORT or a scheduler file.",
)  # fmt: skip


def connections(cluster: str | None) -> AbstractContextManager[None]:
    """One connection to a cluster for all that a command does."""
    if cluster is None:
        return nullcontext()
    from hybrid.cluster.connection import one_connection

    return one_connection()
