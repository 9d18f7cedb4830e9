import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError, Invalid, UnsupportedMediaType
from fhirserver.rest.payload import binary_resource_of, form_of, patch_of, resource_of

FHIR = {b"content-type": b"application/fhir+json"}
JSON = {b"content-type": b"application/json;charset=utf-8"}
PATCH = {b"content-type": b"application/json-patch+json"}
XML_PATCH = {b"content-type": b"application/xml-patch+xml"}
FORM = {b"content-type": b"application/x-www-form-urlencoded"}


def of(content_type):
    return {b"content-type": content_type}


@pytest.mark.parametrize("headers", [FHIR, JSON, of(b"text/json"), of(b"application/json+fhir")])
async def test_a_resource(headers):
    found = await resource_of(b'{"resourceType":"Patient"}', headers, packaged())
    assert found == {"resourceType": "Patient"}


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/fhir+xml",
        b"application/fhir+xml; fhirVersion=4.0; charset=UTF-8",
        b"application/xml",
        b"text/xml",
        b"application/xml+fhir",
    ],
)
@pytest.mark.parametrize("names", [1, 10_000])
async def test_a_resource_in_xml(content_type, names):
    data = b'<Patient xmlns="http://hl7.org/fhir">%s</Patient>' % (names * b'<name id="a"/>')
    found = await resource_of(data, of(content_type), packaged())
    assert found == {"resourceType": "Patient", "name": [{"id": "a"}] * names}


@pytest.mark.parametrize(
    ("data", "headers", "error"),
    [
        (b"", FHIR, Invalid),
        (b"[]", FHIR, Invalid),
        (b'"x"', FHIR, Invalid),
        (b"{", FHIR, Invalid),
        (b'{"a":1,"a":2}', FHIR, Invalid),
        ('{"a":"é"}'.encode("latin-1"), FHIR, Invalid),
        ('{"a":1}'.encode("utf-16"), FHIR, Invalid),
        (b"{}", {}, UnsupportedMediaType),
        (b"", of(b"application/fhir+xml"), Invalid),
        (b"<Patient/>", of(b"application/fhir+xml"), Invalid),
        (b"{}", of(b"application/fhir+xml"), Invalid),
        (b"<Patient/>", of(b"application/fhir+xml; charset=latin1"), UnsupportedMediaType),
        (b"<diff/>", XML_PATCH, UnsupportedMediaType),
        (b"", of(b"text/turtle"), UnsupportedMediaType),
        (b"{}", PATCH, UnsupportedMediaType),
        (b"{}", of(b"application/fhir+json; charset=utf-16"), UnsupportedMediaType),
    ],
)
async def test_what_is_no_resource(data, headers, error):
    with pytest.raises(FhirError) as caught:
        await resource_of(data, headers, packaged())
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("data", "headers", "patch"),
    [
        (b'[{"op":"remove"}]', PATCH, [{"op": "remove"}]),
        (b'{"resourceType":"Parameters"}', FHIR, {"resourceType": "Parameters"}),
        (b"<diff/>", XML_PATCH, b"<diff/>"),
        (
            b'<Parameters xmlns="http://hl7.org/fhir"/>',
            of(b"application/fhir+xml"),
            {"resourceType": "Parameters"},
        ),
    ],
)
async def test_patches(data, headers, patch):
    assert await patch_of(data, headers, packaged()) == patch


@pytest.mark.parametrize(
    ("data", "headers", "error"),
    [
        (b"{}", PATCH, Invalid),
        (b"[]", FHIR, Invalid),
        (b"[]", FORM, UnsupportedMediaType),
        (b"", XML_PATCH, Invalid),
        (b"<diff/>", of(b"application/fhir+xml"), Invalid),
        (b"<diff/>", of(b"application/xml-patch+xml; charset=latin1"), UnsupportedMediaType),
    ],
)
async def test_what_is_no_patch(data, headers, error):
    with pytest.raises(FhirError) as caught:
        await patch_of(data, headers, packaged())
    assert type(caught.value) is error


async def test_patches_that_are_taken_are_told():
    with pytest.raises(UnsupportedMediaType) as caught:
        await patch_of(b"", of(b"text/turtle"), packaged())
    assert caught.value.headers["Accept-Patch"] == (
        "application/json-patch+json, application/xml-patch+xml, "
        "application/fhir+json, application/fhir+xml"
    )


def test_forms():
    assert form_of(b"name=A+B&_count=2", FORM) == (("name", "A B"), ("_count", "2"))
    assert form_of(b"", {}) == ()
    with pytest.raises(UnsupportedMediaType):
        form_of(b"{}", FHIR)
    with pytest.raises(UnsupportedMediaType):
        form_of(b"a=b", {})


BINARY = b'{"resourceType":"Binary","contentType":"a/b"}'
XML_BINARY = b'<Binary xmlns="http://hl7.org/fhir"><contentType value="a/b"/></Binary>'
CDA = b'<!DOCTYPE x><ClinicalDocument xmlns="urn:hl7-org:v3"/>'


@pytest.mark.parametrize(
    ("data", "content_type", "stored_type"),
    [
        (BINARY, b"application/fhir+json", "a/b"),
        (BINARY, b"application/json", "a/b"),
        (b'{"x":1}', b"application/json", "application/json"),
        (b"{", b"application/json", "application/json"),
        (XML_BINARY, b"application/fhir+xml", "a/b"),
        (XML_BINARY, b"text/xml", "a/b"),
        (XML_BINARY.replace(b"Binary", b"Patient"), b"text/xml", "text/xml"),
        (b"<Binary/>", b"application/xml", "application/xml"),
        (CDA, b"application/xml; charset=latin1", "application/xml; charset=latin1"),
        (b"no xml", b"application/xml", "application/xml"),
        (b"\x89PNG", b"image/png", "image/png"),
        (b"hello", b"text/plain; charset=utf-8", "text/plain; charset=utf-8"),
    ],
)
async def test_a_binary_is_a_resource_or_its_content(data, content_type, stored_type):
    found = await binary_resource_of(data, of(content_type), packaged(), None)
    assert found["contentType"] == stored_type


@pytest.mark.parametrize("headers", [{}, of(b"png")])
async def test_a_binary_of_no_type(headers):
    with pytest.raises(UnsupportedMediaType):
        await binary_resource_of(b"x", headers, packaged(), None)
