"""Refusals as OAuth 2.0 words them (RFC 6749 section 5.2, RFC 6750 section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "invalid_client": 401,
        "invalid_token": 401,
        "insufficient_scope": 403,
        "temporarily_unavailable": 503,
        "server_error": 500,
    }
)
"""The HTTP status of each error code that is not 400."""


class OAuthError(Exception):
    """`code` is the registered error code; `text` tells a developer what to do.

    Neither says what of a secret was wrong. `headers` go with the response.
    """

    def __init__(self, code: str, text: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        """The HTTP status of an endpoint that answers the client itself."""
        return STATUS.get(self.code, 400)
