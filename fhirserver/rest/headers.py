"""Request headers as one value per name.

RFC 9110, 5.2 and 5.3: fields that are lists may be split over several lines, which are
joined; of any other field a second, different line contradicts the first and is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

from fhirserver.errors import Invalid

Headers: TypeAlias = Mapping[bytes, bytes]
"""By lower-case name."""

_LISTS = frozenset(
    {
        b"accept",
        b"accept-charset",
        b"accept-encoding",
        b"accept-language",
        b"access-control-request-headers",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"if-match",
        b"if-none-match",
        b"prefer",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
    }
)

_OURS = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"if-modified-since",
        b"if-none-exist",
        b"origin",
        b"x-request-id",
        b"x-security-context",
    }
)


def header_map(lines: Collection[tuple[bytes, bytes]]) -> Headers:
    """The header fields by name. Raises `Invalid` where lines contradict each other."""
    headers = dict(lines)
    return headers if len(headers) == len(lines) else _joined(lines)


def header_text(headers: Headers, name: bytes) -> str | None:
    """A header's value as text; None where it is absent. Raises `Invalid` if it is not UTF-8."""
    value = headers.get(name)
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Invalid(f"The header '{name.decode()}' is not UTF-8: percent-encode it.") from None


def _joined(lines: Collection[tuple[bytes, bytes]]) -> Headers:
    headers: dict[bytes, bytes] = {}
    for name, value in lines:
        first = headers.setdefault(name, value)
        if name in _LISTS:
            headers[name] = value if first is value else first + b", " + value
        elif name in _OURS and first != value:
            raise Invalid(f"The header '{name.decode()}' is sent twice with different values.")
    return headers
