"""Who may read a study: who may read its ImagingStudy, if that is still of the same patient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from interactions.client import BASE, Client, open_context

from fhirserver.archive.port import Study
from fhirserver.operations.imaging.visible import may_read

STUDY = Study("1.2", 1, 1, 1, 1, ("CT",), b"{}", "Patient/jane", "s1", 0, 0)


@pytest.mark.parametrize(
    ("subject", "readable"),
    [
        ("Patient/jane", True),
        (f"{BASE}/Patient/jane", True),
        ("Patient/jane/_history/1", True),
        ("Patient/john", False),
        ("https://elsewhere.example.org/fhir/Patient/jane", False),
    ],
)
async def test_the_subject_is_compared_however_it_is_written(
    tmp_path: Path, subject: str, readable: bool
) -> None:
    async with open_context(tmp_path / "fhir.db") as context:
        client = Client(context)
        people = [{"resourceType": "Patient", "id": id} for id in ("jane", "john")]
        study = {
            "resourceType": "ImagingStudy",
            "id": "s1",
            "status": "available",
            "subject": {"reference": subject},
        }
        await client.put(*people)
        await client.put(study)
        assert await may_read(replace(context, base=BASE), STUDY) is readable
