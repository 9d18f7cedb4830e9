"""The service base URL that links are made with.

https://hl7.org/fhir/R4/http.html#root. Either it is set, or it follows from the Host of the
request, which must then be one that this server is known by: a page of another site whose
name was made to point here (DNS rebinding) must not reach it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network

from fhirserver.errors import Invalid

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""How a server is called that listens on this machine only."""

ANY_HOST = "*"

_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)  # hashed as what it is, not by its fields
class BaseUrl:
    """How to find the base: `fixed`, or http(s)://Host + `path` for an allowed host.

    `allowed_hosts` are names without ports; `.example.org` allows every name below it and
    `*` any. X-Forwarded-Proto and X-Forwarded-Host count when the peer is in
    `trusted_proxies`, addresses or networks.
    """

    path: str
    fixed: str | None = None
    allowed_hosts: tuple[str, ...] = (ANY_HOST,)
    trusted_proxies: tuple[str, ...] = ()

    def of(self, scheme: str, headers: Mapping[bytes, bytes], peer: Sequence[object] | None) -> str:
        """The base of a request, without a final slash. Raises `Invalid` for a foreign Host."""
        host = headers.get(b"host")
        if self.trusted_proxies and peer and _is_in(str(peer[0]), self.trusted_proxies):
            scheme = _last(headers, b"x-forwarded-proto") or scheme
            forwarded = _last(headers, b"x-forwarded-host")
            host = forwarded.encode() if forwarded else host
        return _base(self, scheme, host)


@lru_cache(maxsize=256)
def _base(setting: BaseUrl, scheme: str, host: bytes | None) -> str:
    if host is None or not host:
        raise Invalid("The request names no Host.")
    found = _HOST.fullmatch(host.decode("latin-1"))
    if not found or scheme not in ("http", "https"):
        raise Invalid("The Host of the request is no host name.")
    name = found[1].lower()
    if not any(_allows(allowed, name) for allowed in setting.allowed_hosts):
        raise Invalid(
            f"This server is not known as '{name}': its operator can name it in "
            "FHIRSERVER_ALLOWED_HOSTS."
        )
    if setting.fixed is not None:
        return setting.fixed
    return f"{scheme}://{name}{found[2] or ''}{setting.path}"


def _allows(allowed: str, name: str) -> bool:
    if allowed.startswith("."):
        return name.endswith(allowed)
    return allowed in (ANY_HOST, name)


def _last(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("latin-1").rpartition(",")[2].strip() if value else None


@lru_cache(maxsize=256)
def _is_in(address: str, networks: tuple[str, ...]) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip in ip_network(network) for network in networks)
