"""The rows: each agrees with its OperationDefinition."""

from itertools import product

import pytest

from fhirserver.access.grant import OPEN
from fhirserver.definitions.packaged import packaged
from fhirserver.interactions.operation import OperationRow
from fhirserver.interactions.request import Request
from fhirserver.operations.table import OPERATIONS


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.url.rpartition("/")[2])
def test_a_row_is_as_its_definition_says(row: OperationRow) -> None:
    found = packaged().operation(row.url)
    assert found is not None
    assert row.code == found.code
    assert row.types == (() if found.resources == ("Resource",) else found.resources)
    for level in row.levels:
        assert getattr(found, level)


def test_a_request_is_for_one_row_at_the_most() -> None:
    for row in OPERATIONS:
        for type, id in product(("Patient", "Encounter", "Observation", None), ("1", None)):
            if type is not None or id is None:
                request = Request(f"${row.code}", "", type, id, grant=OPEN)
                assert len([one for one in OPERATIONS if one.serves(request)]) <= 1
