"""What queries find, in tables: `tests/cases/search`."""

from __future__ import annotations

import pytest
from strategies.search_cases import Case, cases, compiled, pairs

from fhirserver.errors import Invalid
from fhirserver.search.match import match
from fhirserver.search.parameter import ANY_TYPE
from fhirserver.search.params import PARAMETER_TYPES
from fhirserver.search.prefix import COMPARATORS

CASES = cases()


@pytest.mark.parametrize(
    ("case", "query", "found"),
    [
        pytest.param(case, query, found, id=f"{case.name}: {query}")
        for case in CASES
        for queries, found in ((case.matches, True), (case.misses, False))
        for query in queries
    ],
)
def test_a_query_finds_what_it_means(case: Case, query: str, found: bool) -> None:
    document, world = case.documents()[0], case.world_of_all()
    asked = compiled(case.type, query).query
    is_asked = not asked.types or document.type in asked.types
    assert (is_asked and match(asked.where, document, world)) is found


@pytest.mark.parametrize(
    ("case", "query", "text"),
    [
        pytest.param(case, query, text, id=f"{case.name}: {query}")
        for case in CASES
        for query, text in case.refused.items()
    ],
)
def test_a_refusal_tells_what_to_write(case: Case, query: str, text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        compiled(case.type, query)
    assert text in refusal.value.text
    assert refusal.value.text.startswith(f"{query.partition('=')[0]}: ")


def test_every_modifier_and_prefix_has_cases() -> None:
    asked = [pair for case in CASES for query in case.matches for pair in pairs(query)]
    modifiers = {name.rpartition(":")[2] for name, _ in asked if ":" in name}
    known = {name for row in PARAMETER_TYPES.values() for name in row.modifiers}
    assert known - {"", ANY_TYPE} | {"missing", "Patient"} <= modifiers
    assert {value[:2] for _, value in asked} >= set(COMPARATORS)
