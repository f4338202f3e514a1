"""Posters that workers fetch: the same folder as of one process, and servers that are asked no more."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hybrid.catalogue import load_catalogue
from hybrid.catalogue.download import FetchSettings, fetch_posters, lanes, on_cluster, transfer
from hybrid.catalogue.download.fetch import FetchSummary
from hybrid.catalogue.download.lanes import host_of, make_lanes, share_settings
from hybrid.catalogue.download.ledger import Failed, Ledger
from hybrid.catalogue.download.transfer import UnreachedError
from hybrid.cluster.blocks import SetAside
from hybrid.cluster.connection import Cluster
from hybrid.errors import ClusterError
from hybrid.utils.context import Context
from hybrid.utils.interrupt import Interrupts
from tests.catalogue.download.conftest import Server, picture
from tests.catalogue.download.test_fetch import contents

QUICK = FetchSettings(timeout=5.0, retries=1, backoff=0.0, max_bytes=300_000)
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    made = [Server() for _ in range(3)]
    threads = [threading.Thread(target=each.serve_forever, args=(0.01,)) for each in made]
    for thread in threads:
        thread.start()
    yield made
    for server, thread in zip(made, threads, strict=True):
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def catalogue(folder: Path, urls: list[str]) -> Path:
    path = folder / "films.csv"
    rows = [f"f{i},Drama,{url}" for i, url in enumerate(urls)]
    path.write_text("\n".join(["id,genres,poster", *rows, ""]))
    return path


def urls_of(servers: list[Server], count: int) -> list[str]:
    """Posters, of which some are not there, and two are the same."""
    paths = [f"/ok/{i % 50}" if i % 7 else f"/status/404/{i}" for i in range(count)]
    return [servers[i % len(servers)].url + path for i, path in enumerate(paths)]


def fetch(
    path: Path, cluster: bool, settings: FetchSettings = QUICK, **options: Any
) -> FetchSummary:
    context = Context(workers=2, cluster="local:2" if cluster else None)
    return fetch_posters(load_catalogue(path), settings=settings, context=context, **options)


def asked(servers: list[Server]) -> Counter[str]:
    """How often each URL was asked for, since the last time."""
    found = Counter({s.url + path: n for s in servers for path, n in s.asked.items()})
    for server in servers:
        server.asked.clear()
    return found


def same_folder(tmp_path: Path, path: Path, alone: FetchSummary, together: FetchSummary) -> None:
    expected = contents(tmp_path / "alone")
    found = contents(tmp_path)
    assert {k: v for k, v in found.items() if not k.startswith("alone")} == expected
    assert together.failed == alone.failed
    assert (together.fetched, together.size) == (alone.fetched, alone.size)


def test_the_folder_is_that_of_one_process(
    servers: list[Server], tmp_path: Path, cluster: Cluster
) -> None:
    urls = [*urls_of(servers, 120), f"{servers[0].url}/once/503/7", f"{servers[1].url}/html/8"]
    path = catalogue(tmp_path, [*urls, "no URL at all", f"{NOWHERE}/1.jpg"])
    alone = fetch(path, cluster=False, out=tmp_path / "alone" / "films-posters.csv")
    requests = asked(servers)
    together = fetch(path, cluster=True)
    same_folder(tmp_path, path, alone, together)
    assert asked(servers) == requests
    fetch(path, cluster=True)
    assert not asked(servers)


def test_what_has_changed_is_asked_for_with_the_tag(
    servers: list[Server], tmp_path: Path, cluster: Cluster
) -> None:
    path = catalogue(tmp_path, [f"{server.url}/etag/{i}" for i, server in enumerate(servers)])
    fetch(path, cluster=True)
    before = contents(tmp_path)
    fetch(path, cluster=True, settings=FetchSettings(refresh=True))
    for i, server in enumerate(servers):
        assert server.headers[f"/etag/{i}"]["If-None-Match"] == '"v1"'
    assert contents(tmp_path) == before


def test_a_worker_that_is_killed_loses_what_was_under_way(
    servers: list[Server], tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = catalogue(tmp_path, urls_of(servers, 300))
    alone = fetch(path, cluster=False, out=tmp_path / "alone" / "films-posters.csv")
    asked(servers)
    killed: list[int] = []
    known: list[str] = []
    note = on_cluster._Round._note

    def note_and_kill(self: Any, part: Any) -> None:
        note(self, part)
        if not killed:
            killed.append(cluster.client.run(os.getpid, workers=[part.worker])[part.worker])
            os.kill(killed[0], signal.SIGKILL)
            known.extend(self.done)
            (tmp_path / "posters" / f".tmp-there-1-{'0' * 32}").write_bytes(b"half a post")

    monkeypatch.setattr(on_cluster._Round, "_note", note_and_kill)
    # As a second passes, so that something is told before the end of a lane.
    monkeypatch.setattr(on_cluster, "fetch_lane", telling_each(on_cluster.fetch_lane))
    together = fetch(path, cluster=True)
    assert len(killed) == 1
    same_folder(tmp_path, path, alone, together)
    again = {url for url, n in asked(servers).items() if n > 1}
    assert known
    assert not again & set(known)


def telling_each(fetch_lane: Callable[..., Any]) -> Callable[..., Any]:
    """Let a worker tell what came ten times as often."""

    def call(order: Any, lane: Any, turn: Any) -> Any:
        from hybrid.catalogue.download import transfer

        before, transfer.FLUSH_SECONDS = transfer.FLUSH_SECONDS, 0.01
        try:
            return fetch_lane(order, lane, turn)
        finally:
            transfer.FLUSH_SECONDS = before

    return call


@pytest.mark.slow
def test_an_image_that_kills_workers_is_the_only_one_that_fails(
    servers: list[Server], tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"{servers[i % 2].url}/ok/{i}" for i in range(60)]
    path, poison, lane = catalogue(tmp_path, urls), picture(30), on_cluster.fetch_lane

    def die_at_poison(order: Any, given: Any, turn: Any) -> Any:
        from hybrid.catalogue.download import transfer

        store = transfer.store_poster

        def store_or_die(data: bytes, *rest: Any) -> Any:
            if data == poison:
                os._exit(9)
            return store(data, *rest)

        transfer.store_poster = store_or_die
        try:
            return lane(order, given, turn)
        finally:
            transfer.store_poster = store

    monkeypatch.setattr(on_cluster, "fetch_lane", die_at_poison)
    summary = fetch(path, cluster=True)
    assert [(bad.id, bad.reason) for bad in summary.failed] == [
        ("f30", "3 workers died while they worked at it")
    ]
    assert summary.fetched == 59


def test_a_server_that_is_away_does_not_stop_the_others(
    servers: list[Server], tmp_path: Path, cluster: Cluster
) -> None:
    away = [f"{NOWHERE}/{i}.jpg" for i in range(30)]
    path = catalogue(tmp_path, [*urls_of(servers, 30), *away])
    settings = FetchSettings(retries=0)
    alone = fetch(path, False, settings, out=tmp_path / "alone" / "films-posters.csv")
    together = fetch(path, True, settings)
    same_folder(tmp_path, path, alone, together)
    path = catalogue(tmp_path, away)
    with pytest.raises(UnreachedError, match="Is there a network"):
        fetch(path, True, settings, out=tmp_path / "none" / "films-posters.csv")


def test_an_interrupted_call_keeps_what_came_and_goes_on(
    servers: list[Server], tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = catalogue(tmp_path, urls_of(servers, 200))
    alone = fetch(path, cluster=False, out=tmp_path / "alone" / "films-posters.csv")
    asked(servers)
    monkeypatch.setattr(on_cluster, "fetch_lane", telling_each(on_cluster.fetch_lane))
    interrupts: list[Interrupts] = []
    run, note = on_cluster.BlockRun, on_cluster._Round._note

    def note_and_interrupt(self: Any, part: Any) -> None:
        note(self, part)
        interrupts[0].number = signal.SIGINT

    def keep(cluster: Any, function: Any, blocks: Any, interrupted: Interrupts, *rest: Any) -> Any:
        interrupts.append(interrupted)
        return run(cluster, function, blocks, interrupted, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(on_cluster, "BlockRun", keep)
        patch.setattr(on_cluster._Round, "_note", note_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(path, cluster=True)
    first = asked(servers)
    known = Ledger(tmp_path / "films-posters.ledger.jsonl").entries
    assert len(known) > 0
    summary = fetch(path, cluster=True)
    second = asked(servers)
    assert set(first) | set(second) == {*urls_of(servers, 200)}
    assert not set(second) & set(known)
    assert summary.failed == alone.failed


def test_a_folder_that_the_workers_see_elsewhere_is_told(
    servers: list[Server], tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = catalogue(tmp_path, urls_of(servers, 30)), tmp_path / "other"
    (other / "posters").mkdir(parents=True)
    lane = on_cluster.fetch_lane

    def fetch_elsewhere(order: Any, *given: Any) -> Any:
        return lane(order._replace(folder=str(other)), *given)

    monkeypatch.setattr(on_cluster, "fetch_lane", fetch_elsewhere)
    with pytest.raises(ClusterError, match=r"has written, found none: all workers must see"):
        fetch(path, cluster=True)


def test_lanes_have_whole_hosts_and_are_balanced() -> None:
    urls = [f"http://host{i % 7}.org/{i}" for i in range(700)] + ["http://[", "http://HOST1.org/x"]
    for workers in (1, 2, 5):
        found = make_lanes(urls, workers)
        hosts = [set(map(host_of, lane)) for lane in found]
        assert sum(map(len, hosts)) == len(set.union(*hosts)) == 8
        assert sorted(url for lane in found for url in lane) == sorted(urls)
        place = {url: i for i, url in enumerate(urls)}
        assert all(lane == sorted(lane, key=place.__getitem__) for lane in found)
        assert max(map(len, found)) <= 100 * -(-7 // len(found)) + 1


def test_a_long_lane_is_for_several_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MOST_URLS", 10)
    assert make_lanes([f"http://a.org/{i}" for i in range(25)], 4) == [
        [f"http://a.org/{i}" for i in range(10)]
    ]


@pytest.mark.parametrize(("concurrency", "rate"), [(16, 10.0), (3, 0.5), (1, None)])
def test_shares_of_the_settings_add_up_to_them(concurrency: int, rate: float | None) -> None:
    settings = FetchSettings(concurrency=concurrency, rate=rate)
    for count in range(1, concurrency + 1):
        share = share_settings(settings, count)
        assert 1 <= share.concurrency * count <= concurrency
        assert share.rate is None if rate is None else share.rate * count == pytest.approx(rate)


def test_a_lane_waits_before_it_asks_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The lane before it, of the same worker, may have asked a moment ago."""
    delays: list[float] = []

    def transfer_none(*given: Any, pacer: Any, **more: Any) -> None:
        delays.append(pacer.delay("a.org", on_cluster.time.monotonic()))

    monkeypatch.setattr(on_cluster, "transfer_posters", transfer_none)
    order = on_cluster._Order(str(tmp_path), FetchSettings(rate=0.001), True)
    turn: Any = SimpleNamespace(threads=1, interrupts=Interrupts(), worker="w", tell=None)
    assert on_cluster.fetch_lane(order, on_cluster.Lane(0, ["http://a.org/1"], {}), turn) == (
        on_cluster.Part(0, [], "w")
    )
    assert delays[0] > 990


def test_where_a_worker_died_urls_are_fetched_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(on_cluster, "transfer_posters", lambda urls, *a, **b: given.append(urls))
    monkeypatch.setattr(on_cluster, "CAREFUL", 3)
    order = on_cluster._Order("none", FetchSettings(), True)
    turn: Any = SimpleNamespace(threads=1, interrupts=Interrupts(), worker="w", tell=None)
    lane = on_cluster.Lane(0, list("abcde"), {}, again=True)
    on_cluster.fetch_lane(order, lane, turn)
    assert given == [["a"], ["b"], ["c"], ["d", "e"]]


def test_only_the_url_that_workers_died_at_fails(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    given: Any = (SimpleNamespace(), ledger, FetchSettings(), transfer.Reach(), set())
    run = on_cluster._Round(*given, lambda count: None)
    run.done.add("a")
    lane = on_cluster.Lane(0, list("abc"), {})
    run._set_aside(SetAside(lane, "3 workers died", 3))
    assert list(ledger.entries.values()) == [Failed("b", "3 workers died")]
    with pytest.raises(ClusterError, match="workers cannot fetch posters: no space left"):
        run._set_aside(SetAside(lane, "no space left"))


def test_what_is_doubted_is_told_where_so_few_urls_say_nothing_of_the_network(
    tmp_path: Path, cluster: Cluster
) -> None:
    path = catalogue(tmp_path, [f"{NOWHERE}/{i}.jpg" for i in range(transfer.UNREACHED - 1)])
    summary = fetch(path, True, FetchSettings(retries=0))
    assert {bad.reason for bad in summary.failed} == {"no connection to the server"}
    entries = Ledger(tmp_path / "films-posters.ledger.jsonl").entries.values()
    assert all(isinstance(entry, Failed) for entry in entries)
    assert len(entries) == transfer.UNREACHED - 1


def test_the_command_takes_a_cluster(
    servers: list[Server], tmp_path: Path, cluster: Cluster, hybrid_here: Callable[..., Any]
) -> None:
    path = catalogue(tmp_path, urls_of(servers, 12))
    done = hybrid_here("fetch-posters", "--catalogue", path, "--cluster", "local:2")
    assert done.returncode == 0, done.stderr
    assert "10 fetched, 0 there before, 2 failed" in done.stdout
