"""References to images within another file: members of a tar file, rows of a Parquet file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from hybrid.remote.address import remote_url

_MEMBER = re.compile(
    r"(?P<file>.+?\.(?:tar(?:\.(?:gz|bz2|xz|zst|lz4|z))?|tgz|tbz2?|txz|tzst))#(?P<member>.+)",
    re.DOTALL | re.IGNORECASE,
)
_ROW = re.compile(r"(?P<file>.+)#(?P<column>[^#]+)#(?P<row>\d{1,18})", re.DOTALL)
_ONLY = re.compile(
    r"(?P<file>.+\.(?:parquet|parq|pq)(?:\.gz)?)#(?P<row>\d{1,18})", re.DOTALL | re.I
)


class MemberReference(NamedTuple):
    """Where an image is that a tar file holds.

    Parameters
    ----------
    file : str
        The tar file: as a cell names it, or its path where the cell has been joined to a folder.
    member : str
    """

    file: str
    member: str

    def __str__(self) -> str:
        return f"{self.file}#{self.member}"


class RowReference(NamedTuple):
    """Where an image is that a Parquet file holds.

    Parameters
    ----------
    file : str
        The Parquet file: as a cell names it, or its path where the cell has been joined to a folder.
    column : str
        ``""`` for the only column of images that the file has.
    row : int
        From 0.
    """

    file: str
    column: str
    row: int

    def __str__(self) -> str:
        return "#".join(filter(None, (self.file, self.column, str(self.row))))


Reference = MemberReference | RowReference


def parse_reference(cell: str) -> Reference | None:
    """Parse a cell that names an image within a tar file or a Parquet file; None for any other.

    Examples
    --------
    >>> parse_reference("shards/shard-0001.tar#000007.jpg")
    MemberReference(file='shards/shard-0001.tar', member='000007.jpg')
    >>> parse_reference("films.parquet#image#17")
    RowReference(file='films.parquet', column='image', row=17)
    >>> parse_reference("films.parquet#17").column
    ''
    >>> parse_reference("posters/17.jpg")
    """
    if "#" not in cell:
        return None
    if found := _MEMBER.fullmatch(cell):
        return MemberReference(found["file"], found["member"])
    if found := _ONLY.fullmatch(cell):
        return RowReference(found["file"], "", int(found["row"]))
    found = _ROW.fullmatch(cell)
    return RowReference(found["file"], found["column"], int(found["row"])) if found else None


def file_of(cell: str) -> str:
    """The file that a cell names an image of: the tar or Parquet file of a reference, else the cell itself.

    Examples
    --------
    >>> file_of("shard-0001.tar#000007.jpg"), file_of("posters/17.jpg")
    ('shard-0001.tar', 'posters/17.jpg')
    """
    reference = parse_reference(cell)
    return cell if reference is None else reference.file


def join_folder(folder: Path, cell: str) -> str:
    """The path of the image that a cell names, relative to a folder; a URL stays what it is.

    Examples
    --------
    >>> join_folder(Path("films"), "shard-0001.tar#./a//b.jpg"), join_folder(Path("films"), "./17.jpg")
    ('films/shard-0001.tar#./a//b.jpg', 'films/17.jpg')
    """
    if remote_url(cell):
        return cell
    reference = parse_reference(cell)
    if reference is None:
        return str(folder / cell)
    return str(reference._replace(file=str(folder / reference.file)))
