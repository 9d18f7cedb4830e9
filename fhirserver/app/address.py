"""The network address that a request came from."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network

from starlette.requests import Request


def address_of(trusted_proxies: tuple[str, ...]) -> Callable[[Request], str]:
    """Tells it: the peer, or behind proxies that are trusted what they say.

    X-Forwarded-For is read from its end, for what is before the last stranger in it is the
    stranger's own word.
    """
    networks = [ip_network(network) for network in trusted_proxies]

    def is_trusted(text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in networks)

    def find(request: Request) -> str:
        found = request.client.host if request.client else ""
        hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        while is_trusted(found) and hops and (hop := hops.pop().strip()):
            found = hop
        return found

    return find
