"""The embedded sample catalogue: synthetic films, generated from a seed.

Given the genres of a film, its poster, text and metadata are independent, so that each block makes its
own errors and the fusion is better than any one block. Every decision comes from a ``random.Random``
seeded with the seed, the film and the block, so it is the same on any machine.
"""

from __future__ import annotations

import csv
import io
import os
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from hybrid.errors import SampleError, SettingError
from hybrid.images.thumbnails import encode_jpeg
from hybrid.utils.files import make_folder, remove, write_atomically, write_unsynced
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.writable import check_new_folder, nearest_folder

Colour = tuple[int, ...]
Shape = tuple[float, ...]  # a disc (x, y, radius) or a polygon (x, y, x, y, ...)
Part = tuple[float, Shape]  # the tone comes first: 1 is the ink as it is, less is darker
COLUMNS = "film_id title year genres overview cast directors runtime language certificate poster"
MIN_ITEMS = 40
MARK = "SAMPLE.txt"
WIDTH, HEIGHT, SCALE = 182, 268, 2  # drawn at SCALE and shrunk, which smooths all edges
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


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
        Items that re-release another one: almost the same poster, title and overview.
    """

    folder: Path
    items: int
    genres: tuple[str, ...]
    bad_posters: int
    near_duplicates: int


@dataclass(frozen=True)
class Genre:
    """What is typical of a genre; films depart from it at random."""

    share: int  # of 100 films, how many have it as their main genre
    partners: str  # keys of INITIALS, the frequent ones more than once
    runtime: int
    years: tuple[int, int]
    languages: str  # keys of LANGUAGES
    certificates: str
    capitals: float  # chance of a title in capitals
    scenes: str
    things: str
    palettes: tuple[str, ...]  # top and bottom of the background, ink
    nouns: str
    who: tuple[str, ...]
    does: tuple[str, ...]
    what: tuple[str, ...]


# fmt: off
GENRES = {
    "Action": Genre(
        16, "SSCDDWH", 116, (1982, 2020), "EEEEEFK", "15 15 15 12", 0.9, "skyline stripes",
        "burst target", ("#1b2a41 #c8553d #ffd25a", "#22223b #9a031e #fb8b24"),
        "Protocol Strike Vengeance", ("a former agent", "a getaway driver", "an elite squad"),
        ("has one night to stop", "races to disarm", "hunts down"),
        ("a stolen warhead", "the cartel", "a ring of assassins")),
    "Animation": Genre(
        8, "CCCSRA", 82, (1985, 2022), "EEEJJF", "U U U PG", 0.3, "hills",
        "bubbles star", ("#7bdff2 #b2f7ad #ff5d8f", "#90e0ef #ffe066 #7b2cbf"),
        "Adventure Acorn Dragon", ("a curious little fox", "a clumsy dragon", "a runaway toy"),
        ("sets out to find", "makes friends with", "sings for"),
        ("the last balloon", "a talking acorn", "the magic kingdom")),
    "Comedy": Genre(
        20, "RRRDDANN", 95, (1970, 2021), "EEEEFI", "12 PG 12 PG", 0.4, "stripes rays",
        "face hat", ("#ffd166 #f8961e #d62246", "#fdf0d5 #f4a261 #277da1"),
        "Party Neighbours Holiday", ("a hapless waiter", "a nosy neighbour", "an unlucky groom"),
        ("accidentally ruins", "pretends to run", "bets everything on"),
        ("the wedding of the year", "a disastrous road trip", "the office party")),
    "Drama": Genre(
        28, "RRRRCCASN", 124, (1948, 2020), "EEFFIJK", "15 12 15 PG", 0.5, "sea skyline",
        "figure window sun", ("#8d99ae #3d405b #edf2f4", "#a3a380 #5f5449 #f1e3d3"),
        "Silence Daughter Memory", ("a grieving mother", "an ageing teacher", "a young migrant"),
        ("struggles to forgive", "must come to terms with", "quietly confronts"),
        ("a long-buried family secret", "the loss of a son", "the village of her childhood")),
    "Horror": Genre(
        9, "SSAADC", 91, (1974, 2021), "EEEEKJ", "18 18 18 15", 0.9, "spikes",
        "eyes moon skull", ("#0b090a #3a0a12 #e5383b", "#10130f #2d3a2e #c7d3a1"),
        "Cellar Curse Scream", ("a babysitter", "a medical student", "a priest without faith"),
        ("awakens", "is stalked by", "cannot escape"),
        ("a demon in the cellar", "something in the woods", "the curse of the asylum")),
    "Romance": Genre(
        7, "DDDDCCC", 108, (1950, 2021), "EEFFII", "12 PG 12 12", 0.2, "sea hills",
        "heart couple", ("#ffc8dd #cdb4db #c9184a", "#fbb1a6 #ee6c8a #fff0f3"),
        "Kiss Letters Summer", ("a shy florist", "a pianist", "a divorced baker"),
        ("falls in love with", "writes letters to", "must choose between duty and"),
        ("a stranger on the night train", "her childhood sweetheart", "one summer in Lisbon")),
    "Science Fiction": Genre(
        7, "AAAHHD", 120, (1968, 2023), "EEEEEJ", "12 15 12 12", 0.9, "stars",
        "planet rocket", ("#03045e #0096c7 #caf0f8", "#10002b #5a189a #80ffdb"),
        "Orbit Android Signal", ("a lone astronaut", "a rogue android", "a starship engineer"),
        ("receives a signal from", "travels through time to save", "uploads a mind into"),
        ("a dying colony", "an alien vessel", "the machine that runs the planet")),
    "Western": Genre(
        5, "AADDR", 103, (1938, 1962), "EEEEEEI", "PG PG 12 15", 0.8, "mesa rays",
        "cactus badge sun", ("#f6bd60 #bc6c25 #432818", "#f4a259 #8c2f0d #ffe8c2"),
        "Canyon Saddle Gun", ("a retired sheriff", "a drifter with a rifle", "a rancher's widow"),
        ("rides out against", "defends", "is hired to guard"),
        ("a gang of outlaws", "the last stagecoach", "a frontier gold claim")),
}
INITIALS = dict(zip("ANCDHRSW", GENRES, strict=True))
LANGUAGES = {"E": "English", "F": "French", "I": "Italian", "J": "Japanese", "K": "Korean"}
ANYONE = {
    "who": ("a young woman", "an old man", "a stranger", "a small-town family", "a journalist"),
    "does": ("discovers", "returns to", "tries to protect", "remembers", "leaves everything for"),
    "what": ("a hidden truth", "the city", "an old house", "an unlikely friend", "a new life"),
}
OPENINGS = (
    "{who} {does} {what}.", "When {who} {does} {what}, nothing stays the same.",
    "After ten years away, {who} {does} {what}.", "In this acclaimed film, {who} {does} {what}.")
FOLLOWINGS = (
    "Meanwhile, {who} {does} {what}.", "But time is running out: {who} {does} {what}.",
    "Nobody knows that {who} {does} {what}.", "Based on a true story.")
TITLES = ("{a} {n}", "The {a} {n}", "{a} {n}", "{n} of the {a} {m}", "The {n} and the {m}")
SPECIAL_TITLES = (
    "Señora Noviembre", "L'Été des Cigales", "Über den Dächern", "Crème Brûlée for Two",
    '"Wait, What?", She Said', "The <b>Bold</b> Harbour")
ADJECTIVES = (
    "Silent Golden Broken Crimson Distant Electric Empty Final Gentle Hidden Hollow Last Little "
    "Lonely Lost Lucky Midnight Northern Old Paper Quiet Restless Second Secret Strange Velvet")
NOUNS = (
    "Harbour Street River Garden Mirror Winter Station Island Stranger Promise Road Tower Bridge "
    "Hour Shadow Morning Crown Echo House Journey Lantern Map Orchard Return Season Tide")
FIRST_NAMES = "Ada Bruno Clara Dario Elena Felix Greta Hugo Inés Jonas Keiko Leon Mira Nils Søren"
LAST_NAMES = "Abel Brandt Castro Dahl Ekwe Falk Grau Holm Ito Jansen Kerr Lindt Moreau Novak Okafor"
GAPS = {"overview": 0.04, "year": 0.03, "runtime": 0.1, "cast": 0.06, "directors": 0.04,
        "language": 0.02, "certificate": 0.14}


def _box(left: float, top: float, right: float, bottom: float) -> Shape:
    return left, top, right, top, right, bottom, left, bottom


STAR = (0, -0.95, 0.23, -0.31, 0.9, -0.29, 0.37, 0.12, 0.56, 0.77, 0, 0.38, -0.56, 0.77, -0.37,
        0.12, -0.9, -0.29, -0.23, -0.31)
# Things stand on a field from -1 to 1.
THINGS: dict[str, Sequence[Part]] = {
    "badge": ((0.7, (0, 0, 0.95)), (1, STAR)),
    "bubbles": ((1, (-0.5, -0.3, 0.45)), (1.3, (0.45, -0.55, 0.35)), (0.75, (0.3, 0.35, 0.6)),
                (1.2, (-0.55, 0.65, 0.3))),
    "burst": ((0.8, (0, -1, 0.25, -0.45, 0.8, -0.75, 0.5, -0.15, 1, 0.1, 0.45, 0.25, 0.65, 0.85,
               0.1, 0.5, -0.35, 1, -0.4, 0.4, -1, 0.45, -0.5, 0, -0.9, -0.6, -0.3, -0.45)),
              (1.4, (0, 0, 0.3))),
    "cactus": ((0.8, _box(-0.15, -0.9, 0.15, 1)), (0.8, (0, -0.88, 0.15)),
               (0.8, (-0.75, -0.4, -0.5, -0.4, -0.5, 0.1, 0, 0.1, 0, 0.35, -0.75, 0.35)),
               (0.8, (0.75, -0.65, 0.5, -0.65, 0.5, -0.2, 0, -0.2, 0, 0.05, 0.75, 0.05))),
    "couple": ((1, (-0.4, -0.5, 0.3)), (1, (-1, 1, -0.7, -0.1, -0.1, -0.1, 0.1, 1)),
               (0.75, (0.4, -0.4, 0.3)), (0.75, (-0.1, 1, 0.15, 0, 0.65, 0, 0.95, 1))),
    "eyes": ((1, (-1, 0, -0.5, -0.4, 0, 0, -0.5, 0.3)), (1, (1, 0, 0.5, -0.4, 0, 0, 0.5, 0.3)),
             (0.1, (-0.45, -0.03, 0.2)), (0.1, (0.45, -0.03, 0.2))),
    "face": ((1, (0, 0, 0.95)), (0.25, (-0.35, -0.25, 0.15)), (0.25, (0.35, -0.25, 0.15)),
             (0.25, (-0.6, 0.2, 0.6, 0.2, 0.35, 0.6, 0, 0.7, -0.35, 0.6))),
    "figure": ((0.6, (0, -0.6, 0.33)), (0.6, (-0.65, 1, -0.5, -0.1, -0.2, -0.28, 0.2, -0.28, 0.5,
               -0.1, 0.65, 1))),
    "hat": ((1, (-0.5, 0.3, -0.45, -0.8, 0.45, -0.8, 0.5, 0.3)), (0.6, _box(-0.5, 0, 0.5, 0.3)),
            (1, (-1, 0.3, 1, 0.3, 0.9, 0.5, -0.9, 0.5))),
    "heart": ((1, (-0.46, -0.3, 0.52)), (1, (0.46, -0.3, 0.52)),
              (1, (-0.91, -0.04, 0, -0.4, 0.91, -0.04, 0, 0.95))),
    "moon": ((0.95, (0, 0, 0.9)), (0.8, (-0.3, -0.3, 0.2)), (0.8, (0.3, 0.25, 0.28)),
             (0.8, (0.35, -0.4, 0.12))),
    "planet": ((0.8, (0, 0, 0.65)), (1, (-0.15, -0.15, 0.45)),
               (1.4, (-1, 0.35, 0, 0.1, 1, -0.35, 0, 0.22))),
    "rocket": ((1, (0, -1, 0.3, -0.4, 0.3, 0.5, -0.3, 0.5, -0.3, -0.4)), (0.3, (0, -0.3, 0.16)),
               (0.7, (-0.3, 0.1, -0.65, 0.65, -0.3, 0.5)), (0.7, (0.3, 0.1, 0.65, 0.65, 0.3, 0.5)),
               (1.5, (-0.2, 0.55, 0.2, 0.55, 0, 1))),
    "skull": ((1, (0, -0.25, 0.7)), (1, _box(-0.38, 0.2, 0.38, 0.85)), (0.1, (-0.28, -0.2, 0.2)),
              (0.1, (0.28, -0.2, 0.2)), (0.1, (0, 0.05, 0.12, 0.3, -0.12, 0.3)),
              (0.1, _box(-0.03, 0.5, 0.03, 0.85))),
    "star": ((1, STAR),),
    "sun": ((1.25, (0, 0, 0.85)),),
    "target": [(tone, (0, 0, r)) for tone, r in ((1, 0.9), (0.4, 0.72), (1, 0.5), (0.4, 0.3))],
    "window": ((0.5, _box(-0.7, -1, 0.7, 1)), *((1.2, _box(x, y, x + 0.55, y + 0.85))
               for x in (-0.6, 0.05) for y in (-0.9, 0.05))),
}
# Scenes fill the poster's width: x from 0 to 1, y from 0 to 1.47.
SCENES: dict[str, Callable[[Random], Sequence[Part]]] = {
    "hills": lambda rng: [
        (1.15 - 0.15 * i, (rng.random(), 1.75 + 0.1 * i, rng.uniform(0.6, 0.8))) for i in range(3)],
    "mesa": lambda rng: [(0.5, _box(0, 1.15, 1, 1.5)), *(
        (rng.uniform(0.5, 0.8), (x - 0.06, 1.5, x, y, x + 0.3, y, x + 0.36, 1.5))
        for x in (-0.1, 0.3, 0.8) for y in (rng.uniform(0.7, 1.1),))],
    "rays": lambda rng: [
        (1.1, (0.5, 1.1, x / 3, 0, x / 3 + 0.17, 0)) for x in range(-9, 12)],
    "sea": lambda rng: [(0.75, _box(0, 1, 1, 1.5)), *(
        (1.2, _box(x, y, x + 0.24, y + 0.008)) for x, y in (
            (rng.uniform(-0.1, 0.9), rng.uniform(1.02, 1.45)) for _ in range(9)))],
    "skyline": lambda rng: [
        (rng.uniform(0.6, 0.8), _box(i / 8 - 0.06, rng.uniform(0.6, 1.15), i / 8 + 0.06, 1.5))
        for i in range(9)],
    "spikes": lambda rng: [
        (0.25, (i / 10 - 0.07, y, i / 10 + 0.07, y, i / 10, abs(y - rng.uniform(low, high))))
        for y, low, high in ((0, 0.03, 0.2), (1.5, 0.2, 0.7)) for i in range(11)],
    "stars": lambda rng: [
        (rng.uniform(1, 1.6), (rng.random(), rng.uniform(0, 1.5), rng.uniform(0.002, 0.009)))
        for _ in range(70)],
    "stripes": lambda rng: [
        (0.9, (x, 0, x + 0.12, 0, x + lean, 1.5, x + lean - 0.12, 1.5))
        for lean in (rng.uniform(-0.7, 0.7),) for x in (i / 4 - 0.75 for i in range(10))],
}
SLOTS = (((0.5, 0.5, 0.3),), ((0.34, 0.42, 0.24), (0.68, 0.62, 0.2)),
         ((0.5, 0.38, 0.22), (0.25, 0.64, 0.16), (0.75, 0.64, 0.16)))  # x, y, size of each thing
# fmt: on


@dataclass(frozen=True)
class _Item:
    key: str  # seeds the poster
    lettering: str
    genres: tuple[str, ...]
    row: dict[str, str]
    finish: str = "plain"  # a key of FINISHES


def _paint(item: _Item) -> Image.Image:
    """Draw a poster; each of its parts follows the genres or, with some chance, any genre."""
    rng = Random(f"{item.key}/poster")
    palette = rng.choice(_genre(rng, item.genres, 0.2).palettes).split()
    top, bottom, ink = (_shift(ImageColor.getrgb(name), rng) for name in palette)
    width, height = WIDTH * SCALE, HEIGHT * SCALE
    gradient = Image.linear_gradient("L").resize((width, height))
    poster = ImageOps.colorize(gradient, top, bottom)
    draw = ImageDraw.Draw(poster)
    scene = rng.choice(_genre(rng, item.genres, 0.25).scenes.split())
    _draw(draw, SCENES[scene](rng), _mix(bottom, ink, 0.35), 0, 0, width)
    shown = [name for name in item.genres if rng.random() < 0.8] or [item.genres[0]]
    shown = [*shown, *rng.sample(list(GENRES), rng.choice((0, 0, 0, 1)))][: len(SLOTS)]
    for name, (x, y, size) in zip(shown, SLOTS[len(shown) - 1], strict=True):
        thing = THINGS[rng.choice(GENRES[name].things.split())]
        x, y = (x + rng.uniform(-0.05, 0.05)) * width, (y + rng.uniform(-0.04, 0.04)) * height
        _draw(draw, thing, _shift(ink, rng), x, y, size * width * rng.uniform(0.85, 1.15))
    _letter(draw, item, (top, bottom), ink, rng)
    grain = Image.frombytes("L", (WIDTH, HEIGHT), rng.randbytes(WIDTH * HEIGHT)).convert("RGB")
    return Image.blend(poster.reduce(SCALE), grain, rng.uniform(0.02, 0.08))


def _draw(
    draw: ImageDraw.ImageDraw, parts: Sequence[Part], ink: Colour, x: float, y: float, size: float
) -> None:
    for tone, shape in parts:
        fill = _mix(ink, WHITE, tone - 1) if tone > 1 else _mix(BLACK, ink, tone)
        if len(shape) == 3:
            draw.circle((shape[0] * size + x, shape[1] * size + y), shape[2] * size, fill)
        else:
            points = zip(shape[::2], shape[1::2], strict=True)
            draw.polygon([(px * size + x, py * size + y) for px, py in points], fill)


def _letter(
    draw: ImageDraw.ImageDraw, item: _Item, grounds: Sequence[Colour], ink: Colour, rng: Random
) -> None:
    # Pillow's own font, the only one that is on every machine, has no letters beyond ASCII.
    text = unicodedata.normalize("NFKD", item.lettering).encode("ascii", "ignore").decode()
    if rng.random() < _genre(rng, item.genres, 0.2).capitals:
        text = text.upper()
    words = text.split()
    half = (len(words) + 1) // 2
    lines = [" ".join(words[:half]), " ".join(words[half:])]
    font = ImageFont.load_default(min(rng.randint(44, 56), 560 // max(map(len, lines))))
    share, ground = rng.choice(((0.14, grounds[0]), (0.86, grounds[1])))
    fill = _mix(ink, WHITE, 0.8) if sum(ground) < 400 else _mix(ink, BLACK, 0.75)
    where = (WIDTH * SCALE / 2, HEIGHT * SCALE * share)
    draw.multiline_text(
        where, "\n".join(lines), fill, font, "mm", align="center", stroke_width=2,
        stroke_fill=ground,
    )  # fmt: skip


def _genre(rng: Random, genres: Sequence[str], stray: float) -> Genre:
    """One of the film's genres, the first one most often; or, with chance `stray`, any genre."""
    names = list(GENRES) if rng.random() < stray else [genres[0], *genres]
    return GENRES[rng.choice(names)]


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple(round(u + (v - u) * share) for u, v in zip(a, b, strict=True))


def _shift(colour: Colour, rng: Random) -> Colour:
    light = rng.randint(-22, 22)
    return tuple(min(max(c + light + rng.randint(-22, 22), 0), 255) for c in colour)


def _text(rng: Random, genres: Sequence[str]) -> dict[str, str]:
    n, m = rng.sample(NOUNS.split(), 2)
    if rng.random() < 0.3:
        n = rng.choice(_genre(rng, genres, 0.3).nouns.split())
    title = rng.choice(TITLES).format(a=rng.choice(ADJECTIVES.split()), n=n, m=m)
    sentences = []
    for template in (rng.choice(OPENINGS), *rng.sample(FOLLOWINGS, rng.randint(0, 2))):
        words = {}
        for part, general in ANYONE.items():
            typical = getattr(_genre(rng, genres, 0.35), part)
            words[part] = rng.choice(general if rng.random() < 0.45 else typical)
        sentence = template.format(**words)
        sentences.append(sentence[0].upper() + sentence[1:])
    return {"title": title, "overview": " ".join(sentences)}


def _people(rng: Random, genres: Sequence[str], n: int, pool: int, stray: float) -> str:
    """Names from a pool of which each genre favours an eighth."""
    first, last = FIRST_NAMES.split(), LAST_NAMES.split()
    names = []
    for _ in range(n):
        favourite = list(GENRES.values()).index(_genre(rng, genres, stray))
        i = rng.randrange(pool) * len(GENRES) + favourite
        names.append(f"{first[i % 15]} {last[(i // 15 * 4 + i + pool) % 15]}")
    return "|".join(dict.fromkeys(names))


def _metadata(rng: Random, genres: Sequence[str]) -> dict[str, str]:
    first, second, third, fourth = (_genre(rng, genres, 0.35) for _ in range(4))
    low, high = first.years
    return {
        "year": str(round(rng.triangular(low - 10, 2024, high))),
        "runtime": str(round(second.runtime * rng.triangular(0.8, 1.25, 1))),
        "language": LANGUAGES[rng.choice(third.languages)],
        "certificate": rng.choice(fourth.certificates.split()),
        "cast": _people(rng, genres, rng.randint(2, 4), 15, 0.65),
        "directors": _people(rng, genres, 1 if rng.random() < 0.9 else 2, 6, 0.4),
    }


def _film(key: str, film_id: str, main: str) -> _Item:
    rng = Random(f"{key}/genres")
    more = rng.sample(GENRES[main].partners, rng.choice((0, 0, 0, 1, 1, 1, 2)))
    genres = tuple(dict.fromkeys([main, *(INITIALS[letter] for letter in more)]))
    row = {"film_id": film_id, "genres": "|".join(genres), "poster": f"posters/{film_id}.jpg"}
    row |= _text(Random(f"{key}/text"), genres) | _metadata(Random(f"{key}/metadata"), genres)
    row |= {column: "" for column, chance in GAPS.items() if rng.random() < chance}
    return _Item(key, row["title"], genres, row)


def _items(n: int, seed: int) -> list[_Item]:
    """All items: films, and among them bad posters, odd titles, re-releases and an exact duplicate."""
    rng = Random(f"{seed}/plan")
    # Main genres are assigned in their shares, not drawn, so that the rarest is never missing.
    deck = [name for name, genre in GENRES.items() for _ in range(genre.share)]
    mains = rng.sample([deck[i * len(deck) // n] for i in range(n)], n)
    items = [_film(f"{seed}/{i}", f"f{i:04}", main) for i, main in enumerate(mains)]
    places = iter(rng.sample(range(n), n))
    for finish, i in zip(BAD, places, strict=False):
        items[i] = replace(items[i], finish=finish)
    items[i].row["poster"] = ""  # the last of BAD
    for title, i in zip(SPECIAL_TITLES, places, strict=False):
        items[i].row["title"] = title
        items[i] = replace(items[i], lettering=title)
    for count in range(1 + max(2, n // 75)):
        i, j = next(places), next(places)
        place = {column: items[j].row[column] for column in ("film_id", "poster")}
        items[j] = replace(items[i], row=items[i].row | place)
        if count > 0:  # all but the first, which are equal to the byte
            items[j] = replace(items[j], finish="re-released")
            items[j].row["title"] += " (Restored)"
            items[j].row["overview"] = f"Newly restored. {items[i].row['overview']}".strip()
    return items


def _jpeg(image: Image.Image) -> bytes:
    return encode_jpeg(image, 85)


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
    "re-released": lambda image: encode_jpeg(image.resize((176, 259)), 75),
}


def write_sample(folder: Path | str, *, n_items: int = 600, seed: int = 0) -> SampleSummary:
    """Write the sample catalogue: ``posters/``, ``SAMPLE.txt`` and, last, ``catalogue.csv``.

    Parameters
    ----------
    folder : path
        Made if it does not exist; must not hold a ``catalogue.csv``.
    n_items : int, default=600
        Rows, at least 40.
    seed : int, default=0
        The same seed gives the same catalogue.

    Returns
    -------
    SampleSummary

    Raises
    ------
    SampleError
        If `folder` is a file or already holds a catalogue, or the disk refuses: what was written is removed.
        Where the disk refuses to confirm the finished table, and to remove it, that is a warning.
    SettingError
        If `n_items` is too small.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> summary = write_sample(folder.name, n_items=40)
    >>> summary.items, len(summary.genres), summary.bad_posters
    (40, 8, 6)
    >>> folder.cleanup()
    """
    folder = Path(folder)
    table = folder / "catalogue.csv"
    _check(folder, table, n_items)
    items = _items(n_items, seed)
    if not is_sample(folder):
        _check_posters(folder / "posters", items)
    there = nearest_folder(folder)
    made = [path for path in (folder, *folder.parents) if there in path.parents]
    written = [] if is_sample(folder) else [folder / MARK]
    try:
        _write(folder, items, f"Invented films from `hybrid sample`, seed {seed}.\n", written)
        os.sync()  # a power cut must not leave a catalogue whose posters are empty
        _write_table(table, [item.row for item in items])
    except OSError as error:
        _remove([table], [])  # first: without it, the command can be run again
        if not table.exists():
            _remove([*reversed(written)], [folder / "posters", folder, *made])
            raise SampleError(describe_refusal(f"the sample {folder}", error)) from error
        # Only the last step was refused, and so is its undoing: all files are there, and whole.
        warnings.warn(
            f"{folder}: the sample is whole, but a power cut may undo it: {error.strerror}.",
            stacklevel=2,
        )
    genres = {name for item in items for name in item.genres}
    bad = sum(item.finish in BAD for item in items)
    near = sum(item.finish == "re-released" for item in items)
    return SampleSummary(folder, n_items, tuple(sorted(genres)), bad, near)


def _write(folder: Path, items: Sequence[_Item], mark: str, written: list[Path]) -> None:
    """Write the posters, each of them whole; those that are new are noted in `written`."""
    make_folder(folder / "posters")
    # Before the posters: by it the next call knows that those of an interrupted one may be replaced.
    write_unsynced(folder / MARK, mark.encode())
    for item in items:
        path = folder / "posters" / f"{item.row['film_id']}.jpg"
        data = FINISHES[item.finish](_paint(item))
        if data is None:
            path.unlink(missing_ok=True)  # left by a sample that was interrupted
            continue
        if not path.exists():
            written.append(path)
        write_unsynced(path, data)


def _remove(files: Sequence[Path], folders: Sequence[Path]) -> None:
    """Remove what a sample has written that the disk refused, as far as it allows."""
    for path in files:
        with suppress(OSError):
            remove(path)
    for path in folders:
        with suppress(OSError):  # it is not empty: it was there before
            path.rmdir()


def is_sample(folder: Path | str) -> bool:
    """Tell whether `write_sample` made this folder.

    Examples
    --------
    >>> is_sample("no-such-folder")
    False
    """
    return (Path(folder) / MARK).is_file()


def _check(folder: Path, table: Path, n_items: int) -> None:
    if n_items < MIN_ITEMS:
        raise SettingError(f"n_items: expected {MIN_ITEMS} or more, found {n_items}.")
    if folder.exists() and not folder.is_dir():
        raise SampleError(f"expected a folder, found a file: {folder}. Name another folder.")
    check_new_folder("DIR", folder)
    if table.exists():
        raise SampleError(
            f"expected a folder without a catalogue, found {table}. "
            "Name another folder, or delete that file first."
        )


def _check_posters(folder: Path, items: Sequence[_Item]) -> None:
    """Raise where a poster of somebody else's would be replaced."""
    paths = (folder / f"{item.row['film_id']}.jpg" for item in items)
    if there := next((path for path in paths if os.path.lexists(path)), None):
        raise SampleError(
            f"expected a folder without posters of these names, found {there}, which is of no sample. "
            "Name another folder."
        )


def _write_table(table: Path, rows: Sequence[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS.split(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(table, text.getvalue().encode())
