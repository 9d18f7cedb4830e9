"""Whose operations are."""

from __future__ import annotations

import pytest

from fhirserver.access.grant import ANONYMOUS, OPEN, Grant, grant_of
from fhirserver.access.principal import Principal
from fhirserver.errors import Forbidden, NotFound, Unauthenticated
from fhirserver.interactions.context import Context
from fhirserver.interactions.dispatch import Gate
from fhirserver.interactions.request import Request
from fhirserver.operations.table import offered

BASE = "http://localhost/fhir"
ANNA = grant_of(Principal("anna", "default", ("doctor",)))
ADA = grant_of(Principal("ada", "default", ("admin",)))


def asked(code: str, grant: Grant, type: str | None = None, id: str | None = None) -> Request:
    return Request(f"${code}", BASE, type=type, id=id, grant=grant)


@pytest.fixture
def gate(context: Context) -> Gate:
    return Gate(context, offered(expunges=True))


@pytest.mark.parametrize("code", ["expunge", "reindex"])
@pytest.mark.parametrize("type", [None, "Patient"])
async def test_what_concerns_the_store_is_an_administrator_s(
    gate: Gate, code: str, type: str | None
) -> None:
    with pytest.raises(Forbidden, match="administrator"):
        await gate.dispatch(asked(code, ANNA, type))
    with pytest.raises(Forbidden, match="administrator"):
        gate.admit(asked(code, ANNA, type))
    gate.admit(asked(code, OPEN, type))
    gate.admit(asked(code, ADA, type))
    with pytest.raises(Unauthenticated):  # whatever is asked by nobody
        gate.admit(asked(code, ANONYMOUS, type))


@pytest.mark.parametrize("code", ["expunge", "reindex"])
async def test_of_one_resource_it_is_everyone_s_who_may_write(gate: Gate, code: str) -> None:
    with pytest.raises(Forbidden):
        gate.admit(asked(code, ANNA, "Patient", "a"))
    gate.admit(asked(code, ADA, "Patient", "a"))
    with pytest.raises(NotFound):
        gate.admit(asked("none", ANNA))
