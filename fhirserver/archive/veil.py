"""What the archive's stores see of a header: all of it, or sealed bytes and hashes.

With encryption on, what is told is sealed by AES-256-GCM, bound to its place, and what is found by
is blinded as in `fhirserver.store.sealed`: names as chains of hashes (a name begins with another
when its chain does), identifiers and dates of birth as hashes. UIDs, dates and times of studies,
modalities and digests stand in the clear: they are addresses and codes.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Protocol

from fhirserver.blobs.keys import ContentKeys
from fhirserver.store.sealed.blind import DEEPEST, Blind
from fhirserver.store.sealed.cipher import FORM, Cipher
from fhirserver.store.sealed.salted import Salted


class Veil(Protocol):
    """How values are kept. `is_clear`: as they are, so that stores can compare them by order and
    pattern."""

    @property
    def is_clear(self) -> bool: ...

    def token(self, field: str, value: str) -> str:
        """A value that is found by equality; '' stays ''."""

    def text(self, field: str, folded: str) -> str:
        """A text that is found by equality and by its start."""

    def start(self, field: str, folded: str) -> str | None:
        """What each such text begins with that begins so; None: that cannot be told."""

    def seal(self, content: bytes, place: str) -> bytes: ...

    def open(self, sealed: bytes, place: str) -> bytes:
        """The content again. Raises `fhirserver.store.sealed.cipher.Altered`."""


class Clear:
    """Everything as it is."""

    is_clear = True

    def token(self, field: str, value: str) -> str:
        return value

    def text(self, field: str, folded: str) -> str:
        return folded

    def start(self, field: str, folded: str) -> str | None:
        return folded

    def seal(self, content: bytes, place: str) -> bytes:
        return content

    def open(self, sealed: bytes, place: str) -> bytes:
        return sealed


class Sealed:
    """By the keys of a tenant."""

    is_clear = False

    def __init__(self, tenant: str, keys: ContentKeys) -> None:
        self._tenant = tenant.encode()
        self._salted = Salted(partial(keys.derived, _USE))
        self._former = Cipher(tenant, {1: keys.derived(_USE)}, 1)  # of earlier versions
        self._blind = Blind(keys.derived("archive index"))

    def token(self, field: str, value: str) -> str:
        return self._blind.token(f"{_FIELD}{field}", value)

    def text(self, field: str, folded: str) -> str:
        return self._blind.text(f"{_FIELD}{field}", folded)

    def start(self, field: str, folded: str) -> str | None:
        if len(folded) > DEEPEST:
            return None
        return self._blind.text(f"{_FIELD}{field}", folded)

    def seal(self, content: bytes, place: str) -> bytes:
        return self._salted.seal(content, self._place(place))

    def open(self, sealed: bytes, place: str) -> bytes:
        if sealed[:1] == FORM:
            return self._former.open(sealed, _PLACE + place)
        return self._salted.open(sealed, self._place(place))

    def _place(self, place: str) -> bytes:
        return b"%b|%b%b" % (self._tenant, _PLACE.encode(), place.encode())


_USE: Final = "archive headers"
_FIELD: Final = "dicom|"
_PLACE: Final = "archive|"
