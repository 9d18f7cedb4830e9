import pytest

from fhirserver.definitions.shelf import Shelf

LINES = [
    b'{"resourceType":"StructureDefinition","url":"http://a","kind":"resource","type":"A",'
    b'"abstract":false,"derivation":"specialization","baseDefinition":"http://hl7.org/fhir/'
    b'StructureDefinition/Resource"}',
    b'{"resourceType":"StructureDefinition","url":"http://b","kind":"resource","type":"A",'
    b'"abstract":false,"derivation":"constraint","baseDefinition":"http://a"}',
]


def test_headers_are_read_without_the_rest() -> None:
    shelf = Shelf(LINES)
    assert list(shelf) == ["http://a", "http://b"]
    assert len(shelf) == 2
    assert shelf.headers["http://a"].is_type
    assert shelf.headers["http://a"].base == "Resource"
    assert not shelf.headers["http://b"].is_type
    assert shelf.headers["http://b"].base == "http://a"


def test_a_definition_is_decoded_when_asked_for() -> None:
    assert Shelf(LINES)["http://a"]["kind"] == "resource"
    assert "http://c" not in Shelf(LINES)
    with pytest.raises(KeyError):
        Shelf(LINES)["http://c"]


def test_of_two_with_one_url_the_later_counts() -> None:
    assert Shelf([*LINES, b'{"url":"http://a","kind":"logical"}'])["http://a"]["kind"] == "logical"
