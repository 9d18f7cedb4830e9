"""Straight into a store, through the gate that every request passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fhirserver.access.grant import SERVER
from fhirserver.errors import FhirError
from fhirserver.interactions.request import Answer, Request
from fhirserver.load.answer import denied_entries
from fhirserver.load.target import Denied
from fhirserver.model.json import Resource
from fhirserver.model.outcome import issues_of


class GateTarget:
    """`dispatch` is the gate's; `base` the service base URL that references may begin with."""

    def __init__(self, dispatch: Callable[[Request], Awaitable[Answer]], base: str) -> None:
        self._dispatch = dispatch
        self._base = base

    async def send(self, bundle: Resource) -> list[Denied]:
        """See `Target.send`."""
        request = Request(
            bundle["type"], self._base, resource=bundle, prefer="minimal", grant=SERVER
        )
        try:
            answer = await self._dispatch(request)
        except FhirError as error:
            return [Denied(None, error.status, error.text, issues_of(error))]
        if bundle["type"] == "transaction":
            return []
        return denied_entries(answer.body or b"{}")
