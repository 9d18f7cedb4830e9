"""What the values of settings may be, and how several are written in one variable."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

MONGODB = ("mongodb", "mongodb+srv")
"""Schemes of a store in MongoDB."""

SQLITE = "sqlite:///"

_WORDS = re.compile(r"[\s,]+")


def _split(value: Any) -> Any:
    return [word for word in _WORDS.split(value) if word] if isinstance(value, str) else value


def _absolute(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError("write an absolute URL such as https://fhir.example.org/fhir")
    return value.rstrip("/")


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for network in value:
        ip_network(network)
    return value


def _known_store(value: str) -> str:
    scheme = value.partition(":")[0]
    if scheme in MONGODB:
        if not urlsplit(value).path.strip("/"):
            raise ValueError("name the database: mongodb://HOST/DATABASE")
    elif value and not (value.startswith(SQLITE) and len(value) > len(SQLITE)):
        raise ValueError(
            f"'{scheme}' is not a store of this version: use sqlite:///PATH or "
            "mongodb://HOST/DATABASE"
        )
    return value


def _modes(value: tuple[str, ...]) -> tuple[str, ...]:
    for pair in value:
        name, _, mode = pair.rpartition("=")
        _check_pair(pair, name, mode)
        if mode not in ("reject", "warn", "off"):
            raise ValueError(f"'{mode}' is none of reject, warn, off")
    return value


def _profiles(value: tuple[str, ...]) -> tuple[str, ...]:
    for pair in value:
        name, _, profile = pair.partition("=")
        _check_pair(pair, name, profile)
    return value


def _check_pair(pair: str, name: str, value: str) -> None:
    if not name or not value:
        raise ValueError(f"'{pair}' is not of the form NAME=VALUE")


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several values: a TOML list, or text with commas or spaces between."""

Networks = Annotated[Words, AfterValidator(_networks)]
Modes = Annotated[Words, AfterValidator(_modes)]
Profiles = Annotated[Words, AfterValidator(_profiles)]
AbsoluteUrl = Annotated[str | None, AfterValidator(_absolute)]
StoreUrl = Annotated[str, AfterValidator(_known_store)]


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
