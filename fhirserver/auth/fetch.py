"""Asking an address that somebody else gave us, without being turned against our own network.

RFC 9700 section 4.11; OWASP on server-side request forgery. The name is resolved once, every
address of it must be a public one, and the connection goes to the address that was checked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx2

Address: TypeAlias = IPv4Address | IPv6Address
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

SECONDS: Final = 5.0
MOST_BYTES: Final = 128 * 1024


class NotFetched(Exception):
    """The address was not asked, or gave nothing of use; the text says why."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """`headers` have names in lower case."""

    body: bytes
    headers: Mapping[str, str]


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(item[4][0]) for item in found]


class Fetcher:
    """`inside` are host names (with a port, where it is not the usual one) in our own network
    that may be asked nevertheless, also without TLS."""

    def __init__(
        self,
        inside: frozenset[str] = frozenset(),
        *,
        resolve: Resolve = resolve,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._inside = inside
        self._resolve = resolve
        self._transport = transport

    async def get(self, url: str, *, accept: str = "application/json") -> Fetched:
        """What a GET of the URL gives with status 200. Raises `NotFetched`."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self._get(url, accept)
        except TimeoutError:
            raise NotFetched("It took too long.") from None
        except (httpx2.HTTPError, OSError, UnicodeError) as error:
            raise NotFetched(f"It cannot be reached ({type(error).__name__}).") from None

    async def _get(self, url: str, accept: str) -> Fetched:
        host, address = await self._place(url)
        target = httpx2.URL(url)
        pinned = target.copy_with(host=address)
        headers = {"Accept": accept, "Host": target.netloc.decode("ascii")}
        async with (
            httpx2.AsyncClient(
                trust_env=False, follow_redirects=False, transport=self._transport
            ) as client,
            client.stream(
                "GET", pinned, headers=headers, extensions={"sni_hostname": host}
            ) as response,
        ):
            if response.status_code != 200:
                raise NotFetched(f"It answered with status {response.status_code}.")
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise NotFetched("It sent too much.")
            return Fetched(bytes(body), {k.lower(): v for k, v in response.headers.items()})

    async def _place(self, url: str) -> tuple[str, str]:
        """Host and checked address of a URL."""
        parts = urlsplit(url)
        host = parts.hostname
        if host is None or parts.username is not None or parts.password is not None:
            raise NotFetched("It is no address of a server.")
        is_inside = parts.netloc.lower() in self._inside
        if parts.scheme != "https" and not (is_inside and parts.scheme == "http"):
            raise NotFetched("It is not https.")
        found = await self._resolve(host, parts.port or (443 if parts.scheme == "https" else 80))
        if not found:
            raise NotFetched("Its name has no address.")
        if not is_inside and not all(is_public(text) for text in found):
            raise NotFetched("It is in a network that is not public.")
        return host, found[0]


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet, also where it is mapped into IPv6."""
    address: Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address.teredo is not None or address in _NAT64:
            return False
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast and not address.is_reserved


class _Nat64:
    """64:ff9b::/96 and 64:ff9b:1::/48 lead into networks of IPv4 (RFC 6052, RFC 8215)."""

    def __contains__(self, address: IPv6Address) -> bool:
        return int(address) >> 96 == 0x0064FF9B


_NAT64: Final = _Nat64()
