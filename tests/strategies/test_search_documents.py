"""The strategies find planted faults in a matcher, so that they will find real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample
from strategies.search_documents import Case, cases

import fhirserver.search.match as reference
from fhirserver.search.entry import Words
from fhirserver.search.expression import StringMode, TextIs
from fhirserver.search.match import in_order, match, world_of

_BUDGET = settings(
    max_examples=4000,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=tuple(HealthCheck),
)


def _hits(case: Case) -> list[list[tuple[str, str]]]:
    world = world_of(case.world.values())
    return [
        [key for key, document in world.items() if match(expression, document, world)]
        for expression in case.expressions
    ]


def _like(mode: StringMode, value: str, entry: object) -> bool:
    if mode is StringMode.STARTS and value in ("%", "_"):
        return True
    return _STRING(mode, value, entry)


_STRING = reference._string
_NUMBER = reference._within
_TARGET = reference._target
_BELOW = reference._is_below

FAULTS: dict[str, tuple[str, Callable[..., object]]] = {
    "a prefix read as a LIKE pattern": ("_string", _like),
    "presence without the marker": (
        "_is_present",
        lambda param, document: bool(document.entries.get(param)),
    ),
    "an upper bound taken as included": (
        "_within",
        lambda leaf, low, high: leaf.low <= low and high <= leaf.high,
    ),
    "an id that finds external references": (
        "_target",
        lambda target, entry: target.type in (None, entry.type) and target.id == entry.id,
    ),
    "a URI cut within a segment": ("_is_below", lambda child, parent: child.startswith(parent)),
    "a distance without longitudes": (
        "distance",
        lambda latitude, longitude, other, beside: abs(latitude - other) * 111_195,
    ),
    "one word is enough": (
        "_special",
        lambda part, entry: (
            isinstance(part, TextIs)
            and isinstance(entry, Words)
            and any(word in entry.text.split() for value in part.values for word in value)
        ),
    ),
    "the id of a contained resource taken whole": ("local_id", lambda whole: whole),
    "a unit compared by its code alone": (
        "_unit",
        lambda system, code, entry: system in (None, entry.system) and code in (None, entry.code),
    ),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.replace(" ", "-"))
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, wrong = FAULTS[fault]
    right = getattr(reference, name)

    def differs(case: Case) -> bool:
        monkeypatch.setattr(reference, name, right)
        expected = _hits(case)
        monkeypatch.setattr(reference, name, wrong)
        return _hits(case) != expected

    find(cases(), differs, settings=_BUDGET)


def test_a_match_agrees_with_itself() -> None:
    with pytest.raises(NoSuchExample):
        find(
            cases(),
            lambda case: _hits(case) != _hits(case),
            settings=settings(_BUDGET, max_examples=50),
        )


def test_an_order_that_forgets_the_direction_is_found() -> None:
    def differs(case: Case) -> bool:
        documents = list(case.world.values())
        return any(
            in_order(documents, keys)
            != in_order(documents, [replace(key, descending=False) for key in keys])
            for keys in case.sorts
        )

    find(cases(), differs, settings=_BUDGET)
