"""Posters that workers read: keys, hashes and findings as in one process, whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hybrid import load_catalogue
from hybrid.audit.audit import audit_project
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import Catalogue, check
from hybrid.catalogue.check import look_at_posters
from hybrid.cluster.connection import Cluster
from hybrid.errors import ClusterError
from hybrid.extraction.lookup import hash_catalogue
from hybrid.extraction.poster_keys import hash_several
from hybrid.images import hashes, hashes_on_cluster, memo, on_cluster, perceptual_hash
from hybrid.images.hashes import hash_posters
from hybrid.images.memo import load_memo
from hybrid.images.perceptual_hash import hash_perceptually
from hybrid.images.perceptual_memo import load_perceptual_hashes, save_perceptual_hashes
from hybrid.splitting.methods import make_splits
from hybrid.splitting.splits import make_split
from hybrid.utils.context import Context
from hybrid.utils.interrupt import Interrupts


@pytest.fixture
def remembering() -> Context:
    """With a cache, which remembers."""
    EmbeddingCache("memory").make({"dimension": 2})
    return Context("memory", workers=2, cluster="local:2")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that have just been written are not remembered."""
    now = hashes.time.time_ns
    monkeypatch.setattr(hashes.time, "time_ns", lambda: now() + 60 * 10**9)


def named(films: Catalogue) -> dict[bytes, str]:
    """The files of all posters, by their keys."""
    keys = hash_catalogue(films, Context("none"))
    pairs = zip(keys, films.each_poster_path(), strict=True)
    return {key: path for key, path in pairs if isinstance(key, bytes)}


def dying_at(poison: str, function: Callable[[str], Any], log: Path) -> Callable[[str], Any]:
    """A function that notes each call, and ends its process at one poster."""

    def call(path: str) -> Any:
        with log.open("a") as file:
            file.write(path + "\n")
        if path.endswith(poison):
            os._exit(9)
        return function(path)

    return call


def test_posters_that_the_workers_read_have_the_same_keys(
    films: Catalogue, cluster: Cluster, remembering: Context
) -> None:
    next(Path("films/posters").glob("*.jpg")).unlink()
    alone = hash_catalogue(films, Context("none"))
    assert hash_catalogue(films, remembering) == alone
    assert hash_catalogue(films, remembering) == alone


def test_several_posters_of_an_item_have_the_same_keys(
    films: Catalogue, cluster: Cluster, remembering: Context
) -> None:
    table = pd.read_csv("films/catalogue.csv", dtype=str, keep_default_na=False)
    several = table["poster"] + "|" + table["poster"].iloc[::-1].to_numpy()
    table.drop(columns="poster").assign(posters=several).to_csv("films/several.csv", index=False)
    both = load_catalogue("films/several.csv")
    alone = hash_several(both, Context("none"))
    assert len(alone) > len(films) // 2
    assert hash_several(both, remembering) == alone


def test_a_poster_that_kills_those_who_read_it_is_told_and_all_others_are_remembered(
    films: Catalogue,
    cluster: Cluster,
    remembering: Context,
    settled: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    alone, poison = hash_catalogue(films, Context("none")), films.poster_paths[20]
    hash_poster = hashes_on_cluster.hash_poster
    dying = dying_at(poison, hash_poster, tmp_path / "log")
    monkeypatch.setattr(hashes_on_cluster, "hash_poster", dying)
    with pytest.raises(
        ClusterError, match=r"1 block set aside:\n  \d+ posters, from .*3 workers died"
    ):
        hash_catalogue(films, remembering)
    again = dying_at("no such poster", hash_poster, tmp_path / "again")
    monkeypatch.setattr(hashes_on_cluster, "hash_poster", again)
    assert hash_catalogue(films, remembering) == alone
    read = (tmp_path / "again").read_text().splitlines()
    assert any(path.endswith(poison) for path in read)
    assert len(read) < 20  # the block, and posters that cannot be read


def test_a_poster_that_kills_those_who_decode_it_is_told_and_all_others_are_remembered(
    films: Catalogue,
    cluster: Cluster,
    remembering: Context,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    paths, hash_file = named(films), perceptual_hash._hash_file
    alone = hash_perceptually(paths, Context("none", workers=2))
    assert len(alone) > len(films) // 2
    poison = list(paths.values())[30]
    dying = dying_at(poison, hash_file, tmp_path / "log")
    monkeypatch.setattr(perceptual_hash, "_hash_file", dying)
    with pytest.raises(ClusterError, match=r"A cache remembers all others\."):
        hash_perceptually(paths, remembering)
    known = load_perceptual_hashes("memory")
    assert len(alone) - 12 <= len(known) < len(alone)
    again = dying_at("no such poster", hash_file, tmp_path / "again")
    monkeypatch.setattr(perceptual_hash, "_hash_file", again)
    assert hash_perceptually(paths, remembering) == alone
    assert len((tmp_path / "again").read_text().splitlines()) <= len(paths) - len(known)


def test_a_worker_that_is_killed_while_it_decodes_loses_no_hash(
    films: Catalogue, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paths, hash_file = named(films), perceptual_hash._hash_file
    alone = hash_perceptually(paths, Context("none", workers=2))
    once = tmp_path / "killed"

    def kill_once(path: str) -> bytes | None:
        if path.endswith(kills) and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return hash_file(path)

    kills = list(paths.values())[40]
    monkeypatch.setattr(perceptual_hash, "_hash_file", kill_once)
    context = Context("none", workers=2, cluster="local:2")
    assert hash_perceptually(paths, context) == alone
    assert once.exists()


def test_what_another_process_remembers_meanwhile_is_kept(
    films: Catalogue,
    cluster: Cluster,
    remembering: Context,
    settled: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths, recall = list(films.each_poster_path()), hashes_on_cluster._recall

    def recall_and_wait(*given: Any) -> Any:
        found = recall(*given)
        list(hash_posters("memory", paths[:5], workers=1))  # as another process
        return found

    monkeypatch.setattr(hashes_on_cluster, "_recall", recall_and_wait)
    hashes_on_cluster.hash_on_cluster(cluster, remembering, paths[20:30], lambda n: None)
    same = hashes.look_up(load_memo(Path("memory/memo/keys")), paths[:5] + paths[20:30])[1]
    assert same.sum() >= 12
    assert same[:5].any()


@pytest.mark.parametrize("where", [None, "local:2"])
def test_an_interrupted_command_goes_on_with_what_was_decoded(
    films: Catalogue,
    cluster: Cluster,
    remembering: Context,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    where: str | None,
) -> None:
    paths = named(films)
    context = Context("memory", workers=2, cluster=where)
    save_perceptual_hashes("memory", {b"x" * 32: b"y" * 16})  # of another catalogue
    saved: list[int] = []
    monkeypatch.setattr(memo, "SAVE_SECONDS", 0.0)

    def save_and_stop(cache: str, found: dict[bytes, bytes]) -> None:
        save_perceptual_hashes(cache, found)
        saved.append(len(found))
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(perceptual_hash, "save_perceptual_hashes", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        hash_perceptually(paths, context)
    known = load_perceptual_hashes("memory")
    assert 1 < saved[0] < len(known) < len(paths)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert hash_perceptually(paths, context) == hash_perceptually(paths, Context("none"))


def test_a_worker_stops_between_two_posters_when_it_is_told() -> None:
    interrupts, read = Interrupts(), []

    def look(path: str) -> str:
        read.append(path)
        interrupts.number = signal.SIGINT
        return path

    turn: Any = type("turn", (), {"threads": 1, "interrupts": interrupts})
    posters = on_cluster._Posters(list(range(500)), [str(i) for i in range(500)])
    with pytest.raises(KeyboardInterrupt):
        on_cluster._read_block(look, posters, turn)
    assert len(read) < 500


def test_check_finds_what_it_finds_in_one_process(films: Catalogue, cluster: Cluster) -> None:
    bad, looks = look_at_posters(films, Context(workers=2))
    assert bad
    found = look_at_posters(films, Context(workers=2, cluster="local:2"))
    assert found == (bad, looks)
    assert check._look_at("none.jpg").problem in {each.reason for each in found[0]}


def test_split_and_audit_are_those_of_one_process(films: Catalogue, cluster: Cluster) -> None:
    alone, together = Context("none", workers=2), Context("none", workers=2, cluster="local:2")
    (split,) = make_splits(films, context=alone)
    (found,) = make_splits(films, context=together)
    assert found.sha256 == split.sha256
    assert found.groups.tolist() == split.groups.tolist()
    leaking = make_split(films.ids[films.labelled], films.labels[films.labelled])
    audit = audit_project(films, leaking, context=alone).audit
    assert audit.leaks
    assert audit_project(films, leaking, context=together).audit == audit


def test_the_commands_take_a_cluster(
    films: Catalogue, cluster: Cluster, hybrid_here: Callable[..., Any]
) -> None:
    for words in (["check"], ["split"], ["audit"]):
        done = hybrid_here(*words, "--cluster", "local:2", cwd=Path("films"))
        assert done.returncode == 0, done.stderr
