"""What consents decided, what an emergency opened and what apps got is on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from access.test_break_glass import fresh, open_glass
from access.worlds import BY_NAME, POLICIES, World, observation, world
from audit.balp import PROFILES, problems

from fhirserver.access.grant import Grant, grant_of
from fhirserver.app.audit import trail_of
from fhirserver.audit.accounting import accesses
from fhirserver.audit.patients import Patients
from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError, Forbidden, NotFound
from fhirserver.interactions.accesses import Accesses
from fhirserver.interactions.dispatch import Gate
from fhirserver.model.json import Resource, decode
from fhirserver.operations.table import offered
from fhirserver.settings import Settings

DOCTOR = BY_NAME["doctor"]
CONSENT = "AuthZ-Consent"
TERMS: Resource = {
    "resourceType": "Consent",
    "id": "ann-terms",
    "status": "active",
    "scope": {"coding": [{"code": "patient-privacy"}]},
    "category": [{"coding": [{"code": "59284-0"}]}],
    "patient": {"reference": "Patient/ann"},
    "policyRule": {"coding": [{"code": "OPTIN"}]},
    "provision": {
        "provision": [
            {"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "2"}]}]}
        ]
    },
}


class Recorded:
    """A world whose gate writes a trail."""

    def __init__(self, place: World, trail: Any, store: Any) -> None:
        self.place = place
        self._trail = trail
        self._store = store
        self._known: set[str] = set()

    async def ask(self, method: str, url: str, grant: Grant, **more: Any) -> list[Resource]:
        """What a request recorded, whatever came of it."""
        await self.news()
        with suppress(FhirError):
            await self.place.client.ask(method, url, grant=grant, **more)
        return await self.news()

    async def news(self) -> list[Resource]:
        await self._trail.settle()
        found = [decode(item.body or b"") async for item in self._store.scan("AuditEvent")]
        new = sorted(
            (item for item in found if item["id"] not in self._known), key=lambda item: item["id"]
        )
        self._known |= {item["id"] for item in new}
        return [item for item in new if item["type"]["code"] != "110100"]


@asynccontextmanager
async def recorded(tmp_path: Path, *resources: Resource) -> AsyncIterator[Recorded]:
    async with world(tmp_path / "fhir.db", DOCTOR, {}) as place:
        for resource in resources:
            await place.client.put(resource)
        store: Any = place.context.store
        trail = trail_of(Settings(auth="none", data=tmp_path, audit="on"), store)
        patients = Patients(packaged(), place.context.indexer)
        context = replace(place.context, recorder=trail)
        told = Accesses(trail, patients, place.context.now)
        place.client.gate = Gate(context, offered(expunges=False), accesses=told)
        try:
            yield Recorded(place, trail, store)
        finally:
            await trail.close()


def decisions(events: list[Resource]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Patient, outcome and consents of the decisions among events, each as BALP has it."""
    found = []
    for event in events:
        if event["subtype"][0]["code"] != CONSENT:
            continue
        assert problems(event, PROFILES["AuthZconsent"]) == []
        names = [item["what"].get("reference", "") for item in event["entity"]]
        (patient,) = [name for name in names if name.startswith("Patient/")]
        consents = tuple(name for name in names if name.startswith("Consent/"))
        found.append((patient, event["outcome"], consents))
    return found


CAT_OUT = ("Patient/cat", "8", ("Consent/cat-out",))
ANN_IN = ("Patient/ann", "0", ("Consent/ann-terms",))


@pytest.mark.check("AUD-4")
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("Observation/o-cat", [CAT_OUT]),
        ("Patient/cat", [CAT_OUT]),
        ("Patient/cat/$everything", [CAT_OUT]),
        ("Observation/o-cat/_history", [CAT_OUT]),
        ("Observation?subject=Patient/cat", [CAT_OUT]),
        ("Patient/cat/Observation", [CAT_OUT]),
        ("Observation/nothing", []),
        ("Observation?subject=Patient/nobody", []),
        ("Observation/o-bob", []),
        ("Observation?code=http://loinc.org|3", []),
        ("Observation/o-ann", [ANN_IN]),
        ("Observation/o-ann2", [("Patient/ann", "8", ("Consent/ann-terms",))]),
        ("Observation?code=http://loinc.org|1", [ANN_IN]),
        ("Observation?subject=Patient/ann", [ANN_IN]),
        ("Observation/o-v", []),  # withheld by its label, whatever the consent says
        ("Organization/org", []),
    ],
)
async def test_what_consents_decided(tmp_path: Path, url: str, expected: list[Any]) -> None:
    async with recorded(tmp_path, TERMS) as place:
        events = await place.ask("GET", url, DOCTOR.grant)
        assert decisions(events) == expected
        assert len(events) > len(expected)  # the access itself is recorded as well


@pytest.mark.check("AUD-4")
async def test_a_write_that_a_consent_withholds(tmp_path: Path) -> None:
    async with recorded(tmp_path, TERMS) as place:
        body = observation("o-cat", "cat", "3")
        assert decisions(
            await place.ask("PUT", "Observation/o-cat", DOCTOR.grant, resource=body)
        ) == [CAT_OUT]
        del body["id"]
        assert decisions(await place.ask("POST", "Observation", DOCTOR.grant, resource=body)) == [
            CAT_OUT
        ]
        fine = observation("", "ann", "3")
        del fine["id"]
        assert decisions(await place.ask("POST", "Observation", DOCTOR.grant, resource=fine)) == [
            ANN_IN
        ]


async def test_who_is_not_held_to_consents_makes_no_decisions(tmp_path: Path) -> None:
    async with recorded(tmp_path, TERMS) as place:
        grant = BY_NAME["patient"].grant
        assert decisions(await place.ask("GET", "Observation/o-ann2", grant)) == []


def purposes(event: Resource) -> tuple[str, str]:
    """The purpose of the event, and that of its user."""
    of_event = event.get("purposeOfEvent", [{}])[0].get("coding", [{}])[0].get("code", "")
    of_user = event["agent"][-1].get("purposeOfUse", [{}])[0].get("coding", [{}])[0].get("code", "")
    return of_event, of_user


@pytest.mark.check("OPS-4")
async def test_accesses_that_an_emergency_made_possible_are_flagged(tmp_path: Path) -> None:
    async with recorded(tmp_path) as place:
        grant = fresh(place.place)
        for url in ("Observation/o-bob", "Patient/bob"):
            (event,) = await place.ask("GET", url, grant)
            assert purposes(event) == ("", "")
        for patient in ("bob", "cat"):
            await open_glass(place.place, grant, patient=patient)
        for url in (
            "Patient/cat",
            "Observation/o-cat",
            "Observation/o-cat/_history/1",
            "Observation/o-cat/_history",
            "Observation?subject=Patient/cat",
            "Observation?subject=Patient/cat&_summary=count",
            "Patient/cat/$everything",
            "Observation/o-bv",  # withheld by its label
        ):
            events = await place.ask("GET", url, grant)
            assert [purposes(item) for item in events] == [("BTG", "BTG")] * len(events), url
            assert all(item["subtype"][-1]["code"] == "emergency-access" for item in events)
        for url in ("Observation/o-bob", "Observation?code=http://loinc.org|3", "Organization/org"):
            for event in await place.ask("GET", url, grant):  # would be seen anyway
                assert purposes(event) == ("", ""), url
        both = await place.ask("GET", "Patient?_id=cat,bob,ann", grant)
        flagged = {item["entity"][-2]["what"]["reference"] for item in both if purposes(item)[0]}
        assert flagged == {"Patient/cat"}
        await open_glass(place.place, grant, patient="cat", end=True)
        (event,) = [
            item
            for item in await place.ask("GET", "Observation/o-cat", grant)
            if item["type"]["code"] == "rest"
        ]
        assert purposes(event) == ("", "")


@pytest.mark.check("OPS-4")
async def test_they_are_searched_and_listed(tmp_path: Path) -> None:
    async with recorded(tmp_path) as place:
        grant = fresh(place.place)
        await open_glass(place.place, grant)
        await place.ask("GET", "Observation/o-cat", grant)
        found = await place.place.client.get("AuditEvent?subtype=emergency-access&patient=cat")
        (entry,) = found["entry"]
        assert purposes(entry["resource"]) == ("BTG", "BTG")
        rows = [row async for row in accesses(place.place.context.store, patient="cat")]
        assert [row.purpose for row in rows if row.action == "read, emergency-access"] == ["BTG"]


def app(patient: str | None = None, **more: Any) -> Grant:
    who = replace(
        DOCTOR.principal,
        client="chart",
        authorization="grant-1",
        scopes=("user/*.cruds",),
        **more,
    )
    return grant_of(who, POLICIES)


@pytest.mark.check("AUD-4")
async def test_the_first_data_of_a_patient_that_an_app_gets_is_a_disclosure(tmp_path: Path) -> None:
    async with recorded(tmp_path) as place:
        for url, count in (
            ("Observation/o-ann", 1),
            ("Observation/o-ann2", 0),
            ("Observation?subject=Patient/bob", 1),
            ("Patient/bob", 0),
            ("Patient/nobody", 0),
            ("Observation?subject=Patient/nobody", 0),
        ):
            events = await place.ask("GET", url, app())
            told = [item for item in events if item["subtype"][0]["code"] == "disclose"]
            assert len(told) == count, url
            for event in told:
                assert problems(event, PROFILES["PrivacyDisclosure.Source"]) == []
        again = replace(app(), principal=replace(app().principal, authorization="grant-2"))  # type: ignore[type-var]
        events = await place.ask("GET", "Observation/o-ann", again)
        assert [item["subtype"][0]["code"] for item in events] == ["read", "disclose"]
        for event in await place.ask("GET", "Observation/o-ann", DOCTOR.grant):
            assert event["subtype"][0]["code"] != "disclose"


async def test_a_binary_is_of_the_record_of_what_it_belongs_to(tmp_path: Path) -> None:
    async with recorded(tmp_path) as place:
        (event,) = await place.ask("GET", "Binary/b-bob", DOCTOR.grant)
        whose = [item["what"].get("reference") for item in event["entity"]]
        assert whose == ["Binary/b-bob", "Patient/bob"]


async def test_nothing_of_it_is_told(tmp_path: Path) -> None:
    async with recorded(tmp_path) as place:
        texts = set()
        for id in ("o-cat", "o-not-there"):
            with pytest.raises(NotFound) as refused:
                await place.place.client.get(f"Observation/{id}", grant=DOCTOR.grant)
            texts.add(str(refused.value).replace(id, "?"))
        assert len(texts) == 1
        with pytest.raises(Forbidden):
            await place.place.client.get("AuditEvent", grant=DOCTOR.grant)
