"""URLs divided among workers: all of one host in one lane, so that one worker at a time asks it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from hybrid.catalogue.download.settings import FetchSettings

LANES_A_WORKER = 4  # at least, so that workers whose servers are slow get fewer
MOST_URLS = 20_000  # of a lane that is handed out


def host_of(url: str) -> str:
    """The host of a URL with its port; ``""`` where it has none.

    Examples
    --------
    >>> host_of("https://A.org:8080/1.jpg"), host_of("http://[1.jpg")
    ('a.org:8080', '')
    """
    try:
        return urlsplit(url).netloc.casefold()
    except ValueError:  # an address in brackets that is none
        return ""


def make_lanes(urls: Iterable[str], workers: int) -> list[list[str]]:
    """Divide URLs: those of one host stay together, and no lane has many more than others, if that can be.

    Parameters
    ----------
    urls : iterable of str
    workers : int
        That fetch at the same time.

    Returns
    -------
    list of list of str
        Each in the order given, with 20,000 at most: the others are for the next time.

    Examples
    --------
    >>> urls = ["http://a.org/1", "http://b.org/1", "http://a.org/2", "http://c.org/1"]
    >>> [len(lane) for lane in make_lanes(urls, workers=2)]
    [2, 1, 1]
    """
    of_hosts: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for place, url in enumerate(urls):
        of_hosts[host_of(url)].append((place, url))
    lanes: list[list[tuple[int, str]]] = [
        [] for _ in range(min(len(of_hosts), LANES_A_WORKER * workers))
    ]
    for some in sorted(of_hosts.values(), key=len, reverse=True):
        min(lanes, key=len).extend(some)
    return [[url for _, url in sorted(lane)[:MOST_URLS]] for lane in lanes]


def share_settings(settings: FetchSettings, lanes: int) -> FetchSettings:
    """The settings of one of the lanes that are fetched at the same time: together they keep to those given.

    Examples
    --------
    >>> shared = share_settings(FetchSettings(concurrency=16, rate=9.0), 3)
    >>> shared.concurrency, shared.rate
    (5, 3.0)
    """
    rate = None if settings.rate is None else settings.rate / lanes
    return replace(settings, concurrency=max(1, settings.concurrency // lanes), rate=rate)
