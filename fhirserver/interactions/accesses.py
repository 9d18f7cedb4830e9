"""The third step of the gate: what was done is recorded before the answer leaves.

One AuditEvent for each interaction, and for each patient whose record it touched; what was
refused as well. Who reads the audit trail is recorded once, whatever the pages hold.
https://profiles.ihe.net/ITI/BALP/content.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from fhirserver.access.guard.reasons import Reasons
from fhirserver.access.policy import BINARY
from fhirserver.audit.agents import Caller
from fhirserver.audit.chain import TYPE
from fhirserver.audit.decision import decision_content, disclosure_content
from fhirserver.audit.event import Access, access_content, read_content
from fhirserver.audit.imaging import IMAGING, StudyAccess
from fhirserver.audit.kinds import Action
from fhirserver.audit.notes import Notes, made_by
from fhirserver.audit.observed import Seen
from fhirserver.audit.patients import PATIENT, Patients
from fhirserver.audit.recorder import MAJOR, MINOR, SERIOUS, Outcome
from fhirserver.audit.trail import Trail
from fhirserver.errors import FhirError, Unavailable
from fhirserver.interactions.decisions import Disclosures, decided, emergencies, flag, withheld
from fhirserver.interactions.operation import MARK
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.reference import ID
from fhirserver.search.contained import MARK as CONTAINED_MARK
from fhirserver.store.port import Change, Version

_CODES: Final[dict[str, tuple[str, Action]]] = {
    "read": ("read", "R"),
    "vread": ("vread", "R"),
    "update": ("update", "U"),
    "conditional-update": ("update", "U"),
    "patch": ("patch", "U"),
    "conditional-patch": ("patch", "U"),
    "delete": ("delete", "D"),
    "conditional-delete": ("delete", "D"),
    "history-instance": ("history-instance", "R"),
    "history-type": ("history-type", "R"),
    "history-system": ("history-system", "R"),
    "create": ("create", "C"),
    "search-type": ("search-type", "E"),
    "search-system": ("search-system", "E"),
    "search-compartment": ("search", "E"),
    "transaction": ("transaction", "E"),
    "batch": ("batch", "E"),
}
"""Codes of http://hl7.org/fhir/restful-interaction; all else is an operation."""

_NOT_ABOUT_DATA: Final = frozenset({"capabilities"})
_OF_ENTRIES: Final = frozenset({"batch", "transaction"})
_ONE: Final = frozenset({"read", "vread"})
_WRITES: Final = frozenset({"C", "U", "D"})
_OF_PATIENT: Final = frozenset({"patient", "subject", "patient:Patient", "subject:Patient"})
_FAILED: Final = 500
_NONE: Final = (None,)  # an event of no patient
_LATE: Final = "answered 503: it was made, and recorded later"
_MADE: Final = (
    "The change was made, but is not in the audit trail yet. It will be there as soon as the trail "
    "can be written; do not send the change again without looking."
)


def is_bare(request: Request) -> bool:
    """Whether the answer itself says all that was disclosed: one version, whole."""
    return request.interaction in _ONE and not request.parameters and request.type != TYPE


class Tallied:
    """Counts what a command does through the gate, which is recorded as one event for all.

    `written` are types of resources with how many versions of each were made.
    """

    def __init__(self) -> None:
        self.written: Counter[str] = Counter()

    async def ready(self) -> None:
        return None

    async def settled(self) -> None:
        return None

    def noting(self, request: Request) -> None:
        return None

    async def read(self, request: Request, answer: Answer, seen: Seen) -> None:
        return None

    async def answered(self, request: Request, answer: Answer, seen: Seen) -> None:
        self.written.update(change.type for change in seen.changes)

    async def refused(self, request: Request, error: FhirError | None, seen: Seen) -> None:
        return None


class Accesses:
    """Writes to the trail what passes the gate. `patients` tells whose record a version is of.

    With `notes`, a commit whose process ends before it is recorded is recorded by another.
    """

    def __init__(
        self,
        trail: Trail,
        patients: Patients,
        now: Callable[[], int],
        notes: Notes | None = None,
    ) -> None:
        self._notes = notes
        self._trail = trail
        self._patients = patients
        self._now = now
        self._disclosures = Disclosures()

    async def read(self, request: Request, answer: Answer, seen: Seen) -> None:
        """Records a bare read. Raises `Unavailable` where it cannot: nothing may leave then."""
        type, id, version = answer.type or "", answer.id or "", answer.version or 0
        patients = self._patients.known(type, id, version, request.base, lambda: answer.body)
        if type == BINARY and seen.reasons is not None:
            patients = await self._of_context(request, seen.reasons, type, id, version)
        origin, data, reasons = request.origin, (type, id, version), seen.reasons
        caller = Caller(request.grant.principal, origin.address, origin.server)
        is_usual = (reasons is None or not reasons.matter) and origin.request_id
        if is_usual and self._disclosures.knows(caller, patients):
            now, name, of = self._now(), request.interaction, origin.request_id
            await self._trail.append(
                [read_content(name, caller, of, data, item, now) for item in patients or _NONE]
            )
            return
        access = Access(request.interaction, "R", caller, origin.request_id, data=data)
        found = _for_each(access, patients)
        if reasons is not None and reasons.opened:
            shown = await reasons.stored(type, id, version)
            await self._append(found, request, seen, () if shown is None else (shown,))
        else:
            await self._append(found, request, seen)

    async def _of_context(
        self, request: Request, reasons: Reasons, type: str, id: str, version: int
    ) -> tuple[str, ...]:
        """The patients of what the securityContext of a Binary names."""
        binary = await reasons.stored(type, id, version)
        target = None if binary is None else reasons.security_context(binary)
        found = None if target is None else await reasons.stored(*target)
        return () if found is None else self._patients.of_body(found, request.base)

    async def ready(self) -> None:
        """Before a write. Raises `Unavailable` while an earlier one cannot be recorded."""
        await self._trail.catch_up()

    def noting(self, request: Request) -> Callable[[Sequence[Change]], bytes] | None:
        """What makes the notes of the commits of a request."""
        notes = self._notes
        return None if notes is None else lambda changes: notes.of(_access(request), changes)

    async def settled(self) -> None:
        """After it, a search of the trail finds all that was recorded before."""
        await self._trail.settle()

    async def answered(self, request: Request, answer: Answer, seen: Seen) -> None:
        """Records an interaction that was answered. Raises `Unavailable` as `read` does."""
        if request.interaction in _NOT_ABOUT_DATA:
            return
        found: list[Access] = []
        for change in seen.changes:
            found += self._written(request, change, seen)
        if request.interaction in IMAGING:
            await self._append_seen([*found, *_of_studies(request, answer.studies)], request, seen)
            return
        code, action = _CODES.get(request.interaction, ("operation", "E"))
        if request.interaction in _OF_ENTRIES or (found and action in _WRITES):
            await self._append_seen(found, request, seen)
            return
        access = _access(request)
        if action in _WRITES or code in _ONE:
            if answer.type is not None and answer.id is not None:
                access.data = (answer.type, answer.id, answer.version or 0)
            patients = self._whose(request, seen)
            if access.data is not None and access.data[0] == TYPE:
                access.reads_log, patients = True, ()
            await self._append_seen([*found, *_for_each(access, patients)], request, seen)
            return
        if request.id is not None:
            access.data = (request.type or "", request.id, 0)
        access.query = _query(request)
        found += self._touched(request, access, seen)
        await self._append_seen(found, request, seen, _asked_for(request))

    async def refused(self, request: Request, error: FhirError | None, seen: Seen) -> None:
        """Records an interaction that was refused, or failed (None), for a caller who is known."""
        grant = request.grant
        if request.interaction in _NOT_ABOUT_DATA or (
            grant.principal is None and not grant.unrestricted
        ):
            return
        access = _access(request)
        access.outcome, access.reason = _failure(error)
        if request.id is not None and request.type is not None and ID.fullmatch(request.id):
            access.data = (request.type, request.id, 0)
        if request.parameters or access.data is None:
            access.query = _query(request)
        found = [item for change in seen.changes for item in self._written(request, change, seen)]
        if found:  # it failed after it was done
            await self._append([*found, access], request, seen)
            return
        now = self._now()
        decisions = await withheld(request, seen.reasons, self._patients, error)
        events = [decision_content(item, now) for item in decisions]
        await self._trail.append([*events, access_content(access, now)])

    def _written(self, request: Request, change: Change, seen: Seen) -> list[Access]:
        """One for each patient whose record the change was in, before or after it."""
        access = _access(request)
        made_by(change).tell(access)
        patients = self._patients.of_entries(change.type, change.id, change.entries)
        before = seen.versions.get((change.type, change.id, change.version - 1))
        if before is not None:
            patients = (*patients, *self._patients.of(before, request.base))
        return _for_each(access, tuple(dict.fromkeys(patients)))

    def _whose(self, request: Request, seen: Seen) -> tuple[str, ...]:
        found = (self._patients.of(version, request.base) for version in seen.versions.values())
        return tuple(dict.fromkeys(id for ids in found for id in ids))

    def _touched(self, request: Request, access: Access, seen: Seen) -> list[Access]:
        """One for each patient of whom something was read, with what; else one of none."""
        classes: dict[str, Counter[str]] = {id: Counter() for id in _asked_for(request)}
        for version in seen.versions.values():
            if version.type == TYPE:
                access.reads_log = True
                continue
            for id in self._patients.of(version, request.base):
                name = version.type.removeprefix(CONTAINED_MARK)
                classes.setdefault(id, Counter())[name] += 1
        if request.type == TYPE:
            access.reads_log = True
            return [access]
        return [
            replace(access, patient=id, classes=tuple(sorted(counts.items())))
            for id, counts in classes.items()
        ] or [access]

    async def _append_seen(
        self, found: list[Access], request: Request, seen: Seen, named: Iterable[str] = ()
    ) -> None:
        await self._append(found, request, seen, seen.versions.values(), named)

    async def _append(
        self,
        found: list[Access],
        request: Request,
        seen: Seen,
        versions: Iterable[Version] = (),
        named: Iterable[str] = (),
    ) -> None:
        """Records accesses, after what consents decided and before what they disclose."""
        opened = await emergencies(request, seen.reasons, self._patients, versions, named)
        flag(found, opened)
        disclosures = self._disclosures.of(found)
        now = self._now()
        events = [
            decision_content(item, now) for item in decided(request, seen.reasons, found, opened)
        ]
        events += [access_content(access, now) for access in found]
        events += [disclosure_content(item, now) for item in disclosures]
        try:
            await self._trail.append(events)
        except Unavailable:
            if seen.changes:
                self._owe(found, now)
            raise
        self._disclosures.keep(disclosures)
        if self._notes is not None and seen.noted:
            self._notes.forget(seen.noted)

    def _owe(self, found: list[Access], now: int) -> None:
        """Raises `Unavailable` that says of a change which is not on record that it was made."""
        for access in found:
            access.reason = _LATE
        self._trail.owe([access_content(access, now) for access in found])
        raise Unavailable(_MADE, headers={"Retry-After": "5"})


def _access(request: Request) -> Access:
    origin = request.origin
    caller = Caller(request.grant.principal, origin.address, origin.server)
    imaging = IMAGING.get(request.interaction)
    if imaging is not None:
        return Access("", imaging.action, caller, origin.request_id, imaging=imaging)
    code, action = _CODES.get(request.interaction, ("operation", "E"))
    operation = request.interaction if code == "operation" else ""
    return Access(code, action, caller, origin.request_id, operation=operation)


def _of_studies(request: Request, studies: Sequence[StudyAccess]) -> list[Access]:
    """One for each patient whose studies it was about; else one, with what was asked."""
    access = _access(request)
    if request.parameters or not studies:
        access.query = _query(request)
    by_patient: dict[str | None, list[StudyAccess]] = {}
    for study in studies:
        by_patient.setdefault(study.patient, []).append(study)
    return [
        replace(access, patient=patient, studies=tuple(of)) for patient, of in by_patient.items()
    ] or [access]


def _for_each(access: Access, patients: tuple[str, ...]) -> list[Access]:
    if not patients:
        return [access]
    if len(patients) == 1:
        access.patient = patients[0]
        return [access]
    return [replace(access, patient=id) for id in patients]


def _failure(error: FhirError | None) -> tuple[Outcome, str]:
    """How bad, and why: no text of the refusal, which may quote the request."""
    if error is None:
        return MAJOR, "exception"
    if error.status in (401, 403) or error.status >= _FAILED:
        return SERIOUS, f"{error.status} {error.code}"
    return MINOR, f"{error.status} {error.code}"


def _query(request: Request) -> bytes:
    """The request below the base as its address would say it, with what came in a form."""
    if request.compartment is not None:
        parts = [*request.compartment, request.type or "*"]
    else:
        parts = [part for part in (request.type, request.id) if part is not None]
    if request.interaction.startswith(MARK):
        parts.append(request.interaction)
    elif request.interaction.startswith("history"):
        parts.append("_history")
    path = "/".join(parts)
    if request.parameters:
        path += "?" + urlencode(request.parameters, safe=":/|,$")
    return path.encode() or b"/"


def _asked_for(request: Request) -> set[str]:
    """The patients whom the request itself names: that nothing was found is told of them too."""
    found = set()
    if request.compartment is not None and request.compartment[0] == PATIENT:
        found.add(request.compartment[1])
    if request.type == PATIENT and request.id is not None:
        found.add(request.id)
    for name, value in request.parameters:
        if name in _OF_PATIENT:
            id = value.removeprefix(f"{PATIENT}/")
            if ID.fullmatch(id):
                found.add(id)
    return found
