"""Command sets of DIMSE messages (PS3.7 6.3 and annex E): implicit VR little endian. No I/O."""

from __future__ import annotations

from struct import Struct, error
from typing import Final

from fhirserver.imaging.dimse.pdu import HEAD, P_DATA_TF, PDV_HEAD, Malformed

C_STORE_RQ: Final = 0x0001
C_ECHO_RQ: Final = 0x0030
C_CANCEL_RQ: Final = 0x0FFF
RESPONSE: Final = 0x8000
NO_DATA_SET: Final = 0x0101

SUCCESS: Final = 0x0000
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_INSTANCE: Final = 0x0111
INVALID_INSTANCE: Final = 0x0117
CLASS_NOT_SUPPORTED: Final = 0x0122
NOT_AUTHORIZED: Final = 0x0124
UNRECOGNIZED_OPERATION: Final = 0x0211
OUT_OF_RESOURCES: Final = 0xA700
DATA_SET_MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000

_CLASS: Final = 0x0002
_REQUESTED_CLASS: Final = 0x0003
_FIELD: Final = 0x0100
_MESSAGE: Final = 0x0110
_RESPONDED: Final = 0x0120
_DATA_SET: Final = 0x0800
_STATUS: Final = 0x0900
_COMMENT: Final = 0x0902
_INSTANCE: Final = 0x1000

_HEAD: Final = Struct("<HHI")
_WORD: Final = Struct("<H")


class Command:
    """A command set. Elements that are not there read as 0 or empty."""

    __slots__ = ("_elements",)

    def __init__(self, data: bytes | bytearray) -> None:
        """Raises `Malformed` for what is none."""
        self._elements: dict[int, bytes] = {}
        at = 0
        while at < len(data):
            try:
                group, number, length = _HEAD.unpack_from(data, at)
            except error:
                raise Malformed from None
            at += 8 + length
            if group or at > len(data):
                raise Malformed
            self._elements[number] = bytes(data[at - length : at])

    def _word(self, number: int) -> int:
        value = self._elements.get(number, b"")
        return _WORD.unpack(value)[0] if len(value) == 2 else 0

    def _text(self, number: int) -> str:
        return self._elements.get(number, b"").decode("latin_1").strip(" \0")

    @property
    def field(self) -> int:
        """Command Field: which request it is."""
        return self._word(_FIELD)

    @property
    def message_id(self) -> int:
        return self._word(_MESSAGE)

    @property
    def has_data_set(self) -> bool:
        return self._word(_DATA_SET) != NO_DATA_SET

    @property
    def sop_class(self) -> str:
        return self._text(_CLASS) or self._text(_REQUESTED_CLASS)

    @property
    def instance(self) -> str:
        return self._text(_INSTANCE)

    @property
    def status(self) -> int:
        return self._word(_STATUS)


def response(request: Command, context: int, status: int, comment: str = "") -> bytes:
    """The P-DATA-TF PDU with the response to a request (PS3.7 9.3.1.2, 9.3.5.2)."""
    elements = [
        _element(_FIELD, _WORD.pack(request.field | RESPONSE)),
        _element(_RESPONDED, _WORD.pack(request.message_id)),
        _element(_DATA_SET, _WORD.pack(NO_DATA_SET)),
        _element(_STATUS, _WORD.pack(status)),
    ]
    if request.sop_class:
        elements.insert(0, _element(_CLASS, request.sop_class.encode("latin_1")))
    if comment:
        elements.append(_element(_COMMENT, comment.encode("ascii", "replace")[:64]))
    if request.instance:
        elements.append(_element(_INSTANCE, request.instance.encode("latin_1")))
    return message(context, b"".join(elements))


def message(context: int, elements: bytes) -> bytes:
    """The P-DATA-TF PDU of a command set in one piece."""
    command = _element(0, len(elements).to_bytes(4, "little")) + elements
    length = PDV_HEAD.size + len(command)
    pdv = PDV_HEAD.pack(len(command) + 2, context, 0b11)
    return HEAD.pack(P_DATA_TF, length) + pdv + command


def _element(number: int, value: bytes) -> bytes:
    if len(value) % 2:
        value += b" " if number == _COMMENT else b"\0"
    return _HEAD.pack(0, number, len(value)) + value
