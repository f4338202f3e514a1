"""Fits of rows that stay on disk, from 20,000 to 2,000,000 items: time, passes and memory.

    python benchmarks/scale.py --data scale-data --out scale.json --in-memory

Made data, nested (the smaller sizes are the first items of the largest): embeddings of 2,048 numbers as
float16 in the parts of a cache, as `hybrid extract` writes them; 60 words an item of 100,000, by Zipf's law,
as TF-IDF; metadata of 5 tokens of 500; and 20 labels of 2 to 35 % that depend on all of them. Sparse blocks
lie on disk as CSR shards. The data of 2,000,000 items take 10 GB; `--data` is made if it is not there, and
kept. What `--out` has already is kept, too; ``--figure docs/images/scale.svg`` draws it.

Each fit runs in a process of its own, one after another: ``mean and scale`` of the embeddings, then the SVM
(C = 1, balanced classes, tol 1e-3) or, with ``--head logistic``, the logistic regression (tol 0.01). Peak
memory is that of the process (VmHWM), files that it has mapped included; the anonymous part of it is
sampled ten times a second. With ``--in-memory`` the sizes up to 60,000 are also fitted in memory, and with
``--cluster local:2`` (or another address) on the workers of a cluster, whose processor time is told apart.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from hybrid.cache import EmbeddingCache
from hybrid.cluster.connection import use_cluster
from hybrid.features import PosterFeatures
from hybrid.features.embeddings import StoredRows
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.features.lazy_block import ComputedBlock
from hybrid.features.sparse_shards import SparseShards, write_shards
from hybrid.heads.on_cluster.workers import rows_on
from hybrid.heads.out_of_core.losses import Logistic, Loss, SignedItems, SquaredHinge
from hybrid.heads.out_of_core.solver import Pass, solve_from_disk
from hybrid.heads.svm.base import class_shares, with_ones
from hybrid.utils.context import Context

SIZES = (20_000, 60_000, 200_000, 600_000, 2_000_000)
LABELS, DENSE, HIDDEN = 20, 2048, 64
WORDS, VOCABULARY = 60, 100_000
TOKENS, VALUES = 5, 100  # tokens an item, and values of each
STEP = 4096
IN_MEMORY = 60_000
TOLS = {"svm": 1e-3, "logistic": 1e-2}


# The data


def make_data(folder: Path, n: int) -> None:
    """Write n items, some thousand at a time."""
    store = EmbeddingCache(folder / "cache").make(
        {"architecture": "made", "dimension": DENSE, "dtype": "float16"}
    )
    labels = np.empty((n, LABELS), np.uint8)
    metadata = []

    def words() -> Any:
        for start in range(0, n, STEP):
            X, T, M, labels[start : start + STEP] = make_items(start, min(STEP, n - start))
            metadata.append(M)
            store.append([key(i) for i in range(start, start + X.shape[0])], X)
            if start % (16 * STEP) == 0:
                print(f"made {start + X.shape[0]:,}", file=sys.stderr, flush=True)
            yield T

    write_shards(folder / "words", words(), VOCABULARY + 1)
    write_shards(folder / "metadata", metadata, TOKENS * VALUES + 1)
    np.save(folder / "labels.npy", labels)


def key(item: int) -> bytes:
    """Key of an item's embedding."""
    return hashlib.sha256(f"item {item}".encode()).digest()


def make_items(start: int, n: int) -> tuple[Any, Any, Any, Any]:
    """Embeddings, words, metadata and labels of n items; what all items share comes from one seed."""
    axes, to_labels, of_words, of_tokens = shared()
    random = np.random.default_rng([1, start])
    hidden = random.standard_normal((n, HIDDEN), dtype=np.float32)
    X = np.empty((n, DENSE), np.float16)
    for i in range(0, n, 512):  # so few that they stay in the processor's cache
        part = hidden[i : i + 512] @ axes
        part += 4 * random.standard_normal(part.shape, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        X[i : i + 512] = part
    T, M = make_words(random, n), make_tokens(random, n)
    scores = hidden @ to_labels + T @ of_words + M @ of_tokens
    scores += random.standard_normal(scores.shape)
    return X, T, M, (scores > thresholds(scores, start)).astype(np.uint8)


@functools.cache
def shared() -> tuple[Any, Any, Any, Any]:
    """What hidden numbers do to embeddings and labels, and words and tokens to labels."""
    random = np.random.default_rng(0)
    return (
        random.standard_normal((HIDDEN, DENSE), dtype=np.float32),
        random.standard_normal((HIDDEN, LABELS)) / 8,
        random.standard_normal((VOCABULARY + 1, LABELS)) * 2,
        random.standard_normal((TOKENS * VALUES + 1, LABELS)) / 2,
    )


_THRESHOLDS: list[Any] = []


def thresholds(scores: Any, start: int) -> Any:
    """Where labels of 2 to 35 % begin: as in the first items, for all."""
    if not _THRESHOLDS:
        assert start == 0
        shares = np.linspace(0.02, 0.35, LABELS)
        _THRESHOLDS.append(
            np.array([np.quantile(s, 1 - q) for s, q in zip(scores.T, shares, strict=True)])
        )
    return _THRESHOLDS[0]


def make_words(random: Any, n: int) -> Any:
    """TF-IDF of words by Zipf's law; the last column says that there is no text, and is empty."""
    chance = 1 / np.arange(5, VOCABULARY + 5)
    chance /= chance.sum()
    drawn = np.searchsorted(np.cumsum(chance), random.random(n * WORDS)).clip(0, VOCABULARY - 1)
    ones = np.ones(len(drawn), np.float32)
    T = sparse.csr_matrix((ones, drawn, np.arange(0, len(drawn) + 1, WORDS)), (n, VOCABULARY + 1))
    T.sum_duplicates()
    T.data = (1 + np.log(T.data)) * (1 - np.log(-np.expm1(WORDS * np.log1p(-chance[T.indices]))))
    lengths = np.sqrt(np.asarray(T.multiply(T).sum(axis=1))).ravel()
    T.data = (T.data / np.repeat(lengths, np.diff(T.indptr))).astype(np.float32)
    return T


def make_tokens(random: Any, n: int) -> Any:
    """Metadata: one value of each of some columns, the first ones being frequent."""
    values = (VALUES * random.random((n, TOKENS)) ** 2).astype(int)
    columns = (values + VALUES * np.arange(TOKENS)).ravel()
    data = np.full(len(columns), TOKENS**-0.5, np.float32)
    return sparse.csr_matrix(
        (data, columns, np.arange(0, n * TOKENS + 1, TOKENS)), (n, TOKENS * VALUES + 1)
    )


# A fit


class Memory(threading.Thread):
    """Samples the largest anonymous and file-backed resident memory of this process, in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.anonymous = self.files = 0

    def run(self) -> None:
        """Sample for as long as the process lives."""
        while True:
            found = status()
            self.anonymous = max(self.anonymous, found["RssAnon"])
            self.files = max(self.files, found["RssFile"])
            time.sleep(0.1)


def status() -> dict[str, int]:
    """Figures of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    pairs = (line.split(":") for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def fit_one(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fit the first n items; what it took."""
    folder, n, in_memory = arguments.data, arguments.fit, arguments.in_memory
    head, jobs = arguments.head, arguments.jobs
    memory = Memory()
    memory.start()
    labels = np.load(folder / "labels.npy", mmap_mode="r")[:n].astype(bool)
    children = os.times()
    clock = Clock()
    [store] = EmbeddingCache(folder / "cache").stores()
    stored = StoredRows([key(i) for i in range(n)], store.read)
    posters = PosterFeatures().fit(stored)
    blocks = [
        posters.lazy_block(stored),
        *(prefix(SparseShards(folder / name), n) for name in ("words", "metadata")),
    ]
    if in_memory:
        blocks = [block[:] for block in blocks]
    scaled = clock.lap()
    matrix = FusionMatrix.from_blocks(blocks, ["poster", "text", "metadata"])
    passes: list[dict[str, Any]] = []
    if in_memory:
        result = fit_in_memory(matrix, labels, jobs)
    elif arguments.cluster:
        with use_cluster(Context(workers=jobs, cluster=arguments.cluster)) as cluster:
            clock.lap()  # workers have started
            assert cluster is not None
            with rows_on(cluster):
                result = fit_from_disk(matrix, labels, arguments, passes)
            result["cluster"] = arguments.cluster
    else:
        result = fit_from_disk(matrix, labels, arguments, passes)
    took = clock.lap()
    found = status()
    return {
        **{"items": n, "head": head, "in_memory": in_memory, "threads": jobs},
        **{"mean_and_scale": scaled, "fit": took, **result},
        "workers_processor": sum(os.times()[2:4]) - sum(children[2:4]),  # of those that have ended
        "passes": passes,
        "peak_rss": found["VmHWM"],
        "peak_anonymous": memory.anonymous,
        "peak_files": memory.files,
    }


class Clock:
    """Seconds and processor seconds, from lap to lap."""

    def __init__(self) -> None:
        self.last = self.now()

    @staticmethod
    def now() -> tuple[float, float]:
        """Of the wall, and of the processor."""
        return time.perf_counter(), time.process_time()

    def lap(self) -> dict[str, float]:
        """Since the last lap."""
        before, self.last = self.last, self.now()
        return {"seconds": self.last[0] - before[0], "processor": self.last[1] - before[1]}


def prefix(block: Any, n: int) -> Any:
    """The first n rows of a block on disk."""
    return ComputedBlock(n, block.shape[1], lambda rows: block[rows])


def fit_from_disk(
    matrix: Any, labels: Any, arguments: argparse.Namespace, passes: list[dict[str, Any]]
) -> dict[str, Any]:
    """Fit as `MultilabelLinearSVC` and `MultilabelLogistic` do, with a look at each pass."""
    weight = np.ones(len(labels))
    items = SignedItems(labels, weight, class_shares(labels, weight, "balanced"))
    loss: Loss = SquaredHinge(items) if arguments.head == "svm" else Logistic(items)

    clock = Clock()

    def tell(each: Pass) -> None:
        passes.append({**vars(each), **clock.lap(), "figure": float(each.figure)})
        memory = status()
        sizes = {name: f"{memory[name] / 2**20:,.0f} MiB" for name in ("VmHWM", "RssAnon")}
        print(f"{len(labels):,} {passes[-1]} {sizes}", file=sys.stderr, flush=True)

    found = solve_from_disk(
        with_ones(matrix),
        loss,
        tol=TOLS[arguments.head],
        max_iter=arguments.passes,
        n_jobs=arguments.jobs,
        random_state=0,
        tell=tell,
    )
    return {"gap": float(found.gap.max()), "epochs": int(found.n_iter.max())}


def fit_in_memory(matrix: Any, labels: Any, jobs: int) -> dict[str, Any]:
    """Fit the SVM with all rows in memory."""
    from hybrid import MultilabelLinearSVC

    model = MultilabelLinearSVC(class_weight="balanced", n_jobs=jobs, random_state=0)
    model.fit(matrix, labels)
    return {"gap": float(model.dual_gap_.max()), "epochs": int(model.n_iter_.max())}


# The figures


def in_a_process(arguments: argparse.Namespace, n: int, in_memory: bool) -> dict[str, Any]:
    """What `fit_one` returns, of a process of its own."""
    command = [sys.executable, __file__, "--data", str(arguments.data), "--fit", str(n)]
    command += ["--head", arguments.head, "--jobs", str(arguments.jobs)]
    command += ["--passes", str(arguments.passes)]
    command += ["--in-memory"] if in_memory else []
    command += ["--cluster", arguments.cluster] if arguments.cluster else []
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return dict(json.loads(done.stdout))


def draw(fits: list[dict[str, Any]], path: Path) -> None:
    """Processor time of a pass and of a fit, and peak memory, by the number of items."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "hybrid", "svg.fonttype": "none"})
    from matplotlib import pyplot

    fits = sorted(fits, key=lambda fit: fit["items"])
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    disk = [fit for fit in fits if not fit["in_memory"]]
    memory = [fit for fit in fits if fit["in_memory"]]
    sizes = np.array([fit["items"] for fit in disk])
    each = np.array([fit["fit"]["processor"] / len(fit["passes"]) for fit in disk])
    left.loglog(sizes, each, "o-", color="#1f5aa6", label="a pass, rows on disk")
    left.loglog(
        sizes, each[-1] * sizes / sizes[-1], ":", color="#888888", label="in proportion to items"
    )
    whole = [fit for fit in disk if fit["gap"] <= TOLS[fit["head"]]]
    took = [fit["fit"]["processor"] for fit in whole]
    left.loglog(
        [f["items"] for f in whole], took, "s-", color="#b3541e", label="a fit, rows on disk"
    )
    took = [fit["fit"]["processor"] for fit in memory]
    left.loglog([f["items"] for f in memory], took, "^--", color="#3d7a3d", label="a fit in memory")
    left.set(xlabel="items", ylabel="seconds of the processor")
    peaks = [fit["peak_rss"] / 2**30 for fit in disk]
    right.semilogx(sizes, peaks, "o-", color="#1f5aa6", label="rows on disk")
    peaks = [fit["peak_rss"] / 2**30 for fit in memory]
    right.semilogx([f["items"] for f in memory], peaks, "^--", color="#3d7a3d", label="in memory")
    right.axhline(6, ls=":", color="#888888", label="6 GiB")
    right.set(xlabel="items", ylabel="peak memory, GiB", ylim=(0, 6.5))
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Make data, fit each size, and write what it took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("scale-data"))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--head", choices=sorted(TOLS), default="svm")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--passes", type=int, default=1000, help="most epochs of a fit from disk")
    parser.add_argument("--in-memory", action="store_true")
    parser.add_argument("--cluster", help="fit on the workers of this cluster, such as local:2")
    parser.add_argument("--make-only", action="store_true")
    parser.add_argument("--figure", type=Path, help="draw what --out has, and fit nothing")
    parser.add_argument("--fit", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("scale.json"))
    arguments = parser.parse_args()
    if arguments.fit:
        print(json.dumps(fit_one(arguments)))
        return
    if arguments.figure:
        draw(json.loads(arguments.out.read_text())["fits"], arguments.figure)
        return
    if not (arguments.data / "labels.npy").exists():
        make_data(arguments.data, max(arguments.sizes))
    if arguments.make_only:
        return
    results = json.loads(arguments.out.read_text())["fits"] if arguments.out.exists() else []
    for n in sorted(arguments.sizes):
        ways = [False, True] if arguments.in_memory and n <= IN_MEMORY else [False]
        for in_memory in ways:
            results.append(in_a_process(arguments, n, in_memory))
            machine = f"{platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}"
            arguments.out.write_text(json.dumps({"machine": machine, "fits": results}, indent=1))


if __name__ == "__main__":
    main()
