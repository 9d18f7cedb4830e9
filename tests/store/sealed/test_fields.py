"""Which values stay readable: the table of codes is what the definitions say."""

from __future__ import annotations

from collections import defaultdict

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.search.parameter import Parameter, parameter
from fhirserver.store.sealed.fields import CODES, COMPOSITES, Fields

_OF_CODES = frozenset({"code", "Coding", "CodeableConcept", "boolean"})
_IN_TUPLES = _OF_CODES | {"Quantity", "Range", "Reference"}


def _parameters() -> dict[str, list[Parameter]]:
    """All parameters of R4, by code."""
    definitions = packaged()
    found: dict[str, list[Parameter]] = defaultdict(list)
    for type_ in definitions.resource_types:
        for code in definitions.search_parameters(type_):
            if made := parameter(definitions, type_, code):
                found[code].append(made)
    return found


def test_tokens_in_the_clear_are_codes_on_every_type() -> None:
    tokens = {
        code: frozenset().union(*(one.types for one in found if one.kind == "token"))
        for code, found in _parameters().items()
        if any(one.kind == "token" for one in found)
    }
    assert {code for code, types in tokens.items() if types <= _OF_CODES} == CODES


def test_tuples_with_tokens_in_the_clear_have_codes() -> None:
    tuples = {
        code: frozenset(
            type_
            for one in found
            for part in one.components
            if part.kind == "token"
            for type_ in part.types
        )
        for code, found in _parameters().items()
        if any(one.kind == "composite" for one in found)
    }
    assert {code for code, types in tuples.items() if types <= _IN_TUPLES} == COMPOSITES


@pytest.mark.check("OPS-6")
@pytest.mark.parametrize(
    "param",
    [
        "identifier",
        "phone",
        "email",
        "telecom",
        "subject:identifier",
        "identifier:of-type",
        "accession",
        "lot-number",
        "a-parameter-of-ours",
        "code:identifier",
    ],
)
def test_identifiers_and_what_nobody_knows_are_hashed(param: str) -> None:
    assert not Fields().has_clear_tokens(param)


def test_codes_are_hashed_on_demand() -> None:
    assert Fields().has_clear_tokens("code")
    assert not Fields(["code"]).has_clear_tokens("code")
    assert not Fields(["*"]).has_clear_tokens("gender")
    assert Fields(["*"]).has_clear_tokens("code:present")
    assert Fields().has_clear_dates("birthdate")
    assert not Fields(["birthdate"]).has_clear_dates("birthdate")
