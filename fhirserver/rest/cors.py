"""Which web pages of other origins may use the server (https://fetch.spec.whatwg.org/#http-cors-protocol).

A write that a browser sends for a page of an origin that is not allowed is refused, also
where the browser would send it without asking first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fhirserver.errors import Forbidden
from fhirserver.rest.asgi import HeaderList

ANY_ORIGIN = "*"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_EXPOSED = (
    b"Content-Location, Content-Range, DPoP-Nonce, ETag, Last-Modified, Location, "
    b"Preference-Applied, Retry-After, Warning, WWW-Authenticate, X-Progress, X-Request-Id"
)
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_REQUEST_HEADERS = (
    b"Accept, Authorization, Content-Type, Content-Encoding, If-Match, If-Modified-Since, "
    b"DPoP, If-None-Exist, If-None-Match, Prefer, Range, X-Cascade, X-Request-Id, "
    b"X-Security-Context"
)
_MAX_AGE = b"7200"


@dataclass(frozen=True, slots=True)
class Cors:
    """`origins` are allowed ones (`https://app.example.org`), or `*` for any."""

    origins: frozenset[str] = frozenset()

    def headers(self, headers: Mapping[bytes, bytes]) -> HeaderList:
        """What to add to an answer, so that a page of an allowed origin may read it."""
        allowed = self._allowed(headers)
        if allowed is None:
            return []
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", _EXPOSED),
        ]

    def preflight(self, headers: Mapping[bytes, bytes]) -> HeaderList:
        """What to answer to a browser that asks before it sends a request for a page."""
        allowed = self._allowed(headers)
        if allowed is None:
            return []
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
            (b"access-control-max-age", _MAX_AGE),
        ]

    def check(self, headers: Mapping[bytes, bytes], base: str) -> None:
        """For methods that are not safe: raises `Forbidden` for a page of a foreign origin."""
        origin = headers.get(b"origin")
        if origin is None or self._allowed(headers) is not None:
            return
        if headers.get(b"sec-fetch-site") == b"same-origin":
            return
        host = urlsplit(base).netloc
        if origin.lower() in (f"http://{host}".encode(), f"https://{host}".encode()):
            return
        raise Forbidden(
            "Pages of this origin may not write here: the operator can name it in "
            "FHIRSERVER_CORS_ORIGINS."
        )

    def _allowed(self, headers: Mapping[bytes, bytes]) -> bytes | None:
        origin = headers.get(b"origin")
        if origin is None or not self.origins:
            return None
        if ANY_ORIGIN in self.origins:
            return b"*"
        return origin if origin.decode("latin-1").lower() in self.origins else None
