"""What a user should know of the texts of a catalogue: those that are cut off, and those that are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hybrid.catalogue import Catalogue
from hybrid.extraction.text_plan import TextJob
from hybrid.types import Finding
from hybrid.utils.counts import agree, counted

SHOWN = 3  # ids


def text_findings(
    catalogue: Catalogue, job: TextJob, chunks: str, longer: Sequence[bytes], of: int
) -> tuple[Finding, ...]:
    """Tell of texts that are longer than the encoder reads, and of items without a text.

    Parameters
    ----------
    catalogue : Catalogue
    job : TextJob
    chunks : {"first", "mean"}
    longer : sequence of bytes
        Keys of the long ones among the texts that were tokenised.
    of : int
        Number of those.
    """
    return tuple(_findings(catalogue, job, chunks, longer, of))


def _findings(
    catalogue: Catalogue, job: TextJob, chunks: str, longer: Sequence[bytes], of: int
) -> Iterator[Finding]:
    missing = [i for i, key in enumerate(job.keys) if key is None]
    if missing:
        examples = tuple(catalogue.ids[missing[:SHOWN]].tolist())
        yield Finding(
            "missing texts",
            f"{counted(len(missing), 'item')} {agree(len(missing), '{have|has}')} no text in "
            f"{', '.join(catalogue.columns.text)}, such as {examples[0]}: no embedding, the text is missing",
            len(missing),
            examples=examples,
        )
    if longer and chunks == "first":
        wanted = set(longer)
        found = (i for i, key in enumerate(job.keys) if key in wanted)
        examples = tuple(str(catalogue.ids[i]) for i, _ in zip(found, range(SHOWN), strict=False))
        yield Finding(
            "long texts",
            f"{len(longer):,} of {counted(of, 'text')} {agree(len(longer), '{have|has}')} more than "
            f"{job.spec.max_length} tokens, such as that of {examples[0]}; what is beyond them is not "
            "embedded. --chunks mean averages all pieces of a text",
            len(longer),
            examples=examples,
        )
