"""What many posters cost, from measured constants and prices: storage, network, hours, memory, money.

    python benchmarks/plan.py --items 10000000 1000000000
    python benchmarks/plan.py --items 10000000 --posters-a-gpu-second 5000 --gpu-hour 2.5

This is arithmetic, not a measurement. Constants were measured with up to 10,000,000 made items on small
machines (docs/scale.md), and are taken to grow as the items do; near-duplicates by hashes grow with a power
of 1.5. Prices are examples, in US dollars: set yours. Memory is marked with a star where one process would
need more than `--memory`: there the design ends, not the machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

MB, GB, TB = 1e6, 1e9, 1e12
HOUR = 3600.0

# Bytes of an item.
POSTER = 23_000  # a film poster of 182 x 268 (docs/performance.md)
ROW = 4_150  # an embedding of 2,048 float16 in the cache, with its key (benchmarks/cache_keys.py)
TABLE = 485  # a row of the catalogue as CSV (benchmarks/catalogue_memory.py)
# Rows or members of a file.
PART_ROWS = 4_096  # of a part of the cache; posters of a block
SHARD_MEMBERS = 10_000  # posters of a tar file

# Seconds of one core for an item.
HASHING = 1 / 31_100  # benchmarks/archives.py
DECODING = 1.3e-3  # to 299 x 299; benchmarks/decode.py
EMBEDDING = 2 / 34  # InceptionV3 in bfloat16, 34 a second on two cores; benchmarks/extract.py
SPLITTING = 89.6 / 1e7  # benchmarks/split.py
FITTING = 41 / 2e6  # a pass of the SVM with 20 labels; benchmarks/scale.py
PASSES = 39  # of 2,000,000 items
PREDICTING = 175 / 2e6  # words and metadata; benchmarks/catalogue_memory.py
HASH_PAIRS = 53.1 / 1e6**1.5  # near-duplicates by hashes, times items to the power of 1.5
COSINES = 103.4 / 1e6  # near-duplicates by embeddings of 768 numbers; benchmarks/near_duplicates.py
SCHEDULING = 2.1e-3  # of a block: scheduler and command; benchmarks/cluster.py overhead
CHECKING = (
    3.3 / 1e6
)  # to open a cache that is not compacted; benchmarks/cache_keys.py --dimension 2048

# Memory: bytes of one process for an item.
CATALOGUE_MEMORY = 293  # with ids and labels; texts are on disk; benchmarks/catalogue_memory.py
INDEX_MEMORY = 513 * 2**20 / 1e7  # of a compacted cache; benchmarks/cache_keys.py
SPLIT_MEMORY = 310  # benchmarks/split.py
FIT_MEMORY = 330  # benchmarks/scale.py
HASHES_MEMORY, TEXTS_MEMORY = 402, 1_540  # near-duplicates; benchmarks/near_duplicates.py


@dataclass(frozen=True)
class Row:
    """A line of the plan.

    Parameters
    ----------
    what : str
    amount : str
    money : float or None, default=None
        Dollars, or dollars a month.
    monthly : bool, default=False
    """

    what: str
    amount: str
    money: float | None = None
    monthly: bool = False

    def cells(self) -> tuple[str, str]:
        """Amount and money, as the table has them."""
        if self.money is None:
            return self.amount, ""
        digits = 2 if self.money < 10 else 0
        return self.amount, f"{self.money:,.{digits}f}{' a month' * self.monthly}"


def size(count: float) -> str:
    """Bytes in the unit that suits them."""
    unit, name = next(each for each in ((TB, "TB"), (GB, "GB"), (MB, "MB")) if count >= each[0])
    return f"{count / unit:,.3g} {name}" if count < 1000 * unit else f"{count / unit:,.0f} {name}"


def hours(seconds: float) -> str:
    """Hours, or seconds where they are few."""
    if seconds < HOUR:
        return f"{seconds:,.0f} s"
    return f"{seconds / HOUR:,.1f} h" if seconds < 100 * HOUR else f"{seconds / HOUR:,.0f} h"


def plan(n: int, options: argparse.Namespace) -> Iterator[Row]:
    """All of it for n items, each with a poster of its own."""
    yield from store(n, options)
    yield from extract(n, options)
    yield from learn(n, options)


def store(n: int, options: argparse.Namespace) -> Iterator[Row]:
    """What lies there, and what a reading of all posters asks for."""
    month = options.gb_month / GB
    yield Row("posters", size(n * POSTER), n * POSTER * month, True)
    yield Row("embeddings, 2,048 float16", size(n * ROW), n * ROW * month, True)
    yield Row("catalogue", size(n * TABLE), n * TABLE * month, True)
    shards, parts = -(-n // SHARD_MEMBERS), -(-n // PART_ROWS)
    yield Row("tar files of 10,000 posters", f"{shards:,}")
    yield Row("parts of the cache", f"{parts:,}", parts / 1000 * options.put_thousand)
    yield Row("requests, a poster each", f"{n:,}", n / 1000 * options.get_thousand)
    transfer = n * POSTER * 8 / (options.gigabits * 1e9)
    yield Row(f"posters through {options.gigabits:g} Gbit/s", hours(transfer))


def extract(n: int, options: argparse.Namespace) -> Iterator[Row]:
    """Hashing and embedding."""
    core, gpu = options.core_hour / HOUR, options.gpu_hour / HOUR
    yield Row("hashing, one core", hours(n * HASHING), n * HASHING * core)
    yield Row("InceptionV3 on cores, one core", hours(n * EMBEDDING), n * EMBEDDING * core)
    seconds = n / options.posters_a_gpu_second
    rate = f"{options.posters_a_gpu_second:,.0f} a second"
    yield Row(f"InceptionV3 on a GPU, {rate}", hours(seconds), seconds * gpu)
    yield Row("of that, decoding, one core", hours(n * DECODING))
    yield Row("scheduler of a cluster", hours(n / PART_ROWS * SCHEDULING))
    opening = n * CHECKING
    yield Row("opening the cache, not compacted", hours(opening), opening * core)
    yield memory("index of the cache, compacted", n * INDEX_MEMORY, options)


def learn(n: int, options: argparse.Namespace) -> Iterator[Row]:
    """Splitting, fitting and predicting: one process each."""
    core = options.core_hour / HOUR
    for what, seconds in (
        ("split, one core", n * SPLITTING),
        ("near-duplicates by hashes, one core", HASH_PAIRS * n**1.5),
        ("near-duplicates by embeddings, one core", n * COSINES),
        ("SVM of 20 labels from disk, one core", n * FITTING * PASSES),
        ("predicting, one core", n * PREDICTING),
    ):
        yield Row(what, hours(seconds), seconds * core)
    yield memory("the catalogue", n * CATALOGUE_MEMORY, options)
    yield memory("the split", n * SPLIT_MEMORY, options)
    yield memory("near-duplicates by hashes", n * HASHES_MEMORY, options)
    yield memory("near-duplicates by texts", n * TEXTS_MEMORY, options)
    yield memory("the fit", n * FIT_MEMORY, options)


def memory(what: str, count: float, options: argparse.Namespace) -> Row:
    """What a process holds, marked where it is more than there is."""
    return Row(f"memory: {what}", size(count) + " *" * (count > options.memory * GB))


def main() -> None:
    """Parse, and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10_000_000, 1_000_000_000])
    parser.add_argument("--posters-a-gpu-second", type=float, default=1_126)
    parser.add_argument("--gigabits", type=float, default=10, help="of the network, a second")
    parser.add_argument("--memory", type=float, default=64, help="GB of one machine")
    prices = parser.add_argument_group("prices in dollars")
    prices.add_argument("--gb-month", type=float, default=0.023, help="object storage")
    prices.add_argument("--get-thousand", type=float, default=0.0004, help="1,000 requests to read")
    prices.add_argument("--put-thousand", type=float, default=0.005, help="1,000 requests to write")
    prices.add_argument("--gpu-hour", type=float, default=3.0, help="a GPU with 16 cores")
    prices.add_argument("--core-hour", type=float, default=0.04)
    options = parser.parse_args()
    print("|", *(f"| {n:,} items | dollars" for n in options.items), "|")
    print("|---" + "|---|---" * len(options.items) + "|")
    for rows in zip(*(plan(n, options) for n in options.items), strict=True):
        print(
            "|", rows[0].what, *(f"| {cell}".strip() for row in rows for cell in row.cells()), "|"
        )


if __name__ == "__main__":
    main()
