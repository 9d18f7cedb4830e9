"""What the tests of search share: the definitions of R4 and one indexer."""

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.definitions.registry import Definitions
from fhirserver.search.index import Indexer


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    return packaged()


@pytest.fixture(scope="session")
def indexer(definitions: Definitions) -> Indexer:
    return Indexer(definitions)
