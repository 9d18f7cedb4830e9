"""Master keys: what wraps a tenant's keys, and is kept where the store is not.

A `MasterKey` is an adapter: one for a key of our own (from a file or an environment variable),
one for an outside key service (a command, such as the client of a KMS or an HSM).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shlex
import stat
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhirserver.errors import Unavailable

KEY_BYTES: Final = 32
_NONCE: Final = 12
_SECONDS: Final = 30.0  # that a command may take
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class WrongMaster(Unavailable):
    """The master key cannot be had, or is not the one that wrapped the keys; the text tells."""


class MasterKey(Protocol):
    """Wraps keys of 32 bytes. `name` tells the master key from others and gives nothing away."""

    @property
    def name(self) -> str: ...

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """The key, readable with this master key and the same context only."""

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key again. Raises `WrongMaster`."""


class OwnMaster:
    """A master key that this process holds: AES-256-GCM with the context as additional data."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise WrongMaster(f"A master key has {KEY_BYTES} bytes, written in base64.")
        self.name = "own:" + hashlib.sha256(b"fhirserver master key" + key).hexdigest()[:12]
        self._cipher = AESGCM(key)

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, key, context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], context)
        except (InvalidTag, ValueError):
            raise WrongMaster(
                "The keys of the store were wrapped by another master key, or are damaged."
            ) from None


class CommandMaster:
    """A master key that never leaves its service, reached by a command.

    The command is called with the further argument `wrap` or `unwrap`. It reads two lines of
    base64, the context and the key (wrapped or not), and writes one, the answer.
    """

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)
        if not self._command:
            raise WrongMaster("No command of a key service is named.")
        self.name = "command:" + hashlib.sha256(command.encode()).hexdigest()[:12]

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        return await self._ask("wrap", key, context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        return await self._ask("unwrap", wrapped, context)

    async def _ask(self, what: str, key: bytes, context: bytes) -> bytes:
        lines = b64encode(context) + b"\n" + b64encode(key) + b"\n"
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, what, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
            )
        except OSError as error:
            raise WrongMaster(f"The command of the key service cannot run: {error}.") from error
        try:
            out, _ = await asyncio.wait_for(process.communicate(lines), _SECONDS)
            answer = b64decode(out.strip(), validate=True)
        except (TimeoutError, ValueError):
            answer = b""
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode or not answer:
            raise WrongMaster(f"The command of the key service did not {what} the key.")
        return answer


def master_of(source: str) -> MasterKey:
    """The master key of `file:PATH`, `env:NAME` or `command:COMMAND ARGUMENT...`.

    A file and a variable hold 32 bytes in base64. Raises `WrongMaster`.
    """
    kind, _, where = source.partition(":")
    if kind == "command":
        return CommandMaster(where)
    if kind == "env" and where:
        return OwnMaster(_decoded(os.environ.get(where, ""), f"The variable {where}"))
    if kind == "file" and where:
        return OwnMaster(_decoded(_text_of(Path(where.removeprefix("//"))), where))
    raise WrongMaster(
        "Name the master key: FHIRSERVER_ENCRYPTION_KEY=file:PATH, env:NAME or command:COMMAND. "
        "Make one: fhirserver keys make PATH"
    )


def make_file(path: Path) -> None:
    """Writes a fresh master key, which only its owner can read. Raises `FileExistsError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b64encode(os.urandom(KEY_BYTES)) + b"\n")
        file.flush()
        os.fsync(descriptor)


def _text_of(path: Path) -> str:
    try:
        if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            raise WrongMaster(f"{path} can be read by others than its owner: chmod 600 {path}")
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongMaster(f"The master key in {path} cannot be read: {error}.") from error


def _decoded(text: str, where: str) -> bytes:
    try:
        key = b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise WrongMaster(f"{where} does not hold a master key ({KEY_BYTES} bytes in base64).")
    return key
