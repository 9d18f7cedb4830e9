"""Files that pages refer to: the stylesheet and the few scripts, each at an address of its own."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_YEAR: Final = 365 * 24 * 3600


@cache
def _files() -> dict[str, bytes]:
    """All of them, by name. What is not among them cannot be asked for, whatever the path."""
    return {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}


@cache
def version_of(name: str) -> str:
    """What changes with the content of a file, for its address: it may be kept for ever."""
    return hashlib.sha256(_files()[name]).hexdigest()[:12]


async def static_file(request: Request) -> Response:
    """`/static/{name}`."""
    name = request.path_params["name"]
    content = _files().get(name)
    if content is None:
        return PlainTextResponse("Nothing is here.\n", 404)
    fresh = request.query_params.get("v") == version_of(name)
    return Response(
        content,
        headers={
            "Cache-Control": f"public, max-age={_YEAR}, immutable" if fresh else "no-cache",
            "Content-Type": _TYPES[Path(name).suffix],
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
        },
    )


STATIC_ROUTES: Final = [Route("/static/{name}", static_file, methods=["GET"])]
"""Rows of the tree that is mounted at /auth."""
