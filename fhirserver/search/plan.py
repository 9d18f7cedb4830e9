"""How the entries of one resource type are found: made once, run for each resource.

Parameters that select the same elements share the selection, and those of one kind the
conversion. A selection runs only where the resource has a property that it begins with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice, product
from typing import Any, Final, NamedTuple, TypeAlias, cast

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.search_parameter import SearchParameter
from fhirserver.errors import Invalid, TooCostly
from fhirserver.fhirpath.context import MAX_STEPS
from fhirserver.fhirpath.errors import FhirPathLimitError
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
from fhirserver.search.params.reference import Home, at_home
from fhirserver.search.select import selects
from fhirserver.search.selection import branches, parsed

Found: TypeAlias = dict[str, list[Entry]]
"""Entries by name; an empty one where something was selected that gives none."""

_Parts: TypeAlias = tuple[tuple[Kind, Expr], ...]
"""The kinds and expressions of a composite's components; () for another parameter."""

_CANONICAL = PARAMETER_TYPES["quantity"].derived["canonical"]

_WITH_ANY = frozenset({"Extension", "Resource"})
"""Types of elements that may hold a value of any type."""

NOT_INDEXED = frozenset({"_id", "_lastUpdated"})
"""Parameters of every type that a store knows without entries."""

CUSTOM_STEPS: Final = 50_000
"""What finding the elements of a custom parameter in one resource may cost, in steps of FHIRPath.

Those of the standard need 3 at most on the official examples, and a few for each element else.
"""

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

    def entries(self, scope: Scope, home: Home, over: set[str] | None = None) -> Found:
        """What is found of all parameters in the scope's resource, not yet freed of repetitions.

        Raises `TooCostly` for a parameter that has too much to do on the resource; with `over`,
        its URL is added there and it finds nothing.
        """
        return self._all.run(scope, home, over)

    def references(self, scope: Scope, home: Home) -> Found:
        """The same of reference parameters alone; one with too much to do finds nothing."""
        return self._referring.run(scope, home, set())


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


class _Walked(NamedTuple):
    """One selection, which adds to a `Found`, and for which parameters."""

    walk: Walk
    parameters: tuple[Parameter, ...]


class _Source(NamedTuple):
    """One selection, and the JSON properties of which it needs one."""

    walked: _Walked
    keys: frozenset[str] | None


_Walks: TypeAlias = Mapping[Shape, tuple[Walk, ...]]
"""A component's selections by the shape that they begin at."""


class _Component(NamedTuple):
    """`canonical` reads a quantity in base units; None for what is none."""

    walks: _Walks
    canonical: _Walks | None


def _tuples(codes: tuple[str, ...], components: tuple[_Component, ...]) -> Then:
    """The end of a composite's selection: adds the product of its components.

    Several parameters may be made of the same elements. Tuples with quantities stand in base
    units under `code:canonical`.
    """
    has_quantity = any(component.canonical for component in components)
    canonical_codes = tuple(f"{code}:canonical" for code in codes) if has_quantity else ()

    def end(shape: Shape) -> Walk:
        # The last component is the value, which is missing more often than the code.
        walks = [component.walks.get(shape, ()) for component in reversed(components)]
        canonical = [
            None if component.canonical is None else component.canonical.get(shape, ())
            for component in components
        ]

        def read(value: Any, extra: Any, found: Found, scope: Scope | None) -> None:
            parts: list[list[Simple]] = []
            for some in walks:
                entries = _reached(some, value, extra, scope)
                if not entries:
                    return
                parts.append(entries)
            parts.reverse()
            _add_product(found, codes, parts)
            if has_quantity:
                parts = [
                    part if some is None else _reached(some, value, extra, scope)
                    for some, part in zip(canonical, parts, strict=True)
                ]
                if all(parts):
                    _add_product(found, canonical_codes, parts)

        return read

    return end


def _reached(walks: tuple[Walk, ...], value: Any, extra: Any, scope: Scope | None) -> list[Simple]:
    entries: list[Simple] = []
    for walk in walks:
        walk(value, extra, entries, scope)
    return entries


def _add_product(found: Found, codes: tuple[str, ...], parts: list[list[Simple]]) -> None:
    made = [Composite(row) for row in islice(product(*parts), MAX_TUPLES)]
    for code in codes:
        found.setdefault(code, []).extend(made)


class _Sources:
    """Selections by the properties that they need.

    Of what parameters that refer find, references to this server and within the resource are
    brought home; tuples that hold one without a home are none.
    """

    def __init__(self, sources: Iterable[_Source], parameters: Iterable[Parameter]) -> None:
        self._always: list[_Walked] = []
        self._by_key: dict[str, list[_Walked]] = {}
        self._urls = {item.code: item.definition.url for item in parameters}
        self._referring = frozenset(
            name
            for item in parameters
            if _refers(item)
            for name in (item.code, f"{item.code}:canonical")
        )
        for walked, keys in sources:
            if keys is None:
                self._always.append(walked)
            for key in keys or ():
                self._by_key.setdefault(key, []).append(walked)

    def _codes(self, urls: Collection[str]) -> frozenset[str]:
        return frozenset(code for code, url in self._urls.items() if url in urls)

    def run(self, scope: Scope, home: Home, over: set[str] | None) -> Found:
        found: Found = {}
        resource = scope.root
        by_key = self._by_key
        for key in resource:
            if key in by_key:
                _run_all(by_key[key], resource, scope, found, over)
        _run_all(self._always, resource, scope, found, over)
        if over:
            _drop(found, self._codes(over))
        for name in self._referring & found.keys():
            _bring_home(found, name, home)
        return found


def _run_all(
    walks: list[_Walked], resource: Resource, scope: Scope, found: Found, over: set[str] | None
) -> None:
    for walk, parameters in walks:
        scope.spent = 0
        try:
            walk(resource, None, found, scope)
        except FhirPathLimitError:
            urls = [item.definition.url for item in parameters]
            if over is None:
                raise TooCostly(too_costly(urls)) from None
            over |= {*urls}
        except _ODD:
            continue


def _drop(found: Found, codes: frozenset[str]) -> None:
    """Takes away what was found of parameters before they had too much to do."""
    for name in [name for name in found if name.partition(":")[0] in codes]:
        del found[name]


def too_costly(urls: Iterable[str]) -> str:
    """What is told of parameters that have too much to do on a resource."""
    return f"The search parameter {', '.join(urls)} has too much to do on this resource."


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
            for select in selects(self._shapes, self._shape, branch, end, _steps(items)):
                keys = select.keys
                if parts and keys is None:
                    keys = self._keys(parts[-1][1])
                made.append(_Source(_Walked(select.walk, tuple(items)), keys))
        return _Sources(made, parameters)

    def _branches(self, definition: SearchParameter) -> tuple[Expr, ...]:
        return branches(self._definitions, self._type, parsed(definition.expression or ""))

    def _tuples(self, parts: _Parts, items: list[Parameter]) -> Then:
        within = {
            self._shapes.of(place.type, place.path): None
            for item in items
            for place in item.elements
        }
        components = []
        for kind, expression in parts:
            walks = self._walks(within, expression, PARAMETER_TYPES[kind].convert)
            is_quantity = kind == "quantity"
            canonical = self._walks(within, expression, _CANONICAL) if is_quantity else None
            components.append(_Component(walks, canonical))
        return _tuples(tuple(item.code for item in items), tuple(components))

    def _walks(
        self, within: Iterable[Shape], expression: Expr, table: Mapping[str, Convert]
    ) -> _Walks:
        end = _reads_simple(table)
        return {
            shape: tuple(found.walk for found in selects(self._shapes, shape, expression, end))
            for shape in within
        }

    def _keys(self, last: Expr) -> frozenset[str] | None:
        """The properties that a resource needs of which the last component is selected."""
        keys = [found.keys for found in selects(self._shapes, self._shape, last)]
        if not keys or None in keys:
            return None
        return frozenset().union(*(some for some in keys if some))


def _refers(item: Parameter) -> bool:
    return item.kind == "reference" or any(map(_refers, item.components))


def _steps(items: Iterable[Parameter]) -> int:
    return CUSTOM_STEPS if all(item.definition.custom for item in items) else MAX_STEPS


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


def _bring_home(found: Found, name: str, home: Home) -> None:
    before = found[name]
    brought = (_at_home(entry, home) for entry in before)
    found[name] = [entry for entry in brought if entry is not None]
    if not found[name] and before and isinstance(before[0], Composite):
        del found[name]


def _at_home(entry: Entry, home: Home) -> Entry | None:
    if isinstance(entry, Reference):
        return entry if entry.type else at_home(entry, home)
    if isinstance(entry, Composite):
        parts = tuple(_at_home(part, home) for part in entry.components)
        return None if None in parts else Composite(cast(tuple[Simple, ...], parts))
    return entry
