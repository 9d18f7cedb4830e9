"""Which edge answers which addresses of a tenant's tree: by the first part of the path.

Plain ASGI edges take the whole path. One made with Starlette or FastAPI is mounted with
`add_tree`, so that its routes are written as from its own root and `url_for` is right.
"""

from __future__ import annotations

from fhirserver.rest.asgi import Application, Receive, Scope, Send


class Mounts:
    """A table from `/name` to the edge there. `root` is the path of the tenant's tree."""

    def __init__(self, root: str = "") -> None:
        self._root = root
        self._skip = len(root)
        self._edges: dict[str, Application] = {}

    def add(self, prefix: str, edge: Application) -> None:
        """Mounts a plain ASGI application, whose scope stays as it is."""
        self._edges[prefix] = edge

    def add_tree(self, prefix: str, edge: Application) -> None:
        """Mounts an application with routes of its own; its `root_path` is where it lies."""
        self._edges[prefix] = _Below(f"{self._root}{prefix}", edge)

    def find(self, path: str) -> Application | None:
        """The edge for a whole path, None where there is none."""
        start = self._skip
        end = path.find("/", start + 1)
        return self._edges.get(path[start:] if end < 0 else path[start:end])


class _Below:
    """An application that is told under which prefix it lies."""

    def __init__(self, prefix: str, edge: Application) -> None:
        self._prefix = prefix
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = f"{scope.get('root_path', '')}{self._prefix}"
        await self._edge({**scope, "root_path": root}, receive, send)
