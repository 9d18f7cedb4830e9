"""GET requests over many connections, by `wrk` where it is installed, else by a client of ours."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import time


def requests_per_second(port: int, path: str, connections: int, seconds: float) -> float:
    """The throughput that a generator in another process reaches."""
    url = f"http://127.0.0.1:{port}{path}"
    if shutil.which("wrk"):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", url]
    else:
        command = [sys.executable, __file__, str(port), path, str(connections), str(seconds)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(output)
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found, output
    return float(found[1])


class _Client(asyncio.Protocol):
    done = 0

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._left = -1
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 200")
            found = re.search(rb"content-length: (\d+)", head)
            assert found
            self._left = int(found[1])
        self._left -= len(data)
        if self._left == 0:
            _Client.done += 1
            self._left, self._head = -1, b""
            self._transport.write(self._request)


async def _run(port: int, path: str, connections: int, seconds: float) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: _Client(request), "127.0.0.1", port)
    started, before = time.perf_counter(), _Client.done
    await asyncio.sleep(seconds)
    rate = (_Client.done - before) / (time.perf_counter() - started)
    print(f"Requests/sec: {rate:.1f}")


if __name__ == "__main__":
    import uvloop

    _, port_text, path_text, connections_text, seconds_text = sys.argv
    uvloop.run(_run(int(port_text), path_text, int(connections_text), float(seconds_text)))
