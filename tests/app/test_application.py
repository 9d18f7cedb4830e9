import json
import re

import httpx2
import pytest
from serving import client, started

from fhirserver import Settings, create_app

FHIR = {"Content-Type": "application/fhir+json"}
PATCH = {"Content-Type": "application/json-patch+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HTTP_DATE = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
BASE = "http://localhost/fhir"


def patient(**elements):
    return json.dumps({"resourceType": "Patient", "active": True} | elements)


def bundle(type, *requests):
    entries = [
        {"request": {"method": method, "url": url}} | ({"resource": resource} if resource else {})
        for method, url, resource in requests
    ]
    return json.dumps({"resourceType": "Bundle", "type": type, "entry": entries})


@pytest.fixture
async def server(tmp_path, each_store):
    """A server that holds Patient/a (version 2), Patient/gone (deleted) and Observation/o."""
    async with client(tmp_path) as found:
        named = patient(id="a", name=[{"family": "Ek"}])
        assert (
            await found.put("/fhir/Patient/a", content=patient(id="a"), headers=FHIR)
        ).status_code == 201
        assert (await found.put("/fhir/Patient/a", content=named, headers=FHIR)).status_code == 200
        await found.put("/fhir/Patient/gone", content=patient(id="gone"), headers=FHIR)
        assert (await found.delete("/fhir/Patient/gone")).status_code in (200, 204)
        observation = {
            "resourceType": "Observation",
            "id": "o",
            "status": "final",
            "code": {"text": "x"},
            "subject": {"reference": "Patient/a"},
        }
        body = json.dumps(observation)
        made = await found.put("/fhir/Observation/o", content=body, headers=FHIR)
        assert made.status_code == 201, made.text
        yield found


# method, address, headers, body -> status, headers (exact text, pattern, or None: absent)
READS = {
    "ETag": 'W/"2"',
    "Last-Modified": HTTP_DATE,
    "Content-Type": "application/fhir\\+json; charset=utf-8",
}
CASES = {
    "read": ("GET", "Patient/a", {}, None, 200, READS | {"Location": None}),
    "head": ("HEAD", "Patient/a", {}, None, 200, READS),
    "vread": ("GET", "Patient/a/_history/1", {}, None, 200, {"ETag": 'W/"1"'}),
    "read what never was": ("GET", "Patient/b", {}, None, 404, {"ETag": None}),
    "vread what never was": ("GET", "Patient/a/_history/9", {}, None, 404, {}),
    "read what was deleted": ("GET", "Patient/gone", {}, None, 410, {"ETag": 'W/"2"'}),
    "vread a deletion": ("GET", "Patient/gone/_history/2", {}, None, 410, {}),
    "vread before a deletion": ("GET", "Patient/gone/_history/1", {}, None, 200, {"ETag": 'W/"1"'}),
    "read if changed, by tag": (
        "GET",
        "Patient/a",
        {"If-None-Match": 'W/"2"'},
        None,
        304,
        {"ETag": 'W/"2"', "Content-Type": None},
    ),
    "read if changed, by an old tag": (
        "GET",
        "Patient/a",
        {"If-None-Match": 'W/"1"'},
        None,
        200,
        READS,
    ),
    "read if changed, by time": (
        "GET",
        "Patient/a",
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        None,
        304,
        {},
    ),
    "read if changed since long ago": (
        "GET",
        "Patient/a",
        {"If-Modified-Since": "Fri, 01 Jan 1999 00:00:00 GMT"},
        None,
        200,
        {},
    ),
    "create": (
        "POST",
        "Patient",
        FHIR,
        patient(),
        201,
        {
            "ETag": 'W/"1"',
            "Last-Modified": HTTP_DATE,
            "Location": BASE + "/Patient/[0-9a-f-]{36}/_history/1",
        },
    ),
    "create if none, and there is one": (
        "POST",
        "Patient",
        FHIR | {"If-None-Exist": "family=Ek"},
        patient(),
        200,
        {"ETag": 'W/"2"'},
    ),
    "create if none, and there is none": (
        "POST",
        "Patient",
        FHIR | {"If-None-Exist": "family=No"},
        patient(),
        201,
        {},
    ),
    "create minimal": (
        "POST",
        "Patient",
        FHIR | {"Prefer": "return=minimal"},
        patient(),
        201,
        {"Content-Length": "0", "Preference-Applied": "return=minimal"},
    ),
    "update": (
        "PUT",
        "Patient/a",
        FHIR,
        patient(id="a", gender="male"),
        200,
        {"ETag": 'W/"3"', "Last-Modified": HTTP_DATE},
    ),
    "update as create": (
        "PUT",
        "Patient/new",
        FHIR,
        patient(id="new"),
        201,
        {"ETag": 'W/"1"', "Location": BASE + "/Patient/new/_history/1"},
    ),
    "update back into existence": (
        "PUT",
        "Patient/gone",
        FHIR,
        patient(id="gone"),
        201,
        {"ETag": 'W/"3"'},
    ),
    "update if it matches": (
        "PUT",
        "Patient/a",
        FHIR | {"If-Match": 'W/"2"'},
        patient(id="a"),
        200,
        {"ETag": 'W/"3"'},
    ),
    "update if it does not match": (
        "PUT",
        "Patient/a",
        FHIR | {"If-Match": 'W/"1"'},
        patient(id="a"),
        412,
        {},
    ),
    "update only if there is none": (
        "PUT",
        "Patient/a",
        FHIR | {"If-None-Match": "*"},
        patient(id="a"),
        412,
        {},
    ),
    "update of another id": ("PUT", "Patient/a", FHIR, patient(id="b"), 400, {}),
    "update of another type": ("PUT", "Observation/a", FHIR, patient(id="a"), 400, {}),
    "conditional update": (
        "PUT",
        "Patient?family=Ek",
        FHIR,
        patient(gender="male"),
        200,
        {"ETag": 'W/"3"'},
    ),
    "patch": (
        "PATCH",
        "Patient/a",
        PATCH,
        '[{"op":"replace","path":"/active","value":false}]',
        200,
        {"ETag": 'W/"3"'},
    ),
    "patch what never was": ("PATCH", "Patient/b", PATCH, "[]", 404, {}),
    "delete": ("DELETE", "Observation/o", {}, None, "200|204", {"ETag": 'W/"2"'}),
    "delete again": ("DELETE", "Patient/gone", {}, None, "200|204", {}),
    "conditional delete": ("DELETE", "Observation?code:text=x", {}, None, "200|204", {}),
    "history of an instance": ("GET", "Patient/a/_history", {}, None, 200, {"ETag": None}),
    "history of a type": ("GET", "Patient/_history", {}, None, 200, {}),
    "history of all": ("GET", "_history", {}, None, 200, {}),
    "search": (
        "GET",
        "Patient?family=ek",
        {},
        None,
        200,
        {"ETag": None, "Content-Type": "application/fhir\\+json.*"},
    ),
    "search by form": ("POST", "Patient/_search", FORM, "family=ek", 200, {}),
    "search all": ("GET", "?_lastUpdated=gt2000", {}, None, 200, {}),
    "search a compartment": ("GET", "Patient/a/Observation", {}, None, 200, {}),
    "search by what is no parameter": ("GET", "Patient?nonsense=1", {}, None, 400, {}),
    "the same, leniently": (
        "GET",
        "Patient?nonsense=1",
        {"Prefer": "handling=lenient"},
        None,
        200,
        {"Preference-Applied": "handling=lenient"},
    ),
    "capabilities": ("GET", "metadata", {}, None, 200, {}),
    "batch": ("POST", "", FHIR, bundle("batch", ("GET", "Patient/a", None)), 200, {}),
    "transaction": (
        "POST",
        "",
        FHIR,
        bundle("transaction", ("PUT", "Patient/t", json.loads(patient(id="t")))),
        200,
        {},
    ),
    "transaction that fails": (
        "POST",
        "",
        FHIR,
        bundle("transaction", ("GET", "Nonsense/a", None)),
        "400|404",
        {},
    ),
    "Bundle of another type": ("POST", "", FHIR, bundle("collection"), 400, {}),
    "unknown type": ("GET", "Nonsense", {}, None, 404, {}),
    "method that is not there": (
        "POST",
        "Patient/a",
        FHIR,
        patient(),
        405,
        {"Allow": "GET, HEAD, PUT, PATCH, DELETE"},
    ),
    "Turtle wanted": ("GET", "Patient/a", {"Accept": "text/turtle"}, None, 406, {}),
    "Turtle sent": ("POST", "Patient", {"Content-Type": "text/turtle"}, "<a> a b .", 415, {}),
    "nothing sent": ("POST", "Patient", FHIR, "", 400, {}),
    "no JSON sent": ("POST", "Patient", FHIR, "{", 400, {}),
    "no FHIR sent": ("POST", "Patient", FHIR, patient(nonsense=1), "400|422", {}),
    "options": ("OPTIONS", "Patient/a", {}, None, 204, {"Allow": "GET, .*OPTIONS"}),
}


@pytest.mark.parametrize("case", CASES)
async def test_status_and_headers(server, case):
    method, path, headers, body, status, expected = CASES[case]
    response = await server.request(method, f"/fhir/{path}", headers=headers, content=body)
    assert re.fullmatch(str(status), str(response.status_code)), response.text
    for name, pattern in expected.items():
        value = response.headers.get(name)
        if pattern is None:
            assert value is None, name
        else:
            assert value is not None and re.fullmatch(pattern, value), (name, value)
    if response.status_code >= 400:
        assert response.json()["resourceType"] == "OperationOutcome"
        assert response.json()["issue"][0]["diagnostics"]
    if method == "HEAD" or response.status_code in (204, 304):
        assert response.content == b""


async def test_what_is_written_is_read_again(server):
    body = '{"resourceType":"Patient","id":"x","multipleBirthInteger":2,"extension":[{"url":"http://x","valueDecimal":1.50}]}'
    await server.put("/fhir/Patient/x", content=body, headers=FHIR)
    assert '"valueDecimal":1.50' in (await server.get("/fhir/Patient/x")).text


async def test_a_server_that_starts_again_has_what_it_had(tmp_path, each_store):
    async with client(tmp_path) as server:
        for _ in range(3):
            await server.post("/fhir/Patient", content=patient(), headers=FHIR)
        page = (await server.get("/fhir/Patient?_count=2")).json()
    (following,) = [link["url"] for link in page["link"] if link["relation"] == "next"]
    async with client(tmp_path) as server:
        assert (await server.get("/fhir/Patient?_summary=count")).json()["total"] == 3
        assert len((await server.get(following)).json()["entry"]) == 1  # the key lasts too


async def test_the_landing_page_shows_what_is_there_and_its_links_work(server):
    page = await server.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "2 resources of 2 types" in page.text
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]+)"', page.text)]
    assert f"{BASE}/Patient/a?_format=json&_pretty=true" in links
    for link in links:
        if not link.startswith("https://hl7.org"):
            assert (await server.get(link)).status_code == 200, link


async def test_pages_beside_the_base(server):
    assert (await server.get("/healthz")).text == "alive\n"
    assert (await server.get("/readyz")).text == "ready\n"
    assert (await server.head("/healthz")).content == b""
    assert (await server.post("/healthz")).headers["allow"] == "GET, HEAD"
    assert (await server.get("/elsewhere")).status_code == 404
    assert (await server.get("/fhirelsewhere")).status_code == 404
    assert (await server.get("/", headers={"Host": "rebound.example"})).status_code == 400


async def test_nothing_is_answered_before_the_start(tmp_path):
    from rest.exchange import call

    app = create_app(Settings(data=tmp_path, auth="none"))
    for path in ("/fhir/metadata", "/", "/readyz"):
        assert (await call(app, "GET", path)).status == 503


async def test_an_open_server_answers_its_own_machine_only(tmp_path):
    from rest.exchange import call

    app = create_app(Settings(data=tmp_path, auth="none"))
    async with started(app):
        for peer, status in (("127.0.0.1", 200), ("::1", 200), ("192.0.2.1", 403)):
            for path in ("/fhir/metadata", "/"):
                assert (await call(app, "GET", path, client=(peer, 1))).status == status


async def test_an_open_server_answers_to_names_of_its_machine_only(tmp_path):
    from rest.exchange import call

    names = {
        "localhost:8080": 200,
        "127.0.0.1": 200,
        "[::1]:8080": 200,
        "127.1.2.3": 200,
        "fhir.example.org": 200,
        "other.example.org": 400,
    }
    base = "https://fhir.example.org/fhir"
    settings = Settings(data=tmp_path, auth="none", host="127.1.2.3", base_url=base)
    app = create_app(settings)
    async with started(app):
        for name, status in names.items():
            response = await call(app, "GET", "/fhir/metadata", {"Host": name})
            assert response.status == status, name


async def test_with_authorization_it_answers_to_everybody_but_says_nothing(tmp_path):
    app = create_app(Settings(data=tmp_path))
    async with started(app):
        transport = httpx2.ASGITransport(app=app, client=("203.0.113.9", 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://fhir.test") as found:
            for path, status in (("/fhir/metadata", 200), ("/fhir/Patient", 401), ("/", 200)):
                assert (await found.get(path)).status_code == status, path


async def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    app = create_app(Settings(data=tmp_path / "file" / "data", auth="none"))
    with pytest.raises(RuntimeError, match="Not a directory"):
        async with started(app):
            pass


async def test_a_file_that_is_no_store(tmp_path):
    (tmp_path / "fhir.db").write_bytes(b"no database at all " * 1000)
    app = create_app(Settings(data=tmp_path, auth="none"))
    with pytest.raises(RuntimeError):
        async with started(app):
            pass
