"""No name, id, token or password of a request gets into a log or into what a failure tells."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import started

from fhirserver import Settings, create_app
from fhirserver.interactions import dispatch, read, search

NAME = "Zebulonowska"
NUMBER = "078-05-1120"
ID = "canary-patient-4711"
TOKEN = "canarytokenQXlqd2h5"
PASSWORD = "canary-password-horse"
PLANTED = (NAME, NUMBER, ID, TOKEN, PASSWORD)
SECRET = (TOKEN, PASSWORD)
PATIENT = {
    "resourceType": "Patient",
    "id": ID,
    "name": [{"family": NAME}],
    "identifier": [{"system": "http://hl7.org/fhir/sid/us-ssn", "value": NUMBER}],
}
BEARER = {"authorization": f"Bearer {TOKEN}"}
JSON = {"content-type": "application/fhir+json"}


def requests() -> list[tuple[str, str, dict[str, Any]]]:
    """Every place of a request, in requests that succeed, are refused, or fail."""
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [
            {"request": {"method": "GET", "url": f"Patient/{ID}"}},
            {"request": {"method": "GET", "url": f"Patient?name={NAME}"}},
            {"request": {"method": "PUT", "url": f"Patient/{ID}"}, "resource": PATIENT},
        ],
    }
    form = {"username": NAME, "password": PASSWORD, "grant_type": "password"}
    return [
        ("PUT", f"/fhir/Patient/{ID}", {"json": PATIENT, "headers": JSON}),
        ("POST", "/fhir/Patient", {"json": PATIENT, "headers": JSON}),
        ("POST", "/fhir/Patient", {"content": f"{{{NAME} {NUMBER}", "headers": JSON}),
        ("POST", "/fhir/Patient", {"content": f"<Patient>{NAME}", "headers": {}}),
        ("GET", f"/fhir/Patient/{ID}", {"headers": BEARER}),
        ("GET", f"/fhir/Patient/{NUMBER}", {}),
        ("GET", f"/fhir/Patient?name={NAME}&identifier={NUMBER}", {}),
        ("GET", f"/fhir/Patient?{NAME}={NUMBER}", {}),
        ("GET", f"/fhir/Patient?birthdate={NAME}", {}),
        ("GET", f"/fhir/Patient?access_token={TOKEN}", {}),
        ("POST", "/fhir/Patient/_search", {"data": {"name": NAME, "password": PASSWORD}}),
        ("POST", "/fhir", {"json": bundle, "headers": JSON}),
        ("GET", f"/fhir/{NAME}", {}),
        ("GET", f"/{NAME}/{ID}", {"headers": {"x-canary": NUMBER, "cookie": f"session={TOKEN}"}}),
        ("PATCH", f"/fhir/Patient/{ID}", {"content": NAME, "headers": BEARER}),
        ("DELETE", f"/fhir/Patient/{ID}", {"headers": {"if-match": NAME}}),
        ("POST", "/auth/token", {"data": form}),
        ("POST", "/auth/token", {"data": {"refresh_token": TOKEN}, "headers": {**BEARER}}),
        ("GET", f"/auth/authorize?client_id={NAME}&login_hint={ID}&state={TOKEN}", {}),
        ("POST", "/auth/sign-in", {"data": form}),
        ("POST", "/auth/revoke", {"data": {"token": TOKEN}}),
        ("GET", f"/auth/{NAME}", {"headers": BEARER}),
        ("GET", f"/t/{NAME.lower()}/fhir/Patient/{ID}", {"headers": BEARER}),
    ]


@pytest.mark.check("OPS-6")
@pytest.mark.parametrize("fails", [False, True], ids=["answered", "failing"])
@pytest.mark.parametrize("auth", ["none", "smart"])
async def test_nothing_planted_is_in_a_log_or_a_failure(
    tmp_path: Path,
    auth: Any,
    fails: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    if fails:
        _fail(monkeypatch)
    app = create_app(Settings(data=tmp_path, auth=auth, log_requests=True, audit="on"))
    failed = 0
    async with started(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            caplog.clear()  # the client writes a line for each request: it is not the server
            for method, path, more in requests():
                answer = await client.request(method, path, **more)
                told = answer.text + str(answer.headers)
                _none_of(SECRET, told.replace(f"state={TOKEN}", ""), path)
                if answer.status_code >= 500 or answer.status_code in (401, 403):
                    _none_of(PLANTED, told, path)
                failed += answer.status_code >= 500
    assert bool(failed) is (fails and auth == "none")
    lines = [
        (record.name, record.getMessage() + str(record.args) + str(record.exc_text))
        for record in caplog.records
        if not record.name.startswith(("httpx", "httpcore"))
    ]
    assert any(name.startswith("fhirserver") for name, _ in lines)
    for name, line in lines:
        _none_of(PLANTED, line, name)


def _none_of(planted: tuple[str, ...], text: str, place: str) -> None:
    found = [item for item in planted if item.lower() in text.lower()]
    assert found == [], place


def _fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads and searches break in the middle, with the record in the text of the failure."""

    async def broken(context: Any, request: Any) -> Any:
        raise RuntimeError(f"cannot do {request} with {PATIENT}")

    rows = dict(dispatch.INTERACTIONS)
    for code in ("read", "search-type"):
        row = rows[code]
        monkeypatch.setitem(
            dispatch.INTERACTIONS, code, type(row)(row.code, row.level, row.scope, broken)
        )
    assert read.run is not broken
    assert search.run is not broken
