"""What a path on the command line may be: a place on this machine, or a URL as well."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from hybrid.errors import SettingError
from hybrid.remote.address import location, remote_url


class Location(click.Path):
    """A path, or a URL to read from."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """See `hybrid.remote.address.location`."""
        try:
            return location(os.fspath(value))
        except SettingError as error:
            self.fail(str(error), param, ctx)


class LocalPath(Location):
    """A path of this machine."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Refuse a URL before any work."""
        path = super().convert(value, param, ctx)
        if url := remote_url(path):
            self.fail(
                f"expected a path of this machine, found {url}: at a URL are only catalogues, their posters "
                "and the cache. Name a path here, and copy what is written when it is complete.",
                param,
                ctx,
            )
        return path
