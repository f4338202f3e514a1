"""Texts of a catalogue → embeddings: hybrid, its engine alone, and sentence-transformers on the same cores.

    python benchmarks/text_encoders.py films/catalogue.csv --text-encoder all-MiniLM-L6-v2 --out texts.json

All sides in one process, in turn, `--repeat` times; the table gives the median and the range of texts a
second.

bare                   the engine alone, on all texts in batches by their length, already tokenised: its limit
hybrid                 hybrid.extract_texts, from the catalogue to rows on the disk, a new cache each time;
                       the rate is that of the summary: loading the encoder aside
sentence-transformers  its own `encode`, batches of 32 (--batch-sizes names others), float32, and bfloat16
                       where the processor has it; with --sentence-transformers, where it is installed

`--process` runs `hybrid extract` once more in a process of its own: seconds and peak memory of the command.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybrid import Context, TextEmbeddingOptions, extract_texts, load_catalogue
from hybrid.backbones.devices import processor_has, processor_name
from hybrid.catalogue import Catalogue
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.texts import item_texts
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.registry import resolve_text_encoder

Side = Callable[[], float]


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--text-encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--text", action="append", help="Text column.  [default: the catalogue's]")
    parser.add_argument("--engines", default="openvino")
    parser.add_argument("--precisions", help="[default: float32, and bfloat16 where it is native]")
    parser.add_argument("--items", type=int, help="Only so many of the items.")
    parser.add_argument("--sentence-transformers", action="store_true")
    parser.add_argument("--batch-sizes", default="32")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--process", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    catalogue = read(options)
    texts = [
        text for text in dict.fromkeys(item_texts(catalogue.frame, catalogue.columns.text)) if text
    ]
    native = "float32,bfloat16" if processor_has("bfloat16") else "float32"
    precisions = (options.precisions or native).split(",")
    sides: dict[str, Side] = {}
    for precision in precisions:
        for engine in options.engines.split(","):
            sides |= own_sides(catalogue, texts, engine, precision, options)
        if options.sentence_transformers:
            sides |= their_sides(texts, precision, options)
    result: dict[str, Any] = {
        "machine": {"processor": processor_name(), "workers": options.workers},
        "encoder": options.text_encoder,
        "texts": len(texts),
        "rates": measure(sides, options.repeat),
    }
    print(table(result["rates"]), flush=True)
    if options.process:
        result["commands"] = {p: command(options, p) for p in precisions}
        print(json.dumps(result["commands"], indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def read(options: argparse.Namespace) -> Catalogue:
    """The catalogue, or its first items."""
    from hybrid.types import ColumnOptions

    columns = ColumnOptions(text=tuple(options.text)) if options.text else None
    catalogue = load_catalogue(options.catalogue, columns)
    return catalogue.only(catalogue.ids[: options.items].tolist()) if options.items else catalogue


def own_sides(
    catalogue: Catalogue,
    texts: Sequence[str],
    engine: str,
    precision: str,
    options: argparse.Namespace,
) -> dict[str, Side]:
    """The engine alone, and the whole job."""
    spec = resolve_text_encoder(options.text_encoder)
    encoder = TextEncoder(spec, spec.choose_engine(engine, precision))
    tokens = encoder.tokenizer(texts)
    encoder.engine.embed(tokens)  # the first time is slower

    def bare() -> float:
        start = time.perf_counter()
        encoder.engine.embed(tokens)
        return len(texts) / (time.perf_counter() - start)

    def whole() -> float:
        with tempfile.TemporaryDirectory() as cache:
            done = extract_texts(
                catalogue,
                options.text_encoder,
                options=TextEmbeddingOptions(precision=precision),
                settings=ExtractSettings(engine),
                context=Context(cache, options.workers),
            )
        return done.rate

    name = f"{engine}, {precision}"
    return {f"bare, {name}": bare, f"hybrid, {name}": whole}


def their_sides(
    texts: Sequence[str], precision: str, options: argparse.Namespace
) -> dict[str, Side]:
    """`encode` of sentence-transformers, as its documentation shows it."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(options.workers)
    folder = str(resolve_text_encoder(options.text_encoder).folder)
    model = SentenceTransformer(folder, device="cpu").to(getattr(torch, precision))
    sides = {}
    for size in map(int, options.batch_sizes.split(",")):

        def encode(size: int = size) -> float:
            start = time.perf_counter()
            rows = model.encode(list(texts), batch_size=size, convert_to_tensor=True)
            assert len(rows) == len(texts)
            return len(texts) / (time.perf_counter() - start)

        sides[f"sentence-transformers, batches of {size}, {precision}"] = encode
    return sides


def measure(sides: dict[str, Side], repeat: int) -> dict[str, list[float]]:
    """Texts a second of every side, several times, in turn."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeat):
        for name, side in sides.items():
            rates[name].append(side())
            print(f"{name}: {rates[name][-1]:.0f}", file=sys.stderr, flush=True)
    return rates


def command(options: argparse.Namespace, precision: str) -> dict[str, float]:
    """Seconds and peak memory of `hybrid extract` in a process of its own."""
    words = ["extract", "--catalogue", options.catalogue.absolute(), "--precision", precision]
    words += ["--text-encoder", Path(options.text_encoder).absolute(), "--quiet", "--json"]
    words += [part for column in options.text or () for part in ("--text", column)]
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        program = [sys.executable, "-m", "hybrid", *map(str, words), "--cache", cache]
        said = subprocess.run(program, check=True, capture_output=True, text=True).stdout
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    summary = json.loads(said)
    return {
        "seconds": round(seconds, 1),
        "seconds of the summary": round(summary["seconds"], 1),
        "texts": summary["computed"],
        "longer": summary["longer"],
        "peak MiB": round(peak / 1024),
    }


def table(rates: dict[str, list[float]]) -> str:
    """Markdown: texts a second, the share of the engine's own rate, the ratio to sentence-transformers."""
    lines = [
        "| | texts a second | range | of bare | of sentence-transformers |",
        "|---|---|---|---|---|",
    ]
    middle = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        share = ratio = ""
        if name.startswith("hybrid"):
            bare = rates[name.replace("hybrid", "bare")]
            share = f"{np.median(np.divide(values, bare)):.2f}"
            theirs = [
                m
                for n, m in middle.items()
                if n.startswith("sent") and n.split()[-1] == name.split()[-1]
            ]
            ratio = f"{middle[name] / max(theirs):.2f}" if theirs else ""
        spread = f"{min(values):.0f} to {max(values):.0f}"
        lines.append(f"| {name} | {middle[name]:.0f} | {spread} | {share} | {ratio} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
