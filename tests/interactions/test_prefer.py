"""Prefer: return=..."""

import pytest

from fhirserver.interactions.prefer import preferred
from fhirserver.interactions.request import Answer
from fhirserver.model.json import decode

CREATED = Answer(201, b"{}", "Patient", "1", 1, 0, "Patient/1/_history/1")


def test_the_resource_is_given_unless_less_is_preferred() -> None:
    assert preferred(CREATED, None) is CREATED
    assert preferred(CREATED, "representation") is CREATED


def test_minimal_leaves_all_but_the_body() -> None:
    answer = preferred(CREATED, "minimal")
    assert answer.body is None
    assert (answer.status, answer.version, answer.location) == (201, 1, "Patient/1/_history/1")


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (CREATED, 201, "Patient/1 was created as version 1."),
        (Answer(200, b"{}", "Patient", "1", 2), 200, "Patient/1 is stored as version 2."),
        (Answer(204, None, "Patient", "1", 3), 200, "Patient/1 is deleted as version 3."),
        (Answer(204), 200, "What matches is deleted."),
    ],
)
def test_an_outcome_tells_what_was_done(answer: Answer, status: int, text: str) -> None:
    told = preferred(answer, "OperationOutcome")
    assert told.status == status
    assert told.body is not None
    (issue,) = decode(told.body)["issue"]
    assert (issue["severity"], issue["diagnostics"]) == ("information", text)
