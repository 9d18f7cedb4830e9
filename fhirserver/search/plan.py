"""How the entries of one resource type are found: made once, run for each resource.

Parameters that select the same elements share the selection, and those of one kind the
conversion. A selection runs only where the resource has a property that it begins with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product
from typing import Any, NamedTuple, TypeAlias, cast

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.search_parameter import SearchParameter
from fhirserver.errors import Invalid
from fhirserver.fhirpath.paths import Then, Walk
from fhirserver.fhirpath.references import Scope
from fhirserver.fhirpath.shapes import Shape, Shapes
from fhirserver.fhirpath.syntax import Expr
from fhirserver.model.json import Resource
from fhirserver.search.entry import Composite, Entry, Reference, Simple
from fhirserver.search.expression import Kind
from fhirserver.search.parameter import Convert, Parameter, parameter
from fhirserver.search.params import PARAMETER_TYPES
from fhirserver.search.params.composite import MAX_TUPLES
from fhirserver.search.params.reference import at_home
from fhirserver.search.select import selects
from fhirserver.search.selection import branches, parsed

Found: TypeAlias = dict[str, list[Entry]]
"""Entries by name; an empty one where something was selected that gives none."""

_Parts: TypeAlias = tuple[tuple[Kind, Expr], ...]
"""The kinds and expressions of a composite's components; () for another parameter."""

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
        self._all = make.sources(parameters)
        self._referring = make.sources(referring)

    def entries(self, resource: Resource, base_url: str) -> Found:
        """What is found of all parameters, not yet freed of repetitions."""
        return self._all.run(resource, base_url)

    def references(self, resource: Resource, base_url: str) -> Found:
        """The same of reference parameters alone."""
        return self._referring.run(resource, base_url)


class _Use(NamedTuple):
    """Names that entries of one kind stand under, and how an element of each type gives them.

    `is_derived`: only the entries count, not that something was selected.
    """

    names: tuple[str, ...]
    convert: Mapping[str, Convert]
    is_derived: bool = False


def _reads(uses: Sequence[_Use]) -> Then:
    """The end of a selection: adds the entries of an element to a `Found`."""

    def end(shape: Shape) -> Walk:
        own = [(use.names, _converts(shape, use.convert)) for use in uses if not use.is_derived]
        derived = [
            (use.names, convert)
            for use in uses
            if use.is_derived and (convert := _converts(shape, use.convert)) is not _nothing
        ]

        def read(value: Any, extra: Any, found: Found, scope: Scope | None) -> None:
            if value is None:
                return
            for names, convert in own:
                try:
                    entries = convert(value)
                except _ODD:
                    entries = ()
                for name in names:
                    if name in found:
                        found[name] += entries
                    else:
                        found[name] = [*entries]
            for names, convert in derived:
                try:
                    entries = convert(value)
                except _ODD:
                    continue
                if entries:
                    for name in names:
                        found.setdefault(name, []).extend(entries)

        return read

    return end


def _reads_simple(table: Mapping[str, Convert]) -> Then:
    """The end of a component's selection: adds the entries of an element to a list."""

    def end(shape: Shape) -> Walk:
        convert = _converts(shape, table)

        def read(value: Any, extra: Any, out: list[Simple], scope: Scope | None) -> None:
            if value is not None:
                try:
                    out += convert(value)
                except _ODD:
                    return

        return read

    return end


class _Source(NamedTuple):
    """One selection, which adds to a `Found`, and the JSON properties of which it needs one."""

    walk: Walk
    keys: frozenset[str] | None


_Component: TypeAlias = Mapping[Shape, tuple[Walk, ...]]
"""A component's selections by the shape that they begin at."""


def _tuples(codes: tuple[str, ...], components: tuple[_Component, ...]) -> Then:
    """The end of a composite's selection: adds the product of its components.

    Several parameters may be made of the same elements.
    """
    # The last component is the value, which is missing more often than the code.
    order = tuple(reversed(components))

    def end(shape: Shape) -> Walk:
        walks = [component.get(shape, ()) for component in order]

        def read(value: Any, extra: Any, found: Found, scope: Scope | None) -> None:
            parts: list[list[Simple]] = []
            for some in walks:
                entries: list[Simple] = []
                for walk in some:
                    walk(value, extra, entries, scope)
                if not entries:
                    return
                parts.append(entries)
            parts.reverse()
            made = [Composite(row) for row in islice(product(*parts), MAX_TUPLES)]
            for code in codes:
                found.setdefault(code, []).extend(made)

        return read

    return end


class _Sources:
    """Selections by the properties that they need.

    Of what is found under the names `referring`, references to this server are made relative.
    """

    def __init__(self, sources: Iterable[_Source], referring: frozenset[str]) -> None:
        self._always: list[Walk] = []
        self._by_key: dict[str, list[Walk]] = {}
        self._referring = referring
        for walk, keys in sources:
            if keys is None:
                self._always.append(walk)
            for key in keys or ():
                self._by_key.setdefault(key, []).append(walk)

    def run(self, resource: Resource, base_url: str) -> Found:
        found: Found = {}
        scope = Scope(resource)
        by_key = self._by_key
        for key in resource:
            if key in by_key:
                _run_all(by_key[key], resource, scope, found)
        _run_all(self._always, resource, scope, found)
        for name in self._referring & found.keys():
            found[name] = _at_home(found[name], base_url)
        return found


def _run_all(walks: list[Walk], resource: Resource, scope: Scope, found: Found) -> None:
    for walk in walks:
        try:
            walk(resource, None, found, scope)
        except _ODD:
            continue


class _Maker:
    def __init__(self, definitions: Definitions, shapes: Shapes, type: str) -> None:
        self._definitions = definitions
        self._shapes = shapes
        self._type = type
        self._shape = shapes.of(type)

    def sources(self, parameters: Iterable[Parameter]) -> _Sources:
        parameters = tuple(parameters)
        shared: dict[tuple[Expr, _Parts], list[Parameter]] = {}
        for item in parameters:
            for branch in self._branches(item.definition):
                shared.setdefault((branch, _parts(item)), []).append(item)
        made: list[_Source] = []
        for (branch, parts), items in shared.items():
            end = self._tuples(parts, items) if parts else _reads(_uses(items))
            for select in selects(self._shapes, self._shape, branch, end):
                keys = select.keys
                if parts and keys is None:
                    keys = self._keys(parts[-1][1])
                made.append(_Source(select.walk, keys))
        return _Sources(made, frozenset(item.code for item in parameters if _refers(item)))

    def _branches(self, definition: SearchParameter) -> tuple[Expr, ...]:
        return branches(self._definitions, self._type, parsed(definition.expression or ""))

    def _tuples(self, parts: _Parts, items: list[Parameter]) -> Then:
        within = {
            self._shapes.of(place.type, place.path): None
            for item in items
            for place in item.elements
        }
        components = tuple(
            {
                shape: tuple(
                    found.walk
                    for found in selects(
                        self._shapes,
                        shape,
                        expression,
                        _reads_simple(PARAMETER_TYPES[kind].convert),
                    )
                )
                for shape in within
            }
            for kind, expression in parts
        )
        return _tuples(tuple(item.code for item in items), components)

    def _keys(self, last: Expr) -> frozenset[str] | None:
        """The properties that a resource needs of which the last component is selected."""
        keys = [found.keys for found in selects(self._shapes, self._shape, last)]
        if not keys or None in keys:
            return None
        return frozenset().union(*(some for some in keys if some))


def _refers(item: Parameter) -> bool:
    return item.kind == "reference" or any(map(_refers, item.components))


def _parts(item: Parameter) -> _Parts:
    return tuple(
        (component.kind, parsed(part.expression))
        for component, part in zip(item.components, item.definition.components, strict=True)
    )


def _uses(items: Iterable[Parameter]) -> list[_Use]:
    by_kind: dict[Kind, list[Parameter]] = {}
    for item in items:
        by_kind.setdefault(item.kind, []).append(item)
    uses = []
    for kind, some in by_kind.items():
        uses.append(_Use(tuple(item.code for item in some), PARAMETER_TYPES[kind].convert))
        for suffix, convert in PARAMETER_TYPES[kind].derived.items():
            if any(not item.types.isdisjoint(_WITH_ANY | convert.keys()) for item in some):
                names = tuple(f"{item.code}:{suffix}" for item in some)
                uses.append(_Use(names, convert, is_derived=True))
    return uses


def _nothing(value: Any) -> Iterable[Simple]:
    return ()


def _converts(shape: Shape, table: Mapping[str, Convert]) -> Convert:
    """How elements of a shape give entries.

    Parameters that select an extension mean its value.
    """
    found = table.get(shape.name)
    if found is not None or shape.name != "Extension":
        return found or _nothing

    def of_extension(value: Any) -> Iterable[Simple]:
        value, convert = _extension_value(value, table)
        return () if convert is None or value is None else convert(value)

    return of_extension


def _extension_value(value: Any, table: Mapping[str, Convert]) -> tuple[Any, Convert | None]:
    """The value of an extension: parameters that select the extension mean that."""
    if isinstance(value, dict):
        for name, found in value.items():
            if name.startswith("value"):
                type_ = name[5:]
                return found, table.get(type_) or table.get(type_[:1].lower() + type_[1:])
    return None, None


def _at_home(entries: list[Entry], base_url: str) -> list[Entry]:
    return [_entry_at_home(entry, base_url) for entry in entries]


def _entry_at_home(entry: Entry, base_url: str) -> Entry:
    if isinstance(entry, Reference):
        return entry if entry.type else at_home(entry, base_url)
    if isinstance(entry, Composite):
        parts = (_entry_at_home(part, base_url) for part in entry.components)
        return Composite(cast(tuple[Simple, ...], tuple(parts)))
    return entry
