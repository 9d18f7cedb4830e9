"""Protocol data units of the upper layer: PS3.8 9.3 and annex D, PS3.7 annex D. No I/O.

Read strictly: lengths must add up, and everything is bounded by the PDU that it came in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct, error
from typing import Final

ASSOCIATE_RQ: Final = 1
ASSOCIATE_AC: Final = 2
ASSOCIATE_RJ: Final = 3
P_DATA_TF: Final = 4
RELEASE_RQ: Final = 5
RELEASE_RP: Final = 6
ABORT: Final = 7

HEAD: Final = Struct(">BxI")
"""Type and length of a PDU."""

PDV_HEAD: Final = Struct(">IBB")
"""Length, presentation context id and message control header of a presentation data value."""

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
MOST_CONTEXTS: Final = 128

# Reasons of an A-ABORT by the service provider (PS3.8 9.3.8).
NOT_SPECIFIED: Final = 0
UNRECOGNIZED_PDU: Final = 1
UNEXPECTED_PDU: Final = 2
UNEXPECTED_PARAMETER: Final = 5
INVALID_PARAMETER: Final = 6

# Results of presentation contexts in an A-ASSOCIATE-AC (PS3.8 9.3.3.2).
ACCEPTED: Final = 0
ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED: Final = 4

_ITEM: Final = Struct(">BxH")
_FIXED: Final = 68  # bytes of an A-ASSOCIATE PDU before its items


class Malformed(Exception):
    """The bytes are no such PDU. `reason` is that of the A-ABORT."""

    def __init__(self, reason: int = INVALID_PARAMETER) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Proposed:
    """A presentation context as proposed."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """What an A-ASSOCIATE-RQ says. `maximum_length` 0: no limit.

    `roles` are the abstract syntaxes with a proposed role selection; `extended` those with
    extended negotiation; `identity_response`: the peer asks for an answer to its user identity.
    """

    version: int
    called: str
    calling: str
    application_context: str
    contexts: tuple[Proposed, ...]
    maximum_length: int = 0
    implementation_class: str = ""
    roles: frozenset[str] = field(default_factory=frozenset)
    extended: frozenset[str] = field(default_factory=frozenset)
    identity_response: bool = False


def read_associate_request(body: bytes | bytearray | memoryview) -> AssociateRequest:
    """Of a PDU without its six bytes of head. Raises `Malformed`."""
    data = bytes(body)
    if len(data) < _FIXED:
        raise Malformed
    version = int.from_bytes(data[:2])
    called, calling = (data[at : at + 16].decode("latin_1").strip(" \0") for at in (4, 20))
    application_context = ""
    contexts: list[Proposed] = []
    user: dict[str, object] = {}
    for kind, value in _items(data[_FIXED:]):
        if kind == 0x10:
            application_context = _uid(value)
        elif kind == 0x20:
            contexts.append(_proposed(value))
        elif kind == 0x50:
            user = _user_information(value)
    ids = {context.id for context in contexts}
    if not contexts or len(contexts) > MOST_CONTEXTS or len(ids) < len(contexts):
        raise Malformed
    return AssociateRequest(
        version,
        called,
        calling,
        application_context,
        tuple(contexts),
        **user,  # type: ignore[arg-type]
    )


def _items(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        try:
            kind, length = _ITEM.unpack_from(data, at)
        except error:
            raise Malformed from None
        at += 4 + length
        if at > len(data):
            raise Malformed
        found.append((kind, data[at - length : at]))
    return found


def _proposed(value: bytes) -> Proposed:
    if len(value) < 4 or value[0] % 2 == 0:
        raise Malformed
    abstract, transfer = "", []
    for kind, item in _items(value[4:]):
        if kind == 0x30:
            abstract = _uid(item)
        elif kind == 0x40:
            transfer.append(_uid(item))
    if not abstract or not transfer:
        raise Malformed
    return Proposed(value[0], abstract, tuple(transfer))


def _user_information(value: bytes) -> dict[str, object]:
    found: dict[str, object] = {}
    roles: set[str] = set()
    extended: set[str] = set()
    for kind, item in _items(value):
        if kind == 0x51 and len(item) == 4:
            found["maximum_length"] = int.from_bytes(item)
        elif kind == 0x52:
            found["implementation_class"] = _uid(item)
        elif kind in (0x54, 0x56, 0x57) and len(item) >= 2:
            named = _uid(item[2 : 2 + int.from_bytes(item[:2])])
            (roles if kind == 0x54 else extended).add(named)
        elif kind == 0x58 and len(item) >= 2:
            found["identity_response"] = item[1] == 1
    return found | {"roles": frozenset(roles), "extended": frozenset(extended)}


def _uid(value: bytes) -> str:
    try:
        return value.decode("ascii").strip(" \0")
    except UnicodeDecodeError:
        raise Malformed from None


@dataclass(frozen=True, slots=True)
class Answered:
    """A presentation context as answered."""

    id: int
    result: int
    transfer_syntax: str


def associate_accept(
    request: bytes | bytearray | memoryview,
    contexts: tuple[Answered, ...],
    *,
    maximum_length: int,
    implementation_class: str,
    implementation_version: str,
) -> bytes:
    """The A-ASSOCIATE-AC for an A-ASSOCIATE-RQ (without its head), whose titles it repeats.

    Roles and extended negotiation are not answered, which leaves the defaults (PS3.7 D.3.3).
    """
    items = [_item(0x10, APPLICATION_CONTEXT.encode())]
    for one in contexts:
        value = bytes((one.id, 0, one.result, 0)) + _item(0x40, one.transfer_syntax.encode())
        items.append(_item(0x21, value))
    user = (
        _item(0x51, maximum_length.to_bytes(4))
        + _item(0x52, implementation_class.encode())
        + _item(0x55, implementation_version.encode())
    )
    items.append(_item(0x50, user))
    body = b"\0\1\0\0" + bytes(request[4:_FIXED]) + b"".join(items)
    return HEAD.pack(ASSOCIATE_AC, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def associate_reject(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return HEAD.pack(ASSOCIATE_RJ, 4) + bytes((0, result, source, reason))


def abort(reason: int) -> bytes:
    """An A-ABORT by the service provider (PS3.8 9.3.8)."""
    return HEAD.pack(ABORT, 4) + bytes((0, 0, 2, reason))


RELEASE_RESPONSE: Final = HEAD.pack(RELEASE_RP, 4) + bytes(4)
