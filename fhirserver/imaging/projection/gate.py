"""The gate as the projection uses it: reads, searches and writes of the server itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from fhirserver.access.grant import SERVER
from fhirserver.errors import Conflict, NotFound, PreconditionFailed
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, decode
from fhirserver.model.reference import own
from fhirserver.search.escape import escape

Dispatch: TypeAlias = Callable[[Request], Awaitable[Answer]]

_ATTEMPTS: Final = 20
_MANY: Final = 100  # resources of one search that are looked at


class Gate:
    """`base` is the service base URL of the tenant."""

    def __init__(self, dispatch: Dispatch, base: str) -> None:
        self._dispatch = dispatch
        self.base = base

    async def read(self, type: str, id: str) -> Resource | None:
        """A resource as it stands; None where there is none, or it was deleted."""
        try:
            answer = await self._dispatch(Request("read", self.base, type, id, grant=SERVER))
        except NotFound:
            return None
        found: Resource = decode(answer.body or b"{}")
        return found

    async def identified(self, type: str, system: str, value: str) -> list[Resource]:
        """The resources with that identifier."""
        return await self.search(type, "identifier", f"{escape(system)}|{escape(value)}")

    async def search(self, type: str, name: str, value: str) -> list[Resource]:
        """The resources that a search parameter finds, of many only some."""
        parameters = ((name, value), ("_count", str(_MANY)))
        answer = await self._dispatch(
            Request("search-type", self.base, type, parameters=parameters, grant=SERVER)
        )
        entries = decode(answer.body or b"{}").get("entry", ())
        return [entry["resource"] for entry in entries if entry["search"]["mode"] == "match"]

    async def write(
        self, type: str, id: str, make: Callable[[Resource | None], Resource | None]
    ) -> Resource:
        """Brings a resource to what `make` gives of it as it stands (None: it is not there).

        `make` is called again whenever another was faster; None keeps the resource as it is.
        Raises `Conflict` when others are faster again and again, and what a write is refused by.
        """
        for _ in range(_ATTEMPTS):
            present = await self.read(type, id)
            wanted = make(present)
            if wanted is None or wanted == present:
                return present or {}
            version = present["meta"]["versionId"] if present else None
            request = Request(
                "update",
                self.base,
                type,
                id,
                resource=wanted | {"id": id},
                if_match=f'W/"{version}"' if version else None,
                if_none_match=None if version else "*",
                prefer="representation",
                grant=SERVER,
            )
            try:
                answer = await self._dispatch(request)
            except (Conflict, PreconditionFailed):
                continue
            written: Resource = decode(answer.body or b"{}")
            return written
        raise Conflict(f"{type} changes all the time.")

    def own_id(self, reference: Resource | None, type: str) -> str | None:
        """The id that a reference to a resource of this server, of that type, has; else None."""
        kind, _, id = (own((reference or {}).get("reference", ""), self.base) or "").partition("/")
        return id if kind == type else None
