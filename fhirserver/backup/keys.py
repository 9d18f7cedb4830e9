"""Keys of a backup: in a file of their own, which a passphrase may seal.

Whoever has both a sealed store and its keys can read it, so they are never in the clear beside
the data. The passphrase makes a key by Argon2id (RFC 9106), which seals by AES-256-GCM.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhirserver.backup.manifest import NotRestorable

_KIND: Final = "fhirserver keys"
_TIME, _MEMORY, _LANES, _KEY_BYTES = 3, 64 * 1024, 4, 32  # RFC 9106, section 4, second choice


class _Plain(msgspec.Struct, frozen=True, tag="plain", tag_field="sealing"):
    kind: str
    keys: dict[str, str]


class _Sealed(msgspec.Struct, frozen=True, tag="argon2id-aes256gcm", tag_field="sealing"):
    kind: str
    salt: str
    nonce: str
    content: str


_DECODER: Final = msgspec.json.Decoder(_Plain | _Sealed)
_KEYS: Final = msgspec.json.Decoder(dict[str, str])


def write_keys(path: Path, keys: Mapping[str, bytes], passphrase: str | None) -> None:
    """Writes keys by name (a path below the data folder) to a new file that its owner can read."""
    named = {name: b64encode(key).decode() for name, key in keys.items()}
    told: _Plain | _Sealed = _Plain(_KIND, named)
    if passphrase is not None:
        salt, nonce = os.urandom(16), os.urandom(12)
        content = msgspec.json.encode(named)
        sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, content, _KIND.encode())
        told = _Sealed(_KIND, *(b64encode(item).decode() for item in (salt, nonce, sealed)))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
        file.flush()
        os.fsync(descriptor)


def read_keys(path: Path, passphrase: str | None) -> dict[str, bytes]:
    """The keys of a file. Raises `NotRestorable` for a wrong or missing passphrase, or damage."""
    try:
        told = _DECODER.decode(path.read_bytes())
        if isinstance(told, _Plain):
            named = told.keys
        elif passphrase is None:
            raise NotRestorable(f"{path} is sealed: give its passphrase.")
        else:
            salt, nonce, sealed = map(b64decode, (told.salt, told.nonce, told.content))
            cipher = AESGCM(_key(passphrase, salt))
            named = _KEYS.decode(cipher.decrypt(nonce, sealed, _KIND.encode()))
        return {name: b64decode(key) for name, key in named.items()}
    except InvalidTag:
        raise NotRestorable(f"The passphrase does not open {path}, or it is damaged.") from None
    except (msgspec.MsgspecError, ValueError, OSError) as error:
        raise NotRestorable(f"The keys in {path} cannot be read: {error}") from error


def _key(passphrase: str, salt: bytes) -> bytes:
    return hash_secret_raw(passphrase.encode(), salt, _TIME, _MEMORY, _LANES, _KEY_BYTES, Type.ID)
