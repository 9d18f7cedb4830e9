import pytest

from fhirserver.errors import FhirError, Invalid, UnsupportedMediaType
from fhirserver.rest.payload import binary_resource_of, form_of, patch_of, resource_of

FHIR = {b"content-type": b"application/fhir+json"}
JSON = {b"content-type": b"application/json;charset=utf-8"}
PATCH = {b"content-type": b"application/json-patch+json"}
FORM = {b"content-type": b"application/x-www-form-urlencoded"}


def of(content_type):
    return {b"content-type": content_type}


@pytest.mark.parametrize("headers", [FHIR, JSON, of(b"text/json"), of(b"application/json+fhir")])
def test_a_resource(headers):
    assert resource_of(b'{"resourceType":"Patient"}', headers) == {"resourceType": "Patient"}


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
        (b"<Patient/>", of(b"application/fhir+xml"), UnsupportedMediaType),
        (b"{}", PATCH, UnsupportedMediaType),
        (b"{}", of(b"application/fhir+json; charset=utf-16"), UnsupportedMediaType),
    ],
)
def test_what_is_no_resource(data, headers, error):
    with pytest.raises(FhirError) as caught:
        resource_of(data, headers)
    assert type(caught.value) is error


def test_patches():
    assert patch_of(b'[{"op":"remove"}]', PATCH) == [{"op": "remove"}]
    assert patch_of(b'{"resourceType":"Parameters"}', FHIR) == {"resourceType": "Parameters"}


@pytest.mark.parametrize(
    ("data", "headers", "error"),
    [
        (b"{}", PATCH, Invalid),
        (b"[]", FHIR, Invalid),
        (b"[]", FORM, UnsupportedMediaType),
        (b"<diff/>", of(b"application/xml-patch+xml"), UnsupportedMediaType),
    ],
)
def test_what_is_no_patch(data, headers, error):
    with pytest.raises(FhirError) as caught:
        patch_of(data, headers)
    assert type(caught.value) is error


def test_patches_that_are_taken_are_told():
    with pytest.raises(UnsupportedMediaType) as caught:
        patch_of(b"<diff/>", of(b"application/xml-patch+xml"))
    assert "application/json-patch+json" in caught.value.headers["Accept-Patch"]


def test_forms():
    assert form_of(b"name=A+B&_count=2", FORM) == (("name", "A B"), ("_count", "2"))
    assert form_of(b"", {}) == ()
    with pytest.raises(UnsupportedMediaType):
        form_of(b"{}", FHIR)
    with pytest.raises(UnsupportedMediaType):
        form_of(b"a=b", {})


BINARY = b'{"resourceType":"Binary","contentType":"a/b"}'


@pytest.mark.parametrize(
    ("data", "content_type", "stored_type"),
    [
        (BINARY, b"application/fhir+json", "a/b"),
        (BINARY, b"application/json", "a/b"),
        (b'{"x":1}', b"application/json", "application/json"),
        (b"{", b"application/json", "application/json"),
        (b"\x89PNG", b"image/png", "image/png"),
        (b"hello", b"text/plain; charset=utf-8", "text/plain; charset=utf-8"),
    ],
)
def test_a_binary_is_a_resource_or_its_content(data, content_type, stored_type):
    assert binary_resource_of(data, of(content_type), None)["contentType"] == stored_type


@pytest.mark.parametrize("headers", [{}, of(b"png")])
def test_a_binary_of_no_type(headers):
    with pytest.raises(UnsupportedMediaType):
        binary_resource_of(b"x", headers, None)
