"""What every test shares: the hypothesis profiles and the places of official material."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "dev", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("dev"), max_examples=200, print_blob=True)
settings.register_profile("nightly", settings.get_profile("ci"), max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of official suites and synthetic patients that lies beside the project."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no shared folder beside the project")
    return folder


@pytest.fixture(scope="session")
def definitions_package() -> Path:
    """The unpacked `hl7.fhir.r4.examples` package."""
    return _folder("FHIRSERVER_DEFINITIONS_PACKAGE")


@pytest.fixture(scope="session")
def expansions_package() -> Path:
    """The unpacked `hl7.fhir.r4.expansions` package."""
    return _folder("FHIRSERVER_EXPANSIONS_PACKAGE")


def _folder(variable: str) -> Path:
    folder = Path(os.environ.get(variable, "/nonexistent"))
    if not folder.is_dir():
        pytest.skip(f"{variable} names no folder")
    return folder
