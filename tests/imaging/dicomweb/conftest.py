from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from imaging.dicomweb.house import House, house

from fhirserver.imaging.rendering.processes import Processes


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    made = Processes(1)
    yield made
    made.close()


@pytest.fixture
async def web(tmp_path: Path, processes: Processes) -> AsyncIterator[House]:
    async with house(tmp_path, processes) as made:
        yield made
