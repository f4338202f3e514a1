"""Ledger, URLs, waiting: the parts of a download."""

from __future__ import annotations

import hashlib
import ipaddress
from pathlib import Path

import pandas as pd
import pytest

from hybrid.catalogue.download.client import is_public, parse_wait
from hybrid.catalogue.download.ledger import Failed, Fetched, Ledger
from hybrid.catalogue.download.pacing import Pacer
from hybrid.catalogue.download.urls import cell_url, find_url_column
from hybrid.errors import CatalogueError, SettingError

HERE = Path("catalogue.csv")


def test_a_journal_is_believed_as_far_as_the_files_are_whole(tmp_path: Path) -> None:
    (tmp_path / "posters").mkdir()
    ledger = Ledger(tmp_path / "l.jsonl")
    names = [f"posters/{hashlib.sha256(bytes([i])).hexdigest()[:32]}.jpg" for i in range(3)]
    (tmp_path / names[0]).write_bytes(bytes([0]))
    (tmp_path / names[1]).write_bytes(b"\0")  # as a power cut can leave it; the third is gone
    for i, name in enumerate(names):
        ledger.add(Fetched(f"http://a.org/{i}ü.jpg", name, 1, '"e"', ""))
    ledger.add(Failed("http://a.org/4", "HTTP 404 (Not Found)"))
    ledger.flush()
    assert list(Ledger(ledger.file).entries) == ["http://a.org/0ü.jpg", "http://a.org/4"]
    assert not ledger.journal.exists()


def test_a_torn_line_of_the_journal_is_left_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for i in "12":
        ledger.add(Failed(f"http://a.org/{i}", "HTTP 404 (Not Found)"))
    ledger.flush()
    whole = ledger.journal.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(len(whole)):
        ledger.file.unlink(missing_ok=True)
        ledger.journal.write_bytes(whole[:cut])
        again = Ledger(ledger.file)
        lines = (cut >= first - 1) + (cut >= len(whole) - 1)
        assert list(again.entries.values()) == list(ledger.entries.values())[:lines]
        again.add(Failed("http://a.org/3", "x"))
        again.flush()
        assert Ledger(ledger.file).entries == again.entries


def test_the_ledger_does_not_tell_who_came_first(tmp_path: Path) -> None:
    texts = []
    for name, order in (("a", "21"), ("b", "12")):
        ledger = Ledger(tmp_path / name)
        for url in order:
            ledger.add(Failed(url, "x"))
        ledger.rewrite(["1", "2"])
        texts.append((tmp_path / name).read_bytes())
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_addresses(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) == public


def test_waits() -> None:
    assert parse_wait("7") == 7
    assert parse_wait(None) is None
    assert parse_wait("Thu, 01 Jan 2099 00:00:00 GMT") > 1e9
    assert parse_wait("-3") is None


def test_a_host_that_asks_to_wait_is_held_and_the_others_are_not() -> None:
    pacer = Pacer(rate=10.0)
    pacer.hold("a", 5.0, now=0.0)
    pacer.hold("a", 1.0, now=0.0)
    assert pacer.delay("a", now=0.0) == 5.0
    assert Pacer(None).delay("b", now=3.0) == 0.0


def test_the_column_is_found_by_its_cells_and_its_name() -> None:
    def found(**columns: list[str]) -> str:
        return find_url_column(pd.DataFrame(columns), None, HERE)

    page, one, path = (
        "http://imdb.com/title/1",
        "https://a.org/1.jpg",
        "/kqjL17yufvn9OVLyXYpvty.jpg",
    )
    assert found(link=[page], Poster=[one]) == "Poster"
    assert found(homepage=[page], poster_path=[path], backdrop_path=[path]) == "poster_path"
    assert found(homepage=[page], big=[one]) == "big"
    assert found(poster=["1.jpg"], image_url=[one]) == "image_url"
    for columns in ({"homepage": [page]}, {"id": ["1"]}, {"a": [one], "b": [one]}):
        with pytest.raises(CatalogueError, match="--url-column"):
            found(**columns)
    with pytest.raises(SettingError, match="Did you mean Poster"):
        find_url_column(pd.DataFrame({"Poster": [one]}), "Postr", HERE)


@pytest.mark.parametrize(
    ("cell", "url"),
    [
        ("https://a.org/1.jpg", "https://a.org/1.jpg"),
        (" HTTP://a.org/ü.jpg?x=1 ", "HTTP://a.org/ü.jpg?x=1"),
        ("//a.org/1.jpg", "https://a.org/1.jpg"),
        ("http://a.org/a b.jpg", "http://a.org/a%20b.jpg"),
        ("http://a.org/?a=1&amp;b=2&copy=3", "http://a.org/?a=1&b=2&copy=3"),
        ("N/A", ""),
        ("", ""),
        ("posters/1.jpg", ""),
        ("/home/me/1.jpg", ""),
        ("file:///etc/passwd", ""),
    ],
)
def test_cells(cell: str, url: str) -> None:
    assert cell_url(cell) == url
