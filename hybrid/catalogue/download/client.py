"""One request for one poster: redirects, addresses and lengths are checked before anything is believed."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType

import httpx

from hybrid._version import __version__
from hybrid.catalogue.download.settings import FetchSettings
from hybrid.utils.counts import counted

MAX_REDIRECTS = 5
MAX_PORT = 65_535
# Another attempt may succeed.
TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Answer:
    """The body of an answer.

    Parameters
    ----------
    data : bytes
    etag, modified : str, default=""
    unchanged : bool, default=False
        The server says that nothing has changed; then there is no body.
    """

    data: bytes
    etag: str = ""
    modified: str = ""
    unchanged: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why there is no body.

    Parameters
    ----------
    reason : str
    again : bool, default=False
        Whether another attempt may succeed.
    wait : float, optional
        Seconds that the server asks to wait.
    answered : bool, default=True
        Whether a server has answered at all.
    """

    reason: str
    again: bool = False
    wait: float | None = None
    answered: bool = True


class Client:
    """Fetches URLs with httpx; an asynchronous context manager.

    Parameters
    ----------
    settings : FetchSettings
        Timeout, caps, and which redirects are followed. No more requests than its concurrency may be
        under way.
    """

    def __init__(self, settings: FetchSettings) -> None:
        self.settings = settings
        trusted = httpx.create_ssl_context()
        # One connection each: to find a free one, httpcore compares all of a pool with each other.
        self._all = [self._make(trusted) for _ in range(settings.concurrency)]
        self._idle = [("", http) for http in self._all]  # host of the last request, client

    def _make(self, trusted: ssl.SSLContext) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=trusted,
            timeout=httpx.Timeout(self.settings.timeout),
            limits=httpx.Limits(max_connections=1),
            headers={
                "User-Agent": f"hybrid-posters/{__version__}",
                "Accept": "image/*",
                "Accept-Encoding": "identity",  # so that the length is that of the image
            },
            follow_redirects=False,
        )

    def _take(self, host: str) -> httpx.AsyncClient:
        """A client that nobody uses; one that is connected to the host, if there is one."""
        hosts = [each for each, _ in self._idle]
        return self._idle.pop(hosts.index(host) if host in hosts else 0)[1]

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for http in self._all:
            await http.aclose()

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer | Refusal:
        """Fetch a URL; whatever goes wrong is a `Refusal`.

        Parameters
        ----------
        url : str
        headers : mapping of str to str, optional
            Further ones of the request.

        Returns
        -------
        Answer or Refusal
        """
        host, http = "", None
        try:
            address = httpx.URL(url)
            _check_port(address)
            host = address.netloc.decode("ascii")
            http = self._take(host)
            following = self._follow(http, address, headers or {})
            return await asyncio.wait_for(following, self.settings.timeout)
        except (asyncio.TimeoutError, httpx.TimeoutException):
            return Refusal(
                f"no whole answer within {self.settings.timeout:g} s", True, answered=False
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            return Refusal("is not a URL that can be fetched")
        except httpx.ConnectError:
            return Refusal("no connection to the server", True, answered=False)
        except httpx.RemoteProtocolError:
            return Refusal("the answer was cut off, or is not HTTP", True)
        except (httpx.HTTPError, OSError):
            return Refusal("the connection broke", True)
        finally:
            if http is not None:
                self._idle.append((host, http))

    async def _follow(
        self, http: httpx.AsyncClient, url: httpx.URL, headers: Mapping[str, str]
    ) -> Answer | Refusal:
        """Follow redirects, each to an address that was looked at."""
        named = url
        request = http.build_request("GET", url, headers=headers)
        for _ in range(MAX_REDIRECTS + 1):
            response = await http.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    return await self._body(response)
                url = url.join(response.headers["location"])
                _check_port(url)
            finally:
                await response.aclose()
            following = await self._redirected(http, url, named)
            if isinstance(following, Refusal):
                return following
            request = following
        return Refusal(f"too many redirects: more than {MAX_REDIRECTS}")

    async def _redirected(
        self, http: httpx.AsyncClient, url: httpx.URL, named: httpx.URL
    ) -> httpx.Request | Refusal:
        """The request that a redirect asks for, to the very address that was found to be public.

        The server that the catalogue itself names may be a private one.
        """
        if url.scheme not in ("http", "https") or not url.host:
            return Refusal(f"a redirect to {url.scheme or 'no scheme'}, not to http or https")
        if self.settings.allow_private or _is_same_server(url, named):
            return http.build_request("GET", url)
        if urllib.request.getproxies().get(
            url.scheme
        ):  # the proxy resolves names, and stands for itself
            literal = _literal(url.host)
            public = url.host.casefold() != "localhost" and (literal is None or is_public(literal))
            return http.build_request("GET", url) if public else _private(url)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                url.host, url.port, type=socket.SOCK_STREAM
            )
        except (socket.gaierror, UnicodeError):
            return Refusal("a redirect to a host without an address", True)
        addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
        if not addresses or not all(map(is_public, addresses)):
            return _private(url)
        return http.build_request(
            "GET",
            url.copy_with(host=str(addresses[0])),
            headers={"Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.host},
        )

    async def _body(self, response: httpx.Response) -> Answer | Refusal:
        status = response.status_code
        etag, modified = (response.headers.get(name, "") for name in ("etag", "last-modified"))
        if status == HTTPStatus.NOT_MODIFIED:
            return Answer(b"", etag, modified, unchanged=True)
        if status != HTTPStatus.OK:
            return Refusal(
                status_text(status),
                status in TEMPORARY,
                parse_wait(response.headers.get("retry-after")),
            )
        cap, parts, size = self.settings.max_bytes, [], 0
        too_long = Refusal(f"longer than {counted(cap, 'byte')}")
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > cap:
            return too_long
        async for part in response.aiter_bytes():
            parts.append(part)
            size += len(part)
            if size > cap:
                return too_long
        return Answer(b"".join(parts), etag, modified) if size else Refusal("an empty answer", True)


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the public internet, also where IPv6 wraps an IPv4 address.

    Examples
    --------
    >>> [is_public(ipaddress.ip_address(each)) for each in ("8.8.8.8", "10.0.0.1", "::ffff:127.0.0.1")]
    [True, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def parse_wait(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for: a number, or a date; None where it says neither.

    Examples
    --------
    >>> parse_wait("120"), parse_wait("soon"), parse_wait("Wed, 21 Oct 2015 07:28:00 GMT")
    (120.0, None, 0.0)
    """
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=timezone.utc)
    return max(0.0, (date - datetime.now(timezone.utc)).total_seconds())


def status_text(status: int) -> str:
    """Name an HTTP status.

    Examples
    --------
    >>> status_text(404), status_text(599)
    ('HTTP 404 (Not Found)', 'HTTP 599')
    """
    try:
        return f"HTTP {status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return f"HTTP {status}"


def _is_same_server(url: httpx.URL, named: httpx.URL) -> bool:
    """Tell whether a URL leads to the server that the catalogue names, or to its encrypted port."""
    ports = [each.port or {"http": 80, "https": 443}.get(each.scheme) for each in (url, named)]
    return url.host == named.host and (
        ports[0] == ports[1] or (named.scheme, url.scheme) == ("http", "https")
    )


def _check_port(url: httpx.URL) -> None:
    """Check that the port is one; the operating system takes no other number."""
    if not 0 <= (url.port or 0) <= MAX_PORT:
        raise httpx.InvalidURL(f"expected a port up to {MAX_PORT}, found {url.port}.")


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _private(url: httpx.URL) -> Refusal:
    return Refusal(
        f"a redirect to {url.host}, an address of this machine or a private network "
        "(--allow-private follows it)"
    )
