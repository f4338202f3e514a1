"""A catalogue file on the disk: its hash, its content without the compression, its text."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hybrid.errors import CatalogueError, SettingError
from hybrid.remote.address import remote_url
from hybrid.types import ColumnOptions, Finding
from hybrid.utils.options import given_options
from hybrid.utils.reading import CATALOGUE, open_file
from hybrid.utils.unpacking import unpack

HEAD = 1 << 16
_GZIP = b"\x1f\x8b"
_BLOCK = 1 << 20
# Byte order marks: the longer ones first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Source:
    """A catalogue file.

    Parameters
    ----------
    path : Path
    sha256 : str
        Of the file's bytes as they are on the disk; ``""`` where nobody asks for it.
    suffix : str
        Of the name, in lower case, without ``.gz``.
    packed : bool
        Whether it is compressed with gzip.
    head : bytes
        The first bytes of the content.
    """

    path: Path
    sha256: str
    suffix: str
    packed: bool
    head: bytes

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the content.

        Raises
        ------
        CatalogueError
            If it cannot be read, also while it is.
        """
        try:
            with open_file(self.path, CATALOGUE) as file:
                if self.packed:
                    with unpack(file, self.path) as content:
                        yield content
                else:
                    yield file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _broken(self.path, error) from error
        except OSError as error:
            raise _unreadable(self.path, error) from error


def open_source(path: Path, hashed: bool = True) -> Source:
    """Hash a table's file and look at its first bytes.

    Parameters
    ----------
    path : Path
    hashed : bool, default=True
        Whether to hash it, for which all of it is read.

    Returns
    -------
    Source

    Raises
    ------
    CatalogueError
        If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open_file(path, CATALOGUE) as file:
            head = file.read(HEAD)
            digest.update(head)
            while hashed and (block := file.read(_BLOCK)):
                digest.update(block)
    except FileNotFoundError:
        raise CatalogueError(
            f"expected a catalogue at {remote_url(path) or path}, found no such file. "
            "Go to its folder, or name it with --catalogue."
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from error
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = head.startswith(_GZIP)
    if suffixes and suffixes[-1] in (".gz", ".gzip"):
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    source = Source(path, digest.hexdigest() if hashed else "", suffix, packed, head)
    if packed:
        with source.open() as content:
            head = content.read(HEAD)
    return Source(path, source.sha256, suffix, packed, head)


def _unreadable(path: Path, error: OSError) -> CatalogueError:
    return CatalogueError(
        f"cannot read the catalogue {remote_url(path) or path}: {error.strerror or error}."
    )


def _broken(path: Path, error: Exception) -> CatalogueError:
    return CatalogueError(
        f"{path}: expected a whole gzip file, found one that is cut off or damaged ({error}). "
        "Copy or download it again."
    )


def find_encoding(source: Source, options: ColumnOptions) -> tuple[str, list[Finding]]:
    """Find the text encoding of a file: the one that is set, and what its byte order mark says.

    Parameters
    ----------
    source : Source
    options : ColumnOptions

    Returns
    -------
    codec : str
        It leaves out the byte order mark.
    findings : list of Finding
        What a mark says that no option did.

    Raises
    ------
    CatalogueError
        If the bytes look like UTF-16 without a mark, and no encoding is set.
    SettingError
        If there is no such encoding, or the byte order mark is that of another one.
    """
    named = options.encoding
    try:
        codec = codecs.lookup(named)
        if not getattr(codec, "_is_text_encoding", True):
            raise LookupError(named)
    except (LookupError, ValueError):  # ValueError: of a name that is no text
        raise SettingError(
            "--encoding: expected the name of a text encoding such as utf-8, latin-1 or utf-16, "
            f"found {named!r}."
        ) from None
    given = bool(given_options({"encoding": (named, ColumnOptions().encoding)}))
    marked = next((name for mark, name in _MARKS if source.head.startswith(mark)), None)
    if marked is None:
        if not given and _looks_like_utf16(source.head):
            raise CatalogueError(
                f"{source.path}: expected text in utf-8, found what looks like UTF-16 without a byte "
                "order mark. Name it: --encoding utf-16-le or --encoding utf-16-be."
            )
        return codec.name, []
    family = marked.removesuffix("-sig")
    if codec.name.startswith(family):
        return marked, []
    if given:
        raise SettingError(
            f"--encoding {named}: expected it to be that of the file, found the byte order mark of "
            f"{family} at the start of {source.path}. Leave the option out, or name {family}."
        )
    return marked, [
        Finding("encoding", f"read as {family}, which the byte order mark of the file names", 1)
    ]


def _looks_like_utf16(head: bytes) -> bool:
    head = head[:4096]
    return any(head[start::2].count(0) * 10 > len(head) * 3 for start in (0, 1))


@contextmanager
def open_text(source: Source, codec: str, named: str) -> Iterator[io.TextIOWrapper]:
    """Open the content as text, its line ends as they are.

    Raises
    ------
    CatalogueError
        If the bytes are not text in this encoding, also while they are read.
    """
    try:
        with source.open() as content, io.TextIOWrapper(content, codec, newline="") as text:
            yield text
    except UnicodeError as error:
        raise CatalogueError(
            f"{source.path}: expected text in {named}, found bytes that are not"
            f"{_place(source, codec)}. Save it as UTF-8, or name its encoding with --encoding "
            "(latin-1, cp1252, utf-16 …)."
        ) from error


def is_utf8(source: Source) -> bool:
    """Whether the whole content is text in UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with source.open() as content:
            while block := content.read(_BLOCK):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def bytes_read(text: io.TextIOWrapper) -> int:
    """How many bytes of the file were read for a text from `open_text`, as they are on the disk."""
    content: Any = text.buffer
    return int(getattr(content, "fileobj", content).tell())


def _place(source: Source, codec: str) -> str:
    """Find the first byte that is no text."""
    decoder, done, lines = codecs.getincrementaldecoder(codec)(), 0, 1
    with source.open() as content:
        while block := content.read(_BLOCK):
            before = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block)
            except UnicodeDecodeError as error:
                lines += error.object[: error.start].count(b"\n")
                return f" (byte {done - before + error.start}, line {lines})"
            except UnicodeError:
                return ""
            done, lines = done + len(block), lines + text.count("\n")
    return " (at the end)"
