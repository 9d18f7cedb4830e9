"""The official expansions, which only some tests read."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def expansions_package(definitions_package: Path) -> Path:
    """The unpacked `hl7.fhir.r4.expansions` package.

    FHIRSERVER_EXPANSIONS_PACKAGE names it; else it lies beside the other one, as its own
    folder `hl7.fhir.r4.expansions-4.0.1/package`.
    """
    beside = definitions_package.parent.parent / "hl7.fhir.r4.expansions-4.0.1" / "package"
    folder = Path(os.environ.get("FHIRSERVER_EXPANSIONS_PACKAGE", beside))
    if not folder.is_dir():
        pytest.skip("FHIRSERVER_EXPANSIONS_PACKAGE names no folder")
    return folder
