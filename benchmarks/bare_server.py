"""The floor: an ASGI application that returns the bytes of a file, on the same uvicorn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn

BODY = Path(sys.argv[1]).read_bytes()
HEADERS = [
    (b"content-type", b"application/fhir+json; charset=utf-8"),
    (b"content-length", str(len(BODY)).encode()),
]


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    config = uvicorn.Config(
        application,
        port=0,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_level="warning",
    )
    socket = config.bind_socket()
    print(f"port {socket.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[socket])
