import pytest

from fhirserver.errors import Forbidden
from fhirserver.rest.cors import Cors

APP = b"https://app.example"
BASE = "http://localhost:8080/fhir"
CORS = Cors(frozenset({"https://app.example"}))


@pytest.mark.parametrize(
    ("cors", "origin", "allowed"),
    [
        (CORS, APP, APP),
        (CORS, b"https://evil.example", None),
        (CORS, b"null", None),
        (Cors(), APP, None),
        (Cors(frozenset({"*"})), b"https://any.example", b"*"),
    ],
)
def test_who_may_read(cors, origin, allowed):
    for lines in (cors.headers({b"origin": origin}), cors.preflight({b"origin": origin})):
        assert dict(lines).get(b"access-control-allow-origin") == allowed


def test_what_a_page_may_see_and_send():
    lines = dict(CORS.headers({b"origin": APP}))
    for name in (b"ETag", b"Location", b"Content-Location", b"Last-Modified", b"X-Progress"):
        assert name in lines[b"access-control-expose-headers"]
    lines = dict(CORS.preflight({b"origin": APP}))
    assert b"PATCH" in lines[b"access-control-allow-methods"]
    assert b"If-Match" in lines[b"access-control-allow-headers"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"origin": APP},
        {b"origin": b"http://localhost:8080"},
        {b"origin": b"https://LOCALHOST:8080"},
        {b"origin": b"null", b"sec-fetch-site": b"same-origin"},
    ],
)
def test_writes_that_are_let_through(headers):
    CORS.check(headers, BASE)


@pytest.mark.parametrize(
    "origin", [b"https://evil.example", b"null", b"http://localhost:9999", b"\xff"]
)
def test_writes_for_a_foreign_page(origin):
    with pytest.raises(Forbidden):
        CORS.check({b"origin": origin, b"sec-fetch-site": b"cross-site"}, BASE)
