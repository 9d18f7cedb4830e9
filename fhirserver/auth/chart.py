"""The records as a signed-in user may see them, for choosing whose record an app is to work with.

Everything is asked at the gate under the user's own grant; nobody finds a patient here that they
could not find elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from fhirserver.access.authority import Authority
from fhirserver.access.grant import SERVER, Grant
from fhirserver.access.policy import Policies
from fhirserver.access.principal import Principal
from fhirserver.errors import FhirError, Forbidden, NotFound
from fhirserver.identity.session import SignedIn
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import decode

Dispatch = Callable[[Request], Awaitable[Answer]]

FOUND: Final = 20
"""The most patients or encounters that are listed."""


@dataclass(frozen=True, slots=True)
class Patient:
    """What tells one patient from another on a page."""

    id: str
    name: str
    born: str = ""
    gender: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class Encounter:
    """What tells one visit from another on a page."""

    id: str
    words: str
    start: str = ""
    status: str = ""


class Chart:
    """What one user sees. `own` are the ids of the user's own record, and of those that the
    user looks after; empty for staff, who search."""

    def __init__(self, dispatch: Dispatch, base: str, grant: Grant, own: tuple[str, ...]) -> None:
        self._dispatch = dispatch
        self._base = base
        self.grant = grant
        self.own = own

    @property
    def is_staff(self) -> bool:
        """Whether patients are searched for."""
        return not self.own

    async def patient(self, id: str) -> Patient | None:
        """The patient of an id; None where there is none that the user may see."""
        found = await self._read("Patient", id)
        return None if found is None else _patient(found)

    async def encounter(self, id: str, patient: str | None) -> Encounter | None:
        """The encounter of an id, which is that patient's where one is given; else None."""
        found = await self._read("Encounter", id)
        if found is None:
            return None
        subject = found.get("subject", {}).get("reference", "")
        if patient is not None and subject.rpartition("/")[2] != patient:
            return None
        return _encounter(found)

    async def patients(self, name: str, born: str) -> list[Patient]:
        """Patients of a name and birth date (`1970-01-31`), either of which can be empty."""
        asked = [("name", name.strip()), ("birthdate", born.strip())]
        parameters = [(key, _escaped(value)) for key, value in asked if value]
        if not parameters:
            return []
        return [_patient(item) for item in await self._search("Patient", parameters)]

    async def encounters(self, patient: str) -> list[Encounter]:
        """The latest encounters of a patient."""
        parameters = [("patient", f"Patient/{patient}"), ("_sort", "-date")]
        return [_encounter(item) for item in await self._search("Encounter", parameters)]

    async def _read(self, type: str, id: str) -> dict[str, Any] | None:
        try:
            answer = await self._dispatch(Request("read", self._base, type, id, grant=self.grant))
        except (NotFound, Forbidden):
            return None
        return _json(answer)

    async def _search(self, type: str, parameters: list[tuple[str, str]]) -> list[dict[str, Any]]:
        asked = (*parameters, ("_count", str(FOUND)))
        try:
            answer = await self._dispatch(
                Request("search-type", self._base, type, parameters=asked, grant=self.grant)
            )
        except Forbidden:
            return []
        entries = _json(answer).get("entry", ())
        return [
            entry["resource"]
            for entry in entries
            if entry.get("resource", {}).get("resourceType") == type
        ]


class Charts:
    """Opens the records for users of one tenant."""

    def __init__(self, dispatch: Dispatch, tenant: str, authority: Authority) -> None:
        self._dispatch = dispatch
        self._tenant = tenant
        self._authority = authority

    @property
    def policies(self) -> Policies:
        """Those in force."""
        return self._authority.policies

    async def of(self, signed_in: SignedIn, base: str) -> Chart:
        """The chart of a user. Raises `Forbidden` where the account gives no access at all."""
        principal = self.principal(signed_in)
        kind, _, id = (principal.fhir_user or "").partition("/")
        own: tuple[str, ...] = ()
        if kind == "Patient":
            own = (id,)
        elif kind == "RelatedPerson":
            own = (await self._cared_for(id, base),)
            principal = replace(principal, patient=own[0])
        return Chart(self._dispatch, base, self._authority.grant_of(principal), own)

    def principal(self, signed_in: SignedIn) -> Principal:
        """The user, without an app."""
        account = signed_in.account
        return Principal(
            subject=account.id,
            tenant=self._tenant,
            roles=account.roles,
            fhir_user=account.fhir_user,
            name=account.called,
            authenticated_at=signed_in.session.authenticated_at,
            methods=signed_in.session.methods,
            has_second_factor=account.has_second_factor,
        )

    async def _cared_for(self, id: str, base: str) -> str:
        """Whose record a related person looks after. Raises `Forbidden` for nobody's.

        Read by the server itself: the grant of that person begins with it.
        """
        none = Forbidden("This account looks after nobody's record.")
        try:
            answer = await self._dispatch(Request("read", base, "RelatedPerson", id, grant=SERVER))
        except FhirError:
            raise none from None
        person = _json(answer)
        type, _, patient = person.get("patient", {}).get("reference", "").partition("/")
        if type != "Patient" or not patient or person.get("active") is False:
            raise none
        return str(patient)


def _json(answer: Answer) -> dict[str, Any]:
    found = decode(answer.body or b"{}")
    assert isinstance(found, dict)
    return found


def _escaped(value: str) -> str:
    return "".join(f"\\{mark}" if mark in "\\,$|" else mark for mark in value)


def _patient(resource: dict[str, Any]) -> Patient:
    numbers = [item.get("value", "") for item in resource.get("identifier", ())]
    return Patient(
        id=resource["id"],
        name=_name(resource) or "Patient without a name",
        born=str(resource.get("birthDate", "")),
        gender=str(resource.get("gender", "")),
        number=str(numbers[0]) if numbers else "",
    )


def _name(resource: dict[str, Any]) -> str:
    names = resource.get("name", ())
    first = next((item for item in names if item.get("use") == "official"), None)
    found = first or (names[0] if names else {})
    if "text" in found:
        return str(found["text"])
    given = [item for item in found.get("given", ()) if item]
    return " ".join((*given, found.get("family") or "")).strip()


def _encounter(resource: dict[str, Any]) -> Encounter:
    kinds = resource.get("type", ())
    words = _words(kinds[0]) if kinds else ""
    coding = resource.get("class", {})
    return Encounter(
        id=resource["id"],
        words=words or str(coding.get("display") or coding.get("code") or "Visit"),
        start=str(resource.get("period", {}).get("start", ""))[:16].replace("T", " "),
        status=str(resource.get("status", "")),
    )


def _words(concept: dict[str, Any]) -> str:
    coded = next((item.get("display") for item in concept.get("coding", ())), None)
    return str(concept.get("text") or coded or "")
