"""Terminology that answers from the value sets and code systems that are loaded.

https://hl7.org/fhir/R4/terminologies.html. Whatever depends on a code system that is not
here (SNOMED CT, LOINC, UCUM) is answered with None: unknown, never guessed. Codes are
compared as they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fhirserver.definitions.code_system import CodeSystem, Concept
from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.value_set import Coding, Include, ValueSet
from fhirserver.terminology.filter import test
from fhirserver.terminology.hierarchy import Hierarchy


class Terminology:
    """Answers of one registry of definitions, kept once computed."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._expansions: dict[str, tuple[Coding, ...] | None] = {}
        self._codes: dict[str, Mapping[str, frozenset[str]]] = {}
        self._hierarchies: dict[str, Hierarchy] = {}

    # --- value sets -----------------------------------------------------------------------

    def expand(self, value_set: str) -> tuple[Coding, ...] | None:
        """The codes of a value set, each once; None if it is unknown or cannot be told.

        Concepts that only group others (`notSelectable`) are not among them.
        """
        return self._expand(value_set, ())

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether a value set has a code of a system, or if `system` is None of any system.

        None where the value set is unknown or the answer needs a code system that is.
        """
        return self._contains(value_set, system, code, ())

    # --- code systems ---------------------------------------------------------------------

    def subsumed(self, system: str, code: str) -> frozenset[str] | None:
        """The code and all codes below it; None if the system or code is unknown."""
        hierarchy = self._hierarchy(system)
        return (hierarchy.below(code) or None) if hierarchy else None

    def ancestors(self, system: str, code: str) -> frozenset[str] | None:
        """The code and all codes above it; None if the system or code is unknown."""
        hierarchy = self._hierarchy(system)
        return (hierarchy.above(code) or None) if hierarchy else None

    def display(self, system: str, code: str) -> str | None:
        """The display of a code; None if it has none or is unknown."""
        found = self._definitions.code_system(system)
        concept = found.concepts.get(code) if found else None
        return concept.display if concept else None

    def _hierarchy(self, system: str) -> Hierarchy | None:
        if system not in self._hierarchies:
            found = self._definitions.code_system(system)
            if found is None:
                return None
            self._hierarchies[system] = Hierarchy(found)
        return self._hierarchies[system]

    # --- expansion ------------------------------------------------------------------------

    def _expand(self, url: str, within: tuple[str, ...]) -> tuple[Coding, ...] | None:
        if url in self._expansions:
            return self._expansions[url]
        found = self._definitions.value_set(url)
        if found is None or found.url in within:
            return None
        codes = self._compose(found, (*within, found.url))
        self._expansions[url] = codes
        return codes

    def _compose(self, value_set: ValueSet, within: tuple[str, ...]) -> tuple[Coding, ...] | None:
        if value_set.expansion is not None:
            return value_set.expansion
        included = self._union(value_set.includes, within)
        excluded = self._union(value_set.excludes, within)
        if included is None or excluded is None:
            return None
        return tuple(coding for key, coding in included.items() if key not in excluded)

    def _union(
        self, parts: Iterable[Include], within: tuple[str, ...]
    ) -> dict[tuple[str, str], Coding] | None:
        codes: dict[tuple[str, str], Coding] = {}
        for part in parts:
            found = self._include(part, within)
            if found is None:
                return None
            for coding in found:
                codes.setdefault((coding.system, coding.code), coding)
        return codes

    def _include(self, include: Include, within: tuple[str, ...]) -> Iterable[Coding] | None:
        sets = [self._expand(url, within) for url in include.value_sets]
        known = [item for item in sets if item is not None]
        if len(known) < len(sets):
            return None
        allowed = [{(coding.system, coding.code) for coding in item} for item in known]
        if include.system is None:
            codes: Iterable[Coding] | None = known[0] if known else ()
        else:
            codes = self._of_system(include, include.system)
        if codes is None or not allowed:
            return codes
        return [
            coding
            for coding in codes
            if all((coding.system, coding.code) in item for item in allowed)
        ]

    def _of_system(self, include: Include, url: str) -> Iterable[Coding] | None:
        system = self._definitions.code_system(url)
        if include.concepts is not None:
            return [_with_display(coding, system) for coding in include.concepts]
        if system is None or not system.is_complete:
            return None
        concepts = self._filtered(include, system)
        if concepts is None:
            return None
        return [Coding(url, item.code, item.display) for item in concepts if not item.abstract]

    def _filtered(self, include: Include, system: CodeSystem) -> Iterator[Concept] | None:
        hierarchy = self._hierarchy(system.url)
        assert hierarchy is not None
        tests = [test(item, system, hierarchy) for item in include.filters]
        known = [item for item in tests if item is not None]
        if len(known) < len(tests):
            return None
        return (
            concept
            for concept in system.concepts.values()
            if all(holds(concept) for holds in known)
        )

    # --- membership -----------------------------------------------------------------------

    def _contains(
        self, url: str, system: str | None, code: str, within: tuple[str, ...]
    ) -> bool | None:
        codes = self._by_system(url)
        if codes is not None:
            if system is None:
                return any(code in item for item in codes.values())
            return code in codes.get(system, ())
        value_set = self._definitions.value_set(url)
        if value_set is None or value_set.url in within:
            return None
        within = (*within, value_set.url)
        included = _any(self._in(item, system, code, within) for item in value_set.includes)
        if included is False:
            return False
        excluded = _any(self._in(item, system, code, within) for item in value_set.excludes)
        return _all((included, None if excluded is None else not excluded))

    def _by_system(self, url: str) -> Mapping[str, frozenset[str]] | None:
        found = self._codes.get(url)
        if found is None:
            expansion = self.expand(url)
            if expansion is None:
                return None
            codes: dict[str, set[str]] = {}
            for coding in expansion:
                codes.setdefault(coding.system, set()).add(coding.code)
            found = self._codes[url] = {name: frozenset(item) for name, item in codes.items()}
        return found

    def _in(
        self, include: Include, system: str | None, code: str, within: tuple[str, ...]
    ) -> bool | None:
        answers = [self._contains(url, system, code, within) for url in include.value_sets]
        if include.system is not None:
            answers.append(self._in_system(include, include.system, system, code))
        return _all(answers) if answers else False

    def _in_system(self, include: Include, url: str, system: str | None, code: str) -> bool | None:
        if system is not None and system != url:
            return False
        if include.concepts is not None:
            return any(coding.code == code for coding in include.concepts)
        found = self._definitions.code_system(url)
        concept = found.concepts.get(code) if found else None
        if found is None or concept is None:
            return False if found and found.is_complete else None
        concepts = self._filtered(include, found)
        return None if concepts is None else concept in concepts and not concept.abstract


def _with_display(coding: Coding, system: CodeSystem | None) -> Coding:
    if coding.display is not None or system is None or coding.code not in system.concepts:
        return coding
    return coding._replace(display=system.concepts[coding.code].display)


def _any(answers: Iterable[bool | None]) -> bool | None:
    """Whether one answer is yes; unknown answers leave it open (Kleene)."""
    result: bool | None = False
    for answer in answers:
        if answer:
            return True
        if answer is None:
            result = None
    return result


def _all(answers: Iterable[bool | None]) -> bool | None:
    """Whether all answers are yes; unknown answers leave it open (Kleene)."""
    result: bool | None = True
    for answer in answers:
        if answer is False:
            return False
        if answer is None:
            result = None
    return result
