"""Bytes of an association: PDUs out of a blocking socket, into one buffer that is used again."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from struct import pack
from typing import Final

from fhirserver.imaging.dimse.pdu import HEAD, UNRECOGNIZED_PDU, Malformed

_KINDS: Final = range(1, 8)
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


def acknowledge(connection: socket.socket) -> None:
    """Acknowledges at once what was read; to be called after each read, as the kernel forgets it.

    Else a sender with Nagle's algorithm waits 40 ms for our delayed acknowledgement, for every
    message. Raises `OSError`.
    """
    if _QUICKACK is not None:
        connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


class Closed(Exception):
    """The peer has closed the connection, or it broke."""


class Wire:
    """One connection. `longest`: bytes of a PDU without its head that are taken at the most."""

    def __init__(self, connection: socket.socket, longest: int) -> None:
        self.connection = connection
        self._longest = longest
        self._view = memoryview(bytearray(2 * (longest + HEAD.size)))
        self._start = self._end = 0
        self._timeout = -1.0
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def pdu(self, patience: float) -> tuple[int, memoryview]:
        """Type and body of the next PDU; the body is good until the next call.

        `patience`: seconds that may pass before it begins, and again until it is whole. Raises
        `Closed`, `TimeoutError`, and `Malformed` for a length or type that cannot be.
        """
        self._await(HEAD.size, patience)
        kind, length = HEAD.unpack_from(self._view, self._start)
        if kind not in _KINDS:
            raise Malformed(UNRECOGNIZED_PDU)
        if length > self._longest:
            raise Malformed
        self._await(HEAD.size + length, patience)
        body = self._start + HEAD.size
        self._start = body + length
        return kind, self._view[body : self._start]

    def held(self) -> bytes:
        """What was read and not yet given."""
        return bytes(self._view[self._start : self._end])

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
            while time.monotonic() < end and self.connection.recv_into(self._view):
                pass

    def _await(self, size: int, patience: float) -> None:
        """Reads until so many bytes are there."""
        if self._end - self._start >= size:
            return
        self._make_room(size)
        if patience != self._timeout:
            _limit(self.connection, patience)
            self._timeout = patience
        began = self._end > self._start
        end = time.monotonic() + patience
        while self._end - self._start < size:
            self._receive()
            now = time.monotonic()
            if not began:
                began, end = True, now + patience
            elif now > end:
                raise TimeoutError

    def _receive(self) -> None:
        try:
            count = self.connection.recv_into(self._view[self._end :])
            acknowledge(self.connection)
        except TimeoutError:
            raise
        except BlockingIOError as error:
            raise TimeoutError from error
        except OSError as error:
            raise Closed from error
        if not count:
            raise Closed
        self._end += count

    def _make_room(self, size: int) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start + size > len(self._view):
            held = self._end - self._start
            self._view[:held] = self._view[self._start : self._end]  # may overlap
            self._start, self._end = 0, held


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
