"""XML is equal to JSON: the same answers to the same requests, whatever is asked and sent."""

import json
import re
from base64 import b64encode
from pathlib import Path

import pytest
from serving import client

from fhirserver.definitions.packaged import packaged
from fhirserver.model.json import decode, encode
from fhirserver.xml import from_xml, to_xml

JSON = "application/fhir+json"
XML = "application/fhir+xml"
BASE = "http://localhost/fhir"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p >é &amp; ü</p ></div>'

UNKNOWN = {"id": "x", "extension": [{"url": "http://u", "valueCode": "unknown"}]}
PATIENT = {
    "resourceType": "Patient",
    "id": "a",
    "text": {"status": "generated", "div": DIV},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "O"}],
    "identifier": [{"system": "urn:s", "value": "1"}],
    "name": [{"family": "Ek", "given": [None, "B"], "_given": [UNKNOWN, None]}],
    "_birthDate": {"extension": [{"url": "urn:e", "valueDecimal": 1}]},
    "managingOrganization": {"reference": "#o"},
}
OBSERVATION = """{
    "resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"},
    "subject": {"reference": "Patient/a"}, "valueQuantity": {"value": 1.50, "unit": "mg"}
}"""
BINARY = {"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "aGVsbG8="}


def patient(**elements):
    return {"resourceType": "Patient"} | elements


def bundle(type, *entries):
    return {
        "resourceType": "Bundle",
        "type": type,
        "entry": [
            {"request": {"method": method, "url": url}}
            | ({"resource": resource} if resource else {})
            for method, url, resource in entries
        ],
    }


def operation(path, value):
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": path},
        {"name": "value"} | value,
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


def written(resource, format):
    return encode(resource) if format == JSON else to_xml(resource, packaged())


def read(answer):
    """The resource of an answer, in the form that its header tells."""
    if not answer.content:
        return None
    if answer.headers["content-type"].split(";")[0] in (XML, "application/xml", "text/xml"):
        return from_xml(answer.content, packaged())
    return decode(answer.content)


def plain(value):
    """What does not change from one time to another, and in one order of properties."""
    text = json.dumps(json.loads(encode(value)), sort_keys=True)
    text = re.sub(r'(_cursor=)[^&"]+', r"\1?", text)
    text = re.sub(r"(?<=request id )[\w-]+", "?", text)
    text = re.sub(r"Line \d+, column \d+: |[\d-]+T[\d:.]+Z", "", text)
    text = re.sub(r'(issue-(line|col)", "valueInteger": )\d+', r"\1?", text)
    return re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}", "new", text)


COMPARED = ("etag", "location", "allow", "vary", "accept-patch", "preference-applied")


def headers(answer):
    return {name: plain(answer.headers[name]) for name in COMPARED if name in answer.headers}


@pytest.fixture
async def server(tmp_path, each_store):
    """A server with some versions of a few resources."""
    async with client(tmp_path) as found:
        for body in (
            encode(PATIENT | {"active": True}),
            encode(PATIENT),
            OBSERVATION.encode(),
            encode(BINARY),
            *(encode(patient(id=f"p{number}", name=[{"family": "Ek"}])) for number in range(5)),
        ):
            resource = decode(body)
            address = f"/fhir/{resource['resourceType']}/{resource['id']}"
            made = await found.put(address, content=body, headers={"Content-Type": JSON})
            assert made.status_code in (200, 201), made.text
        await found.delete("/fhir/Patient/p4")
        yield found


READS = {
    "read": ("GET", "Patient/a", 200),
    "read with narrative left out": ("GET", "Patient?_id=a&_summary=data", 200),
    "vread": ("GET", "Patient/a/_history/1", 200),
    "head": ("HEAD", "Patient/a", 200),
    "read of a Binary": ("GET", "Binary/b", 200),
    "read of what was deleted": ("GET", "Patient/p4", 410),
    "read of nothing": ("GET", "Patient/none", 404),
    "no such type": ("GET", "Nonsense/1", 404),
    "no such id": ("GET", "Patient/a_b", 400),
    "bad escape": ("GET", "Patient?name=%FF", 400),
    "history of an instance": ("GET", "Patient/a/_history", 200),
    "history of a type": ("GET", "Patient/_history?_count=2", 200),
    "history of the system": ("GET", "_history", 200),
    "search": ("GET", "Patient?name=ek&_sort=_id&_total=accurate", 200),
    "search with decimals": ("GET", "Observation?value-quantity=1.5", 200),
    "search by pages": ("GET", "Patient?_count=2", 200),
    "search with includes": ("GET", "Observation?_include=*&_revinclude=*", 200),
    "search that finds nothing": ("GET", "Patient?name=zz", 200),
    "search that counts": ("GET", "Patient?_summary=count", 200),
    "search for some elements": ("GET", "Patient?_elements=name", 200),
    "search of the system": ("GET", "?_type=Patient,Observation", 200),
    "search of a compartment": ("GET", "Patient/a/*", 200),
    "search refused": ("GET", "Patient?nonsense=1", 400),
    "search refused for what it says": ("GET", "Patient?birthdate=x%3C%26%22", 400),
    "capabilities": ("GET", "metadata", 200),
    "capabilities, terminology": ("GET", "metadata?mode=terminology", 200),
    "method that is not there": ("DELETE", "Patient/a/_history", 405),
    "delete": ("DELETE", "Patient/p3", 204),
}


@pytest.mark.parametrize("name", READS)
async def test_answers(server, name):
    method, address, status = READS[name]
    by_json = await server.request(method, f"/fhir/{address}", headers={"Accept": JSON})
    by_xml = await server.request(method, f"/fhir/{address}", headers={"Accept": XML})
    assert (by_json.status_code, by_xml.status_code) == (status, status)
    assert headers(by_json) == headers(by_xml)
    if "content-type" in by_json.headers:
        assert by_json.headers["content-type"] == f"{JSON}; charset=utf-8"
        assert by_xml.headers["content-type"] == f"{XML}; charset=utf-8"
    if by_json.content:
        assert by_xml.content.startswith(b'<?xml version="1.0" encoding="UTF-8"?><')
        assert plain(read(by_xml)) == plain(read(by_json))


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/xml", "application/xml; charset=utf-8"),
        ("text/xml", "text/xml; charset=utf-8"),
        ("application/fhir+xml; fhirVersion=4.0", f"{XML}; fhirVersion=4.0; charset=utf-8"),
    ],
)
async def test_other_names_of_xml(server, accept, content_type):
    for address in ("Patient/a", "Patient?name=ek", "Patient/none"):
        answer = await server.get(f"/fhir/{address}", headers={"Accept": accept})
        assert answer.headers["content-type"] == content_type
        assert read(answer)["resourceType"]


@pytest.mark.parametrize("format", ["xml", "text/xml", "application/xml", "application/fhir%2Bxml"])
async def test_format_asks_for_xml(server, format):
    for address, status in (("Patient/a?", 200), ("Patient?name=ek&", 200), ("Patient/none?", 404)):
        url = f"/fhir/{address}_format={format}"
        answer = await server.get(url, headers={"Accept": JSON})
        assert answer.status_code == status
        assert "xml" in answer.headers["content-type"]
        lines = await server.get(f"{url}&_pretty=true")
        assert lines.content.count(b"\n") > 5
        assert plain(read(lines)) == plain(read(answer))


async def test_refusals_before_anything_is_read_are_in_xml_too(server):
    for method, address, more, status in (
        ("GET", "Patient/a", {"Host": "elsewhere.example"}, 400),
        ("POST", "Patient", {"Content-Type": "text/turtle"}, 415),
        ("POST", "Patient", {"Content-Type": JSON, "Origin": "https://evil.example"}, 403),
        ("POST", "Patient", {"Content-Type": JSON, "Content-Encoding": "br"}, 415),
        ("GET", "Patient?x=" + "y" * 20_000, {}, 414),
    ):
        answer = await server.request(method, f"/fhir/{address}", headers={"Accept": XML} | more)
        assert answer.status_code == status
        assert read(answer)["resourceType"] == "OperationOutcome"
        assert answer.headers["content-type"].startswith(XML)
    answer = await server.get("/fhir/Patient/a", headers={"Accept": "text/turtle"})
    assert (answer.status_code, answer.headers["content-type"]) == (406, f"{JSON}; charset=utf-8")


async def test_pages_stay_in_the_format_that_was_asked_for(server):
    for ask in (
        "Patient?_count=2&_format=xml",
        "Patient/_history?_count=2&_format=xml&_pretty=true",
    ):
        seen = []
        url = f"{BASE}/{ask}"
        while url:
            page = read(answer := await server.get(url))
            assert answer.headers["content-type"].startswith(XML)
            assert (b"\n  <" in answer.content) is ("_pretty" in ask)
            seen += [entry["fullUrl"] for entry in page["entry"]]
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
        assert len(seen) > 4
    by_header = read(await server.get("/fhir/Patient?_count=2", headers={"Accept": XML}))
    assert all("_format" not in link["url"] for link in by_header["link"])


async def test_search_by_post(server):
    form = {"name": "ek", "_sort": "_id", "_format": "xml"}
    answer = await server.post("/fhir/Patient/_search", data=form)
    found = read(answer)
    assert answer.headers["content-type"].startswith(XML)
    form["_format"] = "json"
    assert plain(found) == plain(read(await server.post("/fhir/Patient/_search", data=form)))
    refused = await server.post("/fhir/Patient/_search", data={"x": "1", "_format": "xml"})
    assert refused.status_code == 400
    assert read(refused)["resourceType"] == "OperationOutcome"
    assert refused.headers["content-type"].startswith(XML)


async def test_a_binary_goes_out_as_it_is_or_in_xml(server):
    for accept in ("text/plain", "*/*"):
        answer = await server.get("/fhir/Binary/b", headers={"Accept": accept})
        assert answer.content == b"hello"
    for accept in (XML, "application/xml"):
        answer = await server.get("/fhir/Binary/b", headers={"Accept": accept})
        assert read(answer)["data"] == "aGVsbG8="
        assert answer.headers["content-type"].startswith(accept)


async def test_a_browser_is_shown_json(server):
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = await server.get("/fhir/Patient/a", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(JSON)


async def test_large_answers_are_packed(server):
    packed = await server.get("/fhir/metadata", headers={"Accept": XML, "Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert read(packed)["resourceType"] == "CapabilityStatement"


# --- what is sent ---------------------------------------------------------------------------

XML_PATCH = b'<diff><replace sel="f:Patient/f:active/@value">false</replace></diff>'


def of_binary(content, content_type):
    data = b64encode(content).decode()
    return {"resourceType": "Binary", "contentType": content_type, "data": data}


WRITES = [
    ("PUT", "Patient/a", PATIENT, {}, 200),
    ("PUT", "Patient/a", PATIENT | {"active": True}, {}, 200),
    ("PUT", "Patient/a", PATIENT, {"If-Match": 'W/"1"'}, 412),
    ("PUT", "Patient/b", PATIENT, {}, 400),
    ("PUT", "Patient/b", patient(id="b", gender="other"), {}, 201),
    ("PUT", "Patient?identifier=urn:s|1", PATIENT, {}, 200),
    ("POST", "Patient", patient(), {}, 201),
    ("POST", "Patient", patient(), {"If-None-Exist": "identifier=urn:s|1"}, 200),
    ("POST", "Patient", patient(), {"Prefer": "return=minimal"}, 201),
    ("POST", "Patient", patient(), {"Prefer": "return=OperationOutcome"}, 201),
    ("POST", "Patient", patient(birthDate="2020-13-01"), {}, 422),
    ("POST", "Patient", patient(name=[{}], gender=""), {}, 422),
    ("POST", "Patient", {"resourceType": "Basic"}, {}, 400),
    ("POST", "Patient", patient(managingOrganization={"reference": "#x"}), {}, 422),
    ("POST", "Observation", decode(OBSERVATION.encode()), {}, 201),
    ("POST", "", patient(), {}, 400),
    ("POST", "", bundle("collection"), {}, 400),
    (
        "POST",
        "",
        bundle(
            "batch",
            ("POST", "Patient", patient(active=True)),
            ("GET", "Patient/a", None),
            ("GET", "Patient/none", None),
            ("GET", "Patient?_format=json&_id=a", None),
            ("DELETE", "Patient/p2", None),
            ("PATCH", "Patient/a", of_binary(XML_PATCH, "application/xml-patch+xml")),
        ),
        {},
        200,
    ),
    (
        "POST",
        "",
        bundle(
            "transaction",
            ("PUT", "Patient/p1", patient(id="p1", active=True)),
            ("PATCH", "Patient/b", operation("Patient.gender", {"valueCode": "male"})),
            (
                "PATCH",
                "Patient/p0",
                of_binary(
                    to_xml(operation("Patient.name[0].family", {"valueString": "X"}), packaged()),
                    "application/fhir+xml; charset=utf-8",
                ),
            ),
        ),
        {"Prefer": "return=representation"},
        200,
    ),
    ("POST", "", bundle("transaction", ("PUT", "Patient/p1", patient(id="x"))), {}, 400),
    ("PATCH", "Patient/p1", operation("Patient.active", {"valueBoolean": False}), {}, 200),
    ("PATCH", "Patient/p1", operation("Patient.x", {"valueBoolean": False}), {}, 422),
    ("PATCH", "Patient?identifier=urn:s|1", operation("Patient.id", {"valueId": "x"}), {}, 400),
    ("PUT", "Binary/b", BINARY, {}, 201),
    ("POST", "Binary", BINARY, {}, 201),
]


async def test_what_is_sent(tmp_path: Path, each_store: str) -> None:
    """Two servers, told the same in JSON and in XML, answer and hold the same."""
    async with client(tmp_path / "json") as one, client(tmp_path / "xml") as other:
        for resource in (PATIENT, *(patient(id=f"p{n}", name=[{"family": "E"}]) for n in range(3))):
            address = f"/fhir/Patient/{resource['id']}"
            for server in (one, other):
                body = written(resource, JSON)
                made = await server.put(address, content=body, headers={"Content-Type": JSON})
                assert made.status_code == 201
        for method, address, resource, more, status in WRITES:
            answers = [
                await server.request(
                    method,
                    f"/fhir/{address}",
                    content=written(resource, format),
                    headers={"Content-Type": format, "Accept": format} | more,
                )
                for server, format in ((one, JSON), (other, XML))
            ]
            assert [answer.status_code for answer in answers] == [status, status], address
            assert headers(answers[0]) == headers(answers[1])
            assert plain(read(answers[0])) == plain(read(answers[1]))
        held = [read(await server.get("/fhir/_history?_count=1000")) for server in (one, other)]
        assert plain(held[0]) == plain(held[1])
        assert held[0]["total"] > 15


@pytest.mark.parametrize("content_type", ["application/xml", "text/xml", f"{XML}; charset=utf-8"])
async def test_other_names_of_what_is_sent(server, content_type):
    body = to_xml(patient(active=True), packaged())
    answer = await server.post(
        "/fhir/Patient", content=body, headers={"Content-Type": content_type}
    )
    assert (answer.status_code, answer.json()["active"]) == (201, True)


async def test_xml_patch(server):
    ask = {"Content-Type": "application/xml-patch+xml"}
    patch = (
        b'<diff xmlns="http://hl7.org/fhir"><add sel="Patient"><active value="true"/></add></diff>'
    )
    answer = await server.patch("/fhir/Patient/a", content=patch, headers=ask)
    assert (answer.status_code, answer.json()["active"]) == (200, True)
    assert answer.headers["etag"] == 'W/"3"'
    assert "text" not in answer.json()  # the narrative was generated from other data
    answer = await server.patch(
        "/fhir/Patient?identifier=urn:s|1", content=XML_PATCH, headers=ask | {"Accept": XML}
    )
    assert read(answer)["active"] is False
    again = await server.patch("/fhir/Patient/a", content=XML_PATCH, headers=ask)
    assert again.headers["etag"] == answer.headers["etag"]
    for content, status in (
        (b"", 400),
        (b"<diff/>", 400),
        (b"<!DOCTYPE x><diff/>", 400),
        (b'<diff><remove sel="f:Patient/f:gender"/></diff>', 422),
        (b'<diff><replace sel="f:Patient/f:id/@value">b</replace></diff>', 400),
        (b'<diff><add sel="f:Patient"><gender value="other"/></add></diff>', 422),
        (patch.replace(b'active value="true"', b'gender value="other"'), 200),
        (patch.replace(b'active value="true"', b'deceasedDateTime value="x"'), 422),
    ):
        answer = await server.patch("/fhir/Patient/a", content=content, headers=ask)
        assert answer.status_code == status, answer.text


async def test_refusals_of_xml_tell_the_place(server):
    body = b'<Patient xmlns="http://hl7.org/fhir">\n <name><famly value="x"/></name></Patient>'
    answer = await server.post("/fhir/Patient", content=body, headers={"Content-Type": XML})
    (issue,) = read(answer)["issue"]
    assert answer.status_code == 400
    assert issue["expression"] == ["Patient.name[0]"]
    assert issue["diagnostics"] == "Line 2, column 8: 'famly' is not an element of HumanName."


async def test_large_bodies(server):
    names = [{"family": "x" * 100, "given": ["a", "b"]} for _ in range(2000)]
    body = to_xml(patient(id="large", name=names), packaged())
    answer = await server.put(
        "/fhir/Patient/large", content=body, headers={"Content-Type": XML, "Accept": XML}
    )
    assert answer.status_code == 201
    assert read(answer)["name"] == names
