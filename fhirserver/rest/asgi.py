"""The types of ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html), as used here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

HeaderList: TypeAlias = list[tuple[bytes, bytes]]


class Disconnected(Exception):
    """The client is gone: there is nobody to answer."""
