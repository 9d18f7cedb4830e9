"""All definitions that the server works by.

Built from JSON values, of the standard (`fhirserver.definitions.packaged`) or of anyone
(`Definitions.of`). What is asked for is decoded and indexed on first use, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from fhirserver.definitions.code_system import CodeSystem, code_system
from fhirserver.definitions.compartment import Compartment, compartment
from fhirserver.definitions.element import Child, Constraint, Element
from fhirserver.definitions.operation import Operation, operation
from fhirserver.definitions.search_parameter import SearchParameter, search_parameter
from fhirserver.definitions.shelf import Header, Line, Shelf
from fhirserver.definitions.structure import Structure, structure
from fhirserver.definitions.value_set import ValueSet, value_set
from fhirserver.model.json import Resource, encode

_STRUCTURE: Final = "StructureDefinition"
_NO_CHILDREN: Mapping[str, Child] = MappingProxyType({})


class Definitions:
    """The registry. `source(resource_type)` gives the JSON lines of the definitions."""

    def __init__(self, source: Callable[[str], Iterable[Line]]) -> None:
        self._source = source
        self._shelves: dict[str, Shelf] = {}
        self._structures: dict[str, Structure] = {}
        self._children: dict[str, Mapping[str, Child]] = {}
        self._choices: dict[str, Mapping[str, tuple[str, ...]]] = {}
        self._by_type: dict[str, Mapping[str, SearchParameter]] = {}
        self._value_sets: dict[str, ValueSet] = {}
        self._code_systems: dict[str, CodeSystem] = {}
        self._standard: Definitions | None = None
        self._custom: tuple[SearchParameter, ...] = ()
        self._narrowed: Mapping[str, frozenset[str]] = {}
        self._by_url: Mapping[str, SearchParameter] = {}
        self.unindexed: frozenset[tuple[str, str]] = frozenset()
        self.beneath: Definitions | None = None
        self.kept: dict[str, Any] = {}
        """What others have made of these definitions, by their name; it lives as long as they."""

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> Definitions:
        """A registry of the given StructureDefinitions, SearchParameters, ValueSets and so on."""
        lines: dict[str, list[bytes]] = {}
        for resource in resources:
            lines.setdefault(resource["resourceType"], []).append(encode(resource))
        return cls(lambda type_: lines.get(type_, ()))

    def extended(self, resources: Iterable[Resource]) -> Definitions:
        """A registry of these definitions and the given ones, which count where URLs agree.

        New profiles leave all else as it is: what was decoded is shared, and `beneath` tells of
        which registry the new one is the extension.
        """
        lines: dict[str, list[bytes]] = {}
        for resource in resources:
            lines.setdefault(resource["resourceType"], []).append(encode(resource))
        standard = self.standard
        if lines.keys() == {_STRUCTURE}:
            added = Shelf(lines[_STRUCTURE])
            known = standard.shelf(_STRUCTURE)
            if not any(item.is_type or item.url in known for item in added.headers.values()):
                return standard._with_profiles(known, added)
        return Definitions(lambda type_: (*standard._source(type_), *lines.get(type_, ())))

    def _with_profiles(self, known: Shelf, added: Shelf) -> Definitions:
        _ = self.resource_types, self.types  # made once for all
        made = copy(self)
        made.beneath = self if self.beneath is None else self.beneath
        made.kept = {}
        made._shelves = {**self._shelves, _STRUCTURE: known.with_others(added)}
        made._structures = dict(self._structures)
        return made

    def with_search_parameters(
        self, custom: Iterable[SearchParameter], unindexed: Iterable[tuple[str, str]] = ()
    ) -> Definitions:
        """These definitions with other custom search parameters than they have.

        `unindexed` are the (type, code) of parameters by which not all resources can be found
        yet. All that was decoded is shared, and so are the parameters of types without custom
        ones.
        """
        standard = self.standard
        _ = standard._search_parameters  # decoded once for all that are made of them
        made = copy(standard)
        made.kept = {}
        made._standard = standard
        made._custom = tuple(custom)
        made._by_url = {item.url: item for item in made._custom}
        made._by_type = {}
        made.unindexed = frozenset(unindexed)
        return made

    def narrowed(self, type: str, codes: Iterable[str]) -> Definitions:
        """These definitions with only those search parameters of a type that are its own.

        For a type that a server keeps so many of that it indexes them by little.
        """
        standard = self.standard
        made = copy(standard)
        made._narrowed = {**standard._narrowed, type: frozenset(codes)}
        made._by_type = {name: item for name, item in standard._by_type.items() if name != type}
        return made

    def is_narrowed(self, type: str) -> bool:
        """Whether resources of a type are indexed by little, and not by their words."""
        return type in self._narrowed

    def shelf(self, resource_type: str) -> Shelf:
        """The definitions of a resource type as JSON, e.g. all ValueSets by URL."""
        found = self._shelves.get(resource_type)
        if found is None:
            found = self._shelves[resource_type] = Shelf(self._source(resource_type))
        return found

    # --- structures ---------------------------------------------------------------------

    @cached_property
    def types(self) -> Mapping[str, Header]:
        """The types by name: resources, data types, logical models; no profiles."""
        headers = self.shelf("StructureDefinition").headers.values()
        return {header.name: header for header in headers if header.is_type}

    @cached_property
    def resource_types(self) -> frozenset[str]:
        """The names of the concrete resource types."""
        return frozenset(
            name
            for name, header in self.types.items()
            if header.kind == "resource" and not header.abstract
        )

    def structure(self, name_or_url: str) -> Structure | None:
        """The structure of a type's name or of a canonical URL, with or without a version."""
        header = self.types.get(name_or_url)
        url = _canonical(name_or_url) if header is None else header.url
        found = self._structures.get(url)
        if found is None:
            definition = self.shelf("StructureDefinition").get(url)
            if definition is None:
                return None
            found = self._structures[url] = structure(definition)
        return found

    def bases(self, type: str) -> tuple[str, ...]:
        """A type and all that it specialises, the nearest first: Age, Quantity, Element."""
        line = []
        name: str | None = type
        while name is not None and name not in line:
            line.append(name)
            header = self.types.get(name)
            name = header.base if header else None
        return tuple(line)

    def is_subtype(self, type: str, of: str) -> bool:
        """Whether every value of `type` is one of `of`; a type is its own subtype."""
        return type == of or of in self.bases(type)

    def children(self, path: str) -> Mapping[str, Child]:
        """The JSON properties of a type or backbone element; none for primitives.

        Inherited ones are there; a choice is given as its properties (`valueQuantity`).
        `path` is the name of a type or a `Child.path`.
        """
        found = self._children.get(path)
        if found is None:
            owner = self.structure(path.partition(".")[0])
            if owner is None or owner.is_profile:
                return _NO_CHILDREN
            found = _children(owner, path)
            if found:  # not kept otherwise: anyone may ask for any path
                self._children[path] = found
        return found

    def choices(self, path: str) -> Mapping[str, tuple[str, ...]]:
        """The properties of each choice: `value` -> (`valueQuantity`, ...)."""
        found = self._choices.get(path)
        if found is None:
            children = self.children(path)
            found = _choices(children)
            if children:
                self._choices[path] = found
        return found

    def constraints(self, type: str) -> tuple[Constraint, ...]:
        """The invariants that hold for every value of a type, inherited ones included."""
        found: dict[str, Constraint] = {}
        for name in self.bases(type):
            owner = self.structure(name)
            if owner is not None:
                found = {item.key: item for item in owner.root.constraints} | found
        return tuple(found.values())

    # --- capability ---------------------------------------------------------------------

    @cached_property
    def _search_parameters(self) -> Mapping[str, SearchParameter]:
        shelf = self.shelf("SearchParameter")
        return {url: search_parameter(shelf[url]) for url in shelf}

    def search_parameter(self, url: str) -> SearchParameter | None:
        """The search parameter of a canonical URL."""
        url = _canonical(url)
        return self._search_parameters.get(url) or self._by_url.get(url)

    @property
    def standard(self) -> Definitions:
        """These definitions without the custom search parameters."""
        return self._standard or self

    @property
    def custom_search_parameters(self) -> tuple[SearchParameter, ...]:
        """The search parameters that are not of the standard."""
        return self._custom

    def search_parameters(self, type: str) -> Mapping[str, SearchParameter]:
        """The search parameters of a type by code, those of what it specialises included."""
        found = self._by_type.get(type)
        if found is None:
            if type not in self.types:
                return {}
            found = self._by_type[type] = self._parameters_of(type)
        return found

    def _parameters_of(self, type: str) -> Mapping[str, SearchParameter]:
        bases = self.bases(type)
        if self._standard is None:
            own = self._narrowed.get(type)
            return {
                parameter.code: parameter
                for base in reversed(bases)
                for parameter in self._search_parameters.values()
                if base in parameter.base and (own is None or base != type or parameter.code in own)
            }
        standard = self._standard.search_parameters(type)
        custom = {
            parameter.code: parameter
            for parameter in self._custom
            if any(base in parameter.base for base in bases)
        }
        return {**standard, **custom} if custom else standard

    @cached_property
    def compartments(self) -> Mapping[str, Compartment]:
        """The compartments by code (`Patient`)."""
        definitions = self.shelf("CompartmentDefinition").values()
        return {item.code: item for item in map(compartment, definitions)}

    def compartment(self, code: str) -> Compartment | None:
        """The compartment of a code such as `Patient`."""
        return self.compartments.get(code)

    @cached_property
    def _operations(self) -> Mapping[str, Operation]:
        return {
            item.url: item for item in map(operation, self.shelf("OperationDefinition").values())
        }

    def operations(self) -> tuple[Operation, ...]:
        """All operations, in the order of their URLs."""
        return tuple(self._operations.values())

    def operation(self, url_or_code: str, type: str | None = None) -> Operation | None:
        """The operation of a URL, or of a code (without `$`) on a type, or if None on any."""
        found = self._operations.get(_canonical(url_or_code))
        if found is not None:
            return found
        bases = None if type is None else self.bases(type)
        for item in self._operations.values():
            if item.code == url_or_code and (
                bases is None or any(base in item.resources for base in bases)
            ):
                return item
        return None

    # --- terminology --------------------------------------------------------------------

    def value_set(self, url: str) -> ValueSet | None:
        """The value set of a canonical URL, with or without a version."""
        url = _canonical(url)
        found = self._value_sets.get(url)
        if found is None:
            definition = self.shelf("ValueSet").get(url)
            if definition is None:
                return None
            found = self._value_sets[url] = value_set(definition)
        return found

    def code_system(self, url: str) -> CodeSystem | None:
        """The code system of a canonical URL, with or without a version."""
        shelf = self.shelf("CodeSystem")
        # Some systems of HL7 version 2 have the version as part of their URL.
        url = url if url in shelf else _canonical(url)
        found = self._code_systems.get(url)
        if found is None:
            definition = shelf.get(url)
            if definition is None:
                return None
            found = self._code_systems[url] = code_system(definition)
        return found


def _canonical(url: str) -> str:
    return url.partition("|")[0]


def _children(owner: Structure, path: str) -> Mapping[str, Child]:
    prefix = f"{path}."
    direct = [
        item
        for item in owner.elements.values()
        if item.path.startswith(prefix) and "." not in item.path[len(prefix) :]
    ]
    if owner.kind == "primitive-type":
        return _NO_CHILDREN
    parents = {item.path.rpartition(".")[0] for item in owner.elements.values()}
    found: dict[str, Child] = {}
    for item in direct:
        for name, type_ in _properties(owner, item):
            nested = item.path in parents
            found[name] = Child(
                item, type_, item.path if nested else item.content_reference or type_
            )
    return found


def _choices(children: Mapping[str, Child]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, child in children.items():
        if child.element.choice:
            found[child.element.name] = (*found.get(child.element.name, ()), name)
    return found


def _properties(owner: Structure, item: Element) -> Iterable[tuple[str, str]]:
    if item.content_reference:
        shared = owner.elements[item.content_reference]
        return [(item.name, shared.types[0].code)]
    if item.choice:
        codes = dict.fromkeys(type_.code for type_ in item.types)
        return [(f"{item.name}{code[0].upper()}{code[1:]}", code) for code in codes]
    return [(item.name, type_.code) for type_ in item.types[:1]]
