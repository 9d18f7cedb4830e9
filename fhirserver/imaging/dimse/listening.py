"""Connections to the DICOM port: one thread each, as many as may be."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import threading
import time
import traceback
from collections import Counter
from typing import Final

from fhirserver.imaging.dimse.receiving import ARTIM, House, Reception

_LOG = logging.getLogger("fhirserver.imaging")
_PAUSE: Final = 0.5  # seconds after a connection that could not be accepted
_STEP: Final = 0.002  # seconds that a process leaves to others for each connection it has
_STEPS: Final = 8
_SPARE: Final = 16  # connections beyond the limit that are still told so

GRACE: Final = 5.0
"""Seconds that messages under way get when the server stops."""


class Listening:
    """Accepts connections of a socket that listens, which other processes may share.

    A process leaves others the more time for a new connection, the more it has itself: so they
    have about as many each.

    `tls`: what the connections are encrypted by, if they are. `most`: associations at once;
    connections far beyond that are closed unheard. `house` decides about the others.
    """

    def __init__(
        self,
        listener: socket.socket,
        house: House,
        *,
        most: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener
        self._house = house
        self._tls = tls
        self._most = most
        self._stops = threading.Event()
        self._waker, self._woken = socket.socketpair()
        self._lock = threading.Lock()
        self._open: dict[Reception, threading.Thread] = {}
        self._connections = 0
        self._thread = threading.Thread(target=self._accept, name="dicom-accept", daemon=True)

    def start(self) -> None:
        self._listener.setblocking(False)  # another process may take what woke this one
        self._thread.start()

    def stop(self, grace: float = GRACE) -> None:
        """Takes no more; lets messages under way end; then ends all. Blocks."""
        self._stops.set()
        self._waker.send(b"\0")
        self._thread.join()
        self._waker.close()
        self._woken.close()
        for reception in list(self._open):
            reception.stop()
        end = time.monotonic() + grace
        for thread in list(self._open.values()):
            thread.join(max(0.0, end - time.monotonic()))
        for reception, thread in list(self._open.items()):
            reception.stop(at_once=True)
            thread.join(1)

    def _accept(self) -> None:
        ready = select.poll()
        ready.register(self._listener, select.POLLIN)
        ready.register(self._woken, select.POLLIN)
        while not self._stops.is_set():
            try:
                ready.poll()
                time.sleep(min(self._connections, _STEPS) * _STEP)
                connection, _ = self._listener.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                # Out of descriptors, or a connection gone before it was taken: go on.
                _LOG.warning("a DICOM connection could not be accepted: %s", error.strerror)
                self._stops.wait(_PAUSE)
                continue
            with self._lock:
                is_full = self._connections >= self._most + _SPARE
                self._connections += not is_full
            if is_full:
                connection.close()
                continue
            try:
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()
            except RuntimeError:
                _LOG.warning("a DICOM connection has no thread: the system has no more")
                with self._lock:
                    self._connections -= 1
                connection.close()

    def _run(self, connection: socket.socket) -> None:
        """The thread of a connection. The handshake of TLS is part of it."""
        reception: Reception | None = None
        try:
            connection.settimeout(ARTIM)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            reception = Reception(connection, self._house)
            with self._lock:
                self._open[reception] = threading.current_thread()
            if self._stops.is_set():
                reception.stop()
            reception.run()
        except OSError:  # no TLS was spoken, or none of ours
            connection.close()
        except Exception as error:  # noqa: BLE001 - ours; its text might name a patient
            where = traceback.extract_tb(error.__traceback__)[-1]
            _LOG.error("an association failed: %s at %s", type(error).__name__, where)
            connection.close()
        finally:
            with self._lock:
                self._connections -= 1
                if reception is not None:
                    self._open.pop(reception, None)


class Places:
    """How many associations there are of each peer, and in all."""

    def __init__(self, most: int, most_of_peer: int) -> None:
        self._most = most
        self._most_of_peer = most_of_peer
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    def take(self, peer: str) -> bool:
        """Takes a place for an association, if there is one."""
        with self._lock:
            if self._taken.total() >= self._most or self._taken[peer] >= self._most_of_peer:
                return False
            self._taken[peer] += 1
            return True

    def give_back(self, peer: str) -> None:
        with self._lock:
            self._taken[peer] -= 1
            if self._taken[peer] <= 0:
                del self._taken[peer]


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.create_server((host, port), family=family, backlog=256)
    made.set_inheritable(True)
    return made
