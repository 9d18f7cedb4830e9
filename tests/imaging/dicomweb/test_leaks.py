"""What tokens get: of studies that their bearer may not see, not even that they are there.

The real application, with authorization, the projection to ImagingStudy and the audit trail.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from imaging.dicomweb.house import DICOM, address, instance, opened, parts
from launching import Browser, Place, answer_of, asked, body, hospital, redeemed
from rest.exchange import call

from fhirserver.access.grant import SERVER, Grant
from fhirserver.app.ids import now
from fhirserver.imaging.dicomweb.application import DicomWeb
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.rest.application import Edge
from fhirserver.rest.base_url import BaseUrl

MULTI = "multipart/related; type=application/dicom; transfer-syntax=*"
PATIENT = "launch/patient openid fhirUser patient/Patient.rs patient/ImagingStudy.rs"
USER = "openid fhirUser user/ImagingStudy.rs"
VIEWS = ("", "/metadata", "/rendered", "/thumbnail", "/frames/1", "/bulkdata/7FE00010")
OWN, OTHER, UNKNOWN = "1.2.1", "1.2.2", "1.2.9"


@dataclass
class Ward:
    """A hospital with a study of Ann (a) and one of Bob (b), of an instance each."""

    place: Place
    own: bytes
    other: bytes

    @property
    def unknown(self) -> str:
        """The address of an instance that there is not."""
        return address(self.other).replace(OTHER, UNKNOWN)


@asynccontextmanager
async def ward(folder: Path, processes: Processes) -> AsyncIterator[Ward]:
    async with hospital(folder) as place:
        await place.client()
        own, other = instance(StudyInstanceUID=OWN), instance(StudyInstanceUID=OTHER)
        await _stored(place, processes, own, other)
        await _belongs(place, OWN, "Patient/a")
        await _belongs(place, OTHER, "Patient/b")
        yield Ward(place, own, other)


async def _stored(place: Place, processes: Processes, *instances: bytes) -> None:
    running = place.app._running

    async def authenticate(headers: Any, method: str, url: str) -> Grant:
        return SERVER

    edge = Edge(BaseUrl("/fhir"))
    blobs = running.imaging.blobs
    web = DicomWeb(running.dispatch, blobs, edge, "", processes, now, authenticate)
    headers, sent = parts(*instances)
    assert (await call(web, "POST", "/dicom-web/studies", headers, sent)).status == 200


async def _belongs(place: Place, uid: str, subject: str) -> None:
    """The study is that of a patient, as if its Patient had been merged."""
    archive = place.app._running.imaging.archive
    async with asyncio.timeout(30):
        while (await archive.study(uid)).imaging_study is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    study = await archive.study(uid)
    await place.put(
        {
            "resourceType": "ImagingStudy",
            "id": study.imaging_study,
            "status": "available",
            "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}],
            "subject": {"reference": subject},
        }
    )
    await archive.projected(uid, study.revision, study.imaging_study, subject)


async def token(browser: Browser, scope: str) -> dict[str, str]:
    page = await browser.get("/auth/authorize", **asked(scope=scope))
    back = await browser.send(page, ("answer", "allow"))
    tokens = body(await redeemed(browser, answer_of(back)["code"]))
    return {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest.fixture
async def place(processes: Processes, tmp_path: Path) -> AsyncIterator[Ward]:
    async with ward(tmp_path, processes) as made:
        yield made


def same(left: Any, right: Any) -> None:
    """Two answers that nothing tells apart."""

    def told(answer: Any) -> Any:
        headers = {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "date")}
        return answer.status_code, headers, answer.content

    assert told(left) == told(right)


@pytest.mark.check("FHA-1")
@pytest.mark.check("FHA-5")
async def test_a_patient_sees_own_studies_only(place: Ward) -> None:
    async with place.place.browser("ann") as browser:
        bearer = await token(browser, PATIENT)
        http = browser.http
        for path in ("studies", "series", "instances", "instances?includefield=all"):
            found = (await http.get(f"/dicom-web/{path}", headers=bearer)).json()
            assert [match["0020000D"]["Value"] for match in found] == [[OWN]], path
        for path in (f"studies/{OTHER}/series", f"instances?StudyInstanceUID={OTHER}"):
            hidden = await http.get(f"/dicom-web/{path}", headers=bearer)
            same(
                hidden, await http.get(f"/dicom-web/{path.replace(OTHER, UNKNOWN)}", headers=bearer)
            )
            assert hidden.json() == []
        for view in VIEWS:
            own = await http.get(f"/dicom-web{address(place.own)}{view}", headers=bearer)
            assert own.status_code == 200, (view, own.text)
            hidden = await http.get(f"/dicom-web{address(place.other)}{view}", headers=bearer)
            assert hidden.status_code == 404
            same(hidden, await http.get(f"/dicom-web{place.unknown}{view}", headers=bearer))
        multi = bearer | {"Accept": MULTI}
        for study, status in ((OWN, 200), (OTHER, 404), (UNKNOWN, 404)):
            answer = await http.get(f"/dicom-web/studies/{study}", headers=multi)
            assert answer.status_code == status
        uids = opened(place.other)
        uri = (
            f"/dicom-web/wado?requestType=WADO&studyUID={OTHER}&contentType=application/dicom"
            f"&seriesUID={uids.SeriesInstanceUID}&objectUID={uids.SOPInstanceUID}"
        )
        hidden = await http.get(uri, headers=bearer)
        same(hidden, await http.get(uri.replace(OTHER, UNKNOWN), headers=bearer))


@pytest.mark.slow
async def test_reading_is_not_writing(place: Ward) -> None:
    async with place.place.browser("ann") as browser:
        bearer = await token(browser, PATIENT)
        path = f"/dicom-web{address(place.own)}"
        assert (await browser.http.delete(path, headers=bearer)).status_code == 403
        headers, sent = parts(instance())
        answer = await browser.http.post(
            "/dicom-web/studies", headers=headers | bearer, content=sent
        )
        assert answer.status_code == 403
        assert "insufficient_scope" in answer.headers["www-authenticate"]
        assert (await browser.http.get(path, headers=bearer | {"Accept": DICOM})).status_code == 200


@pytest.mark.slow
async def test_without_a_token_or_with_one_for_something_else(place: Ward) -> None:
    async with place.place.browser("ann") as browser:
        for path in ("/studies", address(place.own), "/studies/1.2.3"):
            answer = await browser.http.get(f"/dicom-web{path}")
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
        wrong = await token(browser, "launch/patient openid fhirUser patient/Patient.rs")
        for path in ("/studies", address(place.own), place.unknown):
            assert (await browser.http.get(f"/dicom-web{path}", headers=wrong)).status_code == 403


async def test_a_doctor_sees_all_but_what_consent_closes(place: Ward) -> None:
    async with place.place.browser("doctor") as browser:
        bearer = await token(browser, USER)
        http = browser.http

        async def studies() -> list[str]:
            found = (await http.get("/dicom-web/studies", headers=bearer)).json()
            return sorted(match["0020000D"]["Value"][0] for match in found)

        assert await studies() == [OWN, OTHER]
        await place.place.put(
            {
                "resourceType": "Consent",
                "id": "out",
                "status": "active",
                "scope": {"coding": [{"code": "patient-privacy"}]},
                "category": [{"coding": [{"code": "59284-0"}]}],
                "patient": {"reference": "Patient/b"},
                "policyRule": {"coding": [{"code": "OPTOUT"}]},
            }
        )
        assert await studies() == [OWN]
        for view in VIEWS:
            hidden = await http.get(f"/dicom-web{address(place.other)}{view}", headers=bearer)
            assert hidden.status_code == 404
            same(hidden, await http.get(f"/dicom-web{place.unknown}{view}", headers=bearer))


@pytest.mark.slow
async def test_what_is_seen_is_in_the_trail(place: Ward) -> None:
    async with place.place.browser("ann") as browser:
        bearer = await token(browser, PATIENT)
        await browser.http.get(f"/dicom-web{address(place.own)}/frames/1", headers=bearer)
        await browser.http.get(f"/dicom-web{address(place.other)}/frames/1", headers=bearer)
    running = place.place.app._running
    from fhirserver.interactions.request import Request

    ask = Request(
        "search-type",
        "http://localhost/fhir",
        "AuditEvent",
        parameters=(("patient", "Patient/a"), ("_count", "50")),
        grant=SERVER,
    )
    found = body_of(await running.dispatch(ask))
    assert any(
        entity.get("what", {}).get("identifier", {}).get("value") == f"urn:oid:{OWN}"
        for entry in found["entry"]
        for entity in entry["resource"]["entity"]
    )


def body_of(answer: Any) -> Any:
    from fhirserver.model.json import decode

    return decode(answer.body)
