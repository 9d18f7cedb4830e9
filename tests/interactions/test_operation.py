"""Whose operations are."""

from __future__ import annotations

import pytest

from fhirserver.access.grant import OPEN, Grant
from fhirserver.errors import Forbidden, NotFound, Unauthenticated
from fhirserver.interactions.context import Context
from fhirserver.interactions.dispatch import Gate
from fhirserver.interactions.request import Request
from fhirserver.operations.table import offered

BASE = "http://localhost/fhir"
ANNA = Grant("anna")
ADA = Grant("ada", administers=True)


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
    with pytest.raises(Unauthenticated):  # no grant but the open one can sign in yet
        gate.admit(asked(code, ADA, type))


@pytest.mark.parametrize("code", ["expunge", "reindex"])
async def test_of_one_resource_it_is_everyone_s_who_may_write(gate: Gate, code: str) -> None:
    with pytest.raises(Unauthenticated):
        gate.admit(asked(code, ANNA, "Patient", "a"))
    with pytest.raises(NotFound):
        gate.admit(asked("none", ANNA))
