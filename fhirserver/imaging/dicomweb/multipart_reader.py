"""multipart/related bodies read as they arrive, never held whole (RFC 2387, RFC 2046 5.1).

`MultipartReader` takes bytes in whatever pieces they come and gives what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from fhirserver.errors import Invalid, TooLarge

MAX_PARTS: Final = 100_000
"""Most parts of one body."""

MAX_PART_HEAD: Final = 16 * 1024
"""Most bytes of the headers of one part."""

_MAX_PREAMBLE: Final = 64 * 1024
_MAX_PADDING: Final = 1024
# RFC 2046, 5.1.1; others send more characters than there are named, and more than 70 (Orthanc).
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=?@\[\]{}!#$%&*^`|~ ]{0,199}[!-~]", re.ASCII)
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*+:(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PartBegins:
    """`headers` of the part, by lower-case name."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """Some bytes of the part that began last."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The part that began last is complete."""


Event: TypeAlias = PartBegins | PartData | PartEnds
_PART_ENDS: Final = PartEnds()


class MultipartReader:
    """Reads one body with the given boundary. Raises `Invalid` for one that none can be."""

    def __init__(self, boundary: str) -> None:
        if not _BOUNDARY.fullmatch(boundary):
            raise Invalid("The Content-Type has no boundary that RFC 2046 knows.")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        # The first delimiter has no line before it; this makes all of them alike.
        self._buffer = bytearray(b"\r\n")
        self._state = self._preamble
        self._parts = 0
        self._is_over = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """What these bytes mean. Raises `Invalid` where they break the rules, `TooLarge`."""
        if self._is_over:  # the epilogue says nothing
            return
        self._buffer += data
        while True:
            event = self._state()
            if event is None:
                return
            if event is not _NOTHING_YET:
                yield event

    def close(self) -> None:
        """The body ended. Raises `Invalid` where its last part or its end is missing."""
        if not self._is_over:
            raise Invalid("The multipart body ends in the middle.")

    def _preamble(self) -> Event | None:
        found = self._buffer.find(self._delimiter)
        if found < 0:
            if len(self._buffer) > _MAX_PREAMBLE:
                raise Invalid("The multipart body does not begin with its boundary.")
            return None
        del self._buffer[: found + len(self._delimiter)]
        self._state = self._after_delimiter
        return _NOTHING_YET

    def _after_delimiter(self) -> Event | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        if buffer[:2] == b"--":
            self._is_over = True
            buffer.clear()
            return None
        end = buffer.find(b"\r\n")
        if end < 0 and len(buffer) <= _MAX_PADDING:
            if buffer.rstrip(b"\r").strip(b" \t"):
                raise _no_line()
            return None
        if end < 0 or buffer[:end].strip(b" \t"):
            raise _no_line()
        # The line break stays: headers end with an empty line, also where there are none.
        del buffer[:end]
        self._state = self._head
        return _NOTHING_YET

    def _head(self) -> Event | None:
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", 0, MAX_PART_HEAD + 4)
        if end < 0:
            if len(buffer) > MAX_PART_HEAD:
                raise TooLarge(f"A part has headers of more than {MAX_PART_HEAD} bytes.")
            return None
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise TooLarge(f"The body has more than {MAX_PARTS} parts: send fewer at once.")
        headers = _headers(bytes(buffer[2:end]))
        # A delimiter may follow at once, and begins with the line break that ends the headers.
        del buffer[: end + 2]
        self._state = self._first_data
        return PartBegins(headers)

    def _first_data(self) -> Event | None:
        if len(self._buffer) < len(self._delimiter):
            return None
        if not self._buffer.startswith(self._delimiter):
            del self._buffer[:2]
        self._state = self._data
        return _NOTHING_YET

    def _data(self) -> Event | None:
        buffer = self._buffer
        found = buffer.find(self._delimiter)
        if found == 0:
            del buffer[: len(self._delimiter)]
            self._state = self._after_delimiter
            return _PART_ENDS
        sure = found if found > 0 else len(buffer) - len(self._delimiter) + 1
        if sure <= 0:
            return None
        data = bytes(memoryview(buffer)[:sure])
        del buffer[:sure]
        return PartData(data)


_NOTHING_YET: Final = PartData(b"")


def _no_line() -> Invalid:
    return Invalid("A boundary of the multipart body is followed by something else.")


def _headers(head: bytes) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for line in head.split(b"\r\n"):
        if not line:
            continue
        found = _FIELD.fullmatch(line)
        if not found or b"\x00" in line:
            raise Invalid("A part of the multipart body has a header that is none.")
        headers.setdefault(
            found[1].decode("ascii").lower(), found[2].strip(b" \t").decode("latin-1")
        )
    return headers
