"""Parts of a file by the header Range (RFC 9110, 14)."""

from __future__ import annotations

import re
from typing import Final

from fhirserver.errors import FhirError

_RANGE = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
ACCEPTED: Final = (b"accept-ranges", b"bytes")


class NotInRange(FhirError):
    """416: the range begins behind the end."""

    status = 416
    code = "invalid"


def byte_range(header: bytes | None, size: int) -> tuple[int, int] | None:
    """Start and end (not included) of what is asked for; None: all of it.

    What is no range of bytes, or are several, is passed over, as 14.2 allows. Raises `NotInRange`.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        last = int(found[2])
        start, end = max(0, size - last), size
        if last == 0:
            raise _beyond(size)
    else:
        start = int(found[1])
        end = min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= size:
        raise _beyond(size)
    return start, end


def content_range(start: int, end: int, size: int) -> tuple[bytes, bytes]:
    """The header that says which part it is."""
    return b"content-range", b"bytes %d-%d/%d" % (start, end - 1, size)


def _beyond(size: int) -> NotInRange:
    return NotInRange("The range is behind the end.", headers={"Content-Range": f"bytes */{size}"})
