"""https://hl7.org/fhirpath/N1/#string-manipulation"""

from __future__ import annotations

import base64
import binascii
import html
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from fhirserver.fhirpath.context import Frame, check_length, text_steps
from fhirserver.fhirpath.functions import regex
from fhirserver.fhirpath.functions.function import Function
from fhirserver.fhirpath.node import Collection
from fhirserver.fhirpath.operators import EMPTY
from fhirserver.fhirpath.singletons import integer, text

_WHITE_SPACE: Final = " \t\r\n"


def _texts(compute: Callable[..., object], frame: Frame, *inputs: Collection) -> Collection:
    """What `compute` gives for texts; nothing if one of them is empty."""
    values = [text(items) for items in inputs]
    if None in values:
        return EMPTY
    found = compute(*values)
    match found:
        case None:
            return EMPTY
        case list():
            frame.run.spend(len(found))
            return found
        case str():
            frame.run.spend(text_steps(len(found)))
            return [found]
        case _:
            return [found]  # type: ignore[list-item]


def _patterns(compute: Callable[..., object], frame: Frame, *inputs: Collection) -> Collection:
    """The same, where the second text is a pattern that may take long."""
    values = [text(items) for items in inputs[:2]]
    if len(values) == 2 and values[0] is not None and values[1] is not None:
        frame.run.spend(regex.steps(values[1], values[0]))
    return _texts(compute, frame, *inputs)


def _substring(
    frame: Frame, items: Collection, start: Collection, length: Collection | None = None
) -> Collection:
    value, first = text(items), integer(start)
    if value is None or first is None or not 0 <= first < len(value):
        return EMPTY
    count = None if length is None else integer(length)
    return [value[first:] if count is None else value[first : first + max(0, count)]]


def _index_of(value: str, part: str) -> int:
    return value.find(part)


def _last_index_of(value: str, part: str) -> int:
    return value.rfind(part)


def _replace(value: str, pattern: str, substitution: str) -> str:
    count = value.count(pattern)
    check_length(len(value) + count * (len(substitution) - len(pattern)))
    return value.replace(pattern, substitution)


def _matches(value: str, pattern: str, flags: str = "") -> bool:
    return regex.search(pattern, value, flags)


def _matches_full(value: str, pattern: str, flags: str = "") -> bool:
    return regex.fullmatch(pattern, value, flags)


def _replace_matches(value: str, pattern: str, substitution: str, flags: str = "") -> str:
    return value if not pattern else regex.replace(pattern, value, substitution, flags)


def _to_chars(value: str) -> list[str]:
    return list(value)


def _encode(value: str, target: str) -> str | None:
    encode = _ENCODERS.get(target)
    return None if encode is None else encode(value.encode("utf-8", "surrogatepass"))


def _decode(value: str, target: str) -> str | None:
    decode = _DECODERS.get(target)
    try:
        return None if decode is None else decode(value).decode()
    except (ValueError, binascii.Error):
        return None


_ENCODERS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "hex": bytes.hex,
    "base64": lambda data: base64.b64encode(data).decode(),
    "urlbase64": lambda data: base64.urlsafe_b64encode(data).decode(),
}
_DECODERS: Final[Mapping[str, Callable[[str], bytes]]] = {
    "hex": bytes.fromhex,
    "base64": lambda value: base64.b64decode(value, validate=True),
    "urlbase64": base64.urlsafe_b64decode,
}


def _escape(value: str, target: str) -> str | None:
    match target:
        case "html":
            return html.escape(value)
        case "json":
            return json.dumps(value, ensure_ascii=False)[1:-1]
        case _:
            return None


def _unescape(value: str, target: str) -> str | None:
    match target:
        case "html":
            return html.unescape(value)
        case "json":
            return _unescape_json(value)
        case _:
            return None


def _unescape_json(value: str) -> str | None:
    quoted = value if '\\"' in value else value.replace('"', '\\"')
    try:
        found = json.loads(f'"{quoted}"', strict=False)
    except ValueError:
        return None
    return found if isinstance(found, str) else None


def _trim(value: str) -> str:
    return value.strip(_WHITE_SPACE)


def _split(value: str, separator: str) -> list[str]:
    return value.split(separator) if separator else list(value)


def _join(frame: Frame, items: Collection, separator: Collection | None = None) -> Collection:
    if not items:
        return EMPTY
    between = "" if separator is None else text(separator) or ""
    parts = [text([item]) or "" for item in items]
    length = sum(map(len, parts)) + len(between) * (len(parts) - 1)
    check_length(length)
    frame.run.spend(text_steps(length))
    return [between.join(parts)]


def _row(
    compute: Callable[..., object],
    least: int = 0,
    most: int | None = None,
    gives: str = "String",
    adapt: Callable[..., Collection] = _texts,
) -> Function:
    return Function(
        partial(adapt, compute),
        least,
        least if most is None else most,
        takes="String",
        many=False,
        gives=gives,
    )


FUNCTIONS: Final[Mapping[str, Function]] = {
    "indexOf": _row(_index_of, 1, gives="Integer"),
    "lastIndexOf": _row(_last_index_of, 1, gives="Integer"),
    "substring": Function(_substring, 1, 2, takes="String", many=False, gives="String"),
    "startsWith": _row(str.startswith, 1, gives="Boolean"),
    "endsWith": _row(str.endswith, 1, gives="Boolean"),
    "contains": _row(str.__contains__, 1, gives="Boolean"),
    "upper": _row(str.upper),
    "lower": _row(str.lower),
    "replace": _row(_replace, 2),
    "matches": _row(_matches, 1, 2, "Boolean", _patterns),
    "matchesFull": _row(_matches_full, 1, 2, "Boolean", _patterns),
    "replaceMatches": _row(_replace_matches, 2, 3, adapt=_patterns),
    "length": _row(len, gives="Integer"),
    "toChars": _row(_to_chars)._replace(gives_many=True),
    "encode": _row(_encode, 1),
    "decode": _row(_decode, 1),
    "escape": _row(_escape, 1),
    "unescape": _row(_unescape, 1),
    "trim": _row(_trim),
    "split": _row(_split, 1)._replace(gives_many=True),
    "join": Function(_join, 0, 1, takes="String", gives="String", ordered=True),
}
