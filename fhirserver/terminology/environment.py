"""What one request knows: its sources, its rules on versions, and what it used of them.

https://hl7.org/fhir/R4/valueset-operation-expand.html (system-version, check-system-version,
force-system-version) and the parameters of R5 that stand for the same of value sets
(default-valueset-version) and supplements (useSupplement).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fhirserver.errors import Unprocessable
from fhirserver.model.json import Resource
from fhirserver.terminology.concept import Concept, canonical, split_canonical
from fhirserver.terminology.issue import (
    issue,
    missing_supplement,
    missing_system,
    missing_value_set,
)
from fhirserver.terminology.source import Source, System

_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Rules:
    """Versions by URL: used where none is said, demanded, used whatever is said."""

    system_version: Mapping[str, str] = field(default_factory=dict)
    check_system_version: Mapping[str, str] = field(default_factory=dict)
    force_system_version: Mapping[str, str] = field(default_factory=dict)
    value_set_version: Mapping[str, str] = field(default_factory=dict)
    supplements: tuple[str, ...] = ()


@dataclass(slots=True)
class Used:
    """The canonicals that an answer rests on, in the order of their use."""

    code_systems: dict[str, None] = field(default_factory=dict)
    value_sets: dict[str, None] = field(default_factory=dict)
    supplements: dict[str, None] = field(default_factory=dict)
    fragments: dict[str, None] = field(default_factory=dict)
    rules: dict[tuple[str, str], None] = field(default_factory=dict)


class Environment:
    """Sources in order of precedence: of two definitions of one version the first counts."""

    def __init__(self, sources: Sequence[Source], rules: Rules | None = None) -> None:
        self._sources = sources
        self.rules = rules or Rules()
        self.used = Used()
        self._systems: dict[str, list[System]] = {}
        self._supplements: list[System] = []

    def versions(self, url: str) -> list[System]:
        """All versions of a code system: of the first source that has it the newest first,
        then those of the next."""
        found = self._systems.get(url)
        if found is None:
            by_version: dict[str | None, System] = {}
            for source in self._sources:
                for system in sorted(source.code_systems(url), key=_age_of_system, reverse=True):
                    by_version.setdefault(system.info.version, system)
            found = self._systems[url] = list(by_version.values())
        return found

    def system(self, url: str, version: str | None = None) -> System:
        """The code system in the version that the rules tell. Raises `MissingSystem`, and
        `Unprocessable` for a version that is not the one demanded."""
        rules, demanded = self.rules, self.rules.check_system_version.get(url)
        wanted = rules.force_system_version.get(url)
        if wanted is not None:
            self.used.rules["force-system-version", canonical(url, wanted)] = None
        elif version is None and url in rules.system_version:
            wanted = rules.system_version[url]
            self.used.rules["system-version", canonical(url, wanted)] = None
        wanted = wanted or version or demanded
        if demanded is not None:
            self.used.rules["check-system-version", canonical(url, demanded)] = None
        if demanded is not None and not _is_version(wanted, demanded):
            raise _other_version(url, wanted, demanded)
        for system in self.versions(url):
            if _is_version(system.info.version, wanted):
                return system
        known = [item.info.version or "(none)" for item in self.versions(url)]
        raise missing_system(canonical(url, wanted), known)

    def use(self, system: System) -> None:
        """Notes that an answer rests on the system."""
        self.used.code_systems[system.info.canonical] = None
        if system.info.content == "fragment":
            self.used.fragments[system.info.canonical] = None
        for item in self.supplements_of(system):
            self.used.supplements[item.info.canonical] = None

    def value_set(self, reference: str) -> Resource:
        """The value set of a canonical. Raises `MissingValueSet`."""
        url, version = split_canonical(reference)
        pinned = None if version else self.rules.value_set_version.get(url)
        if pinned is not None:
            version = pinned
            self.used.rules["default-valueset-version", canonical(url, pinned)] = None
        for source in self._sources:
            found = source.value_sets(url)
            if version is not None:
                found = [item for item in found if item.get("version") == version]
            if found:
                return max(found, key=lambda item: version_key(item.get("version")))
        raise missing_value_set(canonical(url, version), pinned=pinned is not None)

    def is_value_set(self, url: str) -> bool:
        """Whether there is a value set of that URL."""
        return any(source.value_sets(url) for source in self._sources)

    def concept_maps(self, url: str | None) -> list[Resource]:
        """The concept maps of a URL, or all; each version once."""
        found: dict[tuple[str, str], Resource] = {}
        for source in self._sources:
            for item in source.concept_maps(url):
                name = item.get("url") or f"#{item.get('id')}"
                found.setdefault((name, item.get("version", "")), item)
        return list(found.values())

    # --- supplements ------------------------------------------------------------------------

    def require_supplements(self, references: Iterable[str], urls: Iterable[str]) -> None:
        """From here on concepts have what these supplements to any of the systems add.

        Raises `NotFound` for one that is not here.
        """
        wanted = dict.fromkeys((*self.rules.supplements, *references))
        known = [
            item for url in urls for source in self._sources for item in source.supplements(url)
        ]
        self._supplements = []
        for reference in wanted:
            url, version = split_canonical(reference)
            found = [
                item
                for item in known
                if item.info.url == url and _is_version(item.info.version, version)
            ]
            if not found:
                raise missing_supplement(reference)
            self._supplements.append(found[0])

    @property
    def supplements(self) -> list[System]:
        """The supplements in use."""
        return self._supplements

    def supplements_of(self, system: System) -> list[System]:
        """The supplements to that system that are to be used."""
        return [
            item
            for item in self._supplements
            if (item.info.supplements or "").partition("|")[0] == system.info.url
        ]

    def supplemented(self, system: System, concept: Concept) -> Concept:
        """The concept with what the supplements in use add to it."""
        for supplement in self.supplements_of(system):
            added = supplement.find(concept.code)
            if added is not None:
                concept = _merged(concept, added, supplement.info.canonical)
        return concept


def _merged(concept: Concept, added: Concept, source: str) -> Concept:
    data = dict(concept.data)
    for name in ("designation", "property", "extension"):
        more = added.data.get(name, ())
        if name == "designation":
            more = [{**item, "source": source} for item in more]
        if more:
            data[name] = [*data.get(name, ()), *more]
    return Concept(concept.code, concept.display or added.display, concept.parents, data)


def version_key(version: str | None) -> list[tuple[int, int, str]]:
    """Sorts versions as people do: 4.10 after 4.9, a version after none."""
    if version is None:
        return []
    return [
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in _NUMBER.split(version)
        if part
    ]


def _age_of_system(system: System) -> list[tuple[int, int, str]]:
    return version_key(system.info.version)


def _is_version(given: str | None, wanted: str | None) -> bool:
    """Whether a version is the one wanted, of which only the beginning may be said (`1.x`)."""
    if wanted is None or given == wanted:
        return True
    pattern = wanted.removesuffix(".x").removesuffix(".*")
    return given is not None and pattern != wanted and given.startswith(f"{pattern}.")


def _other_version(url: str, given: str | None, demanded: str) -> Unprocessable:
    text = (
        f"The version '{given}' of the code system {url} is not '{demanded}', which "
        "check-system-version demands"
    )
    found = issue("error", "exception", "version-error", text, "", "VALUESET_VERSION_CHECK")
    return Unprocessable(text, issues=[found])
