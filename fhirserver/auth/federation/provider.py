"""What is known of another provider: from our settings, and from its own configuration.

https://openid.net/specs/openid-connect-discovery-1_0.html
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec

WELL_KNOWN: Final = "/.well-known/openid-configuration"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider as the operator sets it. `name` is what people know it by.

    `secret_file` holds the client secret; without it the client is a public one.
    """

    name: _Word
    issuer: _Word
    client_id: _Word
    secret_file: str = ""
    scopes: tuple[str, ...] = ("openid",)


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What of a provider's configuration is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    authorization_response_iss_parameter_supported: bool = False
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


def providers_of(file: Path) -> Mapping[str, Provider]:
    """The providers of a TOML file, a table each. Raises `ValueError`, which says what is wrong."""
    try:
        tables: dict[str, Any] = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file}: {error}") from error
    found = {}
    for id, table in tables.items():
        if not id.isascii() or not all(mark.isalnum() or mark in "-_" for mark in id):
            raise ValueError(f"{file}: '{id}' is no short name of a provider")
        try:
            provider = msgspec.convert(table, Provider)
        except msgspec.ValidationError as error:
            raise ValueError(f"{file}, {id}: {error}") from error
        if not is_trustworthy(provider.issuer):
            raise ValueError(f"{file}, {id}: the issuer must be an https address")
        found[id] = provider
    return found


def is_trustworthy(address: str) -> bool:
    """Whether what comes from an address can be believed: https, or this machine itself."""
    parts = urlsplit(address)
    if parts.scheme == "http":
        return parts.hostname in _LOOPBACK
    return parts.scheme == "https" and bool(parts.hostname)
