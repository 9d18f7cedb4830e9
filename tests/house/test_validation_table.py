"""The table of docs/validation.md tells what validation really tells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fhirserver.model.json import decode
from fhirserver.validation import validate

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/validation.md"
ROW = re.compile(
    r"^\| (?P<mistake>[^|]+) \| `` (?P<resource>\{.*\}) `` \| (?P<told>.*) \|$", re.MULTILINE
)
ROWS = [found.groups() for found in ROW.finditer(DOCUMENT.read_text())]


def test_there_are_twenty_mistakes() -> None:
    assert len(ROWS) >= 20


@pytest.mark.parametrize(("mistake", "resource", "told"), ROWS)
def test_a_mistake_is_told_as_the_table_says(mistake: str, resource: str, told: str) -> None:
    issues = [issue for issue in validate(decode(resource.encode())) if "(dom-6)" not in issue.text]
    words = "<br>".join(
        f"**{issue.severity}** `{issue.code}` at `` {issue.expression} ``: {issue.text}"
        for issue in issues
    )
    assert words.replace("|", "\\|") == told
