"""The cases of the reference validator: the same verdict, or a reason why not.

The suite is measured as the reference runs by default, which takes no unknown extensions, codes
out of their system, or HTML in texts: `closed(strict=True)`. What the server refuses is less: what
it does not know may be right. How many verdicts that changes is tested here as well.
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

LENIENT = {
    # Extensions that are not known here.
    "nested-questionnaire-nested-valueset",
    "obs-vs-1",
    "pat-example-extensions",
    "patient-with-turvakielto",
    "q-bp",
    "uk-msg",
    # Codes that their system has not, and what is no URI of a system.
    "contract-binding-test",
    "mr-covid-bnd1",
    "observation-ucum",
    # Texts that hold what reads like HTML.
    "bad-markdown-no-html",
    "pat-security-bad-string",
    # A period whose ends overlap in what they leave open.
    "encounter-period",
}
"""What the server lets pass with a warning, and the reference does not."""


def issues(path: Path, *, strict: bool = True) -> list[Issue]:
    data = path.read_bytes()
    try:
        resource = from_xml(data, packaged()) if path.suffix == ".xml" else decode(data)
    except FhirError as error:
        return list(issues_of(error))
    return examine(resource).closed(strict=strict)


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
    assert len(differ) / len(cases) <= 0.08


def test_how_the_verdict_differs_where_the_unknown_is_let_pass(shared: Path) -> None:
    folder = shared / "suites/validator"
    cases: list[dict[str, Any]] = json.loads((folder / "cases.json").read_text())
    differ = {
        case["name"]
        for case in cases
        if any(issue.is_error for issue in issues(folder / case["file"], strict=False))
        != bool(case["errors"])
    }
    assert differ - set(LEDGER) == LENIENT


def test_every_finding_has_a_place_and_a_text(shared: Path) -> None:
    for path in sorted((shared / "suites/validator/files").iterdir()):
        assert all(issue.text for issue in issues(path))
