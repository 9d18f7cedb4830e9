from pathlib import Path

from fhirserver.access.grant import OPEN
from fhirserver.app import open_gate
from fhirserver.cli.demo import EXAMPLES, fill
from fhirserver.cli.demo_studies import make_studies
from fhirserver.demo.systems import ACCESSION, MRN
from fhirserver.interactions.request import Request
from fhirserver.model.json import decode
from fhirserver.rest.query import query_pairs
from fhirserver.settings import Settings


async def test_patients_are_made_once(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", auth="none")
    told: list[int] = []
    assert await fill(settings, 6, 1, told.append) == 0
    assert sum(told) == 6
    assert await fill(settings, 9, 2, told.append) == 6
    assert sum(told) == 6


async def test_each_example_address_finds_something(tmp_path: Path) -> None:
    settings = Settings(
        data=tmp_path / "data",
        auth="none",
        dicom_patient_system=MRN,
        dicom_accession_system=ACCESSION,
    )
    await fill(settings, 50, 1, lambda _: None)
    assert await make_studies(settings) == 3
    async with open_gate(settings) as dispatch:
        for title, address in EXAMPLES:
            path, _, query = address.partition("?")
            if not query:
                continue
            request = Request(
                "search-type",
                "http://x/fhir",
                path,
                parameters=query_pairs(query.encode()),
                grant=OPEN,
            )
            found = decode((await dispatch(request)).body or b"{}")
            assert found["entry"], title
