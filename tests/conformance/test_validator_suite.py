"""The cases of the reference validator: the same verdict, or a reason why not.

The suite runs as the reference does by default, which takes no unknown extensions, codes out of
their system, or HTML in texts: `closed(strict=True)`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhirserver.definitions import packaged
from fhirserver.errors import FhirError
from fhirserver.model.json import decode
from fhirserver.model.outcome import Issue, issues_of
from fhirserver.validation import examine
from fhirserver.xml import from_xml

pytestmark = pytest.mark.conformance

LEDGER: dict[str, str] = yaml.safe_load(
    Path(__file__).with_name("validator_ledger.yaml").read_text()
)


def issues(path: Path) -> list[Issue]:
    data = path.read_bytes()
    try:
        resource = from_xml(data, packaged()) if path.suffix == ".xml" else decode(data)
    except FhirError as error:
        return list(issues_of(error))
    return examine(resource).closed(strict=True)


def test_the_verdict_is_that_of_the_reference(shared: Path) -> None:
    folder = shared / "suites/validator"
    cases: list[dict[str, Any]] = json.loads((folder / "cases.json").read_text())
    differ = set()
    for case in cases:
        found = any(issue.is_error for issue in issues(folder / case["file"]))
        if found != bool(case["errors"]):
            differ.add(case["name"])
    assert len(cases) == 87
    assert differ == set(LEDGER)
    assert len(differ) / len(cases) <= 0.081


def test_every_finding_has_a_place_and_a_text(shared: Path) -> None:
    for path in sorted((shared / "suites/validator/files").iterdir()):
        assert all(issue.text for issue in issues(path))
