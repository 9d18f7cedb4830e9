"""How a blob is sealed: in chunks, so that any range can be read and none be swapped.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway and Vizár, 2015) with AES-256-GCM: each
blob has a key of its own, derived from the tenant's by a random salt, and the nonce of a chunk
has its number and whether it is the last. Then comes the SHA-256 of the plain bytes, sealed as
well: a blob that was put in another one's place is told by it.

    FSB1 | number of the key, 4 | salt, 32 | start of nonces, 7 | chunks of 65,536 + 16 | 32 + 16
"""

from __future__ import annotations

import hmac
import os
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhirserver.blobs.keys import ContentKeys
from fhirserver.blobs.port import Bytes
from fhirserver.errors import Fault

HEAD: Final = 47
TAIL: Final = 48
PLAIN: Final = 1 << 16
SEALED: Final = PLAIN + 16

_FORM: Final = b"FSB1"
_SALT: Final = slice(8, 40)
_PREFIX: Final = slice(40, HEAD)
_MIDDLE, _LAST, _DIGEST = b"\x00", b"\x01", b"\x02"
_USE: Final = "blob"


class Altered(Fault):
    """A blob is not what was sealed there."""


class Sealing:
    """Seals one blob as it comes; `digest` and `size` are of the plain bytes so far."""

    def __init__(self, keys: ContentKeys) -> None:
        salt, self._prefix = os.urandom(32), os.urandom(7)
        number = keys.current
        self.head = _FORM + number.to_bytes(4, "big") + salt + self._prefix
        self._cipher = AESGCM(keys.derived(_USE, salt, number))
        self._waiting = bytearray()
        self._count = 0

    def seal(self, data: Bytes) -> list[bytes]:
        """The chunks that are now full; one that may be the last is kept back."""
        view = memoryview(data)
        out: list[bytes] = []
        if self._waiting:
            missing = PLAIN - len(self._waiting)
            self._waiting += view[:missing]
            view = view[missing:]
            if not view:
                return out
            out.append(self._chunk(self._waiting, _MIDDLE))
            self._waiting.clear()
        while len(view) > PLAIN:
            out.append(self._chunk(view[:PLAIN], _MIDDLE))
            view = view[PLAIN:]
        self._waiting += view
        return out

    def end(self, digest: bytes) -> list[bytes]:
        """The last chunk, and the digest."""
        last = self._chunk(self._waiting, _LAST)
        nonce = self._prefix + self._count.to_bytes(4, "big") + _DIGEST
        return [last, self._cipher.encrypt(nonce, digest, self.head)]

    def _chunk(self, data: Bytes, flag: bytes) -> bytes:
        nonce = self._prefix + self._count.to_bytes(4, "big") + flag
        self._count += 1
        return self._cipher.encrypt(nonce, data, self.head)


class Layout(NamedTuple):
    """Where the parts of a sealed blob lie; `size` is that of the plain bytes."""

    chunks: int
    size: int

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The place of chunks from `first` up to, not including, `last`."""
        end = HEAD + self.size + 16 * self.chunks
        return HEAD + first * SEALED, min(HEAD + last * SEALED, end)


def layout_of(total: int) -> Layout:
    """The layout of a sealed blob of so many bytes. Raises `Altered`."""
    content = total - HEAD - TAIL
    chunks = -(-content // SEALED)
    if content < 16 or content - (chunks - 1) * SEALED < 16:
        raise Altered(_TEXT)
    return Layout(chunks, content - 16 * chunks)


class Opening:
    """Opens the parts of one blob. `total` is its size as it is kept. Raises `Altered`."""

    def __init__(self, keys: ContentKeys, head: bytes, tail: bytes, total: int) -> None:
        if len(head) != HEAD or head[:4] != _FORM:
            raise Altered(_TEXT)
        self.layout = layout_of(total)
        self.head = head
        number = int.from_bytes(head[4:8], "big")
        self._cipher = AESGCM(keys.derived(_USE, head[_SALT], number))
        self.digest = self._opened(tail, self.layout.chunks, _DIGEST).hex()

    def check(self, digest: str) -> None:
        """Raises `Altered` where it is not the blob of that digest."""
        if not hmac.compare_digest(digest, self.digest):
            raise Altered(_TEXT)

    def open(self, sealed: bytes, first: int) -> bytes:
        """The plain bytes of whole chunks from the number `first` on."""
        view = memoryview(sealed)
        out = []
        for number, start in enumerate(range(0, len(sealed), SEALED), first):
            flag = _LAST if number == self.layout.chunks - 1 else _MIDDLE
            out.append(self._opened(view[start : start + SEALED], number, flag))
        return out[0] if len(out) == 1 else b"".join(out)

    def _opened(self, sealed: Bytes, number: int, flag: bytes) -> bytes:
        nonce = self.head[_PREFIX] + number.to_bytes(4, "big") + flag
        try:
            return self._cipher.decrypt(nonce, sealed, self.head)
        except (InvalidTag, ValueError):
            raise Altered(_TEXT) from None


def sealed_name(key: bytes, digest: str) -> str:
    """What a sealed blob is called: who knows its bytes cannot tell that it is there."""
    return hmac.new(key, bytes.fromhex(digest), sha256).hexdigest()


_TEXT: Final = "A stored object was altered, moved or damaged. Restore it from a backup."
