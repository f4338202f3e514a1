"""Damage the files of a cache in every way, use it by every command's function, and look for what is wrong.

    python tests/cache/fault_files.py --damages 5000 --seed 0 FOLDER

Prints one line of JSON: counts by kind of file, by damage and by outcome. The cache is that of an
extraction with two backbones (stand-ins, so that there is no network), compaction, gc and a kill. After each
damage come some of the functions that only read, then an extraction; the truth is known by key.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

import hybrid.extraction.extract
import hybrid.extraction.plan
from hybrid.backbones.engine import Engine
from hybrid.backbones.provenance import Provenance
from hybrid.cache import EmbeddingCache, EmbeddingStore, compact
from hybrid.cache.config import pack_config
from hybrid.cache.gc import collect
from hybrid.cache.sealed import mend_provenance, read_provenance
from hybrid.cache.verified_files import forget_hashes
from hybrid.cache.verify import verify
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import HybridError
from hybrid.extraction.cache_report import explain_cache, export_embeddings, list_stores
from hybrid.extraction.extract import extract_backbones, plan_extraction
from hybrid.extraction.lookup import load_embeddings
from hybrid.images import hashes
from hybrid.images.perceptual_hash import hash_perceptually
from hybrid.types import EmbeddingOptions, EmbeddingSelector
from hybrid.utils.context import Context
from hybrid.utils.read_only import read_only

BACKBONES = ("mobilenet-075", "vgg16")
POSTERS = 24
BAD = 5  # the poster that is no image
OPTIONS = EmbeddingOptions(precision="float32", dtype="float32")
Said = list[str]
APPENDED: list[bytes] = []  # keys of the rows that were computed


class StandIn(Engine):
    """Computes a hash of each poster, of the backbone's dimension."""

    batch_size, depth = 8, 1

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def start(self, posters: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        digests = [hashlib.sha256(poster.tobytes()).digest() for poster in posters]
        rows = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(len(posters), -1)
        made = np.tile(rows, self.dimension // rows.shape[1]).astype(np.float32)
        return lambda: made


def kind_of(path: Path) -> str:
    """The kind of a file of the cache, by its place and name."""
    name = re.sub(r"[0-9a-f]{64}", "*", path.name)
    if path.name.startswith(".tmp-"):
        return "unfinished"
    if path.parent.name in ("claims", "quarantine"):
        return f"{path.parent.name}/{path.suffix}"
    if path.parent.name == "gen":
        return "gen/000N.json" if path.suffix == ".json" else "gen/index"
    return name if path.parent.name in ("memo",) or "*" in name else path.name


@dataclass
class Sound:
    """A sound cache, and what is true of it."""

    folder: Path
    catalogue: Catalogue
    files: list[Path]
    rows: dict[str, dict[bytes, bytes]]
    stands_for: dict[str, Any]
    recorded: dict[str, Any]
    provenance: dict[str, bytes | None]
    failures: dict[str, dict[bytes, str]]
    owners: dict[Path, set[bytes]]
    looks: dict[bytes, bytes]
    spare: set[Path]

    def kind(self, file: Path) -> str:
        """Kind of a file, and whether later ones have taken its place."""
        return kind_of(file) + (" (superseded)" if file in self.spare else "")

    def only_in(self, file: Path) -> set[bytes]:
        """Keys of the rows that no other part has."""
        beside = (keys for f, keys in self.owners.items() if f.parent == file.parent and f != file)
        return self.owners.get(file, set()).difference(*beside)

    def context(self, cache: Path) -> Context:
        return Context(cache=str(cache), workers=1)


def extract(catalogue: Catalogue, cache: Path) -> None:
    """`hybrid extract` with both backbones."""
    extract_backbones(
        catalogue,
        BACKBONES,
        weights=["random"],
        options=OPTIONS,
        context=Context(cache=str(cache), workers=1),
    )


def build(folder: Path) -> Sound:
    """Extract in steps, compact, collect, compact again, and leave what a kill leaves."""
    dice = np.random.default_rng(0)
    (folder / "posters").mkdir(parents=True)
    for i in range(POSTERS):
        pixels = dice.integers(0, 256, (40, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "posters" / f"{i}.png")
        if i == BAD:
            (folder / "posters" / f"{i}.png").write_bytes(b"not an image")
    os.utime(folder / "posters" / "0.png", (1e9, 1e9))
    table = pd.DataFrame({"id": range(POSTERS), "genres": "Drama"})
    table["poster"] = [f"posters/{i}.png" for i in range(POSTERS)]
    cache = folder / "cache"
    for step, number in enumerate((6, 12, 18, POSTERS)):
        table[:number].to_csv(folder / "catalogue.csv", index=False)
        extract(load_catalogue(folder / "catalogue.csv"), cache)
        if step in (1, 2):
            for store in EmbeddingCache(cache).stores():
                compact(store)
        if step == 1:
            collect(EmbeddingCache(cache))
    catalogue = load_catalogue(folder / "catalogue.csv")
    paths = {hashlib.sha256(Path(p).read_bytes()).digest(): p for p in catalogue.poster_paths}
    context = Context(cache=str(cache), workers=1)
    looks = hash_perceptually(paths, context)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stores = EmbeddingCache(cache).stores()
    for number, store in enumerate(stores):
        recorded = {**store.recorded, "path": f"net{number}.h5"}
        (store.folder / "config.json").write_bytes(pack_config(store.stands_for, recorded))
        mend_provenance(store.folder, Provenance(unknown=(f"net{number}.h5",)).to_bytes())
        left = f"{socket.gethostname()}-{dead.pid}-{number:032x}"
        (store.folder / "claims").mkdir(exist_ok=True)
        lease = {"owner": left, "host": socket.gethostname(), "pid": dead.pid}
        (store.folder / "claims" / "00.claim").write_text(json.dumps(lease))
        (store.folder / "claims" / f"{left}.alive").touch()
        (store.folder / "parts" / f".tmp-{left}").write_bytes(b"half a part")
        (store.folder / "quarantine").mkdir(exist_ok=True)
        (store.folder / "quarantine" / "part-old.h5").write_bytes(b"damaged before")
        (store.folder / "throughput.json").write_text("{}")
    return _describe(cache, catalogue, looks)


def _describe(cache: Path, catalogue: Catalogue, looks: dict[bytes, bytes]) -> Sound:
    stores = EmbeddingCache(cache).stores()
    rows: dict[str, dict[bytes, bytes]] = {}
    owners: dict[Path, set[bytes]] = {}
    spare = set()
    for store in stores:
        keys = [key.tobytes() for key in store.view.index.keys]
        rows[store.fingerprint] = {
            key: row.tobytes() for key, row in zip(keys, store.read(keys), strict=True)
        }
        now = store.contents.generation()
        assert now is not None
        spare |= {
            p.relative_to(cache)
            for p in (store.folder / "gen").iterdir()
            if p.name not in now.files
        }
        spare |= {(store.folder / "parts" / name).relative_to(cache) for name in now.superseded}
        for path in (store.folder / "parts").glob("part-*"):
            _, found = hybrid.cache.contents.open_part(path, store.contents.layout)
            owners[path.relative_to(cache)] = {key.tobytes() for key in found}
    return Sound(
        folder=cache,
        catalogue=catalogue,
        files=sorted(p.relative_to(cache) for p in cache.rglob("*") if p.is_file()),
        rows=rows,
        stands_for={s.fingerprint: s.stands_for for s in stores},
        recorded={s.fingerprint: s.recorded for s in stores},
        provenance={s.fingerprint: read_provenance(s.folder) for s in stores},
        failures={s.fingerprint: s.failures() for s in stores},
        owners=owners,
        looks=looks,
        spare=spare,
    )


# Damage: each takes the file, the dice and the other files of its kind


def flip(path: Path, dice: random.Random, _: list[Path]) -> None:
    data = bytearray(path.read_bytes() or b"\0")
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def byte(path: Path, dice: random.Random, _: list[Path]) -> None:
    data = bytearray(path.read_bytes() or b"\0")
    data[dice.randrange(len(data))] ^= dice.randrange(1, 256)
    path.write_bytes(data)


def zero(path: Path, dice: random.Random, _: list[Path]) -> None:
    data = path.read_bytes()
    start, end = sorted(dice.randrange(len(data) + 1) for _ in range(2))
    path.write_bytes(data[:start] + bytes(end - start) + data[end:])


def cut(path: Path, dice: random.Random, _: list[Path]) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: dice.randrange(len(data))] if data else b"")


def empty(path: Path, *_: Any) -> None:
    path.write_bytes(b"")


def longer(path: Path, dice: random.Random, _: list[Path]) -> None:
    path.write_bytes(path.read_bytes() + dice.randbytes(dice.randrange(1, 100)))


def text(path: Path, dice: random.Random, _: list[Path]) -> None:
    said = [
        b"<!DOCTYPE html>",
        b"null",
        b"[]",
        b"{}",
        b'"x"',
        b"1e999",
        b"[" * 5000,
        b"\xff\xfe",
        b'{"format": "1"}',
    ]
    path.write_bytes(dice.choice(said))


def other(path: Path, dice: random.Random, same: list[Path]) -> None:
    path.write_bytes(dice.choice(same).read_bytes() if same else b"other")


def folder(path: Path, dice: random.Random, _: list[Path]) -> None:
    path.unlink()
    path.mkdir()
    if dice.random() < 0.5:
        (path / "file").write_bytes(b"x")


def pipe(path: Path, *_: Any) -> None:
    path.unlink()
    os.mkfifo(path)


def nowhere(path: Path, *_: Any) -> None:
    path.unlink()
    path.symlink_to("no-such-file")


def loop(path: Path, *_: Any) -> None:
    path.unlink()
    path.symlink_to(path.name)


def device(path: Path, *_: Any) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def a_socket(path: Path, *_: Any) -> None:
    path.unlink()
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as made:  # its path may have 107 bytes
        os.chdir(path.parent)
        try:
            made.bind("s")
            Path("s").rename(path.name)
        finally:
            os.chdir(here)


DAMAGES = (
    flip,
    byte,
    zero,
    cut,
    empty,
    longer,
    text,
    other,
    folder,
    pipe,
    nowhere,
    loop,
    device,
    a_socket,
)
REFUSALS = {"EACCES": errno.EACCES, "EIO": errno.EIO}
NAMES = (*(damage.__name__ for damage in DAMAGES), *REFUSALS)


@contextlib.contextmanager
def refused(victim: Path, code: int) -> Iterator[None]:
    """The system refuses to open a file for reading."""
    real = os.open

    def opened(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if isinstance(path, (str, Path)) and Path(path) == victim and not flags & os.O_CREAT:
            raise OSError(code, os.strerror(code), str(path))
        return real(path, flags, *rest, **named)

    os.open = opened  # type: ignore[assignment]
    try:
        yield
    finally:
        os.open = real


# Use: each gives pairs of key and row, or nothing; wrong ones are found by `check_rows`


def use_list(sound: Sound, cache: Path) -> None:
    list_stores(sound.context(cache))


def use_explain(sound: Sound, cache: Path) -> None:
    explain_cache(
        sound.catalogue,
        "mobilenet-075",
        weights="random",
        options=OPTIONS,
        context=sound.context(cache),
    )


def use_dry_run(sound: Sound, cache: Path) -> None:
    plan_extraction(
        sound.catalogue,
        BACKBONES,
        weights=["random"],
        options=OPTIONS,
        context=sound.context(cache),
    )


def use_verify(sound: Sound, cache: Path) -> None:
    verify(EmbeddingCache(cache), deep=True)


def use_dry_gc(sound: Sound, cache: Path) -> None:
    collect(EmbeddingCache(cache), dry_run=True)


def use_embeddings(sound: Sound, cache: Path) -> None:
    """As fit-svm, predict, explain and audit read them."""
    with read_only():
        context = sound.context(cache)
        found = load_embeddings(sound.catalogue, EmbeddingSelector("mobilenet-075"), context)
    (rows,) = (
        r for f, r in sound.rows.items() if sound.stands_for[f]["architecture"] == "mobilenet-075"
    )
    for path, row in zip(sound.catalogue.poster_paths, found, strict=True):
        key = hashlib.sha256(Path(path).read_bytes()).digest()
        assert np.isnan(row).all() if key not in rows else row.tobytes() == rows[key], "wrong rows"


def use_export(sound: Sound, cache: Path) -> None:
    out = cache.parent / "out.npz"
    export_embeddings(sound.catalogue, out, EmbeddingSelector("vgg16"), sound.context(cache))
    out.unlink()


def look(sound: Sound, cache: Path) -> None:
    """As split and audit --repair, which remember."""
    paths = {hashlib.sha256(Path(p).read_bytes()).digest(): p for p in sound.catalogue.poster_paths}
    assert hash_perceptually(paths, sound.context(cache)) == sound.looks, "wrong looks"


def use_looks(sound: Sound, cache: Path) -> None:
    """As audit and report, which only read."""
    with read_only():
        look(sound, cache)


USES = (
    use_list,
    use_explain,
    use_dry_run,
    use_verify,
    use_dry_gc,
    use_embeddings,
    use_export,
    use_looks,
)


def told(call: Callable[..., Any], *arguments: Any) -> tuple[Said, bool]:
    """What a call warns of, or the error that it ends with; and whether it ended with one."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        failed = None
        try:
            call(*arguments)
        except HybridError as error:
            failed = str(error)
    said = [str(one.message) for one in found if "random weights" not in str(one.message)]
    return [*said, *([failed] if failed else [])], failed is not None


def tree(cache: Path) -> dict[str, tuple[int, int, int]]:
    """All that is in a cache: mode, inode and size, without links followed."""
    found = {}
    for path in cache.rglob("*"):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_ino, status.st_size)
    return found


# Nothing needs them: leases are advice, the rest is garbage that gc removes.
UNUSED = re.compile(r"claims/|quarantine/|unfinished|throughput|superseded")


def damaged_files(cache: Path) -> list[str]:
    """What `hybrid cache verify` names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return [path for path, _ in verify(EmbeddingCache(cache)).problems]
        except HybridError as error:
            return [str(error)]


def trial(sound: Sound, cache: Path, file: Path, damage: str, dice: random.Random) -> str:
    """Damage one file, use the cache, extract; the outcome, or an `AssertionError`."""
    forget_hashes()
    victim, kind = cache / file, kind_of(file)
    same = [sound.folder / f for f in sound.files if kind_of(f) == kind and f != file]
    before = victim.read_bytes()
    stack = contextlib.ExitStack()
    if damage in REFUSALS:
        stack.enter_context(refused(victim, REFUSALS[damage]))
    else:
        globals()[damage](victim, dice, same)
        if victim.is_file() and victim.read_bytes() == before:
            return "unchanged"
    looked = tree(cache)
    with stack:
        said: Said = []
        for use in dice.sample(USES, 1 + (dice.random() < 0.3)):
            said += told(use, sound, cache)[0]
            assert tree(cache) == looked, f"{use.__name__} wrote to the cache"
        problems = [] if any(named_in(one, file) for one in said) else damaged_files(cache)
        APPENDED.clear()
        try:
            at, stopped = told(extract, sound.catalogue, cache)
        except OSError as error:
            raise AssertionError(f"extract: {error!r}") from error
        said += at
        if damage in REFUSALS:
            assert not any("now in quarantine" in one for one in said), (
                "set aside, though unreadable"
            )
            assert not stopped or victim.read_bytes() == before
        else:
            assert not stopped, f"extract stopped: {said[-1]}"
    named = [one for one in (*said, *problems) if named_in(one, file)]
    if stopped:
        assert named, f"not named: {said}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            extract(sound.catalogue, cache)

    again = list(APPENDED)
    look_said, _ = told(look, sound, cache)
    check_all(sound, cache, file, damage)
    named += [one for one in look_said if named_in(one, file)]
    lost = sound.only_in(file) if damage not in REFUSALS else set()
    assert sorted(again) == sorted(lost), f"{len(again)} rows were computed, {len(lost)} were lost"
    return outcome(sound.kind(file), damage, bool(named), stopped, [*said, *look_said], len(again))


def named_in(said: str, file: Path) -> bool:
    """Whether a message names a file, or the snapshot that it belongs to."""
    if file.parent.name == "gen" or file.name == "CURRENT":
        return "snapshot" in said or "CURRENT" in said or file.name in said
    return file.name in said


def outcome(kind: str, damage: str, named: bool, stopped: bool, said: Said, computed: int) -> str:
    """What became of a damage that nothing was wrong after."""
    if stopped:
        return "cannot be read: an error that names it, nothing is changed"
    if damage in REFUSALS:
        return "cannot be read: told, and gone on" if named else "cannot be read: not needed"
    if UNUSED.search(kind):
        return "garbage or advice: taken over, or removed by gc"
    assert named, f"not noticed: {said}"
    aside = any("now in quarantine" in one for one in said)
    if not aside:
        return "named, written again"
    return "named, set aside, " + (
        "its rows computed again" if computed else "all kept or written again"
    )


def check_all(sound: Sound, cache: Path, file: Path, damage: str) -> None:
    """Compare all with the truth, after the extraction: nothing is left to be told of."""
    forget_hashes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="random weights")
        look(sound, cache)
        stores = {store.fingerprint: store for store in EmbeddingCache(cache).stores()}
        assert stores.keys() == sound.rows.keys(), "stores"
        for name, store in stores.items():
            keys = list(sound.rows[name])
            rows = [row.tobytes() for row in store.read(keys)]
            assert rows == list(sound.rows[name].values()), "rows are wrong or lost"
            assert len(store) == len(keys), "more rows than there were"
            assert store.failures() == sound.failures[name], "failures"
            assert store.stands_for == sound.stands_for[name], "stands_for"
            recorded = {**sound.recorded[name]}
            if file.name == "config.json" and store.recorded["path"] is None:
                recorded["path"] = None  # what this extraction records
            assert store.recorded == recorded, "recorded"
            known = read_provenance(store.folder)
            # Random weights have none that extract could write again.
            lost = file.name == "provenance.json" and damage not in REFUSALS
            assert known == sound.provenance[name] or (lost and known is None), "provenance"
        if UNUSED.search(sound.kind(file)):
            collect(EmbeddingCache(cache))
        problems = verify(EmbeddingCache(cache)).problems
        assert not problems, f"not mended: {problems}"


def run(folder: Path, damages: int, seed: int) -> dict[str, Any]:
    """Damage so many files, each kind in each way by turns; counts."""
    prepare()
    dice = random.Random(seed)
    sound = build(folder / "films")
    kinds = sorted({sound.kind(file) for file in sound.files})
    counts: Counter[str] = Counter()
    table: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    ways: Counter[str] = Counter()
    failed: list[str] = []
    done = 0
    order = [(kind, damage) for damage in NAMES for kind in kinds]
    dice.shuffle(order)
    while done < damages:
        kind, damage = order[done % len(order)]
        file = dice.choice([file for file in sound.files if sound.kind(file) == kind])
        cache = folder / "cache"
        shutil.copytree(sound.folder, cache)
        try:
            found = trial(sound, cache, file, damage, dice)
        except Exception as error:
            found = "WRONG"
            failed.append(f"{damage} {file}: {type(error).__name__}: {error}"[:600])
        done += 1
        ways[damage] += 1
        counts[found] += 1
        table[kind][found] += 1
        shutil.rmtree(cache)
        if done % 250 == 0:
            print(f"{done} damages, {len(failed)} wrong", *failed[-3:], file=sys.stderr, flush=True)
    return {
        "damages": done,
        "outcomes": dict(counts),
        "kinds": {kind: dict(found) for kind, found in table.items()},
        "ways": dict(ways),
        "wrong": failed,
    }


def prepare() -> None:
    """Put stand-ins in the place of networks, and note what is computed."""
    append = EmbeddingStore.append

    def noted(store: EmbeddingStore, keys: Any, *rest: Any) -> None:
        append(store, keys, *rest)
        APPENDED.extend(keys)

    EmbeddingStore.append = noted  # type: ignore[method-assign, assignment]
    hybrid.extraction.plan.load_backbone = lambda spec, *_: StandIn(spec.dimension)  # type: ignore
    hybrid.extraction.extract.WAIT_SECONDS = 0.01
    hybrid.cache.contents.MAX_THREADS = 1  # of a handful of parts; threads would only take time
    versions = hybrid.extraction.lookup.library_versions()
    hybrid.extraction.lookup.library_versions = lambda: versions
    now = hashes.time.time_ns
    hashes.time = _Later(now)  # type: ignore[assignment]


class _Later:
    """A clock that is a minute ahead: files that were made just now have settled."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now

    def time_ns(self) -> int:
        return self.now() + 60 * 10**9

    def __getattr__(self, name: str) -> Any:
        import time

        return getattr(time, name)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path)
    parser.add_argument("--damages", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps(run(**vars(options)), indent=1))


if __name__ == "__main__":
    main()
