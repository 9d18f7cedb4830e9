"""A value set's compose: which concepts it lists, and whether it has a certain one.

https://hl7.org/fhir/R4/valueset.html#compositions. Nothing is expanded to answer for one
code; what is excluded is never listed, only asked about each concept that is included.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fhirserver.definitions.value_set import Filter
from fhirserver.errors import TooCostly, Unprocessable
from fhirserver.model.json import Resource
from fhirserver.terminology.concept import Concept, canonical, value_of
from fhirserver.terminology.condition import check, meets
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.issue import MissingSystem, issue
from fhirserver.terminology.source import System
from fhirserver.terminology.words import Query, names_have

_OPERATOR: Final = (
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.compose.include.filter.op"
)
_PARAMETER: Final = "http://hl7.org/fhir/StructureDefinition/valueset-expansion-parameter"
_DEEPEST: Final = 32
_MOST_IMPORTED: Final = 1000  # a few that import each other twice stand for millions


@dataclass(frozen=True, slots=True)
class Member:
    """A code that a value set has. `system` is None where only the value set tells of it.

    `listed` is the element of the value set that names the code, with what it says of it.
    """

    url: str
    version: str | None
    code: str
    system: System | None
    concept: Concept | None
    listed: Resource | None = None

    @property
    def is_abstract(self) -> bool:
        if self.system is not None and self.concept is not None:
            return self.system.info.abstract(self.concept)
        return False

    @property
    def is_inactive(self) -> bool:
        if self.system is not None and self.concept is not None:
            return self.system.info.inactive(self.concept)
        return bool(self.listed and self.listed.get("inactive"))


class Composition:
    """The compose of one value set, with those that it imports."""

    def __init__(
        self, environment: Environment, value_set: Resource, within: tuple[str, ...] = ()
    ) -> None:
        self.value_set = value_set
        self._within = (*within, canonical(value_set.get("url", ""), value_set.get("version")))
        if len(within) > _DEEPEST or (value_set.get("url") and self._within[-1] in within):
            raise _circular(self._within)
        environment.imported = environment.imported + 1 if within else 0
        if environment.imported > _MOST_IMPORTED:
            raise _too_many_imports(value_set)
        compose = value_set.get("compose")
        if compose is None:
            expansion = value_set.get("expansion", {})
            self.includes: list[Part] = [Listing(environment, expansion.get("contains", ()))]
            self.excludes: list[Part] = []
        else:
            self.includes = self._parts(environment, compose, "include")
            self.excludes = self._parts(environment, compose, "exclude")
        self.active_only = (compose or {}).get("inactive") is False
        self.merges = _versions_match(compose or {})
        if self.merges is None and self._excludes_other_versions():
            self.merges = True

    def _parts(self, environment: Environment, compose: Resource, name: str) -> list[Part]:
        return [
            Rule(environment, self, item, f"ValueSet.compose.{name}[{index}]")
            for index, item in enumerate(compose.get(name, ()))
        ]

    @property
    def within(self) -> tuple[str, ...]:
        return self._within

    def contained(self, reference: str) -> Resource | None:
        """The contained value set of a local reference (`#id`)."""
        for item in self.value_set.get("contained", ()):
            if item.get("id") == reference[1:]:
                return {**item, "contained": self.value_set["contained"]}
        return None

    def members(self, query: Query | None = None) -> Iterator[Member]:
        """What the value set has, in its order; several times where several parts have it."""
        for part in self.includes:
            for member in part.members(query):
                if not self.excludes_member(member):
                    yield member

    def excludes_member(self, member: Member) -> bool:
        """Whether the value set takes out a code that its includes may have."""
        if self.active_only and member.is_inactive:
            return True
        version = None if self.merges else member.version
        return any(any(part.find(member.url, version, member.code)) for part in self.excludes)

    def _excludes_other_versions(self) -> bool:
        """Whether an exclude names a version that no include has: it is then without effect,
        unless the versions of a system are taken as one."""
        stated = {(part.url, part.version) for part in self.includes if isinstance(part, Rule)}
        return any(
            isinstance(part, Rule)
            and part.version is not None
            and (part.url, part.version) not in stated
            and (part.url, None) not in stated
            and any(url == part.url for url, _ in stated)
            for part in self.excludes
        )

    def find(self, url: str | None, version: str | None, code: str) -> Iterator[Member]:
        """The members of that code: of a system or any, of a version or each that it has."""
        for part in self.includes:
            for member in part.find(url, version, code):
                if not self.excludes_member(member):
                    yield member

    def knows_all(self, url: str | None) -> bool:
        """Whether a code of the system that is not found is surely not in the value set."""
        return all(part.knows_all(url) for part in self.includes)

    def systems(self) -> dict[str, None]:
        """The URLs of the code systems that it speaks of."""
        return {url: None for part in (*self.includes, *self.excludes) for url in part.systems()}


class Part(ABC):
    """An include or exclude, or the listing of an expansion."""

    @abstractmethod
    def members(self, query: Query | None) -> Iterator[Member]:
        """The members that the query means; without one, all."""

    @abstractmethod
    def find(self, url: str | None, version: str | None, code: str) -> Iterator[Member]:
        """The members with that code."""

    def knows_all(self, url: str | None) -> bool:
        """Whether a code of the system that is not found is surely not a member."""
        return True

    @abstractmethod
    def systems(self) -> Sequence[str]:
        """The URLs of the code systems that it speaks of."""


class Listing(Part):
    """The concepts of an expansion that came without a compose."""

    def __init__(self, environment: Environment, contains: Sequence[Resource]) -> None:
        self._items = [
            Member(item.get("system", ""), item.get("version"), item["code"], None, None, item)
            for item in _flat(contains)
            if "code" in item and not item.get("abstract")
        ]

    def members(self, query: Query | None) -> Iterator[Member]:
        for item in self._items:
            if query is None or _has(query, item):
                yield item

    def find(self, url: str | None, version: str | None, code: str) -> Iterator[Member]:
        for item in self._items:
            if item.code == code and url in (None, item.url):
                yield item

    def systems(self) -> Sequence[str]:
        return list(dict.fromkeys(item.url for item in self._items))


class Rule(Part):
    """`system` with `concept` or `filter`, and `valueSet`: what is in all of them."""

    def __init__(
        self, environment: Environment, owner: Composition, element: Resource, place: str
    ) -> None:
        self._environment = environment
        self.url: str | None = element.get("system")
        self.version: str | None = element.get("version")
        listed = element.get("concept")
        self._listed = None if listed is None else {item["code"]: item for item in listed}
        self._filters = tuple(_filter(item) for item in element.get("filter", ()))
        self._place = place
        self._checked: System | None = None
        self._imports = [self._import(owner, item) for item in element.get("valueSet", ())]

    def _import(self, owner: Composition, reference: str) -> Composition:
        local = owner.contained(reference) if reference.startswith("#") else None
        if local is not None:
            return Composition(self._environment, local, owner.within)
        found = self._environment.value_set(reference)
        used = canonical(found.get("url", ""), found.get("version"))
        self._environment.used.value_sets[used] = None
        return Composition(self._environment, found, owner.within)

    def knows_all(self, url: str | None) -> bool:
        if self.url is None:
            return all(item.knows_all(url) for item in self._imports)
        return self._listed is not None or url not in (None, self.url) or self._system().is_complete

    def systems(self) -> Sequence[str]:
        own = [] if self.url is None else [self.url]
        return [*own, *(url for item in self._imports for url in item.systems())]

    def _system(self) -> System:
        found = self._environment.system(self.url or "", self.version)
        if found is not self._checked:
            for index, item in enumerate(self._filters):
                check(item, found, f"{self._place}.filter[{index}]")
            self._checked = found
        return found

    def members(self, query: Query | None) -> Iterator[Member]:
        if self.url is None:
            first, *others = self._imports
            found = first.members(query)
        else:
            others = self._imports
            found = self._of_system(query)
        for member in found:
            if all(any(item.find(member.url, member.version, member.code)) for item in others):
                yield member

    def _of_system(self, query: Query | None) -> Iterator[Member]:
        if self._listed is None:
            system = self._system()
            self._environment.use(system)
            concepts = (
                system.select(self._filters)
                if query is None
                else system.search(system.corrected(query), self._filters)
            )
            for concept in concepts:
                yield self._member(system, concept)
            return
        for code in self._listed:
            for member in self._find_listed(code):
                if query is None or _has(query, member):
                    yield member

    def _member(self, system: System, concept: Concept, listed: Resource | None = None) -> Member:
        info = system.info
        concept = self._environment.supplemented(system, concept)
        return Member(info.url, info.version, concept.code, system, concept, listed)

    def _find_listed(self, code: str) -> Iterator[Member]:
        listed = (self._listed or {}).get(code)
        if listed is None:
            return
        try:
            system = self._system()
        except MissingSystem:
            # The value set itself tells which codes it has.
            yield Member(self.url or "", self.version, code, None, None, listed)
            return
        self._environment.use(system)
        concept = system.find(code)
        if concept is not None:
            yield self._member(system, concept, listed)
        elif not system.is_complete:
            yield Member(self.url or "", system.info.version, code, system, None, listed)

    def find(self, url: str | None, version: str | None, code: str) -> Iterator[Member]:
        if self.url is None:
            first, *others = self._imports
            found = first.find(url, version, code)
        elif url not in (None, self.url):
            return
        else:
            others = self._imports
            found = self._find_listed(code) if self._listed is not None else self._find(code)
        for member in found:
            if version not in (None, member.version) and member.version is not None:
                continue
            if all(any(item.find(member.url, member.version, code)) for item in others):
                yield member

    def _find(self, code: str) -> Iterator[Member]:
        system = self._system()
        self._environment.use(system)
        concept = system.find(code)
        if concept is not None and all(meets(item, concept, system) for item in self._filters):
            yield self._member(system, concept)


def _versions_match(compose: Resource) -> bool | None:
    """Whether all versions of a system count as one, where the value set says so."""
    for item in compose.get("extension", ()):
        if item.get("url") == _PARAMETER:
            parts = {part.get("url"): value_of(part) for part in item.get("extension", ())}
            if parts.get("name") == "versionsMatch":
                return parts.get("value") in (True, "true")
    return None


def _filter(element: Resource) -> Filter:
    op = element.get("op", "")
    for item in element.get("_op", {}).get("extension", ()):
        if item.get("url") == _OPERATOR:
            op = item.get("valueCode", op)
    return Filter(element.get("property", ""), op, element.get("value", ""))


def _flat(contains: Sequence[Resource]) -> Iterator[Resource]:
    for item in contains:
        yield item
        yield from _flat(item.get("contains", ()))


def _has(query: Query, member: Member) -> bool:
    listed = member.listed or {}
    names = [listed.get("display"), *(item["value"] for item in listed.get("designation", ()))]
    if member.concept is not None:
        names += member.concept.terms()
    return names_have(query, member.code, (name for name in names if name))


def _too_many_imports(value_set: Resource) -> TooCostly:
    text = f"More than {_MOST_IMPORTED} value sets are imported, {value_set.get('url')} among them"
    return TooCostly(text, issues=[issue("error", "too-costly", "too-costly", text)])


def _circular(within: tuple[str, ...]) -> Unprocessable:
    text = f"The value sets import each other in a circle: {' -> '.join(within)}"
    found = issue("error", "processing", "vs-invalid", text, "", "VALUESET_CIRCULAR_REFERENCE")
    return Unprocessable(text, issues=[found])
