"""Bad input over real sockets: the right 4xx with an OperationOutcome, and nothing written."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from e2e.server import FHIR_JSON, Server, check_file, serving

GOOD = {"resourceType": "Patient", "id": "good", "active": True, "birthDate": "1970-01-01"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder / "data") as running:
        httpx2.put(f"{running.base}/Patient/good", json=GOOD, headers=FHIR_JSON).raise_for_status()
        yield running
        assert running.count("") == 1, "something was written"
        history = httpx2.get(f"{running.base}/_history").json()
        assert history["total"] == 1, "something was written"
        assert running.process.poll() is None
    check_file(folder / "data")


def refused(answer: httpx2.Response, *statuses: int) -> dict[str, Any]:
    """The issue that the answer tells; asserts that it is a refusal as FHIR wants it."""
    assert answer.status_code in statuses, (answer.status_code, answer.text[:500])
    assert answer.headers["content-type"].startswith("application/fhir+json")
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    issue = outcome["issue"][0]
    assert issue["severity"] in ("error", "fatal")
    assert issue["details"]["text"]
    assert "Traceback" not in answer.text and 'File "' not in answer.text
    found: dict[str, Any] = issue
    return found


def post(server: Server, body: bytes, path: str = "Patient", **headers: str) -> httpx2.Response:
    return httpx2.post(
        f"{server.base}/{path}", content=body, headers=FHIR_JSON | headers, timeout=60
    )


def nested(levels: int, **innermost: Any) -> bytes:
    """A Patient with extensions in extensions: twice as many levels of JSON, and one."""
    value: dict[str, Any] = {"url": "urn:x"} | innermost
    out = json.dumps({"resourceType": "Patient", "extension": ["?"]}).encode()
    head = b'{"url":"urn:x","extension":[' * (levels - 1)
    return out.replace(b'"?"', head + json.dumps(value).encode() + b"]}" * (levels - 1))


MALFORMED = {
    "nothing": b"",
    "white space": b" \n ",
    "a word": b"Patient",
    "cut off": b'{"resourceType":"Patient","active":tr',
    "a comma too many": b'{"resourceType":"Patient",}',
    "two values": b'{"resourceType":"Patient"}{}',
    "single quotes": b"{'resourceType':'Patient'}",
    "a comment": b'{"resourceType":"Patient"/*x*/}',
    "a duplicate key": b'{"resourceType":"Patient","active":true,"active":false}',
    "NaN": b'{"resourceType":"Observation","valueQuantity":{"value":NaN}}',
    "infinity": b'{"resourceType":"Observation","valueQuantity":{"value":-Infinity}}',
    "a leading zero": b'{"resourceType":"Patient","multipleBirthInteger":01}',
    "an unpaired surrogate": b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}',
    "a control character": b'{"resourceType":"Patient","name":[{"family":"a\x00b"}]}',
    "a byte order mark of UTF-16": '{"resourceType":"Patient"}'.encode("utf-16"),
    "Latin-1": '{"resourceType":"Patient","name":[{"family":"Müller"}]}'.encode("latin-1"),
    "overlong UTF-8": b'{"resourceType":"Patient","name":[{"family":"\xc0\xaf"}]}',
    "an array": b'[{"resourceType":"Patient"}]',
    "a string": b'"Patient"',
    "null": b"null",
    "a number": b"1e999999",
    "XML": b'<Patient xmlns="http://hl7.org/fhir"/>',
    "thousands of brackets": b"[" * 100_000,
    "thousands of objects": b'{"a":' * 100_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bodies_are_400(server: Server, name: str) -> None:
    refused(post(server, MALFORMED[name]), 400)


INVALID = {
    "no type": b'{"active":true}',
    "another type": b'{"resourceType":"Observation"}',
    "an unknown type": b'{"resourceType":"Pateint"}',
    "a type that is a number": b'{"resourceType":1}',
    "an unknown element": b'{"resourceType":"Patient","aktive":true}',
    "a string for a boolean": b'{"resourceType":"Patient","active":"true"}',
    "an object for an array": b'{"resourceType":"Patient","name":{"family":"x"}}',
    "an empty array": b'{"resourceType":"Patient","name":[]}',
    "an empty object": b'{"resourceType":"Patient","name":[{}]}',
    "an empty string": b'{"resourceType":"Patient","birthDate":""}',
    "null for an element": b'{"resourceType":"Patient","active":null}',
    "no such day": b'{"resourceType":"Patient","birthDate":"2023-02-30"}',
    "two choices": b'{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2020"}',
    "a negative position": b'{"resourceType":"Patient","telecom":[{"rank":-1}]}',
    "a huge integer": b'{"resourceType":"Patient","multipleBirthInteger":99999999999999999999}',
    "an integer with a fraction": b'{"resourceType":"Patient","multipleBirthInteger":1.5}',
    "an integer of a million digits": b'{"resourceType":"Patient","multipleBirthInteger":'
    + b"9" * 1_000_000
    + b"}",
    "a wrong id": b'{"resourceType":"Patient","contained":[{"resourceType":"Patient","id":"a b"}]}',
    "a contained reference to nothing": b'{"resourceType":"Patient","managingOrganization":'
    b'{"reference":"#nobody"}}',
}


@pytest.mark.parametrize("name", INVALID)
def test_bodies_against_the_rules_are_400_or_422(server: Server, name: str) -> None:
    refused(post(server, INVALID[name]), 400, 422)


@pytest.mark.parametrize("levels", [50, 90, 110, 1000, 20_000])
def test_deep_nesting_with_a_fault_inside_is_refused(server: Server, levels: int) -> None:
    refused(post(server, nested(levels, valueBoolean="yes")), 400, 422)


@pytest.mark.parametrize("levels", [100, 1000, 20_000])
def test_nesting_beyond_the_limit_is_refused(server: Server, levels: int) -> None:
    refused(post(server, nested(levels, valueBoolean=True)), 400, 422)


def test_a_hundred_levels_are_read_back_as_they_were_sent(folder: Path) -> None:
    with serving(folder / "deep") as server:
        body = nested(50, valueBoolean=True)
        answer = post(server, body)
        assert answer.status_code == 201, answer.text[:300]
        read = httpx2.get(f"{server.base}/Patient/{answer.json()['id']}").json()
        assert read["extension"] == json.loads(body)["extension"]


@pytest.mark.parametrize("size", [17, 50])
def test_bodies_of_many_megabytes_are_413(server: Server, size: int) -> None:
    body = b'{"resourceType":"Patient","name":[{"family":"' + b"x" * (size << 20) + b'"}]}'
    refused(post(server, body), 413)
    refused(post(server, gzip.compress(body), **{"Content-Encoding": "gzip"}), 413)


def test_a_body_that_claims_less_than_it_unpacks_to_is_413(server: Server) -> None:
    bomb = gzip.compress(b" " * (300 << 20), 9)
    assert len(bomb) < 400_000
    refused(post(server, bomb, **{"Content-Encoding": "gzip"}), 413)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "text/turtle"}, 415),
        ({"Content-Type": "application/fhir+xml"}, 400),
        ({"Content-Type": "nonsense"}, 415),
        ({"Content-Type": "application/fhir+json; charset=latin-1"}, 415),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Encoding": "gzip"}, 400),
        ({"Accept": "image/png"}, 406),
        ({"If-None-Exist": "no-such-parameter=1"}, 400),
        ({"If-None-Exist": "%%%"}, 400),
        ({"If-None-Exist": ""}, 400),
    ],
)
def test_headers_that_cannot_be_met(server: Server, headers: dict[str, str], status: int) -> None:
    body = (
        b'{"resourceType":"Patient","active":maybe}' if status == 400 else json.dumps(GOOD).encode()
    )
    refused(post(server, body, **headers), status)


# Path and status, or statuses where the standard leaves a choice.
BAD_GETS = {
    "Nothing": 404,
    "patient/good": 404,
    "Patient/missing": 404,
    "Patient/good/_history/9": 404,
    "Patient/good/_history/x": (400, 404),
    "Patient/a%20b": (400, 404),
    "Patient/" + "a" * 65: (400, 404),
    "Patient/../../etc/passwd": 404,
    "Patient/%2e%2e/x": (400, 404),
    "Patient/good/good/good/good": 404,
    "Patient/good/$no-such-operation": (400, 404, 501),
    "$no-such-operation": (400, 404, 501),
    "Patient?no-such=1": 400,
    "Patient?name:no-such=1": 400,
    "Patient?birthdate:exact=2020": 400,
    "Patient?birthdate=xx2020": 400,
    "Patient?birthdate=2020-13-45": 400,
    "Patient?birthdate=" + "9" * 5000: 400,
    "Patient?birthdate=gt": 400,
    "Patient?gender:missing=maybe": 400,
    "Patient?_count=-1": 400,
    "Patient?_count=ten": 400,
    "Patient?_count=" + "9" * 400: (200, 400),
    "Patient?_sort=no-such": 400,
    "Patient?_summary=no": 400,
    "Patient?_total=maybe": 400,
    "Patient?_elements=no_such_element": (200, 400),
    "Patient?_include=Patient:no-such": 400,
    "Patient?_include=nonsense": 400,
    "Patient?_revinclude=Observation:no-such": 400,
    "Patient?_has:Observation:no-such:code=1": 400,
    "Patient?_has:Observation=1": 400,
    "Patient?_has:::=1": 400,
    "Patient?organization.no-such=1": 400,
    "Patient?organization.name.name=1": 400,
    "Patient?general-practitioner:Patient.name=x": 400,
    "Observation?value-quantity=abc": 400,
    "Observation?value-quantity=1e999999999": (200, 400),
    "Observation?value-quantity=gt" + "9" * 10_000: (200, 400),
    "Observation?component-code-value-quantity=a": 400,
    "Observation?code:in=http://no.such/value-set": (400, 404, 422),
    "Observation?code:below=|||": (200, 400),
    "Patient?_filter=name eq x": (400, 501),
    "Patient?_text=x": (400, 501),
    "Patient?_list=nonsense/x/y": (200, 400),
    "Patient?_page=forged": 400,
    "Patient?_cursor=forged": 400,
    "Patient?%ff=%fe": 400,
    "Patient?name=%ff%fe": 400,
    "Patient?name=%00": (200, 400),
    "?_type=Nothing": 400,
    "_history?_since=yesterday": 400,
    "_history?_count=x": 400,
    "Patient?_format=yaml": (400, 406),
    "Patient/good?_format=application/pdf": 406,
}


@pytest.mark.parametrize("path", BAD_GETS, ids=lambda path: path[:50])
def test_what_cannot_be_asked(server: Server, path: str) -> None:
    expected = BAD_GETS[path]
    statuses = expected if isinstance(expected, tuple) else (expected,)
    answer = raw(server, f"GET /fhir/{path.replace(' ', '%20')} HTTP/1.1")
    if answer.status_code != 200:
        refused(answer, *statuses)
    else:
        assert 200 in statuses, answer.text[:300]
        assert answer.json()["resourceType"] == "Bundle"


def test_a_query_that_is_too_long_is_refused(server: Server) -> None:
    refused(raw(server, f"GET /fhir/Patient?name={'x' * 20_000} HTTP/1.1"), 414)
    refused(raw(server, f"GET /fhir/Patient?name={'x' * 80_000} HTTP/1.1"), 400, 414, 431)


def test_a_query_of_a_thousand_conditions_is_answered_or_refused(server: Server) -> None:
    many = "&".join(f"name={number}" for number in range(1500))
    answer = raw(server, f"GET /fhir/Patient?{many} HTTP/1.1")
    if answer.status_code != 200:
        refused(answer, 400, 403)
    values = ",".join(str(number) for number in range(3000))
    answer = raw(server, f"GET /fhir/Patient?name={values} HTTP/1.1")
    if answer.status_code != 200:
        refused(answer, 400, 403, 414)


def test_deep_chains_are_answered_or_refused(server: Server) -> None:
    chain = ".".join(["partof"] * 60)
    answer = raw(server, f"GET /fhir/Organization?{chain}.name=x HTTP/1.1")
    if answer.status_code != 200:
        refused(answer, 400, 403)
    has = "_has:Organization:partof:" * 40
    answer = raw(server, f"GET /fhir/Organization?{has}name=x HTTP/1.1")
    if answer.status_code != 200:
        refused(answer, 400, 403)


def test_contradictory_conditions_find_nothing(server: Server) -> None:
    for query in (
        "active=true&active=false",
        "birthdate=lt1960&birthdate=gt1980",
        "_id=good&_id=bad",
        "gender:missing=true&gender=male",
        "_lastUpdated=gt2999",
    ):
        assert server.count(f"Patient?{query}") == 0, query


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("POST", "Patient/good", (405,)),
        ("PUT", "Patient", (400, 405, 412)),
        ("DELETE", "", (405,)),
        ("PATCH", "Patient/good", (400, 415)),
        ("TRACE", "Patient", (405, 501)),
        ("BREW", "Patient", (400, 405, 501)),
        ("PUT", "Patient/other", (400,)),
        ("DELETE", "Patient/good/_history/1", (404, 405)),
        ("PUT", "metadata", (405,)),
    ],
)
def test_methods_that_do_not_fit(
    server: Server, method: str, path: str, statuses: tuple[int, ...]
) -> None:
    answer = httpx2.request(
        method, f"{server.base}/{path}", content=json.dumps(GOOD), headers=FHIR_JSON
    )
    refused(answer, *statuses)


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
def test_a_bad_transaction_changes_nothing(server: Server, name: str) -> None:
    before = server.count("Patient")
    refused(post(server, BAD_TRANSACTIONS[name], ""), 400, 404, 405, 409, 412, 413, 422, 501)
    assert server.count("Patient") == before


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


@pytest.mark.parametrize(
    "data",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /fhir/Patient\r\n\r\n",
        b"GET /fhir/metadata HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n",
        b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        bytes(range(256)) * 100,
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_not_http_harms_nobody(server: Server, data: bytes) -> None:
    answer = exchange(server, data)
    assert answer == b"" or answer.split(b" ", 2)[1][:1] == b"4", answer[:200]
    assert server.count("Patient") == 1


def test_a_body_that_never_comes_holds_nobody_up(server: Server) -> None:
    parts = urlsplit(server.root)
    hanging = [socket.create_connection((parts.hostname or "", parts.port or 0)) for _ in range(50)]
    for one in hanging:
        one.sendall(
            b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/fhir+json\r\nContent-Length: 1000\r\n\r\n{"
        )
    assert server.count("Patient") == 1
    for one in hanging:
        one.close()
    assert server.count("Patient") == 1


def raw(server: Server, line: str) -> httpx2.Response:
    """The answer to a request line that is sent as it stands."""
    host = urlsplit(server.root).netloc
    data = exchange(
        server, f"{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1")
    )
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [tuple(one.split(": ", 1)) for one in lines]
    return httpx2.Response(int(first.split(" ")[1]), headers=pairs, content=body)  # type: ignore[arg-type]


def exchange(server: Server, data: bytes) -> bytes:
    """What the server answers before it closes the connection or falls silent."""
    parts = urlsplit(server.root)
    with socket.create_connection(
        (parts.hostname or "", parts.port or 0), timeout=10
    ) as connection:
        answer = b""
        try:
            connection.sendall(data)
            connection.settimeout(3)
            while part := connection.recv(1 << 16):
                answer += part
                head, found, body = answer.partition(b"\r\n\r\n")
                length = [
                    int(one.split(b":")[1])
                    for one in head.lower().split(b"\r\n")
                    if one.startswith(b"content-length:")
                ]
                if found and length and len(body) >= length[0]:
                    break
        except (TimeoutError, ConnectionError):
            pass
        return answer
