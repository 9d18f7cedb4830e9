"""Where a page ended, as a text that the next one begins with."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import msgspec

from fhirserver.errors import Invalid

_DECODER: Final = msgspec.json.Decoder(tuple[str, ...])


def written(place: tuple[str, ...]) -> str:
    """The text of a place."""
    return urlsafe_b64encode(msgspec.json.encode(place)).decode()


def read(text: str, size: int) -> tuple[str, ...]:
    """The place again. Raises `Invalid`."""
    try:
        place = _DECODER.decode(urlsafe_b64decode(text.encode()))
    except (ValueError, msgspec.MsgspecError):
        place = ()
    if len(place) != size:
        raise Invalid("The continuation of the query is not one that this server gave.")
    return place
