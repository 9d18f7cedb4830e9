"""Why a data set cannot be read. No text here ever quotes a value: it may name a patient."""

from __future__ import annotations

from fhirserver.errors import Unprocessable


class Unreadable(Unprocessable):
    """The bytes break the encoding rules of PS3.5 beyond what can be made out."""


class NeedMore(Exception):
    """The header goes on behind the bytes that are there. Not a refusal: read more and try again.

    `size`: so many bytes are needed at the least.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes are needed")
        self.size = size
