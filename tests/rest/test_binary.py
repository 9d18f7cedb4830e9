from base64 import b64encode

import pytest

from fhirserver.errors import Invalid
from fhirserver.model.json import encode
from fhirserver.rest.binary import binary_of, is_binary, raw_content


def stored(**elements):
    return encode({"resourceType": "Binary", "id": "b"} | elements)


def test_content_becomes_a_resource_and_content_again():
    resource = binary_of(b"\x00\xffpdf", "application/pdf", "b", "Patient/1")
    assert resource == {
        "resourceType": "Binary",
        "contentType": "application/pdf",
        "id": "b",
        "securityContext": {"reference": "Patient/1"},
        "data": b64encode(b"\x00\xffpdf").decode(),
    }
    headers, content = raw_content(encode(resource), b"application/pdf")
    assert content == b"\x00\xffpdf"
    assert dict(headers)[b"content-type"] == b"application/pdf"
    assert dict(headers)[b"x-security-context"] == b"Patient/1"


def test_content_cannot_run_as_a_page():
    headers, _ = raw_content(stored(contentType="text/html", data="PHNjcmlwdD4="), b"*/*")
    assert b"sandbox" in dict(headers)[b"content-security-policy"]
    assert dict(headers)[b"x-content-type-options"] == b"nosniff"


def test_no_content_is_refused():
    with pytest.raises(Invalid):
        binary_of(b"", "image/png", None, None)


@pytest.mark.parametrize(
    ("elements", "accept"),
    [
        ({"contentType": "image/png", "data": "AAAA"}, b"text/plain"),
        ({"contentType": "image/png", "data": "A"}, b"*/*"),
        ({"contentType": "image/png", "data": ["x"]}, b"*/*"),
        ({"contentType": "a\nb", "data": "AAAA"}, b"*/*"),
        ({"contentType": 5, "data": "AAAA"}, b"*/*"),
        ({"contentType": "é/é", "data": "AAAA"}, b"*/*"),
        ({"data": "AAAA"}, b"*/*"),
    ],
)
def test_what_goes_out_as_a_resource(elements, accept):
    assert raw_content(stored(**elements), accept) is None


def test_a_binary_without_data_has_no_content():
    assert raw_content(stored(contentType="image/png"), None)[1] == b""


def test_base64_may_be_broken_into_lines():
    assert raw_content(stored(contentType="a/b", data="AA\n AA\r\n"), None)[1] == bytes(3)


@pytest.mark.parametrize(
    ("value", "is_one"),
    [({"resourceType": "Binary"}, True), ({"resourceType": "Patient"}, False), ([], False)],
)
def test_is_binary(value, is_one):
    assert is_binary(value) is is_one
