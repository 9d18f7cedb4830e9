"""What every test shares: the hypothesis profiles and the places of official material."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import stores
from hypothesis import HealthCheck, settings
from wire.server import REPLICA_SET, REQUIRED, Absent, server

settings.register_profile(
    "dev",
    max_examples=50,
    deadline=None,
    derandomize=True,  # the same code has the same verdict; `nightly` looks further each time
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("dev"), max_examples=200, print_blob=True)
settings.register_profile(
    "nightly", settings.get_profile("ci"), derandomize=False, max_examples=10_000
)
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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long on MongoDB runs there in the long run only."""
    for item in items:
        if item.get_closest_marker("slow_on_mongodb") and item.get_closest_marker("mongodb"):
            item.add_marker(pytest.mark.slow)


class Wire:
    """The address of each kind of server of MongoDB's protocol, started when first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._addresses: dict[str, str] = {}

    def address(self, kind: str = REPLICA_SET) -> str:
        """Skips the test when there is no such server; fails where FHIRSERVER_TEST_WIRE says that
        the replica set must be there."""
        if kind not in self._addresses:
            try:
                self._addresses[kind] = self._stack.enter_context(server(kind))
            except Absent as absent:
                if REQUIRED in os.environ and kind == REPLICA_SET:
                    pytest.fail(str(absent))
                pytest.skip(str(absent))
        return self._addresses[kind]


@pytest.fixture(scope="session")
def wire() -> Iterator[Wire]:
    with ExitStack() as stack:
        yield Wire(stack)


@pytest.fixture(
    scope="module",
    params=[stores.SQLITE, pytest.param(stores.MONGODB, marks=pytest.mark.mongodb)],
)
def each_store(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs on SQLite, and on MongoDB."""
    with ExitStack() as stack:
        if request.param == stores.MONGODB:
            wire: Wire = request.getfixturevalue("wire")
            stack.enter_context(stores.on_mongodb(wire.address()))
        yield request.param
