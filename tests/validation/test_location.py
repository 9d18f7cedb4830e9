"""From the place of a finding to the JSON."""

from __future__ import annotations

import pytest

from fhirserver.model.json_position import Steps
from fhirserver.validation.location import found_at, steps_to

PATIENT = {
    "resourceType": "Patient",
    "name": [{"given": ["Ann", "Bea"], "_given": [None, {"extension": [{"url": "http://e"}]}]}],
    "birthDate": "1961",
    "_birthDate": {"extension": [{"url": "http://b"}]},
    "_gender": {"id": "g"},
    "deceasedBoolean": True,
    "text": {"div": "<div/>"},
}


@pytest.mark.parametrize(
    ("place", "steps"),
    [
        ("", ()),
        (".name[0].given[1]", ("name", 0, "given", 1)),
        (".name[0].given[1].extension[0].url", ("name", 0, "_given", 1, "extension", 0, "url")),
        (".birthDate", ("birthDate",)),
        (".birthDate.extension[0]", ("_birthDate", "extension", 0)),
        (".gender", ("_gender",)),
        (".deceased.ofType(boolean)", ("deceasedBoolean",)),
        (".text.`div`", ("text", "div")),
        (".name[0].family", ("name", 0)),
        (".name[7]", ("name",)),
        (".contact[0].name", ()),
    ],
)
def test_places_lead_to_what_is_there(place: str, steps: Steps) -> None:
    assert steps_to(PATIENT, place) == steps
    assert found_at(PATIENT, steps) is not None


def test_steps_that_lead_nowhere_find_nothing() -> None:
    assert found_at(PATIENT, ("name", 0, "family")) is None
    assert found_at(PATIENT, ("birthDate", 0)) is None
    assert found_at(PATIENT, ("name", "given")) is None
