"""Failures of one network address, whatever names it tries."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from limits import RateLimitItem, parse
from limits.errors import StorageError

from fhirserver.errors import Throttled, Unavailable
from fhirserver.identity.counting import IN_PROCESS, moving

_LIMITS: Final = (parse("20/minute"), parse("200/hour"))  # a hospital is behind one address


class Slowdown:
    """`storage` is an address as `counting.moving` takes it, and raises what that does."""

    def __init__(
        self, storage: str = IN_PROCESS, limits: tuple[RateLimitItem, ...] = _LIMITS
    ) -> None:
        self._limiter = moving(storage)
        self._limits = limits

    async def check(self, address: str) -> None:
        """Raises `Throttled` for an address that failed too often, `Unavailable` without a count:
        who cannot be counted is not let in."""
        network = network_of(address)
        try:
            for limit in self._limits:
                if not await self._limiter.test(limit, network):
                    raise Throttled(
                        "Too many failed attempts came from your network. Wait a minute.",
                        headers={"Retry-After": "60"},
                    )
        except StorageError as error:
            raise _away() from error

    async def failed(self, address: str) -> None:
        """Counts a failure. Raises `Unavailable`."""
        network = network_of(address)
        try:
            for limit in self._limits:
                await self._limiter.hit(limit, network)
        except StorageError as error:
            raise _away() from error


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
