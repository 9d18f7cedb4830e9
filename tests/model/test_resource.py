"""The stored form of a version."""

from fhirserver.model.json import decode
from fhirserver.model.resource import draft


def test_version_and_instant_are_the_servers() -> None:
    sent = {
        "resourceType": "Patient",
        "active": True,
        "meta": {"versionId": "9", "lastUpdated": "0000", "tag": [{"code": "x"}]},
        "id": "other",
    }
    made = draft(sent, "p1", 3)
    assert decode(made.stamped(1_700_000_000_123_000)) == {
        "resourceType": "Patient",
        "id": "p1",
        "meta": {
            "versionId": "3",
            "lastUpdated": "2023-11-14T22:13:20.123Z",
            "tag": [{"code": "x"}],
        },
        "active": True,
    }
    assert sent["id"] == "other"


def test_tails_are_equal_where_only_version_differs() -> None:
    sent = {"resourceType": "Patient", "active": True}
    assert draft(sent, "p1", 3).tail == draft(sent, "p1", 12).tail
    assert draft(sent, "p1", 3).tail != draft(sent | {"active": False}, "p1", 3).tail
