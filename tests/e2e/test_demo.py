"""`fhirserver demo` as a user starts it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
from e2e.server import FHIR_JSON, serving
from launching import Browser, asked, redeemed

_SIGN_IN = re.compile(r"^  (admin|doctor|nurse|patient|support) +(\S+)", re.MULTILINE)


def test_an_open_demo_lists_what_it_holds(tmp_path: Path) -> None:
    options = ("--auth", "none")
    with serving(tmp_path / "unused", *options, command="demo", TMPDIR=str(tmp_path)) as server:
        assert server.count("Patient") == 50
        page = httpx2.get(server.root).text
        total = re.search(r"([\d,]+) resources of (\d+) types", page)
        assert total
        assert int(total[1].replace(",", "")) == server.count("") > 4000
        assert int(total[2]) >= 28
        for kind in ("Patient", "Observation", "Appointment", "Invoice"):
            assert f">{kind}</a>" in page
        assert list(tmp_path.glob("fhirserver-demo-*"))
    assert server.process.returncode is not None
    assert not list(tmp_path.glob("fhirserver-demo-*"))


async def test_a_demo_lets_an_app_at_a_record_by_the_patients_leave(tmp_path: Path) -> None:
    with serving(tmp_path / "unused", "--patients", "3", command="demo") as server:
        passwords = dict(_SIGN_IN.findall(server.told))
        assert set(passwords) == {"admin", "doctor", "nurse", "patient", "support"}
        assert "sample-app/" in httpx2.get(server.root).text
        async with httpx2.AsyncClient(base_url=server.root) as http:
            assert (await http.get("/fhir/Patient")).status_code == 401
            wanted = asked(
                client_id="sample-app",
                redirect_uri=f"{server.root}/sample-app/",
                aud=f"{server.root}/fhir",
                scope="launch/patient patient/Patient.rs",
            )
            browser = Browser(http, server.root)
            page = await browser.get("/auth/authorize", **wanted)
            form = {"name": "patient", "password": passwords["patient"]}
            onward = await browser.send(page, fill=form)
            place = re.search(r'<a href="([^"]+)">Go on', onward.text)
            assert place
            consent = await http.get(place[1])
            back = await browser.send(consent, ("answer", "allow"), follow=False)
            answer = dict(parse_qsl(urlsplit(back.headers["location"]).query))
            tokens = await redeemed(
                browser,
                answer["code"],
                client_id="sample-app",
                redirect_uri=f"{server.root}/sample-app/",
            )
            bearer = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
            own = await http.get("/fhir/Patient/patient-1", headers=bearer)
            other = await http.get("/fhir/Patient/patient-2", headers=bearer)
    assert (own.status_code, other.status_code) == (200, 404)


def test_a_demo_in_a_folder_keeps_what_was_changed(tmp_path: Path) -> None:
    options = ("--data", str(tmp_path / "data"), "--patients", "3", "--auth", "none")
    with serving(tmp_path / "data", *options, command="demo") as server:
        patient = httpx2.get(f"{server.base}/Patient/patient-2").json()
        patient["active"] = False
        changed = httpx2.put(f"{server.base}/Patient/patient-2", json=patient, headers=FHIR_JSON)
        assert changed.status_code == 200
    with serving(tmp_path / "data", *options, "--seed", "9", command="demo") as server:
        assert server.count("Patient") == 3
        assert httpx2.get(f"{server.base}/Patient/patient-2").json()["active"] is False
