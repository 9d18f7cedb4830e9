"""Page links that carry where a page ended, and tell nothing to those who read them.

A token holds the cursor of a page, the parameters of its request and when it expires,
encrypted and authenticated (AES-GCM-SIV, RFC 8452, which stays safe should a nonce ever
repeat). It is kept nowhere: every worker that has the key can read it.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from fhirserver.errors import Gone, Invalid
from fhirserver.model.temporal import DAY
from fhirserver.search.expression import Cursor

_SECOND = 1_000_000
_NONCE = 12
_LONG = 300  # above that many bytes a token is worth compressing
_MAX_TOKEN = 1_000_000

_Content = tuple[int, Cursor, tuple[tuple[str, str], ...]]
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Content)


class AesSealer:
    """A `Sealer` with one key of 16 or 32 bytes, which all workers share.

    `now` gives microseconds since 1970, `random` that many random bytes. A token expires
    `lifetime` microseconds after it was sealed.
    """

    def __init__(
        self,
        key: bytes,
        *,
        now: Callable[[], int],
        random: Callable[[int], bytes],
        lifetime: int = DAY,
    ) -> None:
        self._cipher = AESGCMSIV(key)
        self._now = now
        self._random = random
        self._lifetime = lifetime

    def seal(self, cursor: Cursor, parameters: tuple[tuple[str, str], ...]) -> str:
        """A token for a URL, of letters, digits, `-` and `_`; two of the same page differ."""
        expiry = (self._now() + self._lifetime) // _SECOND
        content = _ENCODER.encode((expiry, cursor, parameters))
        if len(content) > _LONG:
            content = zlib.compress(content)  # begins with 0x78, never a msgpack array
        nonce = self._random(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, content, None)
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def unseal(self, token: str) -> tuple[Cursor, tuple[tuple[str, str], ...]]:
        """The cursor and parameters of a token.

        Raises `Invalid` for a token that this server did not make, `Gone` for an expired one.
        """
        content = self._open(token)
        if content[:1] == b"\x78":
            content = zlib.decompress(content)
        expiry, cursor, parameters = _DECODER.decode(content)
        if self._now() // _SECOND >= expiry:
            raise Gone("This page link has expired. Begin again from the first page.")
        return cursor, parameters

    def _open(self, token: str) -> bytes:
        if len(token) <= _MAX_TOKEN:
            try:
                sealed = urlsafe_b64decode(token.encode("ascii") + b"==")
                return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
            except (ValueError, InvalidTag):
                pass
        raise Invalid("This page link was not made by this server. Use links unchanged.")
