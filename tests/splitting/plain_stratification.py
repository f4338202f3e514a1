"""The dealing of the stratification in plain Python: dictionaries and whole numbers, no arrays."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from hybrid.splitting.stratification import CLAIMS, OVERFLOW


def deal(
    ids: Sequence[str],
    labels: Sequence[Sequence[int]],
    groups: Sequence[str],
    shares: Sequence[float],
    seed: int,
    home: int | None,
) -> dict[str, int]:
    """Group → part."""
    ratios = [Fraction(share).limit_denominator(10**6) for share in shares]
    common = math.lcm(*(ratio.denominator for ratio in ratios))
    whole = [int(ratio * common) for ratio in ratios]
    unit, n = sum(whole), len(ids)
    first: dict[str, str] = {}
    sizes, counts = Counter(groups), {group: Counter[int]() for group in groups}
    for name, row, group in zip(ids, labels, groups, strict=True):
        first[group] = min(name, first.get(group, name))
        counts[group].update(j for j, has in enumerate(row) if has)
    order = sorted(first, key=lambda g: hashlib.sha256(f"{seed}\0{first[g]}".encode()).digest())
    holders = {j: [g for g in order if counts[g][j]] for j in range(len(labels[0]))}
    parts = [p for p, share in enumerate(whole) if share]
    rare = {j for j, having in holders.items() if len(having) < len(parts)}
    totals = {j: sum(counts[g][j] for g in order) for j in holders}
    wanted = _wanted(whole, totals, rare, n)
    room = [share * n for share in whole]
    overflow = unit * max(sizes.values()) + int(OVERFLOW * unit * n)
    dealt: dict[str, int] = {}

    def put(group: str, p: int) -> None:
        dealt[group] = p
        room[p] -= unit * sizes[group]
        for j, count in counts[group].items():
            wanted[p][j] -= unit * count

    def place(group: str, j: int | None) -> None:
        fit = [p for p in parts if room[p] + overflow >= unit * sizes[group]] or parts
        put(group, max(fit, key=lambda p: (0 if j is None else wanted[p][j], room[p], -p)))

    if home in parts:
        for j in sorted(rare):
            for group in (g for g in holders[j] if g not in dealt):
                fits = all(
                    k in rare or wanted[home][k] >= unit * c for k, c in counts[group].items()
                )
                if fits and room[home] >= unit * sizes[group]:
                    put(group, home)
    decides = {j for j in holders if home not in parts or j not in rare}
    while left := {j: sum(g not in dealt for g in holders[j]) for j in decides}:
        j = min(left, key=lambda j: (left[j], j))
        for group in (g for g in holders[j] if g not in dealt):
            place(group, j)
        decides.discard(j)
        decides = {k for k in decides if any(g not in dealt for g in holders[k])}
    for group in (g for g in order if g not in dealt):
        place(group, None)
    return dealt


def _wanted(
    shares: list[int], totals: dict[int, int], rare: set[int], n: int
) -> list[dict[int, int]]:
    unit = sum(shares)
    wanted = [{j: share * total for j, total in totals.items()} for share in shares]
    largest = shares.index(max(shares))
    for p in (p for p, share in enumerate(shares) if share and p != largest):
        claims = int(CLAIMS * shares[p] * n)
        for j in sorted(totals, key=lambda j: (-totals[j], j)):
            claim = unit - shares[p] * totals[j]
            if claim <= 0 or j in rare:
                continue
            claims -= claim
            if claims < 0:
                break
            wanted[p][j] += claim
            wanted[largest][j] -= claim
    return wanted
