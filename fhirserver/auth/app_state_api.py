"""The endpoint of app state over HTTP: who may read and write which.

An app keeps state under the codes that it is registered for: of the patient in context, of its
user if it may know who that is (`fhirUser`), or of nobody. Scopes for records, those for Basic
included, say nothing about it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fhirserver.access.principal import Principal
from fhirserver.audit.recorder import Event
from fhirserver.auth.app_state import (
    CHANGED,
    MOST_BYTES,
    AppStates,
    Kind,
    State,
    checked,
    etag,
    subject_of,
)
from fhirserver.auth.interaction import Interaction
from fhirserver.errors import FhirError, Forbidden, Invalid, NotFound, TooLarge
from fhirserver.model.json import decode, encode
from fhirserver.model.outcome import issues_of, operation_outcome

PATH: Final = "/app-state"
_TYPE: Final = "application/fhir+json"
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "DPoP-Nonce, ETag, Location, WWW-Authenticate",
}
_PREFLIGHT: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, DPoP, If-Match",
    "Access-Control-Max-Age": "7200",
}
_MISSING: Final = "subject:missing"

Work = Callable[[Request, Principal], Awaitable[Response]]


class AppStateApi:
    """`[auth]/app-state/Basic`."""

    def __init__(self, parts: Interaction, states: AppStates) -> None:
        self._parts = parts
        self._states = states

    async def search(self, request: Request, caller: Principal) -> Response:
        """By `code` (system|code) with `subject`, or with `subject:missing=true`."""
        asked = dict(request.query_params.multi_items())
        system, bar, code = asked.pop("code", "").partition("|")
        subject, missing = asked.pop("subject", None), asked.pop(_MISSING, None)
        if not bar or not system or not code or asked or (subject is None) is (missing != "true"):
            raise Invalid("Search by code=SYSTEM|CODE and subject, or subject:missing=true.")
        base = self._parts.addresses_of(request).fhir
        whose = None if subject is None else subject_of(subject, base)
        kind = Kind(system, code, whose)
        await self._allow(caller, kind, writes=False)
        found = await self._states.find(kind)
        await self._record(request, caller, kind, "app-state-read")
        root = self._root(request)
        entries = [
            {"fullUrl": f"{root}/Basic/{state.id}", "resource": state.resource} for state in found
        ]
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
        bundle["total"] = len(entries)
        return _answer(200, bundle | ({"entry": entries} if entries else {}))

    async def read(self, request: Request, caller: Principal) -> Response:
        """One state; what the app may not see is not there."""
        state = await self._seen(request, caller, writes=False)
        await self._record(request, caller, state.kind, "app-state-read")
        return _state(200, state)

    async def create(self, request: Request, caller: Principal) -> Response:
        """201 with the id and version that the server gave."""
        kind, resource = await self._sent(request)
        await self._allow(caller, kind, writes=True)
        state = await self._states.create(kind, resource)
        await self._record(request, caller, kind, "app-state-changed")
        where = f"{self._root(request)}/Basic/{state.id}"
        return _state(201, state, {"Location": where})

    async def update(self, request: Request, caller: Principal) -> Response:
        """The next version, if `If-Match` names the current one."""
        kind, resource = await self._sent(request)
        await self._allow(caller, kind, writes=True)
        id, match = request.path_params["id"], request.headers.get("if-match")
        state = await self._states.update(id, kind, resource, match)
        await self._record(request, caller, kind, "app-state-changed")
        return _state(200, state)

    async def delete(self, request: Request, caller: Principal) -> Response:
        """204, if `If-Match` names the current version."""
        try:
            state = await self._seen(request, caller, writes=True)
        except NotFound:
            raise CHANGED from None
        await self._states.delete(state.id, request.headers.get("if-match"))
        await self._record(request, caller, state.kind, "app-state-changed")
        return Response(status_code=204, headers=_CORS)

    def guarded(self, work: Work) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that asks who calls, and tells refusals as OperationOutcomes."""

        async def run(request: Request) -> Response:
            try:
                return await work(request, await self._parts.bearer(request))
            except FhirError as error:
                return _answer(error.status, operation_outcome(issues_of(error)), error.headers)

        return run

    async def _allow(self, caller: Principal, kind: Kind, *, writes: bool) -> None:
        """Raises `Forbidden` where the app is not registered for it, or it is of somebody else."""
        client = await self._parts.clients.live(caller.client or "")
        type = (kind.subject or "").partition("/")[0]
        known = client is not None and any(
            (item.system, item.code) == (kind.system, kind.code)
            and type in item.subjects
            and (item.modifies or not writes)
            for item in client.app_state
        )
        if not known or not _is_in_context(caller, kind.subject):
            raise Forbidden("The app may not keep or read state of this code and subject.")

    async def _seen(self, request: Request, caller: Principal, *, writes: bool) -> State:
        state = await self._states.get(request.path_params["id"])
        try:
            await self._allow(caller, state.kind, writes=writes)
        except Forbidden:
            raise NotFound("There is no such state.") from None
        return state

    async def _sent(self, request: Request) -> tuple[Kind, dict[str, Any]]:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                raise TooLarge("A state has up to 1 MiB.")
        return checked(decode(bytes(body)), self._parts.addresses_of(request).fhir)

    async def _record(self, request: Request, caller: Principal, kind: Kind, what: str) -> None:
        type, _, id = (kind.subject or "").partition("/")
        event = Event(
            what,
            principal=caller,
            patient=id if type == "Patient" else None,
            about=(f"auth.client/{caller.client}",),
            origin=self._parts.origin_of(request),
        )
        await self._parts.recorder.record(event)

    def _root(self, request: Request) -> str:
        return f"{self._parts.addresses_of(request).issuer}{PATH}"


def app_state_routes(api: AppStateApi) -> list[Route]:
    """The routes, below `/auth`."""

    async def preflight(request: Request) -> Response:
        return Response(status_code=204, headers=_PREFLIGHT)

    one, all = f"{PATH}/Basic/{{id}}", f"{PATH}/Basic"
    return [
        Route(all, api.guarded(api.search), methods=["GET"]),
        Route(all, api.guarded(api.create), methods=["POST"]),
        Route(one, api.guarded(api.read), methods=["GET"]),
        Route(one, api.guarded(api.update), methods=["PUT"]),
        Route(one, api.guarded(api.delete), methods=["DELETE"]),
        Route(all, preflight, methods=["OPTIONS"]),
        Route(one, preflight, methods=["OPTIONS"]),
    ]


def _is_in_context(caller: Principal, subject: str | None) -> bool:
    """Whether the subject is nobody, the patient of the token, or its user."""
    if subject is None:
        return True
    if caller.patient is not None and subject == f"Patient/{caller.patient}":
        return True
    return "fhirUser" in (caller.scopes or ()) and subject == caller.fhir_user


def _state(status: int, state: State, headers: dict[str, str] | None = None) -> Response:
    return _answer(status, state.resource, {"ETag": etag(state.version), **(headers or {})})


def _answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    lines = {**_CORS, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(encode(body), status, headers=lines | (headers or {}), media_type=_TYPE)
