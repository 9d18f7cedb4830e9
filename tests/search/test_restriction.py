"""What a custom search parameter says that it cannot be asked is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.search_parameter import SearchParameter
from fhirserver.errors import Incomplete
from fhirserver.search.compile import compile_search
from fhirserver.search.refusal import Unsupported
from fhirserver.search.request import SearchRequest

CODE = SearchParameter("x", "urn:x", ("Patient",), "token", "Patient.gender", custom=True)
DATE = replace(CODE, code="d", url="urn:d", type="date", expression="Patient.birthDate")
LINK = replace(
    CODE,
    code="link-to",
    url="urn:l",
    type="reference",
    expression="Patient.managingOrganization",
    target=("Organization",),
)


def search(
    definitions: Definitions, query: str, *unindexed: tuple[str, str], **fields: Any
) -> SearchRequest:
    custom = [replace(item, **fields) for item in (CODE, DATE, LINK)]
    every = definitions.with_search_parameters(custom, unindexed)
    pairs = tuple((name, value) for name, _, value in (p.partition("=") for p in query.split("&")))
    return compile_search(every, ("Patient",), pairs, now=0)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("x=a,b", {"multiple_or": False}),
        ("x=a&x=b", {"multiple_and": False}),
        ("x:not=a&x=b", {"multiple_and": False}),
        ("x:not=a", {"modifiers": ("missing",)}),
        ("x:missing=true", {"modifiers": ("not",)}),
        ("d=gt2020", {"comparators": ("eq",)}),
        ("link-to:identifier=a", {"modifiers": ("type",)}),
        ("link-to:Patient=a", {}),
        ("link-to:Organization=a", {"modifiers": ("identifier",)}),
        ("link-to.name=a", {"chains": ("identifier",)}),
        ("link-to:Organization.name=a", {"chains": ("identifier",)}),
    ],
)
def test_it_is_refused(definitions: Definitions, query: str, fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        search(definitions, query, **fields)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("x=a,b&x=b&x:not=c", {}),
        ("x=a", {"multiple_or": False, "multiple_and": False}),
        ("x=a&d=2020", {"multiple_and": False}),
        ("x:not=a", {"modifiers": ("not",)}),
        ("x:of-type=a|b|c", {"modifiers": ("ofType",)}),
        ("d=gt2020", {"comparators": ("gt",)}),
        ("link-to:Organization=a", {"modifiers": ("type",)}),
        ("link-to.name=a", {"chains": ("name", "Organization.identifier")}),
        ("link-to.identifier=a", {"chains": ("name", "Organization.identifier")}),
        ("link-to.partof.name=a", {"multiple_and": False}),
    ],
)
def test_what_is_allowed_is_taken(
    definitions: Definitions, query: str, fields: dict[str, Any]
) -> None:
    assert search(definitions, query, **fields).applied


@pytest.mark.parametrize(
    "query",
    [
        "x=a",
        "x:missing=true",
        "_sort=x",
        "_sort=-x",
        "_filter=x eq a",
        "gender=male&x=a",
        "_has:Patient:link:x=a",
        "link.x=a",
        "link:Patient.x=a",
    ],
)
def test_what_is_not_wholly_indexed_is_not_answered(definitions: Definitions, query: str) -> None:
    for handling in ("strict", "lenient"):
        every = definitions.with_search_parameters([CODE], [("Patient", "x")])
        pairs = tuple(
            (name, value) for name, _, value in (p.partition("=") for p in query.split("&"))
        )
        with pytest.raises(Incomplete):
            compile_search(every, ("Patient",), pairs, now=0, handling=handling)  # type: ignore[arg-type]


def test_words_that_are_not_all_there_are_not_searched(definitions: Definitions) -> None:
    with pytest.raises(Incomplete):
        search(definitions, "_text=fever", ("Resource", "_text"))
    assert search(definitions, "_content=fever", ("Resource", "_text")).applied
