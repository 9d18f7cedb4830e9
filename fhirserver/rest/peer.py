"""Who is at the other end of a connection, behind proxies that are trusted."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

from fhirserver.rest.asgi import Scope

ADDRESS: Final = "fhirserver.address"
"""Where the scope keeps the address."""


def address_of(scope: Scope) -> str:
    """The address as the outermost layer found it, else that of the connection; '' for none."""
    found = scope.get(ADDRESS)
    if found is not None:
        return str(found)
    client = scope.get("client")
    return str(client[0]) if client else ""


def forwarded_address(scope: Scope, proxies: tuple[str, ...]) -> str:
    """The address behind trusted proxies: the last of X-Forwarded-For that is none of theirs.

    What stands before that, anybody may have written.
    """
    client = scope.get("client")
    address = str(client[0]) if client else ""
    if not proxies or not is_among(address, proxies):
        return address
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    for hop in reversed(b",".join(lines).decode("latin-1").split(",")):
        found = hop.strip()
        if not _is_address(found):
            break
        address = found
        if not is_among(found, proxies):
            break
    return address


@lru_cache(maxsize=1024)
def is_among(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an address is in one of the networks; what is no address is in none."""
    if not _is_address(address):
        return False
    ip = ip_address(address)
    return any(ip in ip_network(network) for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
