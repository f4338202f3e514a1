"""Feed mutated files to the readers for some time: `make fuzz TARGET=catalogue SECONDS=600`.

With Atheris, where it is installed, coverage of `hybrid` leads the mutations; it has wheels for Linux and for
some versions of Python only (`pip install atheris`). Without it, Hypothesis draws the mutations, which are
blind, but are made small where one fails. Either prints how many inputs it tried. An input that fails is
written to the folder `.fuzz`; put it into `tests/fuzz/corpus/TARGET/`, and the gate tries it for ever.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from mutations import mutated
from targets import MORE
from targets import TARGETS as GATE

TARGETS = {**GATE, **MORE}

FOUND = Path(".fuzz")
BATCH = 500  # inputs between two looks at the clock


def _too_long(number: int, frame: FrameType | None) -> NoReturn:
    raise TimeoutError("an input took too long")


def with_hypothesis(name: str, seconds: float, inputs: int | None = None) -> int:
    """Draw mutations until the time is over, or the inputs are tried; return how many were."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    target, tried, start, batch = TARGETS[name](), 0, time.monotonic(), 0
    last = b""
    strategy = mutated(target.corpus(name), target.tokens)
    signal.signal(signal.SIGALRM, _too_long)

    def one(data: bytes) -> None:
        nonlocal tried, last
        tried, last = tried + 1, data
        signal.setitimer(signal.ITIMER_REAL, target.seconds)
        try:
            target.feed(data)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    rules = settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    first = time.time_ns()
    while time.monotonic() - start < seconds if inputs is None else tried < inputs:
        try:
            seed(first + batch)(rules(given(data=strategy)(one)))()
        except BaseException:
            print(
                f"{name}: failed after {tried:,} inputs; the last one: {_keep(name, last)}",
                flush=True,
            )
            raise
        batch += 1
    for what, count in sorted(target.counts.items()):
        print(f"  {count:,} {what}")
    return tried


def with_atheris(name: str, seconds: float) -> NoReturn:
    """Let libFuzzer lead; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["hybrid"]):
        target = TARGETS[name]()
    for data in target.corpus(name):
        target.feed(data)  # compiles loops, which takes longer than an input may
    inputs = FOUND / name
    inputs.mkdir(parents=True, exist_ok=True)
    for data in target.corpus(name):
        (inputs / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    tokens = FOUND / f"{name}.tokens"
    written = (
        "".join(f"\\x{byte:02x}" for byte in token) for token in target.tokens if len(token) < 60
    )
    tokens.write_text("".join(f'"{token}"\n' for token in written))
    limits = [
        f"-max_total_time={seconds:.0f}",
        f"-timeout={target.seconds:.0f}",
        "-rss_limit_mb=4096",
    ]
    options = [
        *limits,
        f"-dict={tokens}",
        f"-artifact_prefix={FOUND}/{name}-",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(inputs)], target.feed)
    atheris.Fuzz()
    raise AssertionError("expected that Atheris ends the process")


def _keep(name: str, data: bytes) -> Path:
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one target here, or each in a process of its own."""
    parser = argparse.ArgumentParser(description="Feed mutated files to the readers.")
    parser.add_argument(
        "target", nargs="*", help=f"of {', '.join(TARGETS)}; default: all but every-run-folder"
    )
    parser.add_argument("--seconds", type=float, default=600, help="for each target; default: 600")
    parser.add_argument("--inputs", type=int, help="so many instead, drawn by Hypothesis")
    parser.add_argument(
        "--engine", choices=("atheris", "hypothesis"), help="default: Atheris where it is"
    )
    options: Any = parser.parse_args(arguments)
    if unknown := [name for name in options.target if name not in TARGETS]:
        parser.error(f"expected targets of {', '.join(TARGETS)}, found {', '.join(unknown)}")
    names = options.target or list(GATE)
    there = importlib.util.find_spec("atheris") is not None
    drawn = not there or options.inputs is not None
    engine = options.engine or ("hypothesis" if drawn else "atheris")
    if len(names) > 1:
        command = [sys.executable, __file__, "--seconds", str(options.seconds), "--engine", engine]
        command += [] if options.inputs is None else ["--inputs", str(options.inputs)]
        codes = {name: subprocess.run([*command, name], check=False).returncode for name in names}
        failed = [name for name, code in codes.items() if code]
        print(f"{len(names)} targets, {len(failed)} failed{': ' * bool(failed)}{', '.join(failed)}")
        return int(bool(failed))
    (name,) = names
    lacking = "" if there or options.engine else " (Atheris is not installed)"
    much = f"{options.seconds:g} s" if options.inputs is None else f"{options.inputs:,} inputs"
    print(f"{name}: {much} with {engine}{lacking}", flush=True)
    if engine == "atheris":
        with_atheris(name, options.seconds)
    tried = with_hypothesis(name, options.seconds, options.inputs)
    print(f"{name}: {tried:,} inputs, none failed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
