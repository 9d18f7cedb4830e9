"""Compiled expressions.

An expression is parsed when it is made, and compiled when it is first evaluated; `select` is
compiled for each type of resource, with the branches of other types left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from fhirserver.fhirpath.compiler import compile_part, malformed
from fhirserver.fhirpath.context import NO_SERVICES, Code, Frame, Run, Services
from fhirserver.fhirpath.equality import distinct
from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.node import Collection, Item, Located, Node, plain, type_of, wrap
from fhirserver.fhirpath.parser import parse
from fhirserver.fhirpath.paths import Step, Walk, WhereRefers, build, nowhere, steps
from fhirserver.fhirpath.references import Scope
from fhirserver.fhirpath.shapes import Shape, shapes
from fhirserver.fhirpath.singletons import boolean
from fhirserver.fhirpath.syntax import Call, Empty, Expr, Union, walk
from fhirserver.model.json import Json, Resource

Select: TypeAlias = Callable[[Resource], list[Node]]
Resolve: TypeAlias = Callable[[str], Resource | None]

# Expressions come from callers as well as from definitions, so how many are kept depends on
# their length. R4 has some 1,600 of its own, of which 21 are long.
SHORT: Final = 256
LONG: Final = 4096


class Expression:
    """One expression, ready to be evaluated any number of times. Made by `compile`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.syntax = parse(text)
        self._needs_places = any(
            isinstance(part, Call) and part.name == "elementDefinition"
            for part, _ in walk(self.syntax)
        )
        self._is_plain = _is_plain(self.syntax)
        self._strict: Code | None = None
        self._lenient: Code | None = None
        self._selects: dict[str, Select] = {}

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(
        self,
        resource: Json,
        environment: Mapping[str, Any] | None = None,
        services: Services = NO_SERVICES,
    ) -> list[Json]:
        """What the expression gives on a resource, as plain values.

        `environment` holds variables by name, without `%`. Dates and times come as the text
        that FHIR writes, quantities as FHIR's Quantity, a primitive element without a value
        as the object that holds its extensions.
        Raises `FhirPathError`.
        """
        if self._is_plain and services.resolve is None and isinstance(resource, dict):
            nodes = self.select(resource)
            return [node.extra if node.value is None else node.value for node in nodes]
        variables = _variables(environment or {})
        return [plain(item) for item in self._items(resource, variables, services)]

    def items(
        self,
        resource: Json,
        environment: Mapping[str, Any] | None = None,
        services: Services = NO_SERVICES,
    ) -> list[Node]:
        """The same as typed nodes; one of FHIRPath's own has a type such as `System.Date`."""
        variables = _variables(environment or {})
        return [_typed(item) for item in self._items(resource, variables, services)]

    def _items(
        self, resource: Json, variables: dict[str, Collection], services: Services
    ) -> Collection:
        if self._strict is None:
            self._strict = compile_part(self.syntax, self.text, shapes(), lenient=False)
        root = _root(resource, located=self._needs_places)
        return _run(self._strict, Run(root, root, root, shapes(), services, variables))

    def select(self, resource: Resource, resolve: Resolve | None = None) -> list[Node]:
        """What the expression selects from a resource, fast: for search and the like.

        `as` keeps what fits of several items, as R4's search parameters expect. `resolve`
        gives the resource of a reference that leads out of this one.
        """
        if resolve is None:
            type_ = resource.get("resourceType")
            if not isinstance(type_, str):
                return self._general(resource)
            select = self._selects.get(type_)
            return (self.for_type(type_) if select is None else select)(resource)
        root = _root(resource, located=self._needs_places)
        run = Run(root, root, root, shapes(), Services(resolve=resolve))
        return [_typed(item) for item in _run(self._code(), run)]

    def for_type(self, type: str) -> Select:
        """`select` for resources of one type, to be called many times."""
        known = shapes()
        if type not in known.definitions.resource_types:
            return self._general
        found = self._selects.get(type)
        if found is None:
            found = self._selects[type] = self._specialised(known.of(type))
        return found

    def holds(
        self,
        context: Node,
        resource: Node | None = None,
        root: Node | None = None,
        services: Services = NO_SERVICES,
        variables: dict[str, Collection] | None = None,
    ) -> bool | None:
        """Whether an invariant holds for an element; None if it gives nothing.

        `resource` is the one that contains the element, `root` the one that contains that;
        each is by default the former. `variables` go by their names without `%`.
        """
        within = resource or context
        run = Run(context, within, root or within, shapes(), services, variables)
        return boolean(_run(self._code(), run))

    def select_from(
        self,
        context: Node,
        resource: Node | None = None,
        root: Node | None = None,
        services: Services = NO_SERVICES,
    ) -> list[Node]:
        """What the expression selects from an element; see `holds`."""
        within = resource or context
        run = Run(context, within, root or within, shapes(), services)
        return [_typed(item) for item in _run(self._code(), run)]

    def locate(self, resource: Resource) -> list[Located]:
        """The elements that the expression selects, each with its `path` and place.

        Values that are no elements of the resource are left out.
        """
        root = _root(resource, located=True)
        run = Run(root, root, root, shapes())
        return [item for item in _run(self._code(), run) if isinstance(item, Located)]

    def _code(self) -> Code:
        if self._lenient is None:
            self._lenient = compile_part(self.syntax, self.text, shapes(), lenient=True)
        return self._lenient

    def _general(self, resource: Resource) -> list[Node]:
        root = _root(resource, located=self._needs_places)
        run = Run(root, root, root, shapes())
        return [_typed(item) for item in _run(self._code(), run)]

    def _specialised(self, shape: Shape) -> Select:
        """The branches that can select something from resources of one type."""
        self._code()  # refuses unknown functions and types, wherever they stand
        is_union = isinstance(self.syntax, Union)
        parts = self.syntax.operands if isinstance(self.syntax, Union) else (self.syntax,)
        walks: list[Walk] = []
        paths: list[tuple[Step, ...]] = []
        rest: list[Expr] = []
        for part in parts:
            start, path = steps(part, lenient=True)
            if start is None and path:
                way = build(path, shape)
                if way is nowhere:
                    continue
                walks.append(way)
                paths.append(path)
            rest.append(part)
        if len(walks) == len(rest):
            needs_scope = any(isinstance(step, WhereRefers) for path in paths for step in path)
            return _along(walks, is_union=is_union, needs_scope=needs_scope)
        code = compile_part(_joined(rest, is_union=is_union), self.text, shape.shapes, lenient=True)

        def select(resource: Resource) -> list[Node]:
            root = _root(resource, located=self._needs_places)
            run = Run(root, root, root, shape.shapes)
            return [_typed(item) for item in _run(code, run)]

        return select


_short = lru_cache(2000)(Expression)
_long = lru_cache(50)(Expression)


def compile(expression: str) -> Expression:
    """The expression of a text; equal texts give the same one while it is in the cache.

    Raises `FhirPathSyntaxError`.
    """
    if len(expression) <= SHORT:
        return _short(expression)
    return _long(expression) if len(expression) <= LONG else Expression(expression)


def element(value: Json, path: str, extra: Json = None) -> Node:
    """A node for `Expression.holds`: `path` is a type's name or a `Child.path` of it.

    `extra` is the object of a primitive's underscore property.
    """
    known = shapes()
    if "." not in path:
        return Node(value, known.of(path), extra)
    name = "BackboneElement"
    owner = known.definitions.structure(path.partition(".")[0])
    definition = None if owner is None else owner.elements.get(path)
    if definition is not None and definition.types:
        name = definition.types[0].code
    return Node(value, known.of(name, path), extra)


def resource_node(resource: Resource) -> Node:
    """The node of a whole resource."""
    return Node(resource, shapes().of_value(resource))


def _root(resource: Json, *, located: bool) -> Node:
    shape = shapes().of_value(resource)
    return Located(resource, shape) if located else Node(resource, shape)


def _run(code: Code, run: Run) -> Collection:
    context = run.context
    this: Collection = [context]
    if not context.shape.is_typed and not isinstance(context.value, dict):
        this = wrap(context.value, context.shape)
    try:
        return code(Frame(run, this, [0]))
    except RecursionError:
        raise FhirPathExecutionError("The resource nests too deeply.") from None


def _along(walks: list[Walk], *, is_union: bool, needs_scope: bool) -> Select:
    """The nodes that some walks reach; those of a union without repetition."""
    if len(walks) == 1 and not is_union and not needs_scope:
        only = walks[0]

        def single(resource: Resource) -> list[Node]:
            out: list[Node] = []
            try:
                only(resource, None, out, None)
            except (AttributeError, TypeError):
                raise malformed() from None
            return out

        return single

    def along(resource: Resource) -> list[Node]:
        out: list[Any] = []
        scope = Scope(resource) if needs_scope else None
        try:
            for go in walks:
                go(resource, None, out, scope)
        except (AttributeError, TypeError):
            raise malformed() from None
        return distinct(out) if is_union and len(out) > 1 else out  # type: ignore[return-value]

    return along


def _joined(parts: list[Expr], *, is_union: bool) -> Expr:
    if is_union:
        return Union(tuple(parts), parts[0].at)
    return parts[0] if parts else Empty()


def _is_plain(part: Expr) -> bool:
    """Whether there are only plain paths, for which neither variables nor services matter."""
    parts = part.operands if isinstance(part, Union) else (part,)
    return all(steps(one, lenient=False)[0] is None for one in parts)


def _variables(environment: Mapping[str, Any]) -> dict[str, Collection]:
    untyped = shapes().untyped
    return {name.removeprefix("%"): wrap(value, untyped) for name, value in environment.items()}


def _typed(item: Item) -> Node:
    if isinstance(item, Node):
        return item
    namespace, name = type_of(item)
    return Node(plain(item), shapes().of(f"{namespace}.{name}"))
