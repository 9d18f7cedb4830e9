"""What who is no auditor sees of an event: no query, and nothing that may tell of it."""

from __future__ import annotations

import pytest

from fhirserver.audit.masked import masked
from fhirserver.model.json import Resource, decode, encode
from fhirserver.store.port import Version

EVENT: Resource = {
    "resourceType": "AuditEvent",
    "id": "1",
    "meta": {"versionId": "1", "tag": [{"code": "kept"}]},
    "text": {"status": "generated", "div": "<div>searched for Bob</div>"},
    "entity": [{"what": {"reference": "Patient/a"}}, {"query": "Qm9i"}],
}


def shown(resource: Resource) -> Resource:
    version = Version(resource["resourceType"], "1", 1, 0, "PUT", encode(resource))
    return decode(masked(version).body or b"")


@pytest.mark.check("FHA-15")
def test_the_narrative_goes_with_what_is_masked_and_the_rest_is_marked_as_a_part() -> None:
    event = shown(EVENT)
    assert "text" not in event
    assert [tag["code"] for tag in event["meta"]["tag"]] == ["kept", "SUBSETTED"]
    assert event["entity"][0] == EVENT["entity"][0]
    assert set(event["entity"][1]) == {"_query"}


def test_what_has_nothing_to_mask_is_as_it_was() -> None:
    without = EVENT | {"entity": EVENT["entity"][:1]}
    assert shown(without) == without
    other = EVENT | {"resourceType": "Basic"}
    assert shown(other) == other
