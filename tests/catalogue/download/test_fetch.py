"""Posters are fetched whole or not at all, and every item is accounted for."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid.catalogue import load_catalogue
from hybrid.catalogue.download import FetchSettings, fetch_posters
from hybrid.catalogue.download.fetch import FetchSummary
from hybrid.errors import CatalogueError, SettingError
from tests.catalogue.download.conftest import Server, picture

QUICK = FetchSettings(timeout=5.0, retries=1, backoff=0.0, max_bytes=300_000)


def fetch(path: Path, settings: FetchSettings = QUICK, **options: Any) -> FetchSummary:
    """Fetch the posters of a catalogue."""
    return fetch_posters(load_catalogue(path), settings=settings, **options)


def written(path: Path) -> dict[str, str]:
    """Id → poster cell."""
    with path.with_name("films-posters.csv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["poster"] for row in csv.DictReader(file)}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the source."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != "films.csv")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_posters_are_named_by_their_content(films: Callable[..., Path]) -> None:
    path = films("/ok/1", "/png/2", "/ok/1")
    summary = fetch(path)
    one = f"posters/{hashlib.sha256(picture(1)).hexdigest()[:32]}.jpg"
    two = f"posters/{hashlib.sha256(picture(2, 'PNG')).hexdigest()[:32]}.png"
    assert written(path) == {"f0": one, "f1": two, "f2": one}
    assert (path.parent / one).read_bytes() == picture(1)
    assert (summary.urls, summary.fetched, summary.failed) == (2, 2, ())
    again = load_catalogue(path.with_name("films-posters.csv"))
    assert again.poster_paths[1] == str(path.parent / two)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/status/404", r"HTTP 404 \(Not Found\)"),
        ("/status/500", r"HTTP 500 \(Internal Server Error\)"),
        ("/status/204", r"HTTP 204 \(No Content\)"),
        ("/later/1", r"HTTP 429 \(Too Many Requests\); it asks to wait \d+ s"),
        ("/html/1", r"is a web page \(HTML or XML\), not an image"),
        ("/empty/1", "an empty answer"),
        ("/reset/1", "the connection broke|the answer was cut off, or is not HTTP"),
        ("/cut/1", "the answer was cut off, or is not HTTP"),
        ("/less/1", "the image is cut short"),
        ("/less/200", "the image is cut short"),
        ("/endless/1", "longer than 300,000 bytes"),
        ("/long/1", "longer than 300,000 bytes"),
        ("/bomb/1", "more than 89,478,485 pixels"),
        ("http://127.0.0.1:1/1.jpg", "no connection to the server"),
        ("http://127.0.0.1:99999/1.jpg", "is not a URL that can be fetched"),
        ("http://127.0.0.1:-1/1.jpg", "is not a URL that can be fetched"),
        ("/to/http:~~127.0.0.1:99999~1.jpg", "is not a URL that can be fetched"),
        ("http://[bad/1.jpg", "no connection to the server|is not a URL that can be fetched"),
        ("ftp://a.org/1.jpg", "only http and https are fetched, found ftp"),
        ("data:image/png;base64,AAAA", "only http and https are fetched, found data"),
        ("http://a b.invalid/1.jpg", "is not a URL that can be fetched"),
        ("//127.0.0.1:1/1.jpg", r"no connection to the server \(tried with https\)"),
    ],
)
def test_a_failure_costs_one_poster_and_has_a_reason(
    films: Callable[..., Path], path: str, reason: str
) -> None:
    table = films("/ok/1", path, "/ok/2")
    summary = fetch(table)
    (bad,) = summary.failed
    assert (bad.row, bad.id) == (2, "f1")
    assert re.match(reason, bad.reason)
    assert [bool(cell) for cell in written(table).values()] == [True, False, True]
    whole = {picture(1), picture(2)}
    assert {p.read_bytes() for p in (table.parent / "posters").iterdir()} == whole


def test_urls_as_people_have_them(films: Callable[..., Path], server: Server) -> None:
    path = films("/ok/1.a b.jpg", "/ok/2.jpg?x=1&amp;y=2", "/ok/3.%20é.jpg", "/ok/4.jpg#top")
    assert fetch(path).fetched == 4
    asked = {"/ok/1.a%20b.jpg", "/ok/2.jpg?x=1&y=2", "/ok/3.%20%C3%A9.jpg", "/ok/4.jpg"}
    assert set(server.asked) == asked


def test_a_server_that_does_not_answer_is_left(films: Callable[..., Path]) -> None:
    summary = fetch(films("/hang/1", "/ok/1"), FetchSettings(timeout=0.3, retries=0))
    assert [bad.reason for bad in summary.failed] == ["no whole answer within 0.3 s"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_what_may_pass_is_tried_again(
    films: Callable[..., Path], server: Server, status: int
) -> None:
    summary = fetch(films(f"/once/{status}/1"))
    assert (summary.fetched, server.asked[f"/once/{status}/1"]) == (1, 2)


def test_what_will_not_pass_is_asked_once(films: Callable[..., Path], server: Server) -> None:
    path = films("/status/404", "/html/1", "/status/403")
    fetch(path)
    fetch(path)
    assert set(server.asked.values()) == {1}
    fetch(path, FetchSettings(retry_failed=True))
    assert set(server.asked.values()) == {2}


def test_fetched_posters_are_not_asked_for_again(
    films: Callable[..., Path], server: Server
) -> None:
    path = films("/ok/1", "/ok/2")
    fetch(path)
    before = contents(path.parent)
    summary = fetch(path)
    assert (summary.fetched, summary.kept) == (0, 2)
    assert server.asked.total() == 2
    next((path.parent / "posters").iterdir()).unlink()
    summary = fetch(path)
    assert (summary.fetched, summary.kept) == (1, 1)
    assert contents(path.parent) == before


def test_refresh_asks_with_the_tag(films: Callable[..., Path], server: Server) -> None:
    path = films("/etag/1")
    fetch(path)
    before = contents(path.parent)
    assert "If-None-Match" not in server.headers["/etag/1"]
    assert fetch(path, FetchSettings(refresh=True)).fetched == 1
    assert server.headers["/etag/1"]["If-None-Match"] == '"v1"'
    assert contents(path.parent) == before


@pytest.mark.parametrize(
    "target",
    ["http:~~localhost:1~x", "http:~~127.0.0.1:1~x", "http:~~169.254.169.254~x", "http:~~[::1]~x"],
)
def test_a_redirect_to_a_private_address_is_refused(
    films: Callable[..., Path], server: Server, target: str
) -> None:
    path = films(f"/to/{target}")
    (bad,) = fetch(path).failed
    assert "a private network (--allow-private follows it)" in bad.reason
    assert set(server.asked) == {f"/to/{target}"}


def test_redirects_on_the_server_that_the_catalogue_names_are_followed(
    films: Callable[..., Path], server: Server
) -> None:
    same = server.url.replace("/", "~")
    summary = fetch(films("/to//ok/1", f"/to/{same}~ok~2", f"/to/{same}~to~http:~~10.0.0.1~x"))
    assert summary.fetched == 2
    assert [bad.id for bad in summary.failed] == ["f2"]
    loop = fetch(films("/to/."))  # to its own folder, and so on
    assert [bad.reason for bad in loop.failed] == ["too many redirects: more than 5"]


def test_a_redirect_to_https_on_the_same_host_is_followed(films: Callable[..., Path]) -> None:
    (bad,) = fetch(films("/to/https:~~127.0.0.1:1~x", "/ok/1")).failed
    assert bad.reason == "no connection to the server"  # it was tried


def test_redirects_are_followed_where_it_is_allowed(
    films: Callable[..., Path], server: Server
) -> None:
    allowed = FetchSettings(allow_private=True, retries=0)
    summary = fetch(films("/to//ok/1", f"/to/{server.url.replace('/', '~')}~ok~2"), allowed)
    assert summary.fetched == 2
    other = films("/to/file:~~~etc~passwd")
    assert [bad.reason for bad in fetch(other, allowed).failed] == [
        "a redirect to file, not to http or https"
    ]


def test_a_picture_of_many_urls_is_told_and_can_be_left_out(films: Callable[..., Path]) -> None:
    path = films(*(f"/same/{i}" for i in range(6)), "/ok/1")
    (finding,) = fetch(path).findings
    assert (finding.count, len(set(written(path).values()))) == (6, 2)
    assert "--max-shared 4" in finding.message
    assert len(fetch(path, max_shared=4).failed) == 6
    assert [cell != "" for cell in written(path).values()] == [False] * 6 + [True]


def test_cells_that_name_nothing_or_a_file(films: Callable[..., Path]) -> None:
    path = films("N/A", "", "/ok/1", "own.jpg", "gone.jpg", column="Poster")
    (path.parent / "own.jpg").write_bytes(picture(9))
    summary = fetch(path, url_column="Poster")
    assert (summary.without, summary.local) == (2, 1)
    assert [bad.id for bad in summary.failed] == ["f4"]
    cells = written(path)
    assert (cells["f0"], cells["f3"], cells["f4"]) == ("", "own.jpg", "")
    header = path.with_name("films-posters.csv").read_text().splitlines()[0]
    assert header == "id,genres,poster_url,poster"


@pytest.mark.parametrize("form", ["{}|{}", "['{}', '{}']", '["{}","{}"]', "{}, {}", "{} {}"])
def test_a_cell_with_several_urls(films: Callable[..., Path], server: Server, form: str) -> None:
    both = form.format(f"{server.url}/ok/1", f"{server.url}/png/2").replace('"', '""')
    half = f"{server.url}/status/404|{server.url}/ok/1"
    path = films(both, half, "/ok/1", "", column="Poster")
    summary = fetch(path)
    assert (summary.urls, summary.fetched, summary.without) == (3, 2, 1)
    assert [(bad.id, bad.poster) for bad in summary.failed] == [("f1", f"{server.url}/status/404")]
    assert [(each.kind, each.count) for each in summary.findings] == [("several posters", 2)]
    made = load_catalogue(path.with_name("films-posters.csv"))
    assert list(made.table.columns) == ["id", "genres", "poster_url", "posters"]
    one = f"posters/{hashlib.sha256(picture(1)).hexdigest()[:32]}.jpg"
    two = f"posters/{hashlib.sha256(picture(2, 'PNG')).hexdigest()[:32]}.png"
    assert made.table["posters"].tolist() == [f"{one}|{two}", one, one, ""]
    assert made.columns.poster == "posters"


def test_several_urls_in_the_column_posters(films: Callable[..., Path], server: Server) -> None:
    path = films(f"{server.url}/ok/1|{server.url}/ok/2", "/ok/3", column="posters")
    assert fetch(path).fetched == 3
    header = path.with_name("films-posters.csv").read_text().splitlines()[0]
    assert header == "id,genres,posters_url,posters"
    assert server.asked == {"/ok/1": 1, "/ok/2": 1, "/ok/3": 1}


@pytest.mark.parametrize("form", ["{url}|{file}", "{file}|{url}", "['{url}', '{file}']"])
def test_a_cell_with_a_url_and_a_file(
    films: Callable[..., Path], server: Server, form: str
) -> None:
    both = form.format(url=f"{server.url}/ok/1", file="own/two.jpg")
    whole = "own/a|b.jpg"  # one file, whose name holds the separator
    path = films(both, "/ok/1", whole, column="Poster")
    (path.parent / "own").mkdir()
    (path.parent / "own" / "two.jpg").write_bytes(picture(2))
    (path.parent / "own" / "a|b.jpg").write_bytes(picture(3))
    summary = fetch(path)
    assert (summary.urls, summary.fetched, summary.failed) == (1, 1, ())
    told = {each.kind: each.count for each in summary.findings}
    assert told == {"several posters": 1, "URLs and files": 1}
    made = load_catalogue(path.with_name("films-posters.csv"))
    one = f"posters/{hashlib.sha256(picture(1)).hexdigest()[:32]}.jpg"
    order = ["own/two.jpg", one] if form.startswith("{file}") else [one, "own/two.jpg"]
    named = [Path(each).relative_to(path.parent).as_posix() for each in made.several_posters[0]]
    assert named == order
    assert made.poster_paths[1] == str(path.parent / one)
    assert summary.local == 2  # the first item and the last


def test_the_table_of_failures(films: Callable[..., Path], server: Server) -> None:
    path = films("/ok/1", "/status/404")
    fetch(path)
    lines = path.with_name("films-posters.failed.csv").read_text().splitlines()
    assert lines == [
        "row,id,cell,reason",
        f"2,f1,{server.url}/status/404,HTTP 404 (Not Found)",
    ]


def test_nothing_of_the_users_is_overwritten(films: Callable[..., Path]) -> None:
    path = films("/ok/1")
    path.with_name("films-posters.csv").write_text("mine")
    with pytest.raises(CatalogueError, match="is there already"):
        fetch(path)
    with pytest.raises(CatalogueError, match="the catalogue itself"):
        fetch(path, out=path)
    with pytest.raises(CatalogueError, match=r"ends in \.csv"):
        fetch(path, out=path.with_suffix(".parquet"))
    assert path.with_name("films-posters.csv").read_text() == "mine"


def test_all_wrong_settings_are_told_at_once(films: Callable[..., Path]) -> None:
    wrong = FetchSettings(concurrency=0, rate=0, timeout=-1, retries=-1, max_bytes=0)
    with pytest.raises(SettingError) as error:
        fetch(films("/ok/1"), wrong, base_url="a.org", max_shared=0)
    options = re.findall(r"^--([a-z-]+)", str(error.value), re.M)
    assert options == [
        "concurrency",
        "rate",
        "timeout",
        "retries",
        "max-bytes",
        "base-url",
        "max-shared",
    ]


def test_without_a_network_it_stops(films: Callable[..., Path]) -> None:
    path = films(*(f"http://127.0.0.1:1/{i}.jpg" for i in range(30)))
    with pytest.raises(CatalogueError, match="Is there a network"):
        fetch(path, FetchSettings(retries=0))


def test_two_at_once_are_refused(films: Callable[..., Path]) -> None:
    from hybrid.utils.files import locked

    path = films("/ok/1")
    with (
        locked(path.with_name("films-posters.lock")),
        pytest.raises(CatalogueError, match="another process"),
    ):
        fetch(path)


def test_it_works_inside_an_event_loop(films: Callable[..., Path]) -> None:
    import asyncio

    path = films("/ok/1")

    async def notebook() -> FetchSummary:
        return fetch(path)

    assert asyncio.run(notebook()).fetched == 1


@pytest.mark.parametrize("when", [3, 90])
def test_a_kill_and_a_resume_give_the_same_folder(
    films: Callable[..., Path], server: Server, tmp_path: Path, when: int
) -> None:
    paths = [f"/ok/{i}" if i % 7 else f"/status/404/{i}" for i in range(120)]
    path = films(*paths)
    whole = tmp_path / "whole"
    fetch(path, out=whole / "films-posters.csv")
    expected = contents(whole)
    server.asked.clear()
    reached = threading.Event()
    server.after = lambda count: reached.set() if count >= when else None
    command = "from hybrid.cli.main import main; main()"
    started = subprocess.Popen(
        [sys.executable, "-c", command, "fetch-posters", "--catalogue", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert reached.wait(60)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    for file in (tmp_path / "posters").iterdir():  # whole at any moment
        if not file.name.startswith(".tmp-"):
            assert hashlib.sha256(file.read_bytes()).hexdigest()[:32] == file.stem
    summary = fetch(path)
    assert len(summary.failed) == 18
    found = contents(tmp_path)
    assert {k: v for k, v in found.items() if not k.startswith("whole")} == expected


def test_the_command_prints_what_came_and_exits_by_it(
    films: Callable[..., Path], hybrid_here: Callable[..., Any]
) -> None:
    path = films("/ok/1", "/status/404", *(f"/same/{i}" for i in range(5)))
    options = ("fetch-posters", "--catalogue", path, "--retries", 0, "--json")
    done = hybrid_here(*options)
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert (found["urls"], found["fetched"], found["kept"]) == (7, 6, 0)
    assert [bad["id"] for bad in found["failed"]] == ["f1"]
    assert [finding["count"] for finding in found["findings"]] == [5]
    assert "--url-column" not in done.stderr  # no advice to call what was called
    again = hybrid_here(*options[:-1], "--strict")
    assert again.returncode == 1
    assert "1 x HTTP 404 (Not Found)" in again.stdout
    assert "0 fetched, 6 there before, 1 failed" in again.stdout
    assert hybrid_here(*options, "--concurrency", 0).returncode == 2
