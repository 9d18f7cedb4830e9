"""Failures of one network address, and of the networks that it is in, whatever names they try."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from limits import RateLimitItem, parse
from limits.errors import StorageError

from fhirserver.errors import Throttled, Unavailable
from fhirserver.identity.counting import IN_PROCESS, moving

_LIMITS: Final = (parse("20/minute"), parse("200/hour"))  # a hospital is behind one address
_WIDE_LIMITS: Final = (parse("200/minute"), parse("2000/hour"))
_PROVIDER_LIMITS: Final = (parse("1000/minute"), parse("10000/hour"))
_WIDE: Final = {4: 24, 6: 48}
"""Bits of what one customer of a provider has, or a little more."""


class Slowdown:
    """`storage` is an address as `counting.moving` takes it, and raises what that does.

    `limits` are those of an address, `wide` those of all addresses of a network, `broad` those of
    all networks of a provider, where `provider_of` names one for an address.
    """

    def __init__(
        self,
        storage: str = IN_PROCESS,
        limits: tuple[RateLimitItem, ...] = _LIMITS,
        wide: tuple[RateLimitItem, ...] = _WIDE_LIMITS,
        broad: tuple[RateLimitItem, ...] = _PROVIDER_LIMITS,
        provider_of: Callable[[str], str | None] = lambda address: None,
    ) -> None:
        self._limiter = moving(storage)
        self._limits = limits
        self._wide = wide
        self._broad = broad
        self._provider_of = provider_of

    async def check(self, address: str) -> None:
        """Raises `Throttled` for an address that failed too often, `Unavailable` without a count:
        who cannot be counted is not let in."""
        try:
            for limit, network in self._counts(address):
                if not await self._limiter.test(limit, network):
                    raise Throttled(
                        "Too many failed attempts came from your network. Wait a minute.",
                        headers={"Retry-After": "60"},
                    )
        except StorageError as error:
            raise _away() from error

    async def failed(self, address: str) -> None:
        """Counts a failure. Raises `Unavailable`."""
        try:
            for limit, network in self._counts(address):
                await self._limiter.hit(limit, network)
        except StorageError as error:
            raise _away() from error

    def _counts(self, address: str) -> Iterator[tuple[RateLimitItem, str]]:
        for limit in self._limits:
            yield limit, network_of(address)
        for limit in self._wide:
            yield limit, wide_network_of(address)
        provider = self._provider_of(network_of(address))
        if provider is not None:
            for limit in self._broad:
                yield limit, provider


def _away() -> Unavailable:
    return Unavailable(
        "Nobody can sign in at the moment. Try again later.", headers={"Retry-After": "30"}
    )


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What is counted as one: an address of IPv4, the first 64 bits of one of IPv6."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else str(IPv6Address(int(found) >> 64 << 64))
    return str(found)


def wide_network_of(address: str) -> str:
    """The network around an address: 24 bits of IPv4, 48 of IPv6."""
    try:
        found = ip_address(network_of(address))
    except ValueError:
        return f"around {address}"
    return str(ip_network((found, _WIDE[found.version]), strict=False))
