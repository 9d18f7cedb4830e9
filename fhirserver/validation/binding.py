"""Bindings: the codes of an element are from its value set.

https://hl7.org/fhir/R4/terminologies.html#binding. A code out of a required value set is an
error, one out of an extensible or preferred one a warning. What depends on codes that are not
here becomes a question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from fhirserver.definitions.element import Binding
from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Json
from fhirserver.model.outcome import Issue, Severity
from fhirserver.terminology import Terminology
from fhirserver.validation.finding import Check, Finding, Found, shown
from fhirserver.validation.grammar import GRAMMARS
from fhirserver.validation.question import (
    CodeQuestion,
    DisplayQuestion,
    Doubt,
    SystemQuestion,
    same_display,
    wrong_display,
)
from fhirserver.validation.scope import NOWHERE, Scope

_NAMED = 8  # so many codes of a value set are told
_MOST_KEPT: Final = 10_000  # anyone may send any system and code


@dataclass(frozen=True, slots=True)
class Codes:
    """What is known of a value set: codes by system, and whether those are all."""

    url: str
    by_system: Mapping[str, frozenset[str]]
    every: frozenset[str]
    is_listed: bool


class Bindings:
    """The checks of bindings, over one terminology."""

    def __init__(self, definitions: Definitions, terminology: Terminology) -> None:
        self._definitions = definitions
        self._terminology = terminology
        self._systems: dict[str, Mapping[str, str | None]] = {}
        self._codes: dict[str, Codes] = {}
        self._answers: dict[tuple[str, str | None, str], bool | None] = {}

    def check(self, binding: Binding | None, type: str) -> Check | None:
        """The check of a binding of an element of that type; None where it says nothing."""
        make = _MAKERS.get(type)
        if binding is None or make is None:
            return None
        severity: Severity
        if binding.strength == "required":
            url, severity = binding.value_set, "error"
        elif binding.strength in ("extensible", "preferred"):
            url, severity = binding.value_set, "warning"
        else:
            return None
        return make(_Bound(self, url, binding.strength, severity))

    def first(self, check: Check, binding: Binding | None) -> Check:
        """The check of a code, which one that is listed for the element passes at once."""
        listed = self.codes(binding.value_set).every if binding is not None else frozenset()

        def quick(value: Json, scope: Scope = NOWHERE) -> Found:
            if type(value) is str and value in listed:
                return None
            return check(value, scope)

        return quick if listed else check

    def widest(self, binding: Binding | None, type: str) -> Check | None:
        """The check of the widest value set that a binding may reach, which is required."""
        make = _MAKERS.get(type)
        if binding is None or make is None or binding.max_value_set is None:
            return None
        return make(_Bound(self, binding.max_value_set, "widest", "error"))

    def codes(self, url: str) -> Codes:
        """What is known of a value set."""
        found = self._codes.get(url)
        if found is None:
            found = self._codes[url] = self._expanded(url)
        return found

    def contains(self, url: str, system: str | None, code: str) -> bool | None:
        """Whether a value set has a code; None if that cannot be told here."""
        codes = self.codes(url)
        if codes.is_listed:
            return code in (codes.every if system is None else codes.by_system.get(system, ()))
        grammar = GRAMMARS.get(url.partition("|")[0])
        if grammar is not None:
            return grammar[1](code) if system is None or system == grammar[0] else False
        asked = (url, system, code)
        if asked not in self._answers:
            if len(self._answers) >= _MOST_KEPT:
                self._answers.clear()
            plain = url.partition("|")[0]
            self._answers[asked] = self._terminology.contains(plain, system, code)
        return self._answers[asked]

    def is_known(self, value: Any, scope: Scope = NOWHERE) -> Found:
        """What is to be told of a Coding by itself: its system is a URI, and has the code."""
        system, code = value.get("system"), value.get("code")
        if system is None:
            return None
        if ":" not in system and system[:1] != "#":
            text = f"Expected an absolute URI of a code system, found '{system}'."
            return [Doubt(".system", "value", text)]
        if code is None:
            return None
        codes = self._systems.get(system)
        if codes is None:
            codes = self._system(system)
        if codes and code not in codes:
            return [SystemQuestion("", system, code)]
        if scope.advice and type(value.get("display")) is str:
            return _display(value, scope, codes)
        return None

    def _system(self, url: str) -> Mapping[str, str | None]:
        """The codes of a system that is here as a whole, with displays; none of another."""
        found = self._definitions.code_system(url)
        codes: Mapping[str, str | None] = {}
        if found is not None and found.is_complete:
            codes = {code: concept.display for code, concept in found.concepts.items()}
        if found is not None or len(self._systems) < _MOST_KEPT:
            self._systems[url] = codes
        return codes

    def _expanded(self, url: str) -> Codes:
        expansion = self._terminology.expand(url.partition("|")[0])
        by_system: dict[str, set[str]] = {}
        for coding in expansion or ():
            by_system.setdefault(coding.system, set()).add(coding.code)
        frozen = {system: frozenset(codes) for system, codes in by_system.items()}
        every = frozenset(code for codes in frozen.values() for code in codes)
        return Codes(url, frozen, every, expansion is not None)


def _display(value: Any, scope: Scope, codes: Mapping[str, str | None]) -> Found:
    """What is to be told of the display of a Coding; `codes` are those of its system, if known."""
    system, code, display = value["system"], value["code"], value["display"]
    if not codes:
        if not scope.asks_displays:
            return None
        return [DisplayQuestion("", system, value.get("version"), code, display)]
    known = codes[code]
    if known is None or display == known or same_display(display, known):
        return None
    if not str(scope.root.get("language", "en")).startswith("en"):
        return None  # the definitions have no names in other languages
    return [wrong_display(code, display, [known])]


class _Bound:
    """One binding: what it takes and what is told of the rest."""

    def __init__(self, owner: Bindings, url: str, strength: str, severity: Severity) -> None:
        self._owner = owner
        self.url = url
        self.strength = strength
        self.severity = severity
        self.codes = owner.codes(url)

    def contains(self, system: str | None, code: str) -> bool | None:
        return self._owner.contains(self.url, system, code)

    def refused(self, value: str) -> Issue:
        """The finding about a value that is not in the set."""
        named = ""
        if self.codes.is_listed:
            some = [code for codes in self.codes.by_system.values() for code in sorted(codes)]
            named = f" ({', '.join(islice(some, _NAMED))}{', …' if len(some) > _NAMED else ''})"
        name = self.url.partition("|")[0].rpartition("/")[2] or self.url
        text = f"Expected a code of {name}{named}, found {value} ({self.strength} binding)."
        return Issue(self.severity, "code-invalid", "", text)

    def decide(
        self, answers: list[bool | None], codes: list[tuple[str | None, str]], value: str
    ) -> Found:
        """None if one code is known to be in the set, else the finding or the question."""
        if True in answers:
            return None
        if None not in answers:
            return [self.refused(value)]
        open_ones = tuple(code for code, known in zip(codes, answers, strict=True) if known is None)
        return [CodeQuestion("", open_ones, self.url, self.refused(value))]


def _plain(bound: _Bound) -> Check:
    known = bound.codes.every

    def check(value: Json, scope: Scope = NOWHERE) -> Found:
        if type(value) is not str or value in known:
            return None
        return bound.decide([bound.contains(None, value)], [(None, value)], shown(value))

    return check


def _coded(bound: _Bound) -> Check:
    by_system = bound.codes.by_system

    def check(value: Any, scope: Scope = NOWHERE) -> Found:
        system, code = value.get("system"), value.get("code")
        if code in by_system.get(system, ()):
            return None
        if code is None:
            return _without_code(bound, value)
        known = False if system is None else bound.contains(system, code)
        return bound.decide([known], [(system, code)], _coding(value))

    return check


def _concept(bound: _Bound) -> Check:
    by_system = bound.codes.by_system

    def check(value: Any, scope: Scope = NOWHERE) -> Found:
        codings = value.get("coding")
        if codings is None:
            return _without_code(bound, value)
        for coding in codings:
            if coding.get("code") in by_system.get(coding.get("system"), ()):
                return None
        codes = [(one.get("system"), one["code"]) for one in codings if "code" in one]
        if not codes:
            return _without_code(bound, value)
        known = [
            False if system is None else bound.contains(system, code) for system, code in codes
        ]
        told = ", ".join(_coding(one) for one in codings[:3])
        return bound.decide(known, codes, told)

    return check


def _quantity(bound: _Bound) -> Check:
    coded = _coded(bound)

    def check(value: Any, scope: Scope = NOWHERE) -> Found:
        return coded(value, scope) if "code" in value else None

    return check


def _without_code(bound: _Bound, value: Any) -> Found:
    """Words without a code break a required binding only; an extension may say why."""
    if bound.strength != "required" or "extension" in value or "_code" in value:
        return None
    found: list[Finding] = [bound.refused("no code")]
    return found


def _coding(value: Any) -> str:
    return f"'{value.get('system') or ''}|{value.get('code') or ''}'"


_MAKERS: Final[Mapping[str, Callable[[_Bound], Check]]] = {
    "code": _plain,
    "string": _plain,
    "uri": _plain,
    "url": _plain,
    "canonical": _plain,
    "markdown": _plain,
    "Coding": _coded,
    "CodeableConcept": _concept,
    "Quantity": _quantity,
}
