"""Break-glass: one patient, a reason, a fresh sign-in, four hours, a review."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from access.worlds import BY_NAME, POLICIES, World, observation, world

from fhirserver.access.break_glass import LONGEST
from fhirserver.access.grant import Grant, grant_of
from fhirserver.access.strength import TWO_FACTORS
from fhirserver.audit.recorder import Event
from fhirserver.errors import Forbidden, Invalid, NotFound, Unauthenticated
from fhirserver.interactions.dispatch import Gate
from fhirserver.operations.break_glass import FRESH
from fhirserver.operations.table import offered

NURSE = BY_NAME["nurse"]
pytestmark = pytest.mark.check("OPS-4")


class Notes:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def record(self, *events: Event) -> None:
        self.events += events


def challenged(refused: pytest.ExceptionInfo[Unauthenticated]) -> dict[str, str]:
    """The parameters of the challenge (RFC 9470, 3)."""
    challenge = refused.value.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    return dict(re.findall(r'(\w+)="([^"]*)"', challenge))


def fresh(place: World, age: int = 0) -> Grant:
    at = place.clock[0] - age
    return grant_of(replace(NURSE.principal, authenticated_at=at), POLICIES)


async def open_glass(place: World, grant: Grant, patient: str = "cat", **given: Any) -> Any:
    values = {"reason": "unconscious in the emergency room"} | given
    kinds = {str: "valueString", bool: "valueBoolean", int: "valueInteger"}
    parts = [{"name": name, kinds[type(value)]: value} for name, value in values.items()]
    sent = {"resourceType": "Parameters", "parameter": parts}
    return await place.client.ask(
        "POST", f"Patient/{patient}/$break-glass", resource=sent, grant=grant
    )


async def test_a_record_is_open_for_a_while_and_then_closed(tmp_path: Path) -> None:
    async with world(tmp_path / "fhir.db", NURSE, {}) as place:
        notes = Notes()
        place.client.gate = Gate(replace(place.context, recorder=notes), offered(expunges=False))
        grant = fresh(place)
        for url in ("Patient/cat", "Observation/o-cat"):
            with pytest.raises(NotFound):
                await place.client.get(url, grant=grant)
        await open_glass(place, grant)
        for url in ("Patient/cat", "Observation/o-cat"):
            await place.client.get(url, grant=grant)
        found = await place.client.get("Observation?subject=Patient/cat", grant=grant)
        assert len(found["entry"]) == 1
        with pytest.raises(NotFound):  # labels of others' records stay
            await place.client.get("Observation/o-r", grant=grant)
        with pytest.raises(Forbidden):  # it is for reading
            await place.client.ask(
                "PUT", "Observation/o-cat", resource=observation("o-cat", "cat"), grant=grant
            )
        with pytest.raises(NotFound):  # and for the one who asked
            await place.client.get("Patient/cat", grant=BY_NAME["doctor"].grant)
        (event,) = notes.events
        assert (event.kind, event.patient, event.purposes) == ("emergency-started", "cat", ("BTG",))
        review = await place.client.get("Task?subject=Patient/cat")
        assert review["entry"][0]["resource"]["status"] == "requested"
        place.clock[0] += LONGEST - 1
        await place.client.get("Patient/cat", grant=grant)
        place.clock[0] += 1
        with pytest.raises(NotFound):
            await place.client.get("Patient/cat", grant=grant)


@pytest.mark.check("AUD-5")
async def test_it_can_be_shorter_and_ended_and_never_longer(tmp_path: Path) -> None:
    async with world(tmp_path / "fhir.db", NURSE, {}) as place:
        notes = Notes()
        place.client.gate = Gate(replace(place.context, recorder=notes), offered(expunges=False))
        grant = fresh(place)
        await open_glass(place, grant, minutes=10)
        await place.client.get("Patient/cat", grant=grant)
        await open_glass(place, grant, end=True)
        assert [event.kind for event in notes.events] == ["emergency-started", "emergency-stopped"]
        assert {event.patient for event in notes.events} == {"cat"}
        with pytest.raises(NotFound):
            await place.client.get("Patient/cat", grant=grant)
        await open_glass(place, grant, minutes=60 * 24 * 365)
        place.clock[0] += LONGEST
        with pytest.raises(NotFound):
            await place.client.get("Patient/cat", grant=grant)


async def test_what_it_asks_for(tmp_path: Path) -> None:
    async with world(tmp_path / "fhir.db", NURSE, {}) as place:
        for stale in (NURSE.grant, fresh(place, FRESH)):
            with pytest.raises(Unauthenticated) as refused:
                await open_glass(place, stale)
            assert "insufficient_user" in refused.value.headers["WWW-Authenticate"]
        with pytest.raises(Invalid):
            await open_glass(place, fresh(place), reason="why not")
        with pytest.raises(NotFound):
            await open_glass(place, fresh(place), patient="nope")
        for name in ("patient", "support"):
            who = replace(BY_NAME[name].principal, authenticated_at=place.clock[0])
            with pytest.raises(Forbidden):
                await open_glass(place, grant_of(who, POLICIES))
        with pytest.raises(NotFound):
            await place.client.get("Patient/cat", grant=fresh(place))


@pytest.mark.parametrize("client", [None, "chart"])
async def test_it_asks_for_the_second_factor_of_who_has_one(
    tmp_path: Path, client: str | None
) -> None:
    scopes = None if client is None else ("openid", "user/*.rs")
    async with world(tmp_path / "fhir.db", NURSE, {}) as place:
        now = place.clock[0]
        who = replace(
            NURSE.principal,
            client=client,
            scopes=scopes,
            authenticated_at=now,
            has_second_factor=True,
        )
        for methods in ((), ("pwd",), ("fed",)):
            with pytest.raises(Unauthenticated) as refused:
                await open_glass(place, grant_of(replace(who, methods=methods), POLICIES))
            assert challenged(refused) == {
                "error": "insufficient_user_authentication",
                "error_description": "Sign in again first, with your second factor.",
                "max_age": "300",
                "acr_values": TWO_FACTORS,
            }
        stale = replace(who, methods=("pwd", "otp"), authenticated_at=now - FRESH)
        with pytest.raises(Unauthenticated, match="Sign in again"):
            await open_glass(place, grant_of(stale, POLICIES))
        for methods in (("pwd", "otp"), ("hwk",), ("pwd", "kba")):
            strong = grant_of(replace(who, methods=methods), POLICIES)
            await open_glass(place, strong)
            await place.client.get("Patient/cat", grant=strong)
            await open_glass(place, strong, end=True)


async def test_who_has_no_second_factor_needs_none(tmp_path: Path) -> None:
    async with world(tmp_path / "fhir.db", NURSE, {}) as place:
        who = replace(NURSE.principal, methods=("pwd",))
        with pytest.raises(Unauthenticated) as refused:
            await open_glass(place, grant_of(who, POLICIES))
        assert "acr_values" not in challenged(refused)
        await open_glass(place, grant_of(replace(who, authenticated_at=place.clock[0]), POLICIES))


async def test_an_alert_goes_to_whom_the_hospital_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path / "fhir.db", NURSE, {}) as place:
        officers = {
            "resourceType": "Group",
            "id": "privacy",
            "type": "practitioner",
            "actual": True,
        }
        await place.client.ask("PUT", "Group/privacy", resource=officers)
        policy = replace(place.context.policy, privacy_officer="Group/privacy")
        place.client.gate = Gate(replace(place.context, policy=policy), offered(expunges=False))
        await open_glass(place, fresh(place))
        found = await place.client.get("Communication?recipient=Group/privacy")
        (alert,) = [entry["resource"] for entry in found["entry"]]
        review = await place.client.get("Task?subject=Patient/cat")
        assert alert["about"] == [{"reference": f"Task/{review['entry'][0]['resource']['id']}"}]
        assert alert["subject"] == {"reference": "Patient/cat"}
        assert alert["priority"] == "urgent"
        assert alert["category"][0]["coding"][0]["code"] == "alert"
        assert "unconscious" not in str(alert)
    (line,) = [one for one in caplog.records if one.name == "fhirserver.emergencies"]
    assert line.levelname == "WARNING"
    text = line.getMessage()
    assert alert["about"][0]["reference"] in text
    assert not any(secret in text for secret in ("cat", "unconscious", NURSE.principal.subject))


async def test_an_alert_that_cannot_be_kept_closes_no_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path / "fhir.db", NURSE, {}) as place:
        policy = replace(
            place.context.policy, privacy_officer="Group/nobody", integrity_on_write=True
        )
        place.client.gate = Gate(replace(place.context, policy=policy), offered(expunges=False))
        grant = fresh(place)
        await open_glass(place, grant)
        await place.client.get("Patient/cat", grant=grant)
        assert (await place.client.get("Communication?_summary=count"))["total"] == 0
    levels = [one.levelname for one in caplog.records if one.name == "fhirserver.emergencies"]
    assert levels == ["WARNING", "ERROR"]
