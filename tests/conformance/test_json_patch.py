"""The JSON Patch suite of HL7's test cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhirserver.errors import FhirError
from fhirserver.interactions.json_patch import JsonPatch
from fhirserver.interactions.same import same
from fhirserver.model.json import Json, decode

pytestmark = pytest.mark.conformance

_SUITE = Path(__file__).resolve().parents[2] / "../shared/suites/patch/json-patch-tests.json"


def _cases() -> list[Json]:
    return decode(_SUITE.read_bytes()) if _SUITE.exists() else []


def test_the_suite_is_whole(shared: Path) -> None:
    assert len(_cases()) == 16


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case["comment"])
def test_case(case: Json) -> None:
    if "error" in case:
        with pytest.raises(FhirError):
            JsonPatch(case["patch"]).apply(case["doc"])
    else:
        assert same(JsonPatch(case["patch"]).apply(case["doc"]), case["expected"])
