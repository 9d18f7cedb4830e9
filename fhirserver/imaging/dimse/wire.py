"""Bytes of an association out of a blocking socket: heads of PDUs, and what they hold.

What is short is read ahead into one small buffer. Long values go from the kernel straight to
where the caller wants them, in one call for all of it: each call gives up the interpreter's lock
and has to wait for it again.
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from math import inf
from struct import pack
from typing import Final

from fhirserver.imaging.dimse.pdu import HEAD, UNRECOGNIZED_PDU, Malformed

PORTION: Final = 131_072
"""Bytes that a peer has to send each time that its patience passes, if its PDU is that long."""

_KINDS: Final = range(1, 8)
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
_ROOM: Final = 65_536  # bytes that are read ahead at the most
_LITTLE: Final = 4_096  # the same where PDUs are long: it has to be copied
_LONG: Final = 32_768  # what is longer is not read ahead


def acknowledge(connection: socket.socket) -> None:
    """Acknowledges at once what was read; to be called before or after each read, as the kernel
    forgets it.

    Else a sender with Nagle's algorithm waits 40 ms for our delayed acknowledgement, for every
    message. Raises `OSError`.
    """
    if _QUICKACK is not None:
        connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


class Closed(Exception):
    """The peer has closed the connection, or it broke."""


class Wire:
    """One connection. `longest`: bytes of a PDU without its head that are taken at the most.

    All that reads raises `Closed`, and `TimeoutError` where the patience of `pdu` passed before
    the PDU was whole, or `PORTION` more of it were there.
    """

    def __init__(self, connection: socket.socket, longest: int) -> None:
        self.connection = connection
        self._longest = longest
        self._ahead = memoryview(bytearray(_ROOM))
        self._start = self._end = 0
        self._room = _ROOM
        self._patience = -1.0
        self._until = inf  # when the next portion has to be there
        self._portion = 0  # bytes of it that are still to come
        # Python's SSLSocket takes no flags.
        self._whole = 0 if isinstance(connection, ssl.SSLSocket) else socket.MSG_WAITALL
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def pdu(self, patience: float) -> tuple[int, int]:
        """Type of the next PDU, and the length of its body, which is to be read then.

        `patience`: seconds that may pass before it begins, and again for each portion of it.
        Raises `Malformed` for a length or type that cannot be.
        """
        if patience != self._patience:
            _limit(self.connection, patience)
            self._patience = patience
        self._until = time.monotonic() + patience if self._end > self._start else inf
        self._portion = PORTION
        self._await(HEAD.size)
        kind, length = HEAD.unpack_from(self._ahead, self._start)
        if kind not in _KINDS:
            raise Malformed(UNRECOGNIZED_PDU)
        if length > self._longest:
            raise Malformed
        self._start += HEAD.size
        self._room = _ROOM if length < _LONG else _LITTLE
        return kind, length

    def head(self, size: int) -> memoryview:
        """So many bytes, which are few. They are good until the next call."""
        self._await(size)
        self._start += size
        return self._ahead[self._start - size : self._start]

    def take(self, size: int) -> bytearray:
        """So many bytes, as many as the caller wants in memory."""
        taken = bytearray(size)
        self.into(memoryview(taken))
        return taken

    def into(self, view: memoryview) -> None:
        """Fills it with the next bytes."""
        at, size = 0, len(view)
        while at < size:
            held = min(self._end - self._start, size - at)
            if held:
                view[at : at + held] = self._ahead[self._start : self._start + held]
                self._start += held
                at += held
            elif size - at >= _LONG:
                at += self._receive(view[at:], self._whole)
            else:
                self._await(1)

    def skip(self, size: int) -> None:
        """Reads and forgets so many bytes."""
        while size:
            self._await(1)
            skipped = min(size, self._end - self._start)
            self._start += skipped
            size -= skipped

    def held(self) -> bytes:
        """What was read and not yet given."""
        return bytes(self._ahead[self._start : self._end])

    def send(self, data: bytes) -> None:
        """Raises `Closed` where the peer does not take it."""
        try:
            self.connection.sendall(data)
        except OSError as error:
            raise Closed from error

    def drain(self, patience: float) -> None:
        """Waits for the peer to close, whatever it still says (Sta13 of PS3.8 9.2)."""
        end = time.monotonic() + patience
        with suppress(OSError):
            self.connection.settimeout(patience)
            while time.monotonic() < end and self.connection.recv_into(self._ahead):
                pass

    def _await(self, size: int) -> None:
        """Reads ahead until so many bytes are there."""
        if self._end - self._start >= size:
            return
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start + size > _ROOM:
            held = self._end - self._start
            self._ahead[:held] = self._ahead[self._start : self._end]  # may overlap
            self._start, self._end = 0, held
        while self._end - self._start < size:
            room = min(_ROOM, self._end + self._room)
            self._end += self._receive(self._ahead[self._end : room])

    def _receive(self, view: memoryview, flags: int = 0) -> int:
        try:
            acknowledge(self.connection)
            count = self.connection.recv_into(view, len(view), flags)
        except TimeoutError:
            raise
        except BlockingIOError as error:
            raise TimeoutError from error
        except OSError as error:
            raise Closed from error
        if not count:
            raise Closed
        self._portion -= count
        now = time.monotonic()
        if self._portion <= 0 or self._until == inf:
            self._until = now + self._patience
            self._portion = PORTION
        elif now > self._until:
            raise TimeoutError
        return count


def _limit(connection: socket.socket, seconds: float) -> None:
    """How long a call may wait. By the kernel where it can: Python asks `poll` before each."""
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(seconds)
        return
    connection.settimeout(None)
    whole = int(seconds)
    value = pack("ll", whole, int((seconds - whole) * 1_000_000))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
