"""Bundles that cannot be carried out, and references in a ring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from e2e.hostile import GOOD, post, refused
from e2e.server import FHIR_JSON, Server, serving


def bundle(*entries: Any, type: str = "transaction") -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": type, "entry": entries}).encode()


def entry(method: str, url: str, resource: Any = None, full: str = "", **request: str) -> Any:
    out: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        out["resource"] = resource
    if full:
        out["fullUrl"] = full
    return out


PATIENT = {"resourceType": "Patient", "active": True}
CREATE = entry("POST", "Patient", PATIENT)
BAD_TRANSACTIONS = {
    "no entry for the request": bundle({"resource": PATIENT}),
    "an entry that is no object": bundle(CREATE, "entry"),
    "entries that are no list": b'{"resourceType":"Bundle","type":"transaction","entry":{}}',
    "no type": b'{"resourceType":"Bundle","entry":[]}',
    "an unknown type": bundle(CREATE, type="transactional"),
    "a collection": bundle({"resource": PATIENT}, type="collection"),
    "an unknown method": bundle(CREATE, entry("BREW", "Patient/1")),
    "an unknown type of resource": bundle(CREATE, entry("POST", "Nothing", PATIENT)),
    "a url of elsewhere": bundle(CREATE, entry("PUT", "http://other/fhir/Patient/1", PATIENT)),
    "a url that climbs": bundle(CREATE, entry("GET", "../../etc/passwd")),
    "a resource against the rules": bundle(
        CREATE, entry("POST", "Patient", {"resourceType": "Patient", "active": "yes"})
    ),
    "one id twice": bundle(
        entry("PUT", "Patient/x", PATIENT | {"id": "x"}),
        entry("PUT", "Patient/x", PATIENT | {"id": "x", "active": False}),
    ),
    "put and delete of one id": bundle(
        entry("PUT", "Patient/good", GOOD | {"active": False}), entry("DELETE", "Patient/good")
    ),
    "one fullUrl twice": bundle(
        entry("POST", "Patient", PATIENT, "urn:uuid:1"),
        entry("POST", "Patient", PATIENT, "urn:uuid:1"),
    ),
    "an id that is not that of the url": bundle(entry("PUT", "Patient/x", PATIENT | {"id": "y"})),
    "a condition that finds nothing": bundle(
        entry(
            "POST",
            "Patient",
            PATIENT | {"managingOrganization": {"reference": "Organization?identifier=none"}},
        )
    ),
    "a version that is not there": bundle(
        CREATE, entry("PUT", "Patient/good", GOOD | {"active": False}, ifMatch='W/"7"')
    ),
    "a condition that cannot be read": bundle(
        entry("POST", "Patient", PATIENT, ifNoneExist="no-such=1")
    ),
    "a read of nothing": bundle(CREATE, entry("GET", "Patient/nobody")),
    "a search that cannot be asked": bundle(CREATE, entry("GET", "Patient?no-such=1")),
    "a transaction within": bundle(
        CREATE, entry("POST", "", {"resourceType": "Bundle", "type": "transaction"})
    ),
    "too many entries": bundle(*[CREATE] * 10_001),
}


@pytest.mark.parametrize("name", BAD_TRANSACTIONS)
def test_a_bad_transaction_changes_nothing(victim: Server, name: str) -> None:
    before = victim.count("Patient")
    refused(post(victim, BAD_TRANSACTIONS[name], ""), 400, 404, 405, 409, 412, 413, 422, 501)
    assert victim.count("Patient") == before


def test_a_cycle_of_references_is_stored_and_walked(folder: Path) -> None:
    with serving(folder / "cycle") as server:
        ring = [f"urn:uuid:00000000-0000-4000-8000-{number:012}" for number in range(3)]
        organizations = [
            entry(
                "POST",
                "Organization",
                {
                    "resourceType": "Organization",
                    "name": f"ring {number}",
                    "partOf": {"reference": ring[(number + 1) % 3]},
                },
                ring[number],
            )
            for number in range(3)
        ]
        assert post(server, bundle(*organizations), "").status_code == 200
        for query in (
            "_include:iterate=Organization:partof&name=ring 1",
            "_revinclude:iterate=Organization:partof&name=ring 1",
            "_include:iterate=Organization:*&_count=1",
        ):
            answer = httpx2.get(f"{server.base}/Organization?{query}")
            assert answer.status_code == 200, answer.text
            ids = [one["resource"]["id"] for one in answer.json()["entry"]]
            assert len(ids) == len(set(ids)) == 3
        assert server.count("Organization?partof.partof.partof.name=ring 0") == 1
        itself = {"resourceType": "Organization", "id": "self", "name": "self"}
        itself["partOf"] = {"reference": "Organization/self"}  # type: ignore[assignment]
        put = httpx2.put(f"{server.base}/Organization/self", json=itself, headers=FHIR_JSON)
        assert put.status_code == 201
        found = httpx2.get(
            f"{server.base}/Organization?_id=self&_include:iterate=Organization:partof"
        )
        assert len(found.json()["entry"]) == 1
