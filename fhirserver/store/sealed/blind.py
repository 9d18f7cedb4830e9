"""The blind index: keyed hashes in the place of values, which can be looked up and not read.

HMAC-SHA-256, each field (search parameter) with a key of its own. A text becomes a chain of
hashes, one for each beginning of it: so a text begins with another exactly when its chain begins
with the other's, and a store finds it as it finds any text. What shows is which values are
equal, how often each occurs, how long a text is, and which texts begin alike.
"""

from __future__ import annotations

from base64 import b32encode
from binascii import b2a_base64
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hmac import HMAC, digest
from typing import Final

from fhirserver.errors import NotSupported

DEEPEST: Final = 80
"""How many characters of a text can be searched from its start."""

_LINK: Final = 6  # characters for each one of a text: 36 bits
_KEPT: Final = 65_536
_SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Blind:
    """The hashes of one tenant. `key` has 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._fields: dict[str, HMAC] = {}
        self.token = lru_cache(_KEPT)(self._token)
        self.text = lru_cache(_KEPT)(self._text)
        self.word = lru_cache(_KEPT)(self._word)

    def exact(self, param: str, text: str) -> str:
        """A text as it stands; '' stays '', by which stores tell a part of a text."""
        return _letters(self._hash(param, "exact", text), 20) if text else ""

    def start(self, param: str, text: str) -> str:
        """What the chain of every text begins with that begins so. Raises `NotSupported`."""
        if len(text) > DEEPEST:
            raise NotSupported(
                f"The texts are encrypted: search by at most {DEEPEST} characters of their start."
            )
        return self.text(param, text)

    def interval(self, param: str, start: int, end: int) -> int:
        """An interval of time (microseconds) as a number of 62 bits."""
        return int.from_bytes(self._hash(param, "date", f"{start} {end}")[:8], "big") >> 2

    def _token(self, param: str, code: str) -> str:
        return _letters(self._hash(param, "token", code), 22) if code else ""

    def _text(self, param: str, text: str) -> str:
        links = [
            _letters(self._hash(param, "text", text[:end]), _LINK)
            for end in range(1, min(len(text), DEEPEST) + 1)
        ]
        if len(text) > DEEPEST:
            links.append(_letters(self._hash(param, "rest", text), 20))
        return "".join(links)

    def _word(self, param: str, word: str) -> str:
        return b32encode(self._hash(param, "word", word)[:10]).decode().lower()

    def _hash(self, param: str, kind: str, value: str) -> bytes:
        name = f"{kind}|{param}"
        keyed = self._fields.get(name)
        if keyed is None:
            key = digest(self._key, name.encode(), "sha256")
            keyed = self._fields[name] = HMAC(key, digestmod="sha256")
        made = keyed.copy()  # half the time of `digest`
        made.update(value.encode(errors="surrogatepass"))
        return made.digest()


def wholes(start: int) -> list[tuple[int, int]]:
    """The day, month and year (UTC) in which an instant lies, as intervals (microseconds)."""
    try:
        at = _EPOCH + timedelta(microseconds=start)
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        month, year = day.replace(day=1), day.replace(month=1, day=1)
        following = (
            day + timedelta(days=1),
            (month + timedelta(days=31)).replace(day=1),
            (year + timedelta(days=366)).replace(month=1, day=1),
        )
    except OverflowError:
        return []
    pairs = zip((day, month, year), following, strict=True)
    return [(_microseconds(first), _microseconds(after)) for first, after in pairs]


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _letters(hashed: bytes, count: int) -> str:
    letters = b2a_base64(hashed, newline=False)[:count]
    return letters.replace(b"/", b"-").decode()  # slashes part keys of records
