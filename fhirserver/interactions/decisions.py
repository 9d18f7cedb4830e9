"""What is recorded beside an access: decisions by consents, emergencies, disclosures.

Told by the reasons of the guarded store (`access.guard.reasons`), which no answer sees. A search
that names no patient is no decision about each patient whose resources it passes over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from fhirserver.access.break_glass import PURPOSE
from fhirserver.access.guard.reasons import Decision, Reasons
from fhirserver.audit.agents import Caller
from fhirserver.audit.decision import ConsentDecision, Disclosure
from fhirserver.audit.event import Access
from fhirserver.audit.patients import PATIENT, Patients
from fhirserver.errors import FhirError
from fhirserver.interactions.request import Request
from fhirserver.model.json import encode
from fhirserver.store.port import Version

_LETTERS: Final = {
    "create": "c",
    "update": "u",
    "conditional-update": "u",
    "patch": "u",
    "conditional-patch": "u",
    "delete": "d",
    "conditional-delete": "d",
    "read": "r",
    "vread": "r",
    "history-instance": "r",
}
_TREATMENT: Final = ("TREAT",)
_SEARCH: Final = "s"
_GIVING: Final = frozenset({"R", "E"})
_HIDING: Final = frozenset({403, 404, 405, 410})
_REMEMBERED: Final = 50_000
_NOBODY: Final[frozenset[str]] = frozenset()


class Disclosures:
    """Which authorizations are known to have disclosed whose data, as far as this process knows."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def knows(self, caller: Caller, patients: Sequence[str]) -> bool:
        """Whether none of the patients is disclosed to the caller's app for the first time."""
        for patient in patients:  # asked with every read: `all` takes three times as long
            key = _key(caller, patient)
            if key is not None and key not in self._known:
                return False
        return True

    def of(self, accesses: Iterable[Access]) -> list[Disclosure]:
        """The disclosures that accesses are, by authorizations that did not disclose it yet."""
        found: dict[tuple[str, str], Disclosure] = {}
        for access in accesses:
            key = _key(access.caller, access.patient)
            if key is None or key in self._known or key in found or access.action not in _GIVING:
                continue
            assert access.patient is not None
            classes = access.classes
            if not classes and access.data is not None:
                classes = ((access.data[0], 1),)
            if classes:
                found[key] = Disclosure(access.caller, access.patient, classes, access.request_id)
        return list(found.values())

    def keep(self, disclosures: Iterable[Disclosure]) -> None:
        """What is on record now."""
        for item in disclosures:
            key = _key(item.caller, item.patient)
            if key is not None:
                self._known[key] = None
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _key(caller: Caller, patient: str | None) -> tuple[str, str] | None:
    principal = caller.principal
    if principal is None or patient is None or not principal.client:
        return None
    return (principal.authorization or principal.client, patient)


async def emergencies(
    request: Request,
    reasons: Reasons | None,
    patients: Patients,
    versions: Iterable[Version],
    named: Iterable[str] = (),
) -> frozenset[str]:
    """The patients of whom something was shown because of an emergency only.

    Also those who were named and opened, and of whom no resource was shown: that there is none,
    or how many there are, was told.
    """
    if reasons is None or not reasons.opened:
        return _NOBODY
    letter = letter_of(request)
    found: set[str] = set()
    shown: set[str] = set()
    for version in versions:
        about = reasons.opened.intersection(patients.of(version, request.base))
        shown |= about
        if not about <= found and await reasons.is_by_emergency(version, letter):
            found |= about
    return frozenset(found | (reasons.opened.intersection(named) - shown))


def flag(accesses: Sequence[Access], opened: frozenset[str]) -> None:
    """Gives the accesses to the records of these patients the purpose of an emergency."""
    for access in accesses:
        if access.patient in opened:
            access.caller = access.caller._replace(purposes=(PURPOSE,))


def decided(
    request: Request, reasons: Reasons | None, accesses: Sequence[Access], opened: frozenset[str]
) -> list[ConsentDecision]:
    """The decisions about the patients of accesses; none where an emergency went before them."""
    if reasons is None or not reasons.decides:
        return []
    whose = {access.patient: access for access in accesses if access.patient is not None}
    named = [id for id, item in whose.items() if item.data is None and not item.classes]
    shown = [id for id in whose if id not in opened and id not in named]
    found = reasons.of_shown(shown)
    found += reasons.of_named(
        (id for id in named if id not in opened), request.type or PATIENT, letter_of(request)
    )
    return _told(request, found)


async def withheld(
    request: Request, reasons: Reasons | None, patients: Patients, error: FhirError | None
) -> list[ConsentDecision]:
    """The decisions that made a request fail, as far as it was about one resource."""
    if reasons is None or not reasons.decides or error is None or error.status not in _HIDING:
        return []
    letter = letter_of(request)
    found: dict[str, Decision] = {}
    for version in await _asked(request, reasons):
        whose = patients.of_body(version, request.base)
        for item in await reasons.of_withheld(version, whose, letter):
            found[item.patient] = item
    return _told(request, list(found.values()))


async def _asked(request: Request, reasons: Reasons) -> list[Version]:
    """What is stored under the id of the request, and what it would write."""
    found = []
    if request.type is not None and request.id is not None:
        stored = await reasons.stored(request.type, request.id)
        if stored is not None:
            found.append(stored)
    if request.resource is not None and request.interaction in _LETTERS and request.type:
        id = str(request.resource.get("id", ""))
        found.append(Version(request.type, id, 0, 0, "PUT", encode(request.resource)))
    return found


def letter_of(request: Request) -> str:
    """The letter of cruds by which an interaction sees what it sees."""
    return _LETTERS.get(request.interaction, _SEARCH)


def _told(request: Request, decisions: Iterable[Decision]) -> list[ConsentDecision]:
    origin = request.origin
    caller = Caller(request.grant.principal, origin.address, origin.server, None, _TREATMENT)
    if caller.principal is None:
        return []
    return [
        ConsentDecision(
            caller,
            item.patient,
            item.consents,
            item.says,
            origin.request_id,
            item.organization,
        )
        for item in decisions
    ]
