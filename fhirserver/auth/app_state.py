"""State that apps keep here (SMART App Launch 2.2, "Persisting App State"), as records.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html. A state is a Basic resource with one
code, perhaps a subject, and text in extensions. It lies apart from the FHIR base, so that no
scope for records shows what an app keeps, keys included.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from fhirserver.errors import Conflict, Invalid, NotFound, PreconditionFailed, Unprocessable
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "auth.app-state"
INDEX: Final = "auth.app-state-of"
"""`[digest of code]/[digest of subject]/[id]`, with an empty body."""

MOST_BYTES: Final = 1024 * 1024
MOST: Final = 100
"""The most states of one code and subject."""

_ALLOWED: Final = frozenset({"resourceType", "id", "meta", "extension", "code", "subject"})


class Kind(NamedTuple):
    """What a state is found by. `subject` is `Type/id`; None: nobody's."""

    system: str
    code: str
    subject: str | None


class State(NamedTuple):
    """A state as it is served."""

    id: str
    kind: Kind
    version: int
    resource: dict[str, Any]


class _Kept(msgspec.Struct, frozen=True):
    system: str
    code: str
    subject: str | None
    updated: int
    resource: dict[str, Any]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Kept).decode


class AppStates:
    """`now` gives microseconds since 1970, `new_id` ids that were never given before."""

    def __init__(
        self, records: Records, *, now: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._records = records
        self._now = now
        self._new_id = new_id

    async def create(self, kind: Kind, resource: dict[str, Any]) -> State:
        """Keeps a new state under an id of the server's. Raises `Conflict` for too many."""
        there = await self._records.list(INDEX, prefix=_prefix(kind), count=MOST)
        if len(there) >= MOST:
            raise Conflict(f"There are {MOST} states of this code and subject already.")
        id = self._new_id()
        await self._records.put(INDEX, _prefix(kind) + id, b"")
        return await self._put(id, kind, resource, ABSENT)

    async def get(self, id: str) -> State:
        """The state of an id. Raises `NotFound`."""
        record = await self._records.get(COLLECTION, id)
        if record is None:
            raise NotFound("There is no such state.")
        return _state(id, record.revision, _decode(record.body))

    async def find(self, kind: Kind) -> list[State]:
        """The states of a code and subject."""
        found = []
        for entry in await self._records.list(INDEX, prefix=_prefix(kind), count=MOST):
            id = entry.key.rpartition("/")[2]
            record = await self._records.get(COLLECTION, id)
            if record is not None:
                found.append(_state(id, record.revision, _decode(record.body)))
        return found

    async def update(
        self, id: str, kind: Kind, resource: dict[str, Any], if_match: str | None
    ) -> State:
        """Replaces a state. Raises `PreconditionFailed` where it is not the version that
        `If-Match` names, is gone, or is of another code or subject."""
        there = await self._matching(id, if_match)
        if there.kind != kind:
            raise PreconditionFailed("Code and subject of a state do not change.")
        try:
            return await self._put(id, kind, resource, there.version)
        except Stale:
            raise CHANGED from None

    async def delete(self, id: str, if_match: str | None) -> None:
        """Takes a state away. Raises `PreconditionFailed` as `update` does."""
        there = await self._matching(id, if_match)
        try:
            await self._records.delete(COLLECTION, id, expected=there.version)
        except Stale:
            raise CHANGED from None
        await self._records.delete(INDEX, _prefix(there.kind) + id)

    async def _matching(self, id: str, if_match: str | None) -> State:
        try:
            there = await self.get(id)
        except NotFound:
            raise CHANGED from None
        if if_match is None or if_match.strip() != etag(there.version):
            raise CHANGED
        return there

    async def _put(self, id: str, kind: Kind, resource: dict[str, Any], expected: int) -> State:
        kept = _Kept(*kind, updated=self._now(), resource=resource)
        version = await self._records.put(COLLECTION, id, _encode(kept), expected=expected)
        return _state(id, version, kept)


CHANGED: Final = PreconditionFailed(
    "Name in If-Match the version that you have read: it was changed, or is not there."
)


def etag(version: int) -> str:
    """The ETag of a version."""
    return f'W/"{version}"'


def checked(resource: Any, base: str) -> tuple[Kind, dict[str, Any]]:
    """What a state is of, and what is kept of it. Raises `Invalid`, `Unprocessable`."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Basic":
        raise Invalid("Send a Basic resource.")
    if not _ALLOWED.issuperset(resource):
        raise Unprocessable("A state has code, subject and extensions only.")
    concept = resource.get("code")
    coding = concept.get("coding") if isinstance(concept, dict) else None
    if not isinstance(coding, list) or len(coding) != 1 or not isinstance(coding[0], dict):
        raise Unprocessable("A state has exactly one coding.")
    system, code = coding[0].get("system"), coding[0].get("code")
    if not isinstance(system, str) or not isinstance(code, str) or not system or not code:
        raise Unprocessable("The coding of a state has system and code.")
    extensions = resource.get("extension", [])
    if not isinstance(extensions, list) or not all(_is_text(item) for item in extensions):
        raise Unprocessable("Extensions of a state have url and valueString only.")
    kept = {name: value for name, value in resource.items() if name not in ("id", "meta")}
    return Kind(system, code, _subject(resource.get("subject"), base)), kept


def subject_of(text: str, base: str) -> str:
    """`Type/id` of a reference, relative or below this server. Raises `Unprocessable`."""
    relative = text.removeprefix(f"{base}/")
    type, _, id = relative.partition("/")
    if not type.isalpha() or not id or "/" in id:
        raise Unprocessable("A subject is a resource of this server, such as Patient/1.")
    return relative


def _subject(value: Any, base: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("reference"), str):
        raise Unprocessable("A subject has a reference.")
    return subject_of(value["reference"], base)


def _is_text(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and item.keys() == {"url", "valueString"}
        and all(isinstance(value, str) and value for value in item.values())
    )


def _state(id: str, version: int, kept: _Kept) -> State:
    updated = datetime.fromtimestamp(kept.updated / 1e6, UTC).isoformat(timespec="milliseconds")
    meta = {"versionId": str(version), "lastUpdated": updated}
    resource = {"resourceType": "Basic", "id": id, "meta": meta, **kept.resource}
    return State(id, Kind(kept.system, kept.code, kept.subject), version, resource)


def _prefix(kind: Kind) -> str:
    code = sha256(f"{kind.system}|{kind.code}".encode()).hexdigest()[:32]
    subject = sha256((kind.subject or "").encode()).hexdigest()[:32]
    return f"{code}/{subject}/"
