"""Embedding the pending texts of a job in this process: window by window, part by part."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from itertools import compress
from typing import NamedTuple

from hybrid.extraction.shards import ShardQueue, rounds
from hybrid.extraction.text_plan import TextJob
from hybrid.extraction.wall_clock import WallClock
from hybrid.extraction.writer import PartWriter
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.tokens import Tokens
from hybrid.utils.context import Context
from hybrid.utils.interrupt import Interrupts, until_interrupted
from hybrid.utils.progress import Advance

WINDOW = 512  # texts that are sorted by their length at once
WAIT_SECONDS = 1.0  # between two checks of what other processes have embedded


class Computed(NamedTuple):
    """What was embedded: seconds, those of them to load; keys of long texts; number of all texts."""

    seconds: float
    loading: float
    longer: list[bytes]
    texts: int


def embed_texts_here(
    job: TextJob,
    chunks: str,
    context: Context,
    *,
    lease: str = "",
    interrupts: AbstractContextManager[Interrupts] | None = None,
) -> Computed:
    """Embed the pending texts and write them.

    Parameters
    ----------
    job : TextJob
    chunks : {"first", "mean"}
    context : Context
    lease : str, default=""
        Of all texts together; without one they are leased shard by shard.
    interrupts : context manager of Interrupts, optional
        By default the signals of this process.

    Raises
    ------
    KeyboardInterrupt
        When the window under way is embedded and written.
    """
    clock = WallClock()
    writer = PartWriter(job.store, clock, job.choice.device)
    say = context.progress.say
    try:
        clock.add(writer, job.seconds)
        say(f"embedding with {job.spec.name}, {job.choice.description}")
        encoder = job.encoder or TextEncoder(job.spec, job.choice, chunks)
        clock.charge(writer)
        loading = clock.spent(writer)
        with (
            ShardQueue(job.store, job.todo, lease) as queue,
            context.progress.bar(
                f"embedding ({job.spec.name})",
                len(job.todo),
                "texts",
                lambda: f"{job.hits} cached, {writer.embedded} computed",
            ) as advance,
        ):
            try:
                with interrupts or until_interrupted() as interrupted:
                    longer = _embed(queue, encoder, writer, clock, advance, context, interrupted)
            except KeyboardInterrupt:
                writer.flush()
                say(
                    f"stopped: {writer.embedded} computed; all of them are saved. Run the same command "
                    "again to continue."
                )
                raise
    finally:
        writer.close()
    return Computed(clock.spent(writer), loading, longer, writer.embedded)


def _embed(
    queue: ShardQueue,
    encoder: TextEncoder,
    writer: PartWriter,
    clock: WallClock,
    advance: Advance,
    context: Context,
    interrupted: Interrupts,
) -> list[bytes]:
    """Embed window by window until nothing is pending; at the end wait for other processes.

    Returns
    -------
    list of bytes
        Keys of the texts that are longer than the encoder reads at once.
    """
    longer: list[bytes] = []
    progress = context.progress
    for _ in rounds([queue], "texts", advance, clock, interrupted, progress, WAIT_SECONDS):
        with closing(_tokenised(_windows(queue, advance), encoder)) as windows:
            for keys, tokens in windows:
                interrupted.obey()
                longer += compress(keys, tokens.longer.tolist())
                rows = encoder.embed(tokens)
                clock.charge(writer)
                writer.add(keys, rows, {})
                queue.renew()
                advance(len(keys))
        clock.charge(writer)
        writer.flush()
    return longer


def _tokenised(
    windows: Iterable[dict[bytes, str]], encoder: TextEncoder
) -> Generator[tuple[list[bytes], Tokens], None, None]:
    """Tokenise each window in a thread, while the one before it is computed."""
    under_way: deque[tuple[list[bytes], Future[Tokens]]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for window in windows:
            tokens = pool.submit(encoder.tokenizer, list(window.values()), encoder.chunks)
            under_way.append((list(window), tokens))
            if len(under_way) > 1:
                keys, first = under_way.popleft()
                yield keys, first.result()
        for keys, last in under_way:
            yield keys, last.result()


def _windows(queue: ShardQueue, advance: Advance) -> Iterator[dict[bytes, str]]:
    """Claim shards until a window is full: key → text."""
    window: dict[bytes, str] = {}
    for text, key in _claimed(queue, advance):
        window[key] = text
        if len(window) == WINDOW:
            yield window
            window = {}
    if window:
        yield window


def _claimed(queue: ShardQueue, advance: Advance) -> Iterator[tuple[str, bytes]]:
    for shard in sorted(queue.pending):
        texts, finished = queue.claim(shard)
        advance(finished)
        for key, text in texts.items():
            yield text, key
