"""The sample SMART app that `fhirserver demo` serves: a page, its style and its program.

An app like any other: it comes to records by authorization only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fhirserver.rest.asgi import HeaderList, Receive, Scope, Send
from fhirserver.rest.reply import Reply, send_reply

PATH: Final = "/sample-app"
CLIENT: Final = "sample-app"

_FOLDER: Final = Path(__file__).parent / "sample_app"
_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
}
_HEADERS: Final[HeaderList] = [
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        b"connect-src 'self'; script-src 'self'; style-src 'self'",
    ),
    (b"cache-control", b"no-cache"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class SampleApp:
    """Serves the files; `root` is the path of the tenant's tree."""

    def __init__(self, root: str) -> None:
        self._prefix = f"{root}{PATH}"
        self._files = {
            path.name: (_TYPES[path.suffix], path.read_bytes()) for path in _FOLDER.iterdir()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_reply(self._reply(scope), send, head=scope["method"] == "HEAD")

    def _reply(self, scope: Scope) -> Reply:
        name = scope["path"][len(self._prefix) :]
        if name == "":
            return Reply(303, [(b"location", f"{self._prefix}/".encode())])
        found = self._files.get(name.removeprefix("/") or "index.html")
        if found is None or scope["method"] not in ("GET", "HEAD"):
            return Reply(404, [(b"content-type", b"text/plain")], b"Nothing is here.\n")
        content_type, content = found
        return Reply(200, [(b"content-type", content_type), *_HEADERS], content)
