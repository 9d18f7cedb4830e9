"""Profiles: what they ask beyond the definition of the type they constrain.

https://hl7.org/fhir/R4/profiling.html. A profile is compiled once to flat checks; what its
snapshot merely repeats of the base definition is left out, as that was checked before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.structure import CORE
from fhirserver.model.json import Json, Resource
from fhirserver.validation.binding import Bindings
from fhirserver.validation.discriminator import Discriminators
from fhirserver.validation.finding import (
    Check,
    Finding,
    Found,
    always,
    as_warning,
    error,
    has_errors,
    warning,
)
from fhirserver.validation.profile_element import Compiler
from fhirserver.validation.question import ProfileQuestion
from fhirserver.validation.scope import NOWHERE, Scope
from fhirserver.validation.snapshot import Snapshots
from fhirserver.validation.tree import Node, Unusable


class Profiles:
    """The compiled profiles of one registry of definitions."""

    def __init__(
        self, definitions: Definitions, bindings: Bindings, base: Callable[[str], Check]
    ) -> None:
        self.definitions = definitions
        self.bindings = bindings
        self.base = base
        self.snapshots = Snapshots(self.find)
        self.discriminators = Discriminators(bindings, self.tree_of)
        self._checks: dict[str, Check] = {}

    def find(self, url: str) -> Resource | None:
        """The StructureDefinition of a canonical URL or of the name of a type, as JSON.

        One with another version than is asked for is another definition.
        """
        header = self.definitions.types.get(url)
        plain, _, version = (header.url if header else url).partition("|")
        found = self.definitions.shelf("StructureDefinition").get(plain)
        if found is None or (version and not _is_version(found.get("version"), version)):
            return None
        return found

    def tree_of(self, url: str) -> Node | None:
        """The tree of a profile or type; None for one that is unknown or cannot be used."""
        found = self.find(url)
        try:
            return None if found is None else self.snapshots.tree(found)
        except Unusable:
            return None

    def check(self, url: str) -> Check | None:
        """What a profile asks of a value beyond its base; None where it is not known.

        It is compiled when it is first run, so that profiles may refer to each other.
        """
        known = self._checks.get(url)
        if known is None:
            definition = self.find(url)
            if definition is None:
                return None
            known = self._checks[url] = _Lazy(self, definition)
        return known

    def claimed(self, resource: Any, scope: Scope) -> Found:
        """The findings about a resource by the profiles that its `meta.profile` names."""
        found: list[Finding] = []
        for index, url in enumerate(resource["meta"]["profile"]):
            if isinstance(url, str):
                place = f".meta.profile[{index}]"
                found += self.against(resource, url, scope, place) or ()
        return found or None

    def against(self, resource: Any, url: str, scope: Scope, place: str = "") -> Found:
        """The findings about a resource by one profile; `place` is where that is asked for."""
        mode = scope.modes.get(url, "reject")
        if mode == "off":
            return None
        check = self.check(url)
        if check is None:
            return [ProfileQuestion(place, url)]
        found = check(resource, scope)
        return found if found is None or mode == "reject" else [*map(as_warning, found)]

    def conformance(self, scope: Scope) -> Callable[[Json, str], bool | None]:
        """Whether a value in the scope conforms to a profile; None if that is not known."""

        def conforms(value: Json, url: str) -> bool | None:
            check = self.check(url)
            if check is None or not isinstance(value, dict):
                return None
            inner = scope
            if "resourceType" in value and value is not scope.resource:
                inner = Scope(value, outer=scope.outer, full_url=scope.full_url)
                inner.conforms, inner.structures = scope.conforms, scope.structures
                inner.advice, inner.asks_displays = scope.advice, scope.asks_displays
                type = value["resourceType"]
                if has_errors(self.base(type)(value, inner)):
                    return False
            return not has_errors(check(value, inner))

        return conforms


class _Lazy:
    """A profile that is compiled when it is first run."""

    def __init__(self, owner: Profiles, definition: Resource) -> None:
        self._owner = owner
        self._definition = definition
        self._check: Check | None = None

    def __call__(self, value: Json, scope: Scope = NOWHERE) -> Found:
        if self._check is None:
            self._check = self._compiled()
        return self._check(value, scope)

    def _compiled(self) -> Check:
        definition = self._definition
        url = definition["url"]
        if definition.get("derivation") != "constraint":
            type = str(definition["type"]).removeprefix(CORE)
            return _of_type(type, self._owner.definitions)
        try:
            root = self._owner.snapshots.tree(definition)
            return Compiler(self._owner, definition).root(root)
        except Unusable as unusable:
            text = f"The profile '{url}' cannot be used: {unusable.text}"
            return always(warning("not-supported", text))


def _of_type(type: str, definitions: Definitions) -> Check:
    """The definition of a type as a profile: the value is one of that type."""

    def check(value: Any, scope: Scope = NOWHERE) -> Found:
        given = value.get("resourceType") if isinstance(value, dict) else None
        if given is None or definitions.is_subtype(given, type):
            return None
        return [error("structure", f"Expected a {type}, found a {given}.")]

    return check


def _is_version(known: Json, asked: str) -> bool:
    """Whether a version is that which was asked for, perhaps in part (`4.0` for `4.0.1`)."""
    return known == asked or str(known).startswith(f"{asked}.")
