"""The embedded sample catalogue: invented films, drawn and written by the program from a seed.

Poster, text and metadata of a film depend on its genres and share nothing else, so each block makes
its own mistakes and all of them together know more than any one. Every decision comes from a
``random.Random`` seeded with the seed, the film and the block, so it is the same on any machine.
"""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from hybrid.errors import SampleError, SettingError

Colour = tuple[int, ...]
Part = tuple[float, tuple[float, ...]]
COLUMNS = (
    "film_id", "title", "year", "genres", "overview", "cast", "directors", "runtime", "language",
    "certificate", "poster",
)  # fmt: skip
MIN_ITEMS = 40
WIDTH, HEIGHT = 182, 268
SCALE = 2  # posters are drawn twice as large and shrunk, which smooths all edges


@dataclass(frozen=True)
class SampleSummary:
    """What `write_sample` wrote.

    Attributes
    ----------
    folder : Path
        Where ``catalogue.csv`` and ``posters/`` are.
    items : int
        Rows of the catalogue.
    genres : tuple of str
        All genres, sorted.
    bad_posters : int
        Items whose poster cannot be used, on purpose.
    near_duplicates : int
        Items that are a re-release of another item: almost the same poster, title and overview.
    """

    folder: Path
    items: int
    genres: tuple[str, ...]
    bad_posters: int
    near_duplicates: int


@dataclass(frozen=True)
class Genre:
    """What is typical of a genre; every film departs from it now and then."""

    share: int  # of 100 films, how many have it as their main genre
    partners: str  # initials of the genres that go with it, the frequent ones more than once
    palettes: tuple[tuple[str, str, str], ...]  # top and bottom of the background, ink
    scenes: tuple[str, ...]
    things: tuple[str, ...]
    who: tuple[str, ...]
    does: tuple[str, ...]
    what: tuple[str, ...]
    nouns: tuple[str, ...]
    runtime: int
    years: tuple[int, int]
    languages: str
    certificates: tuple[str, ...]


GENRES = {
    "Action": Genre(
        16, "SSCDDWH",
        (("#1b2a41", "#c8553d", "#ffd25a"), ("#22223b", "#9a031e", "#fb8b24")),
        ("skyline", "stripes"), ("burst", "target", "bolt"),
        ("a former agent", "a getaway driver", "an elite squad"),
        ("has one night to stop", "races to disarm", "hunts down"),
        ("a stolen warhead", "the cartel that betrayed them", "a ring of assassins"),
        ("Protocol", "Strike", "Vengeance"), 114, (1982, 2020), "EEEEEFK", ("15", "15", "12", "18"),
    ),
    "Animation": Genre(
        8, "CCCSRA",
        (("#7bdff2", "#b2f7ad", "#ff5d8f"), ("#90e0ef", "#ffe066", "#7b2cbf")),
        ("hills", "rainbow"), ("face", "bubbles", "star"),
        ("a curious little fox", "a clumsy dragon", "a runaway toy"),
        ("sets out to find", "makes friends with", "sings for"),
        ("the last balloon", "a talking acorn", "the magic kingdom"),
        ("Adventure", "Acorn", "Dragon"), 86, (1985, 2022), "EEEJJF", ("U", "U", "PG"),
    ),
    "Comedy": Genre(
        20, "RRRDDANN",
        (("#ffd166", "#f8961e", "#d62246"), ("#fdf0d5", "#f4a261", "#277da1")),
        ("stripes", "rays"), ("face", "bubbles", "hat"),
        ("a hapless waiter", "two rival neighbours", "an unlucky best man"),
        ("accidentally ruins", "pretends to run", "bets everything on"),
        ("the wedding of the year", "a disastrous road trip", "the office party"),
        ("Party", "Neighbours", "Holiday"), 97, (1960, 2021), "EEEEFI", ("12", "PG", "15", "12"),
    ),
    "Drama": Genre(
        28, "RRRRCCAWS",
        (("#8d99ae", "#3d405b", "#edf2f4"), ("#a3a380", "#5f5449", "#f1e3d3")),
        ("sea", "skyline"), ("figure", "window", "sun"),
        ("a grieving mother", "an ageing teacher", "a young migrant"),
        ("struggles to forgive", "must come to terms with", "quietly confronts"),
        ("a long-buried family secret", "the loss of a son", "the village they left behind"),
        ("Silence", "Daughter", "Memory"), 122, (1948, 2020), "EEEFFIJK", ("15", "12", "15", "PG"),
    ),
    "Horror": Genre(
        9, "SSAADC",
        (("#0b090a", "#3a0a12", "#e5383b"), ("#10130f", "#2d3a2e", "#c7d3a1")),
        ("spikes", "forest"), ("eyes", "moon", "skull"),
        ("a babysitter", "five students", "a priest who lost his faith"),
        ("awakens", "is stalked by", "cannot escape"),
        ("a demon in the cellar", "something in the woods", "the curse of the asylum"),
        ("Cellar", "Curse", "Scream"), 92, (1970, 2021), "EEEEKJ", ("18", "18", "15"),
    ),
    "Romance": Genre(
        7, "DDDDCCC",
        (("#ffc8dd", "#cdb4db", "#c9184a"), ("#fbb1a6", "#ee6c8a", "#fff0f3")),
        ("sea", "hills"), ("heart", "hearts", "couple"),
        ("a shy florist", "a pianist", "a divorced baker"),
        ("falls in love with", "writes letters to", "must choose between duty and"),
        ("a stranger on the night train", "her childhood sweetheart", "one summer in Lisbon"),
        ("Kiss", "Letters", "Summer"), 107, (1950, 2021), "EEEFFI", ("12", "PG", "12", "15"),
    ),
    "Science Fiction": Genre(
        7, "AAAHHD",
        (("#03045e", "#0096c7", "#caf0f8"), ("#10002b", "#5a189a", "#80ffdb")),
        ("stars", "grid"), ("planet", "rocket", "robot"),
        ("a lone astronaut", "a rogue android", "the crew of a freighter"),
        ("receives a signal from", "travels through time to save", "uploads a mind into"),
        ("a dying colony", "an alien vessel", "the machine that runs the planet"),
        ("Orbit", "Android", "Signal"), 118, (1968, 2022), "EEEEEJ", ("12", "15", "12", "PG"),
    ),
    "Western": Genre(
        5, "AADDR",
        (("#f6bd60", "#bc6c25", "#432818"), ("#f4a259", "#8c2f0d", "#ffe8c2")),
        ("mesa", "rays"), ("cactus", "badge", "sun"),
        ("a retired sheriff", "a drifter with a rifle", "a rancher's widow"),
        ("rides out against", "defends", "is hired to guard"),
        ("a gang of outlaws", "the last stagecoach", "a frontier gold claim"),
        ("Canyon", "Saddle", "Gun"), 103, (1946, 1985), "EEEEEEI", ("PG", "12", "12", "15"),
    ),
}  # fmt: skip

ANY_WHO = ("a young woman", "an old man", "two brothers", "a small-town family", "a stranger")
ANY_DOES = ("discovers", "returns to", "tries to protect", "cannot forget", "leaves everything for")
ANY_WHAT = ("a hidden truth", "the city", "an old house", "an unlikely friend", "a second chance")
OPENINGS = (
    "{who} {does} {what}.", "When {who} {does} {what}, nothing stays the same.",
    "After ten years away, {who} {does} {what}.", "The story of how {who} {does} {what}.",
    "In this acclaimed film, {who} {does} {what}.", "One winter, {who} {does} {what}.",
)  # fmt: skip
FOLLOWINGS = (
    "Meanwhile, {who} {does} {what}.", "But time is running out: {who} {does} {what}.",
    "Everything changes as {who} {does} {what}.", "Nobody knows that {who} {does} {what}.",
    "Based on a true story.", "A surprise success with audiences and critics alike.",
)  # fmt: skip
ADJECTIVES = (
    "Silent", "Golden", "Broken", "Crimson", "Distant", "Electric", "Empty", "Final", "Gentle",
    "Hidden", "Hollow", "Last", "Little", "Lonely", "Lost", "Lucky", "Midnight", "Northern", "Old",
    "Paper", "Quiet", "Restless", "Second", "Secret", "Seven", "Shining", "Stolen", "Strange",
    "Sudden", "Velvet", "Wandering", "Wild",
)  # fmt: skip
NOUNS = (
    "Harbour", "Street", "River", "Garden", "Mirror", "Winter", "Station", "Island", "Stranger",
    "Promise", "Road", "Tower", "Bridge", "Hour", "Shadow", "Morning", "Crown", "Echo", "House",
    "Journey", "Lantern", "Map", "Orchard", "Return", "Season", "Tide",
)  # fmt: skip
TITLES = ("{a} {n}", "The {a} {n}", "{a} {n}", "{n} of the {a} {m}", "The {n} and the {m}")
SPECIAL_TITLES = (
    "Señora Noviembre", "L'Été des Cigales", "Über den Dächern", "Crème Brûlée for Two",
    '"Wait, What?", She Said', "The <b>Bold</b> Harbour",
)  # fmt: skip
FIRST_NAMES = (
    "Ada", "Bruno", "Clara", "Dario", "Elena", "Felix", "Greta", "Hugo", "Inés", "Jonas", "Keiko",
    "Leon", "Mira", "Nils", "Olga", "Pavel", "Rosa", "Søren", "Tessa", "Yusuf",
)  # fmt: skip
LAST_NAMES = (
    "Abel", "Brandt", "Castro", "Dahl", "Ekwe", "Falk", "Grau", "Holm", "Ito", "Jansen", "Kerr",
    "Lindt", "Moreau", "Novak", "Okafor", "Park", "Quist", "Rossi", "Silva", "Tanaka", "Ueda",
    "Varga", "Weiss",
)  # fmt: skip
LANGUAGES = {
    "E": "English", "F": "French", "I": "Italian", "J": "Japanese", "K": "Korean",
}  # fmt: skip
INITIALS = dict(zip("ANCDHRSW", GENRES, strict=True))
GAPS = {
    "overview": 0.04, "year": 0.03, "runtime": 0.1, "cast": 0.06, "directors": 0.04,
    "language": 0.02, "certificate": 0.14,
}  # fmt: skip

# Things are discs (x, y, radius) and polygons (x, y, x, y, ...) on a field from -1 to 1, each with
# a tone: 1 the ink as it is, less is darker, more is lighter.
THINGS: dict[str, tuple[Part, ...]] = {
    "badge": ((0.7, (0, 0, 0.95)), (1, (0, -0.9, 0.22, -0.3, 0.86, -0.28, 0.35, 0.12, 0.53, 0.73,
              0, 0.37, -0.53, 0.73, -0.35, 0.12, -0.86, -0.28, -0.22, -0.3))),
    "bolt": ((1, (0.2, -1, -0.6, 0.15, -0.1, 0.15, -0.3, 1, 0.6, -0.25, 0.1, -0.25, 0.5, -1)),),
    "bubbles": ((1, (-0.5, -0.3, 0.45)), (1.35, (0.45, -0.55, 0.35)), (0.75, (0.3, 0.35, 0.6)),
                (1.2, (-0.55, 0.65, 0.3))),
    "burst": ((0.8, (0, -1, 0.25, -0.45, 0.8, -0.75, 0.5, -0.15, 1, 0.1, 0.45, 0.25, 0.65, 0.85,
               0.1, 0.5, -0.35, 1, -0.4, 0.4, -1, 0.45, -0.5, 0, -0.9, -0.6, -0.3, -0.45)),
              (1.4, (0, 0.02, 0.3))),
    "cactus": ((0.8, (-0.15, 1, -0.15, -0.9, 0.15, -0.9, 0.15, 1)), (0.8, (0, -0.88, 0.15)),
               (0.8, (-0.75, -0.4, -0.5, -0.4, -0.5, 0.1, 0, 0.1, 0, 0.35, -0.75, 0.35)),
               (0.8, (0.75, -0.65, 0.5, -0.65, 0.5, -0.2, 0, -0.2, 0, 0.05, 0.75, 0.05))),
    "couple": ((1, (-0.4, -0.5, 0.3)), (0.75, (0.4, -0.4, 0.3)), (1, (-1, 1, -0.7, -0.1, -0.1,
               -0.1, 0.1, 1)), (0.75, (-0.1, 1, 0.15, 0, 0.65, 0, 0.95, 1))),
    "eyes": ((1.1, (-1, 0, -0.5, -0.4, 0, 0, -0.5, 0.3)), (1.1, (1, 0, 0.5, -0.4, 0, 0, 0.5, 0.3)),
             (0.1, (-0.45, -0.03, 0.2)), (0.1, (0.45, -0.03, 0.2))),
    "face": ((1, (0, 0, 0.95)), (0.25, (-0.35, -0.25, 0.15)), (0.25, (0.35, -0.25, 0.15)),
             (0.25, (-0.6, 0.2, 0.6, 0.2, 0.35, 0.6, 0, 0.7, -0.35, 0.6))),
    "figure": ((0.6, (0, -0.6, 0.33)), (0.6, (-0.65, 1, -0.5, -0.1, -0.2, -0.28, 0.2, -0.28, 0.5,
               -0.1, 0.65, 1))),
    "hat": ((1, (-0.5, 0.3, -0.45, -0.8, 0.45, -0.8, 0.5, 0.3)), (0.6, (-0.5, 0.3, -0.49, 0.02,
            0.49, 0.02, 0.5, 0.3)), (1, (-1, 0.3, 1, 0.3, 0.9, 0.5, -0.9, 0.5))),
    "heart": ((1, (-0.46, -0.3, 0.52)), (1, (0.46, -0.3, 0.52)), (1, (-0.91, -0.04, 0, -0.4, 0.91,
              -0.04, 0, 0.95))),
    "hearts": ((1, (-0.6, -0.2, 0.32)), (1, (-0.05, -0.2, 0.32)), (1, (-0.87, -0.02, -0.33, -0.3,
               0.22, -0.02, -0.33, 0.6)), (1.3, (0.4, 0.2, 0.22)), (1.3, (0.78, 0.2, 0.22)),
               (1.3, (0.21, 0.32, 0.59, 0.1, 0.97, 0.32, 0.59, 0.75))),
    "moon": ((1.2, (0, 0, 0.9)), (1.05, (-0.3, -0.3, 0.2)), (1.05, (0.3, 0.25, 0.28)),
             (1.05, (0.35, -0.4, 0.12))),
    "planet": ((0.9, (0, 0, 0.65)), (1.15, (-0.15, -0.15, 0.4)), (1.4, (-1, 0.35, 0, 0.1, 1, -0.35,
               0, 0.22))),
    "robot": ((1, (-0.6, -0.5, 0.6, -0.5, 0.6, 0.4, -0.6, 0.4)), (0.2, (-0.28, -0.15, 0.17)),
              (0.2, (0.28, -0.15, 0.17)), (0.2, (-0.3, 0.15, 0.3, 0.15, 0.3, 0.25, -0.3, 0.25)),
              (1, (-0.03, -0.9, 0.03, -0.9, 0.03, -0.5, -0.03, -0.5)), (1.3, (0, -0.9, 0.12)),
              (0.75, (-0.8, 1, -0.7, 0.5, 0.7, 0.5, 0.8, 1))),
    "rocket": ((1, (0, -1, 0.3, -0.4, 0.3, 0.5, -0.3, 0.5, -0.3, -0.4)), (0.3, (0, -0.3, 0.16)),
               (0.7, (-0.3, 0.1, -0.65, 0.65, -0.3, 0.5)), (0.7, (0.3, 0.1, 0.65, 0.65, 0.3, 0.5)),
               (1.5, (-0.2, 0.55, 0.2, 0.55, 0, 1))),
    "skull": ((1.2, (0, -0.25, 0.7)), (1.2, (-0.4, 0.2, 0.4, 0.2, 0.35, 0.85, -0.35, 0.85)),
              (0.1, (-0.28, -0.2, 0.2)), (0.1, (0.28, -0.2, 0.2)), (0.1, (0, 0.05, 0.12, 0.3,
              -0.12, 0.3)), (0.1, (-0.03, 0.5, 0.03, 0.5, 0.03, 0.85, -0.03, 0.85))),
    "star": ((1.2, (0, -0.95, 0.23, -0.31, 0.9, -0.29, 0.37, 0.12, 0.56, 0.77, 0, 0.38, -0.56,
              0.77, -0.37, 0.12, -0.9, -0.29, -0.23, -0.31)),),
    "sun": ((1.25, (0, 0, 0.85)),),
    "target": ((1, (0, 0, 0.9)), (0.4, (0, 0, 0.72)), (1, (0, 0, 0.5)), (0.4, (0, 0, 0.3)),
               (1.3, (0, 0, 0.12))),
    "window": ((0.5, (-0.7, -1, 0.7, -1, 0.7, 1, -0.7, 1)),) + tuple(
        (1.2, (x, y, x + 0.55, y, x + 0.55, y + 0.8, x, y + 0.8))
        for x in (-0.6, 0.05) for y in (-0.9, 0.05)),
}  # fmt: skip
SLOTS = (((0.5, 0.5, 0.3),), ((0.34, 0.42, 0.24), (0.68, 0.62, 0.2)),
         ((0.5, 0.38, 0.22), (0.25, 0.64, 0.16), (0.75, 0.64, 0.16)))  # fmt: skip




# Scenes fill the poster's whole width: x from 0 to 1 and y from 0 to 1.47.
def _skyline(rng: Random) -> Iterator[Part]:
    for i in range(9):
        left, top = i / 8 - 0.06, rng.uniform(0.6, 1.15)
        yield rng.uniform(0.6, 0.8), _box(left, top, left + 0.12, 1.5)


def _stripes(rng: Random) -> Iterator[Part]:
    lean, step = rng.uniform(-0.7, 0.7), rng.uniform(0.2, 0.3)
    for i in range(-6, 14, 2):
        x = i * step / 2
        yield 0.9, (x, 0, x + step / 2, 0, x + step / 2 + lean, 1.5, x + lean, 1.5)


def _hills(rng: Random) -> Iterator[Part]:
    for i in range(3):
        radius = rng.uniform(0.5, 0.9)
        yield 1.15 - 0.15 * i, (rng.random(), 1.2 + radius + 0.1 * i - 0.25, radius)


def _rainbow(rng: Random) -> Iterator[Part]:
    x, y = rng.uniform(0.2, 0.8), rng.uniform(1.2, 1.5)
    for i in range(6):
        yield (1.3, 0.8)[i % 2], (x, y, 0.9 - 0.12 * i)


def _rays(rng: Random) -> Iterator[Part]:
    x, y, n = rng.uniform(0.3, 0.7), rng.uniform(0.5, 1.2), 12
    rim = [(-1, -1), (0, -1), (1, -1), (2, -0.3), (2, 0.7), (2, 1.7), (2, 2.5)]
    rim += [(1, 2.5), (0, 2.5), (-1, 2.5), (-1, 1.7), (-1, 0.7), (-1, -0.3)]
    for i in range(0, n, 2):
        yield 1.1, (x, y, *rim[i], *rim[i + 1])


def _sea(rng: Random) -> Iterator[Part]:
    top = rng.uniform(0.9, 1.1)
    yield 0.75, _box(0, top, 1, 1.5)
    for _ in range(9):
        x, y = rng.random(), rng.uniform(top, 1.45)
        yield 1.2, _box(x - 0.12, y, x + 0.12, y + 0.008)


def _spikes(rng: Random) -> Iterator[Part]:
    for i in range(11):
        x = i / 10
        yield 0.25, (x - 0.07, 1.5, x + 0.07, 1.5, x + rng.uniform(-0.05, 0.05), rng.uniform(0.8, 1.3))
        yield 0.25, (x - 0.06, 0, x + 0.06, 0, x, rng.uniform(0.03, 0.2))


def _forest(rng: Random) -> Iterator[Part]:
    for i in range(8):
        x, top = i / 7 + rng.uniform(-0.04, 0.04), rng.uniform(0.1, 0.6)
        yield rng.uniform(0.25, 0.5), (x - 0.035, 1.5, x - 0.01, top, x + 0.01, top, x + 0.035, 1.5)
        yield 0.3, (x, top + 0.3, x + rng.choice((-0.14, 0.14)), top + 0.1, x, top + 0.34)


def _stars(rng: Random) -> Iterator[Part]:
    for _ in range(70):
        yield rng.uniform(1, 1.6), (rng.random(), rng.uniform(0, 1.5), rng.uniform(0.002, 0.009))


def _grid(rng: Random) -> Iterator[Part]:
    top = rng.uniform(0.95, 1.1)
    for i in range(-8, 19):
        yield 1.1, (0.5 + (i / 10 - 0.5) * 0.5, top, i / 5 - 0.505, 1.5, i / 5 - 0.495, 1.5)
    for i in range(6):
        y = top + (1.5 - top) * (i / 6) ** 2
        yield 1.1, _box(0, y, 1, y + 0.006)


def _mesa(rng: Random) -> Iterator[Part]:
    ground = rng.uniform(1.05, 1.15)
    for _ in range(3):
        x, top, w = rng.random(), ground - rng.uniform(0.12, 0.4), rng.uniform(0.08, 0.2)
        yield rng.uniform(0.55, 0.8), (x - w, top, x + w, top, x + w + 0.06, 1.5, x - w - 0.06, 1.5)
    yield 0.5, _box(0, ground, 1, 1.5)


def _box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    return left, top, right, top, right, bottom, left, bottom


SCENES: dict[str, Callable[[Random], Iterator[Part]]] = {
    "skyline": _skyline, "stripes": _stripes, "hills": _hills, "rainbow": _rainbow, "rays": _rays,
    "sea": _sea, "spikes": _spikes, "forest": _forest, "stars": _stars, "grid": _grid,
    "mesa": _mesa,
}  # fmt: skip


@dataclass(frozen=True)
class _Art:
    """What a poster is drawn from."""

    key: str
    title: str
    genres: tuple[str, ...]


@dataclass(frozen=True)
class _Item:
    row: dict[str, str]
    art: _Art
    finish: str = "plain"  # a key of FINISHES


def _paint(art: _Art) -> Image.Image:
    """Draw a poster; each of its parts follows the genres or, now and then, any genre at all."""
    rng = Random(f"{art.key}/poster")
    palette = _genre(rng, art.genres, 0.2)
    top, bottom, ink = (_shift(c, rng, 22) for c in rng.choice(palette.palettes))
    width, height = WIDTH * SCALE, HEIGHT * SCALE
    sky = Image.linear_gradient("L").resize((width, height))
    poster = ImageOps.colorize(sky, top, bottom)  # type: ignore[arg-type]
    draw = ImageDraw.Draw(poster)
    scene = SCENES[rng.choice(_genre(rng, art.genres, 0.25).scenes)]
    _draw_parts(draw, scene(rng), _mix(bottom, ink, 0.35), 0, 0, width)
    shown = [name for name in art.genres if rng.random() < 0.8] or list(art.genres[:1])
    if rng.random() < 0.25:
        shown.append(rng.choice(list(GENRES)))
    shown = shown[:3]
    for name, (x, y, radius) in zip(shown, SLOTS[len(shown) - 1], strict=True):
        thing = THINGS[rng.choice(GENRES[name].things)]
        size = radius * rng.uniform(0.85, 1.15) * width
        x, y = x + rng.uniform(-0.05, 0.05), y + rng.uniform(-0.04, 0.04)
        _draw_parts(draw, thing, _shift(ink, rng, 25), x * width, y * height, size)
    _letter(draw, art.title, ink, rng)
    grain = Image.frombytes("L", (WIDTH, HEIGHT), rng.randbytes(WIDTH * HEIGHT)).convert("RGB")
    return Image.blend(poster.reduce(SCALE), grain, rng.uniform(0.03, 0.09))


def _draw_parts(
    draw: ImageDraw.ImageDraw, parts: Sequence[Part] | Iterator[Part], ink: Colour, x: float,
    y: float, size: float,
) -> None:  # fmt: skip
    for tone, numbers in parts:
        fill = _mix(ink, (255, 255, 255), tone - 1) if tone > 1 else _mix((0, 0, 0), ink, tone)
        if len(numbers) == 3:
            cx, cy, radius = numbers[0] * size + x, numbers[1] * size + y, numbers[2] * size
            draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill)
        else:
            pairs = zip(numbers[::2], numbers[1::2], strict=True)
            draw.polygon([(px * size + x, py * size + y) for px, py in pairs], fill)


def _letter(draw: ImageDraw.ImageDraw, title: str, ink: Colour, rng: Random) -> None:
    # Pillow's own font, the only one that is on every machine, has no letters beyond ASCII.
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    words = (plain.upper() if rng.random() < 0.6 else plain).split()
    width, height = WIDTH * SCALE, HEIGHT * SCALE
    middle = (len(words) + 1) // 2
    text = "\n".join(filter(None, (" ".join(words[:middle]), " ".join(words[middle:]))))
    for size in range(rng.randint(44, 60), 15, -2):
        font = ImageFont.load_default(size)
        if draw.multiline_textbbox((0, 0), text, font)[2] < width * 0.9:
            break
    y = rng.choice((0.12, 0.86)) * height
    draw.multiline_text(
        (width / 2, y), text, _mix(ink, (255, 255, 255), 0.5), font, "mm", align="center",
        stroke_width=3, stroke_fill=_mix((0, 0, 0), ink, 0.2),
    )  # fmt: skip


def _genre(rng: Random, genres: Sequence[str], stray: float) -> Genre:
    """One of the film's genres, the first one most often; or, with chance `stray`, any genre."""
    if rng.random() < stray:
        return GENRES[rng.choice(list(GENRES))]
    return GENRES[rng.choice([genres[0], *genres])]


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple(round(u + (v - u) * share) for u, v in zip(a, b, strict=True))


def _shift(colour: str | Colour, rng: Random, most: int) -> Colour:
    rgb = ImageColor.getrgb(colour) if isinstance(colour, str) else colour
    light = rng.randint(-most, most)
    return tuple(min(max(c + light + rng.randint(-most, most), 0), 255) for c in rgb)


def _overview(rng: Random, genres: Sequence[str]) -> str:
    def words(own: str, anyone: Sequence[str]) -> str:
        if rng.random() < 0.4:
            return rng.choice(anyone)
        typical: Sequence[str] = getattr(_genre(rng, genres, 0.3), own)
        return rng.choice(typical)

    def fill(template: str) -> str:
        return template.format(
            who=words("who", ANY_WHO), does=words("does", ANY_DOES), what=words("what", ANY_WHAT)
        )

    text = [rng.choice(OPENINGS), *rng.sample(FOLLOWINGS, rng.randint(0, 2))]
    sentences = [fill(template) for template in text]
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)


def _title(rng: Random, genres: Sequence[str]) -> str:
    n, m = rng.sample(NOUNS, 2)
    if rng.random() < 0.3:
        n = rng.choice(_genre(rng, genres, 0.3).nouns)
    return rng.choice(TITLES).format(a=rng.choice(ADJECTIVES), n=n, m=m)


def _people(rng: Random, genres: Sequence[str], n: int, pool: int, stray: float) -> str:
    """Names from a pool of which each genre favours an eighth."""
    names = []
    for _ in range(n):
        favourite = list(GENRES.values()).index(_genre(rng, genres, stray))
        i = rng.randrange(pool // len(GENRES)) * len(GENRES) + favourite
        names.append(f"{FIRST_NAMES[i % 20]} {LAST_NAMES[(i * 7 + n) % 23]}")
    return "|".join(dict.fromkeys(names))


def _metadata(rng: Random, genres: Sequence[str]) -> dict[str, str]:
    look = [_genre(rng, genres, 0.35) for _ in range(4)]
    return {
        "year": str(round(rng.triangular(look[0].years[0] - 10, 2024, look[0].years[1]))),
        "cast": _people(rng, genres, rng.randint(2, 4), 240, 0.6),
        "directors": _people(rng, genres, 1 if rng.random() < 0.9 else 2, 96, 0.35),
        "runtime": str(round(look[1].runtime * rng.triangular(0.75, 1.3, 1))),
        "language": LANGUAGES[rng.choice(look[2].languages)],
        "certificate": rng.choice(look[3].certificates),
    }


def _film(seed: int, index: int, main: str) -> _Item:
    key = f"{seed}/{index}"
    rng = Random(f"{key}/genres")
    more = rng.sample(GENRES[main].partners, rng.choices((0, 1, 2), (40, 45, 15))[0])
    genres = tuple(dict.fromkeys((main, *(INITIALS[letter] for letter in more))))
    rng = Random(f"{key}/text")
    row = {"title": _title(rng, genres), "overview": _overview(rng, genres)}
    row |= _metadata(Random(f"{key}/metadata"), genres)
    rng = Random(f"{key}/gaps")
    row |= {column: "" for column, share in GAPS.items() if rng.random() < share}
    row |= {"film_id": f"f{index:04}", "genres": "|".join(genres)}
    row |= {"poster": f"posters/f{index:04}.jpg"}
    return _Item(row, _Art(key, row["title"], genres))


def _rerelease(item: _Item, copy: _Item) -> _Item:
    """Make `copy` a later release of the same film: almost the same title, text and poster."""
    row = item.row | {name: copy.row[name] for name in ("film_id", "poster")}
    row["title"] += " (Restored)"
    row["overview"] = f"Newly restored. {item.row['overview']}".strip()
    return _Item(row, item.art, "re-released")


def _items(n: int, seed: int) -> list[_Item]:
    """All items: films, and among them the bad posters, the re-releases and the twins."""
    rng = Random(f"{seed}/plan")
    shares = [genre.share for genre in GENRES.values()]
    # Main genres are dealt, not drawn, so that the rarest is never missing.
    deck = [_at(list(GENRES), shares, (i + 0.5) / n) for i in range(n)]
    rng.shuffle(deck)
    items = [_film(seed, index, main) for index, main in enumerate(deck)]
    chosen = iter(rng.sample(range(n), n))
    for finish in BAD:
        i = next(chosen)
        row = items[i].row | ({"poster": ""} if finish == "not named" else {})
        items[i] = _Item(row, items[i].art, finish)
    for title in SPECIAL_TITLES:
        i = next(chosen)
        items[i] = _Item(items[i].row | {"title": title}, _Art(items[i].art.key, title, items[i].art.genres))
    for _ in range(max(2, n // 75)):
        i, j = next(chosen), next(chosen)
        items[j] = _rerelease(items[i], items[j])
    i, j = next(chosen), next(chosen)
    same = {name: items[j].row[name] for name in ("film_id", "poster")}
    items[j] = _Item(items[i].row | same, items[i].art)
    return items


def _at(names: Sequence[str], shares: Sequence[int], point: float) -> str:
    for name, share in zip(names, shares, strict=True):
        point -= share / 100
        if point < 0:
            return name
    return names[-1]


def _jpeg(image: Image.Image, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


# What becomes of a painted poster; None is no file at all.
BAD: dict[str, Callable[[Image.Image], bytes | None]] = {
    "missing": lambda image: None,
    "empty": lambda image: b"",
    "truncated": lambda image: _jpeg(image)[:3000],
    "web page": lambda image: b"<!doctype html>\n<title>404</title>\n<p>Not found.\n",
    "tiny": lambda image: _jpeg(image.resize((8, 8))),
    "not named": lambda image: None,
}
FINISHES = BAD | {
    "plain": _jpeg,
    "re-released": lambda image: _jpeg(image.resize((176, 259)), 75),
}


def write_sample(folder: Path | str, *, n_items: int = 600, seed: int = 0) -> SampleSummary:
    """Write the sample catalogue: ``catalogue.csv`` and ``posters/``.

    Parameters
    ----------
    folder : path
        Made if it does not exist; must not hold a ``catalogue.csv``.
    n_items : int
        Rows, at least 40.
    seed : int
        Same seed, same catalogue.

    Returns
    -------
    SampleSummary

    Raises
    ------
    SampleError
        If `folder` is a file or already holds a catalogue.
    SettingError
        If `n_items` is too small.
    """
    folder = Path(folder)
    table = folder / "catalogue.csv"
    _check(folder, table, n_items)
    items = _items(n_items, seed)
    (folder / "posters").mkdir(parents=True, exist_ok=True)
    for item in items:
        data = FINISHES[item.finish](_paint(item.art))
        path = folder / "posters" / f"{item.row['film_id']}.jpg"
        if data is None:
            path.unlink(missing_ok=True)  # left by a sample that was interrupted
        else:
            path.write_bytes(data)
    _write_table(table, [item.row for item in items])
    finishes = [item.finish for item in items]
    return SampleSummary(
        folder=folder,
        items=n_items,
        genres=tuple(sorted({name for item in items for name in item.art.genres})),
        bad_posters=sum(finish in BAD for finish in finishes),
        near_duplicates=finishes.count("re-released"),
    )


def _check(folder: Path, table: Path, n_items: int) -> None:
    if n_items < MIN_ITEMS:
        raise SettingError(f"n_items: expected {MIN_ITEMS} or more, found {n_items}.")
    if folder.exists() and not folder.is_dir():
        raise SampleError(
            f"expected a folder for the sample, found a file: {folder}. Name another folder."
        )
    if table.exists():
        raise SampleError(
            f"expected a folder without a catalogue, found {table}. "
            "Name another folder, or delete that file first."
        )


def _write_table(table: Path, rows: Sequence[dict[str, str]]) -> None:
    partial = table.with_name(f".{table.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(partial, table)
