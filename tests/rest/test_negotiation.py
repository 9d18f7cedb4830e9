import pytest

from fhirserver.errors import NotAcceptable, UnsupportedMediaType
from fhirserver.rest.negotiation import (
    accepts,
    answered_type,
    asks_for_fhir,
    body_type,
    is_xml,
    refusal_type,
)

FHIR = b"application/fhir+json; charset=utf-8"
JSON = b"application/json; charset=utf-8"
XML = b"application/fhir+xml; charset=utf-8"
BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, FHIR),
        (b"", FHIR),
        (b"*/*", FHIR),
        (b"application/*", FHIR),
        (BROWSER, FHIR),
        (b"application/fhir+json", FHIR),
        (b"application/fhir+json; charset=utf-8", FHIR),
        (b"application/fhir+json;charset=UTF-8;q=0.1", FHIR),
        (b"application/json", JSON),
        (b"application/json, text/plain, */*", FHIR),
        (b"application/json, */*;q=0.1", JSON),
        (b"application/fhir+json;q=0.2, application/json;q=0.9", JSON),
        (b"application/fhir+xml, application/fhir+json;q=0.5", XML),
        (b"application/fhir+xml, application/fhir+json", FHIR),
        (b"application/fhir+xml", XML),
        (b"application/fhir+xml;q=0.1", XML),
        (b"application/xml", b"application/xml; charset=utf-8"),
        (b"text/xml", b"text/xml; charset=utf-8"),
        (b"text/turtle, text/xml;q=0.5", b"text/xml; charset=utf-8"),
        (b"application/xml+fhir", b"application/xml+fhir; charset=utf-8"),
        (
            b"application/fhir+xml; fhirVersion=4.0",
            b"application/fhir+xml; fhirVersion=4.0; charset=utf-8",
        ),
        (b"text/html, application/fhir+xml", XML),
        (b"*/*, application/fhir+json;q=0", JSON),
        (b"application/fhir+xml; fhirVersion=3.0, application/fhir+json;q=0.1", FHIR),
        (b"text/json", b"text/json; charset=utf-8"),
        (b"text/*", b"text/json; charset=utf-8"),
        (b"application/json+fhir", b"application/json+fhir; charset=utf-8"),
        (
            b"application/fhir+json; fhirVersion=4.0",
            b"application/fhir+json; fhirVersion=4.0; charset=utf-8",
        ),
        (b"application/fhir+json; fhirVersion=3.0, application/json", JSON),
        (b"this is not a header", FHIR),
    ],
)
def test_accept(accept, content_type):
    assert answered_type(accept, None) == content_type


@pytest.mark.parametrize(
    "accept",
    [
        b"application/fhir+xml;q=0",
        b"application/fhir+xml; fhirVersion=3.0",
        b"application/fhir+turtle",
        b"text/turtle",
        b"image/png",
        b"application/fhir+json; fhirVersion=3.0",
        b"application/fhir+json; fhirVersion=5.0",
        b"application/fhir+json; charset=iso-8859-1",
        b"application/fhir+json;q=0",
        b"*/*;q=0",
    ],
)
def test_accept_of_what_is_not_served(accept):
    with pytest.raises(NotAcceptable):
        answered_type(accept, None)


@pytest.mark.parametrize(
    ("format", "content_type"),
    [
        ("json", FHIR),
        ("JSON", FHIR),
        ("application/json", JSON),
        ("application/fhir+json", FHIR),
        ("application/fhir json", FHIR),
        ("application/fhir+json; fhirVersion=4.0", FHIR),
        ("text/json", b"text/json; charset=utf-8"),
        ("xml", XML),
        ("XML", XML),
        ("text/xml", b"text/xml; charset=utf-8"),
        ("application/xml", b"application/xml; charset=utf-8"),
        ("application/fhir xml", XML),
        ("application/fhir+xml; fhirVersion=4.0", XML),
    ],
)
def test_format_goes_before_accept(format, content_type):
    for accept in (b"application/fhir+xml", b"application/fhir+json", b"image/png", None):
        assert answered_type(accept, format) == content_type


@pytest.mark.parametrize(
    "format",
    ["ttl", "text/turtle", "html", "x", "json; fhirVersion=3.0", "text/xml; charset=latin1"],
)
def test_format_that_is_not_served(format):
    with pytest.raises(NotAcceptable):
        answered_type(b"application/fhir+json", format)


@pytest.mark.parametrize(
    ("accept", "format", "content_type"),
    [
        (None, None, FHIR),
        (b"application/fhir+xml", None, XML),
        (b"application/fhir+xml", "json", FHIR),
        (b"application/json", None, FHIR),
        (None, "xml", XML),
        (b"text/turtle", None, FHIR),
        (b"application/fhir+xml", "ttl", XML),
        (b"text/turtle", "ttl", FHIR),
        (b"application/fhir+xml," + 3000 * b"x", None, FHIR),
    ],
)
def test_a_refusal_always_has_a_type(accept, format, content_type):
    assert refusal_type(accept, format) == content_type


def test_which_types_are_xml():
    assert is_xml(XML)
    assert not is_xml(FHIR)


@pytest.mark.parametrize(
    ("accept", "asks"),
    [
        (None, False),
        (b"*/*", False),
        (b"image/png", False),
        (b"application/json", False),
        (b"application/fhir+json", True),
        (b"application/fhir+xml", True),
        (b"application/fhir+json;q=0", False),
    ],
)
def test_whether_a_fhir_type_is_named(accept, asks):
    assert asks_for_fhir(accept) is asks


@pytest.mark.parametrize(
    ("accept", "content_type", "taken"),
    [
        (None, "image/png", True),
        (b"image/png", "image/png", True),
        (b"image/*", "image/png", True),
        (b"image/*, image/png;q=0", "image/png", False),
        (b"text/plain", "text/plain; charset=utf-8", True),
        (b"text/plain", "image/png", False),
        (b"text/plain", "nonsense", True),
    ],
)
def test_whether_a_type_is_accepted(accept, content_type, taken):
    assert accepts(accept, content_type) is taken


def test_body_type():
    assert body_type(b"application/FHIR+json; charset=UTF-8").essence == "application/fhir+json"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"",
        b"json",
        b"application/fhir+json; charset=utf-16",
        b"application/fhir+json; charset=latin1",
        b"application/fhir+json; fhirVersion=3.0",
        b"\xff/\xff",
    ],
)
def test_body_type_that_is_not_taken(content_type):
    with pytest.raises(UnsupportedMediaType):
        body_type(content_type)
