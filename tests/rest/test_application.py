import gzip
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest.exchange import Desk, call

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import Gone, PreconditionFailed
from fhirserver.interactions.request import Answer
from fhirserver.model.json import decode
from fhirserver.model.outcome import Issue
from fhirserver.rest.application import Edge, FhirApplication
from fhirserver.rest.base_url import LOOPBACK_HOSTS, BaseUrl
from fhirserver.rest.body import BodyLimits
from fhirserver.rest.cors import Cors

FHIR = "application/fhir+json"
PATIENT = b'{"resourceType":"Patient","id":"p1","meta":{"versionId":"3"},"active":true}'


def application(desk, edge):
    return FhirApplication(desk.dispatch, packaged(), edge, lambda: "1")


async def test_a_read(fetch, desk):
    response = await fetch("GET", "/fhir/Patient/p1")
    assert (response.status, response.body) == (200, PATIENT)
    assert response.headers == {
        "content-type": "application/fhir+json; charset=utf-8",
        "content-length": str(len(PATIENT)),
        "etag": 'W/"3"',
        "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT",
        "cache-control": "no-store",
        "x-request-id": "request-1",
    }
    assert (desk.asked.interaction, desk.asked.type, desk.asked.id) == ("read", "Patient", "p1")
    assert desk.asked.base == "http://localhost/fhir"


async def test_head_is_a_get_without_its_body(fetch):
    got, headed = await fetch("GET", "/fhir/Patient/p1"), await fetch("HEAD", "/fhir/Patient/p1")
    assert headed.body == b""
    assert headed.status == 200
    assert headed.headers | {"x-request-id": ""} == got.headers | {"x-request-id": ""}


@pytest.mark.parametrize(
    ("method", "target", "interaction"),
    [
        ("GET", "/fhir", "search-system"),
        ("GET", "/fhir/", "search-system"),
        ("GET", "/fhir/metadata", "capabilities"),
        ("GET", "/fhir/Patient", "search-type"),
        ("GET", "/fhir/Patient/", "search-type"),
        ("GET", "/fhir/Patient/p1/_history/2", "vread"),
        ("GET", "/fhir/Patient/p1/_history", "history-instance"),
        ("GET", "/fhir/_history", "history-system"),
        ("GET", "/fhir/Patient/p1/Observation", "search-compartment"),
        ("POST", "/fhir/Patient/_search", "search-type"),
        ("DELETE", "/fhir/Patient/p1", "delete"),
        ("DELETE", "/fhir/Patient?name=x", "conditional-delete"),
    ],
)
async def test_addresses_without_a_body(fetch, desk, method, target, interaction):
    await fetch(method, target)
    assert desk.asked.interaction == interaction


@pytest.mark.parametrize(
    ("method", "target", "content_type", "body", "interaction"),
    [
        ("POST", "/fhir/Patient", FHIR, b'{"resourceType":"Patient"}', "create"),
        ("PUT", "/fhir/Patient/p1", FHIR, b'{"resourceType":"Patient"}', "update"),
        ("PUT", "/fhir/Patient?name=x", FHIR, b'{"resourceType":"Patient"}', "conditional-update"),
        ("PATCH", "/fhir/Patient/p1", "application/json-patch+json", b"[]", "patch"),
        ("PATCH", "/fhir/Patient?name=x", FHIR, b"{}", "conditional-patch"),
        ("POST", "/fhir", FHIR, b'{"resourceType":"Bundle","type":"batch"}', "batch"),
        ("POST", "/fhir/", FHIR, b'{"resourceType":"Bundle","type":"transaction"}', "transaction"),
    ],
)
async def test_addresses_with_a_body(fetch, desk, method, target, content_type, body, interaction):
    response = await fetch(method, target, {"Content-Type": content_type}, body)
    assert response.status == 200
    assert desk.asked.interaction == interaction
    assert (desk.asked.resource is None) is (interaction in ("patch", "conditional-patch"))


async def test_parameters_of_address_and_form_are_joined(fetch, desk):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    await fetch("POST", "/fhir/Patient/_search?_count=5", form, b"name=A+B&_pretty=true")
    assert desk.asked.parameters == (("_count", "5"), ("name", "A B"))


async def test_headers_of_the_interaction(fetch, desk):
    await fetch(
        "PUT",
        "/fhir/Patient/p1",
        {
            "Content-Type": FHIR,
            "If-Match": 'W/"2"',
            "If-None-Match": "*",
            "Prefer": "return=minimal, handling=lenient",
        },
        b"{}",
    )
    assert (desk.asked.if_match, desk.asked.if_none_match) == ('W/"2"', "*")
    assert (desk.asked.prefer, desk.asked.handling) == ("minimal", "lenient")


@pytest.mark.parametrize(
    "value", ["identifier=http://x|1&a=b", "Patient?identifier=http://x|1&a=b"]
)
async def test_if_none_exist(fetch, desk, value):
    await fetch("POST", "/fhir/Patient", {"Content-Type": FHIR, "If-None-Exist": value}, b"{}")
    assert desk.asked.if_none_exist == (("identifier", "http://x|1"), ("a", "b"))


async def test_a_conditional_read(fetch, desk):
    desk.answer = Answer(304, None, "Patient", "p1", 3, 784_111_777_000_000)
    since = "Sun, 06 Nov 1994 08:49:37 GMT"
    response = await fetch(
        "GET", "/fhir/Patient/p1", {"If-None-Match": 'W/"3"', "If-Modified-Since": since}
    )
    assert (desk.asked.if_none_match, desk.asked.if_modified_since) == ('W/"3"', since)
    assert (response.status, response.body) == (304, b"")
    assert response.headers["etag"] == 'W/"3"'
    assert "content-length" not in response.headers
    assert "content-type" not in response.headers


async def test_the_address_of_what_was_created(fetch, desk):
    desk.answer = Answer(201, PATIENT, "Patient", "p1", 1, 0, "Patient/p1/_history/1")
    response = await fetch("POST", "/fhir/Patient", {"Content-Type": FHIR}, b"{}")
    assert response.status == 201
    assert response.headers["location"] == "http://localhost/fhir/Patient/p1/_history/1"
    assert response.headers["etag"] == 'W/"1"'


async def test_a_deletion_has_no_body(fetch, desk):
    desk.answer = Answer(204, None, "Patient", "p1", 4, 0)
    response = await fetch("DELETE", "/fhir/Patient/p1")
    assert (response.status, response.body) == (204, b"")
    assert "content-length" not in response.headers
    assert response.headers["etag"] == 'W/"4"'


async def test_the_preference_that_was_applied_is_told(fetch):
    headers = {"Content-Type": FHIR, "Prefer": "return=minimal"}
    response = await fetch("PUT", "/fhir/Patient/p1", headers, b"{}")
    assert response.headers["preference-applied"] == "return=minimal"


async def test_a_refusal_is_an_outcome(fetch, desk):
    desk.answer = Gone("It was deleted.", headers={"ETag": 'W/"4"'})
    response = await fetch("GET", "/fhir/Patient/p1")
    assert response.status == 410
    assert response.headers["etag"] == 'W/"4"'
    assert response.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert response.issue["code"] == "deleted"


async def test_a_refusal_tells_every_finding(fetch, desk):
    desk.answer = PreconditionFailed("x", issues=[Issue("error", "a", "b", "c")] * 3)
    assert len((await fetch("GET", "/fhir/Patient/p1")).json["issue"]) == 3


@pytest.mark.parametrize(
    ("method", "target", "headers", "status", "code"),
    [
        ("GET", "/fhir/Nonsense/1", {}, 404, "not-supported"),
        ("GET", "/fhir/Patient/1/2/3/4", {}, 404, "not-supported"),
        ("GET", "/fhir/Patient/a_b", {}, 400, "invalid"),
        ("GET", "/fhir/Patient/%2E%2F", {}, 400, "invalid"),
        ("GET", "/fhir/Patient/1?a=%FF", {}, 400, "invalid"),
        ("GET", "/fhir/Patient/1?x=" + "y" * 20_000, {}, 414, "too-long"),
        ("GET", "/fhir/Patient/1", {"Accept": "text/turtle"}, 406, "not-supported"),
        ("GET", "/fhir/Patient/1?_format=ttl", {}, 406, "not-supported"),
        ("GET", "/fhir/Patient/1", {"Host": "evil.example/"}, 400, "invalid"),
        ("POST", "/fhir/Patient/1", {"Content-Type": FHIR}, 405, "not-supported"),
        ("TRACE", "/fhir/Patient/1", {}, 405, "not-supported"),
        ("POST", "/fhir/Patient", {}, 415, "not-supported"),
        ("POST", "/fhir/Patient", {"Content-Type": "text/turtle"}, 415, "not-supported"),
        ("POST", "/fhir/Patient", {"Content-Type": "application/fhir+xml"}, 400, "invalid"),
        ("POST", "/fhir/Patient", {"Content-Type": FHIR}, 400, "invalid"),
        ("POST", "/fhir", {"Content-Type": FHIR}, 400, "invalid"),
        ("POST", "/fhir/Patient", {"Content-Length": "999999999"}, 413, "too-long"),
        ("POST", "/fhir/Patient", {"Origin": "https://evil.example"}, 403, "forbidden"),
    ],
)
async def test_requests_that_are_refused(fetch, desk, method, target, headers, status, code):
    response = await fetch(method, target, headers)
    assert (response.status, response.issue["code"]) == (status, code)
    assert desk.request is None


async def test_405_says_what_is_allowed(fetch):
    response = await fetch("POST", "/fhir/Patient/1")
    assert response.headers["allow"] == "GET, HEAD, PUT, PATCH, DELETE"


async def test_contradictory_headers_are_refused(fetch):
    lines = [(b"content-type", b"text/json"), (b"content-type", b"application/json")]
    response = await fetch("POST", "/fhir/Patient", lines, b"{}")
    assert (response.status, response.issue["code"]) == (400, "invalid")


async def test_a_format_nobody_can_read_stops_a_write(fetch, desk):
    headers = {"Content-Type": FHIR, "Accept": "text/turtle"}
    assert (await fetch("PUT", "/fhir/Patient/p1", headers, b"{}")).status == 406
    assert desk.request is None


async def test_pretty(fetch, desk):
    response = await fetch("GET", "/fhir/Patient/p1?_pretty=true")
    assert b'\n  "id": "p1"' in response.body
    assert desk.asked.parameters == ()
    refused = await fetch("GET", "/fhir/Patient/a_b?_pretty=true")
    assert b'\n  "resourceType"' in refused.body or b'\n  "issue"' in refused.body


async def test_a_request_id_is_kept_if_it_is_a_plain_one(fetch):
    kept = await fetch("GET", "/fhir/Patient/p1", {"X-Request-Id": "abc-1"})
    assert kept.headers["x-request-id"] == "abc-1"
    replaced = await fetch("GET", "/fhir/Patient/p1", {"X-Request-Id": "a b<script>"})
    assert replaced.headers["x-request-id"] == "request-1"


async def test_a_failure_of_ours_is_told_and_logged_without_what_was_sent(fetch, desk, caplog):
    desk.answer = KeyError("Smith, born 1950")
    response = await fetch("GET", "/fhir/Patient?name=Smith")
    assert (response.status, response.issue["code"]) == (500, "exception")
    assert "request-1" in response.issue["diagnostics"]
    assert "request-1" in caplog.text
    assert "KeyError" in caplog.text
    assert "Smith" not in caplog.text + response.body.decode()


async def test_large_answers_are_packed_for_those_who_take_it(fetch, desk):
    desk.answer = replace(desk.answer, body=b'{"resourceType":"Patient","x":"%s"}' % (b"y" * 5000))
    packed = await fetch("GET", "/fhir/Patient/p1", {"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(packed.body) < 500
    plain = await fetch("GET", "/fhir/Patient/p1")
    assert "content-encoding" not in plain.headers
    assert len(plain.body) > 5000


async def test_small_answers_are_not_packed(fetch):
    response = await fetch("GET", "/fhir/Patient/p1", {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in response.headers


async def test_options_says_what_is_allowed(fetch):
    response = await fetch("OPTIONS", "/fhir/Patient")
    assert response.status == 204
    assert response.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert (await fetch("OPTIONS", "/fhir/Nonsense")).status == 404


async def test_a_page_of_an_allowed_origin(desk, edge):
    app = application(desk, replace(edge, cors=Cors(frozenset({"https://app.example"}))))
    origin = {"Origin": "https://app.example"}
    ask = origin | {"Access-Control-Request-Method": "PUT"}
    preflight = await call(app, "OPTIONS", "/fhir/Patient/p1", ask)
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-methods" in preflight.headers
    read = await call(app, "GET", "/fhir/Patient/p1", origin)
    assert read.headers["access-control-allow-origin"] == "https://app.example"
    refused = await call(app, "GET", "/fhir/Nonsense", origin)
    assert refused.headers["access-control-allow-origin"] == "https://app.example"


async def test_a_page_of_a_name_made_to_point_here(desk):
    app = application(desk, Edge(BaseUrl("/fhir", allowed_hosts=LOOPBACK_HOSTS)))
    response = await call(app, "GET", "/fhir/Patient/p1", {"Host": "rebound.example"})
    assert (response.status, response.issue["code"]) == (400, "invalid")
    assert desk.request is None


async def test_a_body_over_the_limit(desk):
    app = application(desk, Edge(BaseUrl("/fhir"), BodyLimits(size=100)))
    headers = {"Content-Type": FHIR, "Expect": "100-continue"}
    response = await call(app, "POST", "/fhir/Patient", headers, [b" " * 60] * 3)
    assert (response.status, response.issue["code"]) == (413, "too-long")
    assert response.headers["connection"] == "close"


async def test_a_client_that_goes_away_is_not_answered(desk, app):
    response = await call(app, "POST", "/fhir/Patient", {"Content-Type": FHIR}, [])
    assert response.status == 0
    assert desk.request is None


async def test_a_packed_body(fetch, desk):
    headers = {"Content-Type": FHIR, "Content-Encoding": "gzip"}
    await fetch("POST", "/fhir/Patient", headers, gzip.compress(b'{"resourceType":"Patient"}'))
    assert desk.asked.resource == {"resourceType": "Patient"}


BINARY = Answer(
    200, b'{"resourceType":"Binary","contentType":"text/css","data":"YXt9"}', "Binary", "b", 1, 0
)


@pytest.mark.parametrize(
    ("target", "accept", "content_type", "body"),
    [
        ("/fhir/Binary/b", None, "text/css", b"a{}"),
        ("/fhir/Binary/b", "*/*", "text/css", b"a{}"),
        ("/fhir/Binary/b/_history/1", "text/css", "text/css", b"a{}"),
        ("/fhir/Binary/b", FHIR, f"{FHIR}; charset=utf-8", BINARY.body),
        ("/fhir/Binary/b?_format=json", "text/css", f"{FHIR}; charset=utf-8", BINARY.body),
        ("/fhir/Binary/b", "application/json", "application/json; charset=utf-8", BINARY.body),
    ],
)
async def test_a_binary_is_given_as_it_is_unless_fhir_is_asked_for(
    fetch, desk, target, accept, content_type, body
):
    desk.answer = BINARY
    response = await fetch("GET", target, {"Accept": accept} if accept else {})
    assert (response.status, response.body) == (200, body)
    assert response.headers["content-type"] == content_type
    assert response.headers["etag"] == 'W/"1"'


async def test_a_binary_nobody_can_give_in_that_type(fetch, desk):
    desk.answer = BINARY
    assert (await fetch("GET", "/fhir/Binary/b", {"Accept": "image/png"})).status == 406


async def test_content_is_stored_as_a_binary(fetch, desk):
    await fetch("PUT", "/fhir/Binary/b", {"Content-Type": "image/png"}, b"\x89PNG")
    assert desk.asked.resource["contentType"] == "image/png"
    assert (desk.asked.interaction, desk.asked.resource["id"]) == ("update", "b")


NAMES = st.sampled_from(
    [
        "accept",
        "accept-encoding",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-exist",
        "if-none-match",
        "origin",
        "prefer",
        "x-forwarded-host",
        "x-request-id",
    ]
)
VALUES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"application/fhir+json",
            b"application/json-patch+json",
            b"application/x-www-form-urlencoded",
            b"gzip",
            b"*/*",
            b"a/b;q=0",
            b'W/"1"',
            b"*",
            b"localhost",
            b"return=minimal",
            b"99999999999999999999",
        ]
    ),
)
TARGETS = st.one_of(
    st.binary(max_size=30),
    st.lists(
        st.sampled_from(
            ["Patient", "Binary", "_history", "_search", "metadata", "1", "$x", "", "*", "%41", "%"]
        ),
        max_size=5,
    ).map(lambda parts: "/".join(parts).encode()),
)
BODIES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b'{"resourceType":"Bundle","type":"batch"}',
            b'{"resourceType":"Bundle","type":[]}',
            b'{"a":' * 300 + b"1" + b"}" * 300,
            b'{"a":1e999999999}',
            b"1" * 5000,
            gzip.compress(b"{}"),
        ]
    ),
)


@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW", ""]),
    TARGETS,
    st.binary(max_size=30),
    st.lists(st.tuples(NAMES.map(str.encode), VALUES), max_size=6),
    BODIES,
)
async def test_whatever_is_sent_is_answered_and_never_a_failure_of_ours(
    method, path, query, headers, body
):
    app = application(Desk(), Edge(BaseUrl("/fhir")))
    response = await call(
        app,
        method,
        "/fhir/" + path.decode("latin-1").replace("?", ""),
        headers,
        body,
        raw_path=b"/fhir/" + path,
        query_string=query,
    )
    assert 200 <= response.status < 500
    if response.status >= 400 and method != "HEAD":
        raw = response.body
        if response.headers.get("content-encoding") == "gzip":
            raw = gzip.decompress(raw)
        assert decode(raw)["resourceType"] == "OperationOutcome"
