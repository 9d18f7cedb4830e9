"""A gate with all operations over a real store in a file, for one test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from interactions.client import Client, open_context

from fhirserver.interactions.context import Context
from fhirserver.operations.table import OPERATIONS


@pytest.fixture
async def context(tmp_path: Path, each_store: str) -> AsyncIterator[Context]:
    async with open_context(tmp_path / "fhir.db") as context:
        yield context


@pytest.fixture
def client(context: Context) -> Client:
    return Client(context, OPERATIONS)
