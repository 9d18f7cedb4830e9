"""A tenant that listens for associations on a free port, each served in a thread of its own."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import threading
from contextlib import asynccontextmanager, suppress

import pytest

from fhirserver.imaging.dimse.admission import Rejection
from fhirserver.imaging.dimse.peers import names_of
from fhirserver.imaging.dimse.services import Storing, serve_association
from fhirserver.imaging.dimse.session import Called, admit

DCMTK = "/usr/bin:/bin:/usr/sbin:/usr/local/bin"
"""Where its commands are looked for: pynetdicom has some of the same names, in the environment."""


@asynccontextmanager
async def listening(
    called: Called,
    title: str,
    *,
    tls: ssl.SSLContext | None = None,
    held: int = 0,
    storing: Storing | None = None,
):
    """The port. Whoever calls is taken for the peer of that AE title."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        certificate: frozenset[str] = frozenset()
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
            certificate = names_of(connection.getpeercert() or {})
        session = admit(called, title, connection.getpeername()[0], certificate)
        if isinstance(session, Rejection):
            connection.close()
            return
        first = connection.recv(held) if held else b""
        serve_association(connection, first, session, storing)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=serve, args=(connection,))
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        await asyncio.to_thread(accepting.join)
        for thread in threads:
            await asyncio.to_thread(thread.join, 30)
            assert not thread.is_alive()


async def command(*arguments: str, ok: bool = True) -> str:
    """What a command of dcmtk says, on either channel; skips the test where there is no dcmtk."""
    if shutil.which(arguments[0], path=DCMTK) is None:
        pytest.skip("dcmtk is not installed")
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"TCP_NODELAY": "1", "PATH": DCMTK},
    )
    told, _ = await process.communicate()
    text = told.decode(errors="replace")
    if ok:
        assert process.returncode == 0, text
    return text
