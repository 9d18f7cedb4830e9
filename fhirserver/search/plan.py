"""How the entries of one resource type are found: made once, run for each resource.

Parameters that select the same elements share the selection, and those of one kind the
conversion. A selection runs only where the resource has a property that it begins with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product
from typing import Any, NamedTuple, TypeAlias

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.search_parameter import SearchParameter
from fhirserver.errors import Invalid
from fhirserver.fhirpath.node import Node
from fhirserver.fhirpath.paths import Walk
from fhirserver.fhirpath.references import Scope
from fhirserver.fhirpath.shapes import Shape, Shapes
from fhirserver.fhirpath.syntax import Expr
from fhirserver.model.json import Resource
from fhirserver.search.entry import Composite, Entry, Reference, Simple
from fhirserver.search.expression import Kind
from fhirserver.search.parameter import Convert, Parameter, parameter
from fhirserver.search.params import PARAMETER_TYPES
from fhirserver.search.params.composite import MAX_TUPLES
from fhirserver.search.params.reference import Home, at_home
from fhirserver.search.select import Select, selects
from fhirserver.search.selection import branches, parsed

Found: TypeAlias = dict[str, Sequence[Entry]]
"""Entries by name; an empty one where something was selected that gives none."""

_Parts: TypeAlias = tuple[tuple[Kind, Expr], ...]
"""The kinds and expressions of a composite's components; () for another parameter."""

_CANONICAL = PARAMETER_TYPES["quantity"].derived["canonical"]

_WITH_ANY = frozenset({"Extension", "Resource"})
"""Types of elements that may hold a value of any type."""

NOT_INDEXED = frozenset({"_id", "_lastUpdated"})
"""Parameters of every type that a store knows without entries."""

_ODD = (AttributeError, TypeError, ValueError, KeyError, Invalid)
"""What a conversion may meet in data that nobody validated."""


class Plan:
    """The selections of a type, by the JSON property that each needs."""

    def __init__(self, definitions: Definitions, shapes: Shapes, type: str) -> None:
        parameters = [
            found
            for code in definitions.search_parameters(type)
            if code not in NOT_INDEXED and (found := parameter(definitions, type, code))
        ]
        make = _Maker(definitions, shapes, type)
        referring = [item for item in parameters if item.kind == "reference"]
        self.reference_codes = frozenset(item.code for item in referring)
        self._all = _Sources(make.sources(parameters))
        self._referring = _Sources(make.sources(referring))

    def entries(self, scope: Scope, home: Home) -> Found:
        """What is found of all parameters in the scope's resource, not yet freed of repetitions."""
        return self._all.run(scope, home)

    def references(self, scope: Scope, home: Home) -> Found:
        """The same of reference parameters alone."""
        return self._referring.run(scope, home)


class _Use(NamedTuple):
    """The parameters of one kind that share a selection, and how they read it.

    `derived` holds the names that further entries stand under, each with how to read them.
    """

    codes: tuple[str, ...]
    kind: Kind
    convert: Mapping[str, Convert]
    derived: tuple[tuple[tuple[str, ...], Mapping[str, Convert]], ...]

    def add(self, nodes: list[Node], home: Home, found: Found) -> None:
        entries = _converted(nodes, self.convert)
        if self.kind == "reference":
            entries = _at_home(entries, home)
        _add(found, self.codes, entries)
        for names, convert in self.derived:
            entries = _converted(nodes, convert)
            if entries:
                _add(found, names, entries)


class _Source(NamedTuple):
    """One selection and who uses it."""

    select: Select
    uses: tuple[_Use, ...]

    def run(self, resource: Resource, scope: Scope, home: Home, found: Found) -> None:
        nodes: list[Node] = []
        self.select.walk(resource, None, nodes, scope)
        if not nodes or (nodes[0].value is None and all(node.value is None for node in nodes)):
            return
        for use in self.uses:
            use.add(nodes, home, found)


class _Component(NamedTuple):
    """A component's selections by the shape that they begin at."""

    kind: Kind
    walks: Mapping[Shape, tuple[Walk, ...]]

    def select(self, node: Node, scope: Scope) -> list[Node]:
        nodes: list[Node] = []
        for walk in self.walks.get(node.shape, ()):
            walk(node.value, node.extra, nodes, scope)
        return nodes

    def read(self, nodes: list[Node], home: Home) -> list[Simple]:
        entries = _converted(nodes, PARAMETER_TYPES[self.kind].convert)
        return _at_home(entries, home) if self.kind == "reference" else entries


class _Tuples(NamedTuple):
    """A composite parameter: from each selected element, the product of its components.

    Several parameters may be made of the same elements. `canonical` are the names under which
    tuples with quantities stand in base units.
    """

    codes: tuple[str, ...]
    canonical: tuple[str, ...]
    select: Select
    components: tuple[_Component, ...]

    def run(self, resource: Resource, scope: Scope, home: Home, found: Found) -> None:
        nodes: list[Node] = []
        self.select.walk(resource, None, nodes, scope)
        for node in nodes:
            selected: list[list[Node]] = []
            parts: list[list[Simple]] = []
            # The last component is the value, which is missing more often than the code.
            for component in reversed(self.components):
                selected.append(component.select(node, scope))
                parts.append(component.read(selected[-1], home))
                if not parts[-1]:
                    break
            else:
                parts.reverse()
                _add(found, self.codes, _tuples(parts))
                if self.canonical:
                    self._add_canonical(parts, selected[::-1], found)

    def _add_canonical(
        self, parts: list[list[Simple]], selected: list[list[Node]], found: Found
    ) -> None:
        read = [
            _converted(nodes, _CANONICAL) if component.kind == "quantity" else part
            for component, part, nodes in zip(self.components, parts, selected, strict=True)
        ]
        if all(read):
            _add(found, self.canonical, _tuples(read))


class _Sources:
    """Selections by the properties that they need."""

    def __init__(self, sources: Iterable[_Source | _Tuples]) -> None:
        self._always: list[_Source | _Tuples] = []
        self._by_key: dict[str, list[_Source | _Tuples]] = {}
        for source in sources:
            if source.select.keys is None:
                self._always.append(source)
            for key in source.select.keys or ():
                self._by_key.setdefault(key, []).append(source)

    def run(self, scope: Scope, home: Home) -> Found:
        found: Found = {}
        resource = scope.root
        by_key = self._by_key
        for key in resource:
            if key in by_key:
                _run_all(by_key[key], resource, scope, home, found)
        _run_all(self._always, resource, scope, home, found)
        return found


def _run_all(
    sources: list[_Source | _Tuples], resource: Resource, scope: Scope, home: Home, found: Found
) -> None:
    for source in sources:
        try:
            source.run(resource, scope, home, found)
        except _ODD:
            continue


class _Maker:
    def __init__(self, definitions: Definitions, shapes: Shapes, type: str) -> None:
        self._definitions = definitions
        self._shapes = shapes
        self._type = type
        self._shape = shapes.of(type)

    def sources(self, parameters: Iterable[Parameter]) -> list[_Source | _Tuples]:
        shared: dict[tuple[Expr, _Parts], list[Parameter]] = {}
        for item in parameters:
            for branch in self._branches(item.definition):
                shared.setdefault((branch, _parts(item)), []).append(item)
        made: list[_Source | _Tuples] = []
        for (branch, parts), items in shared.items():
            for select in selects(self._shapes, self._shape, branch):
                if parts:
                    made.append(self._tuples(select, parts, items))
                else:
                    made.append(_Source(select, _uses(items)))
        return made

    def _branches(self, definition: SearchParameter) -> tuple[Expr, ...]:
        return branches(self._definitions, self._type, parsed(definition.expression or ""))

    def _tuples(self, select: Select, parts: _Parts, items: list[Parameter]) -> _Tuples:
        within = {
            self._shapes.of(place.type, place.path): None
            for item in items
            for place in item.elements
        }
        components = tuple(
            _Component(
                kind,
                {
                    shape: tuple(found.walk for found in selects(self._shapes, shape, expression))
                    for shape in within
                },
            )
            for kind, expression in parts
        )
        codes = tuple(item.code for item in items)
        has_quantity = any(kind == "quantity" for kind, _ in parts)
        canonical = tuple(f"{code}:canonical" for code in codes) if has_quantity else ()
        return _Tuples(codes, canonical, self._gated(select, parts[-1][1]), components)

    def _gated(self, select: Select, last: Expr) -> Select:
        """The selection of a whole resource, run only where it has the last component."""
        if select.keys is not None:
            return select
        keys = [found.keys for found in selects(self._shapes, self._shape, last)]
        if not keys or None in keys:
            return select
        return Select(select.walk, frozenset().union(*(some for some in keys if some)))


def _parts(item: Parameter) -> _Parts:
    return tuple(
        (component.kind, parsed(part.expression))
        for component, part in zip(item.components, item.definition.components, strict=True)
    )


def _uses(items: Iterable[Parameter]) -> tuple[_Use, ...]:
    by_kind: dict[Kind, list[Parameter]] = {}
    for item in items:
        by_kind.setdefault(item.kind, []).append(item)
    return tuple(
        _Use(
            tuple(item.code for item in some),
            kind,
            PARAMETER_TYPES[kind].convert,
            tuple(
                (tuple(f"{item.code}:{suffix}" for item in some), convert)
                for suffix, convert in PARAMETER_TYPES[kind].derived.items()
                if any(not item.types.isdisjoint(_WITH_ANY | convert.keys()) for item in some)
            ),
        )
        for kind, some in by_kind.items()
    )


def _tuples(parts: list[list[Simple]]) -> list[Composite]:
    return [Composite(row) for row in islice(product(*parts), MAX_TUPLES)]


def _add(found: Found, names: Iterable[str], entries: Sequence[Entry]) -> None:
    for name in names:
        already = found.get(name)
        found[name] = [*already, *entries] if already else entries


def _converted(nodes: Iterable[Node], table: Mapping[str, Convert]) -> list[Simple]:
    out: list[Simple] = []
    for node in nodes:
        convert = table.get(node.shape.name)
        value = node.value
        if convert is None:
            if node.shape.name != "Extension":
                continue
            value, convert = _extension_value(value, table)
        if convert is not None and value is not None:
            try:
                out += convert(value)
            except _ODD:
                continue
    return out


def _extension_value(value: Any, table: Mapping[str, Convert]) -> tuple[Any, Convert | None]:
    """The value of an extension: parameters that select the extension mean that."""
    if isinstance(value, dict):
        for name, found in value.items():
            if name.startswith("value"):
                type_ = name[5:]
                return found, table.get(type_) or table.get(type_[:1].lower() + type_[1:])
    return None, None


def _at_home(entries: list[Simple], home: Home) -> list[Simple]:
    if all(entry[0] for entry in entries):
        return entries
    found = (at_home(entry, home) if isinstance(entry, Reference) else entry for entry in entries)
    return [entry for entry in found if entry is not None]
