"""gzip, of answers and of request bodies (RFC 9110, 8.4 and 12.5.3)."""

from __future__ import annotations

import asyncio
import re
import zlib
from functools import lru_cache

from fhirserver.errors import Invalid, TooLarge, UnsupportedMediaType

_GZIP = 31  # zlib's window bits for the gzip format
_LEVEL = 1  # on FHIR JSON a third larger than the best, in a third of its time
_THREAD_OVER = 128 * 1024  # bytes; more than that (half a millisecond) is not done on the loop
_MAX_MEMBERS = 100  # of one gzip body; each costs a copy of the rest
_CODING = re.compile(
    r"[ \t]*(gzip|x-gzip|\*)[ \t]*(?:;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)[ \t]*)?",
    re.ASCII | re.IGNORECASE,
)


@lru_cache(maxsize=256)
def takes_gzip(accept_encoding: bytes) -> bool:
    """Whether an Accept-Encoding header takes gzip."""
    weights: dict[str, float] = {}
    for text in accept_encoding.decode("latin-1").split(","):
        found = _CODING.fullmatch(text)
        if found:
            weights[found[1].lower().removeprefix("x-")] = float(found[2] or "1")
    return weights.get("gzip", weights.get("*", 0.0)) > 0


async def gzip(data: bytes) -> bytes:
    """The data compressed, on another thread where it would hold up the loop."""
    if len(data) > _THREAD_OVER:
        return await asyncio.to_thread(_compress, data)
    return _compress(data)


async def decoded(data: bytes, content_encoding: bytes, limit: int) -> bytes:
    """A body without its content coding.

    Raises `UnsupportedMediaType` for a coding other than gzip, `Invalid` for broken gzip,
    `TooLarge` where it grows beyond `limit` bytes.
    """
    coding = content_encoding.strip().lower()
    if coding in (b"", b"identity"):
        return data
    if coding not in (b"gzip", b"x-gzip"):
        raise UnsupportedMediaType(
            "Of content codings this server takes gzip only.", headers={"Accept-Encoding": "gzip"}
        )
    if not data:
        return data
    if len(data) > _THREAD_OVER:
        return await asyncio.to_thread(_inflate, data, limit)
    return _inflate(data, limit)


def _compress(data: bytes) -> bytes:
    return zlib.compress(data, _LEVEL, _GZIP)


def _inflate(data: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    for _ in range(_MAX_MEMBERS):
        stream = zlib.decompressobj(_GZIP)
        try:
            part = stream.decompress(data, room + 1)
        except zlib.error:
            raise Invalid("The body is said to be gzip, but is not.") from None
        if len(part) > room:
            raise TooLarge(f"The body unpacks to more than the {limit} bytes that are taken.")
        if not stream.eof:
            raise Invalid("The gzip body ends in the middle.")
        room -= len(part)
        parts.append(part)
        data = stream.unused_data
        if not data:
            return b"".join(parts)
    raise Invalid(f"The gzip body has more than {_MAX_MEMBERS} members: pack it as one.")
