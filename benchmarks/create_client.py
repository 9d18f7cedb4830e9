"""POST requests over many connections, each with its turn of bodies; prints what it measured.

    python create_client.py PORT PATH FILE CONNECTIONS SECONDS

FILE has a body in each line.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import ClassVar, cast

import uvloop


class Client(asyncio.Protocol):
    """One connection: posts, waits for 201, posts the next."""

    latencies: ClassVar[list[float]] = []
    bodies: ClassVar[list[bytes]] = []
    next = 0
    is_over = False
    all_done: ClassVar[asyncio.Event]

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._post()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)content-length: (\d+)", head)
        if not end or not found or len(body) < int(found[1]):
            return
        assert head.startswith(b"HTTP/1.1 201"), self._answer
        Client.latencies.append(time.perf_counter() - self._begun)
        if not Client.is_over:
            self._post()
        elif len(Client.latencies) == Client.next:
            Client.all_done.set()

    def _post(self) -> None:
        body = Client.bodies[Client.next % len(Client.bodies)]
        Client.next += 1
        self._answer = b""
        self._begun = time.perf_counter()
        self._transport.write(self._head % len(body) + body)


async def run(port: int, path: str, connections: int, seconds: float) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nPrefer: return=minimal\r\n"
        "Content-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n"
    ).encode()
    Client.all_done = asyncio.Event()
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(head), "127.0.0.1", port)
    await asyncio.sleep(seconds)
    Client.is_over = True
    await asyncio.wait_for(Client.all_done.wait(), 30)
    took = time.perf_counter() - begun
    print(json.dumps({"seconds": took, "latencies": Client.latencies}))


if __name__ == "__main__":
    _, port_text, path_text, file_text, connections_text, seconds_text = sys.argv
    Client.bodies = Path(file_text).read_bytes().splitlines()
    uvloop.run(run(int(port_text), path_text, int(connections_text), float(seconds_text)))
