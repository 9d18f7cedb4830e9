"""Statuses of DIMSE responses (PS3.7 annex C, PS3.4), and the refusals of the gate as such."""

from __future__ import annotations

from typing import Final

from fhirserver.errors import (
    FhirError,
    Forbidden,
    Invalid,
    TooCostly,
    Unauthenticated,
    Unavailable,
    Unprocessable,
)

SUCCESS: Final = 0x0000
PENDING: Final = 0xFF00
PENDING_UNSUPPORTED_KEYS: Final = 0xFF01
CANCEL: Final = 0xFE00

OUT_OF_RESOURCES: Final = 0xA700
CANNOT_COUNT_MATCHES: Final = 0xA701
CANNOT_SEND: Final = 0xA702
UNKNOWN_DESTINATION: Final = 0xA801
NOT_OF_SOP_CLASS: Final = 0xA900
SOME_FAILED: Final = 0xB000
UNABLE: Final = 0xC000

INVALID_VALUE: Final = 0x0106
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_INSTANCE: Final = 0x0111
NO_SUCH_INSTANCE: Final = 0x0112
INVALID_ARGUMENT: Final = 0x0115
INVALID_INSTANCE: Final = 0x0117
NO_SUCH_ACTION: Final = 0x0123
MISSING_VALUE: Final = 0x0121
NOT_AUTHORISED: Final = 0x0124
RESOURCE_LIMITATION: Final = 0x0213


def query_status(error: FhirError) -> int:
    """The status of a C-FIND, C-MOVE or C-GET that is refused so."""
    if isinstance(error, TooCostly | Unavailable):
        return OUT_OF_RESOURCES
    if isinstance(error, Forbidden | Unauthenticated):
        return NOT_AUTHORISED
    if isinstance(error, Invalid | Unprocessable):
        return NOT_OF_SOP_CLASS
    return UNABLE


def normalized_status(error: FhirError) -> int:
    """The status of an N-CREATE, N-SET or N-ACTION that is refused so."""
    if isinstance(error, TooCostly | Unavailable):
        return RESOURCE_LIMITATION
    if isinstance(error, Forbidden | Unauthenticated):
        return NOT_AUTHORISED
    if isinstance(error, Invalid | Unprocessable):
        return INVALID_VALUE
    return PROCESSING_FAILURE
