"""With any one guard taken away, what a caller may not see can be told.

So each guard is seen to do something, and the comparison of worlds to find it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from access.asking import Ask
from access.test_non_interference import compare
from access.worlds import BY_NAME, Caller, hidden, observation
from interactions.bundles import entry, transaction

from fhirserver.access.guard.reading import Reading
from fhirserver.access.guard.searching import Searching
from fhirserver.access.guard.writing import Writing
from fhirserver.access.hops import Hops
from fhirserver.access.restriction import Restriction
from fhirserver.interactions.context import Context
from fhirserver.search.expression import EVERYTHING, NOTHING


def _through(verb: str) -> Callable[..., Any]:
    async def ask(self: Any, *given: Any, **more: Any) -> Any:
        return await getattr(self._store, verb)(*given, **more)

    return ask


def _found_itself(self: Any, expression: Any) -> Any:
    return expression


async def _fits(self: Any, *given: Any) -> bool:
    return True


def _unrestricted(self: Any, types: Any, where: Any) -> Any:
    return tuple(types), where


def _nothing_checked(self: Any, *given: Any) -> None:
    return None


async def _unchecked(self: Any, *given: Any) -> None:
    return None


def _named(self: Any, *given: Any) -> bool:
    return True


def _no_denial(self: Any, type: str, letter: str) -> Any:
    found = any(item.rules_for(type, letter) for item in self.grant.policies)
    return EVERYTHING if found else NOTHING


def _no_labels(self: Any, policy: Any, type: str, letter: str) -> Any:
    return _no_denial(self, type, letter)


def _whatever(self: Any, *given: Any) -> Any:
    return EVERYTHING


def _get(*urls: str) -> list[Ask]:
    return [Ask("GET", url) for url in urls]


_RESULTS = _get("DiagnosticReport?result.code=4", "DiagnosticReport?result.code=2")
_BOB = observation("o-bob", "bob", "1")
_NEW = {name: value for name, value in _BOB.items() if name != "id"}

MUTANTS = {
    "read": (Reading, "read", _through("read"), "patient", _get("Observation/o-bob")),
    "vread": (Reading, "read", _through("read"), "patient", _get("Observation/o-in/_history/1")),
    "read-many": (
        Reading,
        "read_many",
        _through("read_many"),
        "patient",
        _get("DiagnosticReport?_include=DiagnosticReport:result"),
    ),
    "heads": (
        Reading,
        "heads",
        _through("heads"),
        "keeper",
        [Ask("POST", "", (("resource", transaction(entry("PUT", "Observation/o-bob", _BOB))),))],
    ),
    "history": (
        Reading,
        "history",
        _through("history"),
        "patient",
        _get("Observation/o-in/_history", "Observation/_history"),
    ),
    "versions": (Reading, "fits", _fits, "patient", _get("Observation/o-in/_history")),
    "binary": (Reading, "_is_by_context", _fits, "patient", _get("Binary/b-bob")),
    "search": (Hops, "asked", _unrestricted, "patient", _get("Observation")),
    "counts": (Hops, "asked", _unrestricted, "patient", _get("Observation?_summary=count")),
    "revinclude": (
        Hops,
        "asked",
        _unrestricted,
        "doctor",
        _get("Practitioner?_revinclude=Observation:performer", "Observation?_revinclude=*"),
    ),
    "chain": (Hops, "_chain", _found_itself, "doctor", _RESULTS),
    "has": (
        Hops,
        "_has",
        _found_itself,
        "patient",
        _get("Observation?_has:DiagnosticReport:result:patient.name=Bob&_id=o-ann"),
    ),
    "contained": (
        Hops,
        "_contained",
        lambda self: EVERYTHING,
        "patient",
        _get("Medication?_contained=true&_containedType=contained&code=aspirin"),
    ),
    "explain": (
        Searching,
        "explain",
        _through("explain"),
        "patient",
        _get("Observation/__explain?code=1"),
    ),
    "scan": (Searching, "_is_shown", _fits, "nurse", _get("Observation/$meta")),
    "conditional": (
        Hops,
        "asked",
        _unrestricted,
        "keeper",
        [Ask("POST", "Observation", (("resource", _NEW), ("if_none_exist", (("_id", "o-bob"),))))],
    ),
    "expectations": (
        Writing,
        "_expected",
        lambda self, expectations: list(expectations),
        "keeper",
        [Ask("DELETE", "Observation/o-last")],
    ),
    "own-ids": (
        Context,
        "may_name",
        _named,
        "keeper",
        [Ask("PUT", "Observation/o-bob", (("resource", observation("o-bob", "ann")),))],
    ),
    "consents": (Restriction, "_by_role", _no_denial, "doctor", _get("Observation/o-cat")),
    "labels": (Restriction, "_of_policy", _no_labels, "nurse", _get("Observation/o-r")),
    "own-record": (Restriction, "_of_rule", _whatever, "patient", _get("Patient/bob")),
    "scopes": (
        Restriction,
        "_by_scope",
        _whatever,
        "app",
        _get("Observation/o-ann2", "DiagnosticReport"),
    ),
}  # fmt: skip


SLOW = frozenset({"expectations", "own-ids"})  # without them a write is tried again and again


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in MUTANTS],
)
async def test_without_a_guard_worlds_can_be_told_apart(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, attribute, mutant, who, asks = MUTANTS[name]
    caller: Caller = BY_NAME[who]
    nothing = {item.id: 0 for item in hidden(caller)}
    something = {item.id: 2 for item in hidden(caller)}
    everything = {item.id: 1 for item in hidden(caller)}
    await compare(_folder(tmp_path, "with"), caller, nothing, something, asks)
    monkeypatch.setattr(target, attribute, mutant)
    with pytest.raises(AssertionError):
        await compare(_folder(tmp_path, "without"), caller, nothing, something, asks)
        await compare(_folder(tmp_path, "again"), caller, nothing, everything, asks)


def _folder(place: Path, name: str) -> Path:
    folder = place / name
    folder.mkdir()
    return folder
