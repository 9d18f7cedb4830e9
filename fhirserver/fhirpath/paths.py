"""Plain paths, compiled for one type of element to functions over its JSON.

`Patient.name.given`, `Observation.value as Quantity`, `telecom.where(system = 'phone')`,
`subject.where(resolve() is Patient)`: what most search parameters and much of the
invariants are made of. No collection is made between the steps; a step that cannot lead
anywhere on the type (another type's branch of a search parameter) disappears.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from fhirserver.fhirpath.node import Node
from fhirserver.fhirpath.references import Scope, refers_to
from fhirserver.fhirpath.shapes import Alternative, Element, Shape, Shapes
from fhirserver.fhirpath.syntax import (
    Binary,
    Call,
    Expr,
    Literal,
    Member,
    TypeOperation,
    TypeSpecifier,
)

Walk: TypeAlias = Callable[[Any, Any, Any, Scope | None], None]
"""Goes on from a JSON value and its underscore object, and adds what it reaches.

To a list of nodes, or to whatever the end of the path adds to.
"""

Then: TypeAlias = Callable[[Shape], Walk]
"""The rest of a path, for the shape that has been reached."""


# --- what a path is made of -------------------------------------------------------------------


class Names(NamedTuple):
    """`.name`; `first` where an expression begins, and the name may be that of the type."""

    name: str
    first: bool


class OfType(NamedTuple):
    """`as(T)`, `ofType(T)`"""

    type: TypeSpecifier


class WhereText(NamedTuple):
    """`where(name = 'text')`"""

    name: str
    text: str


class WhereRefers(NamedTuple):
    """`where(resolve() is T)`"""

    type: TypeSpecifier


class ExtensionOf(NamedTuple):
    """`extension('url')`"""

    url: str


Step: TypeAlias = Names | OfType | WhereText | WhereRefers | ExtensionOf


def steps(part: Expr, *, lenient: bool) -> tuple[Expr | None, tuple[Step, ...]]:
    """The plain path at the end of an expression, and what it starts from (None: the start).

    `as` is a step only when `lenient`: otherwise it has to count what it is given.
    """
    found: list[Step] = []
    at: Expr | None = part
    while at is not None:
        read = _step(at, lenient=lenient)
        if read is None:
            break
        at, step = read
        found.append(step)
    return at, tuple(reversed(found))


def _step(part: Expr, *, lenient: bool) -> tuple[Expr | None, Step] | None:
    match part:
        case Member(source, name):
            return source, Names(name, source is None)
        case TypeOperation("as", operand, type_) if lenient:
            return operand, OfType(type_)
        case Call(source, "ofType", (argument,)):
            return _typed(source, argument)
        case Call(source, "as", (argument,)) if lenient:
            return _typed(source, argument)
        case Call(source, "extension", (Literal(str() as url),)):
            return source, ExtensionOf(url)
        case Call(source, "where", (Binary("=", Member(None, name), Literal(str() as text)),)):
            return source, WhereText(name, text)
        case Call(
            source, "where", (TypeOperation("is", Call(None, "resolve", ()), TypeSpecifier() as t),)
        ):
            return source, WhereRefers(t)
        case _:
            return None


def _typed(source: Expr | None, argument: Expr) -> tuple[Expr | None, Step] | None:
    type_ = type_specifier(argument)
    return None if type_ is None else (source, OfType(type_))


def type_specifier(argument: Expr) -> TypeSpecifier | None:
    """The type that an argument such as `FHIR.Patient` names."""
    match argument:
        case Member(None, name):
            return TypeSpecifier(None, name)
        case Member(Member(None, namespace), name):
            return TypeSpecifier(namespace, name)
        case _:
            return None


# --- compiling --------------------------------------------------------------------------------


def nowhere(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
    """The rest of a path that leads nowhere."""


def collect(shape: Shape) -> Walk:
    """The end of a path that adds a node to a list."""

    def collected(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        out.append(Node(value, shape, extra))

    return collected


def build(path: tuple[Step, ...], shape: Shape, end: Then = collect) -> Walk:
    """The walk along `path` from a value of `shape` to its end; `nowhere` if there is no way.

    Names and types must be known to be steps of plain paths: an untyped shape has no walk.
    """
    return _build(path, 0, shape, end)


def _build(path: tuple[Step, ...], at: int, shape: Shape, end: Then) -> Walk:
    if at == len(path):
        return end(shape)

    def then(reached: Shape) -> Walk:
        return _build(path, at + 1, reached, end)

    step = path[at]
    match step:
        case Names(name, first):
            if first and names_type(shape, name):
                return then(shape)
            return _member(shape, name, then, is_last=at + 1 == len(path) and end is collect)
        case OfType(type_):
            return then(shape) if is_of(shape, type_) else nowhere
        case WhereText(name, text):
            return _where_text(shape, name, text, then)
        case WhereRefers(type_):
            return _where_refers(shape, type_, then)
        case ExtensionOf(url):
            return _extension(shape, url, then)


def names_type(shape: Shape, name: str) -> bool:
    """Whether a name that begins an expression is the type of the element it begins at."""
    return name in shape.line and (shape.is_resource or name not in shape.members)


def is_of(shape: Shape, type_: TypeSpecifier) -> bool:
    """Whether `ofType` and `as` keep elements of a shape.

    A primitive must be of the very type: R4's search parameters and invariants tell
    `as uri` from `as canonical`, and so does the official suite.
    """
    if type_.namespace == "System":
        return False
    return shape.name == type_.name if shape.is_primitive else type_.name in shape.line


def _member(shape: Shape, name: str, then: Then, *, is_last: bool) -> Walk:
    element = shape.members.get(name)
    if element is None:
        return nowhere
    if shape.is_primitive:
        return _of_extra(_content_walk(element, shape.shapes, then, is_last=is_last))
    return _content_walk(element, shape.shapes, then, is_last=is_last)


def _content_walk(element: Element, shapes: Shapes, then: Then, *, is_last: bool) -> Walk:
    walks: list[tuple[Alternative, Walk]] = []
    for way in element.alternatives:
        walk = _resource(shapes, then) if way.shape is None else then(way.shape)
        if walk is not nowhere:
            walks.append((way, walk))
    if not walks:
        return nowhere
    if len(walks) == 1:
        way, walk = walks[0]
        return _single(way, walk, is_last=is_last)
    return _choice({way.property: walk for way, walk in walks}, [way for way, _ in walks])


def _single(way: Alternative, walk: Walk, *, is_last: bool) -> Walk:
    if way.extra:
        return _primitive_walk(way.property, way.extra, walk)
    if is_last and way.shape is not None:
        return _complex_end(way.property, way.shape)
    return _complex_walk(way.property, walk)


def _complex_walk(name: str, walk: Walk) -> Walk:
    def complex_walk(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        found = value.get(name)
        if found is None:
            return
        if type(found) is list:
            for item in found:
                walk(item, None, out, scope)
        else:
            walk(found, None, out, scope)

    return complex_walk


def _complex_end(name: str, shape: Shape) -> Walk:
    def complex_end(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        found = value.get(name)
        if found is None:
            return
        if type(found) is list:
            for item in found:
                out.append(Node(item, shape))
        else:
            out.append(Node(found, shape))

    return complex_end


def _primitive_walk(name: str, extra_name: str, walk: Walk) -> Walk:
    def primitive_walk(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        found = value.get(name)
        beside = value.get(extra_name)
        if found is None:
            if beside is None:
                return
            if type(beside) is not list:
                walk(None, beside, out, scope)
                return
            found = []
        if type(found) is not list:
            walk(found, beside, out, scope)
        elif beside is None:
            for item in found:
                walk(item, None, out, scope)
        else:
            _walk_pairs(found, beside, walk, out, scope)

    return primitive_walk


def _walk_pairs(values: list[Any], extras: Any, walk: Walk, out: Any, scope: Scope | None) -> None:
    for index in range(max(len(values), len(extras))):
        value = values[index] if index < len(values) else None
        extra = extras[index] if index < len(extras) else None
        if value is not None or extra is not None:
            walk(value, extra, out, scope)


_FEW: Final = 6


def _choice(walks: dict[str, Walk], ways: list[Alternative]) -> Walk:
    """A choice: only one of its properties is there, so the object's keys may be fewer."""
    parts = [(way.property, way.extra, walks[way.property]) for way in ways]
    extras = {way.extra: way.property for way in ways if way.extra}

    def few(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        for name, extra_name, walk in parts:
            found = value.get(name)
            if found is not None:
                walk(found, value.get(extra_name), out, scope)
            elif extra_name in value and value[extra_name] is not None:
                walk(None, value[extra_name], out, scope)

    def many(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        for key in value:
            walk = walks.get(key)
            if walk is not None:
                walk(value[key], value.get(f"_{key}"), out, scope)
            elif key in extras and extras[key] not in value:
                walks[extras[key]](None, value[key], out, scope)

    return few if len(parts) <= _FEW else many


def _resource(shapes: Shapes, then: Then) -> Walk:
    """A resource within a resource, whose type is told by itself."""
    walks: dict[Shape, Walk] = {}

    def resource(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        shape = shapes.of_value(value)
        walk = walks.get(shape)
        if walk is None:
            walk = walks[shape] = then(shape)
        walk(value, None, out, scope)

    return resource


def _of_extra(walk: Walk) -> Walk:
    """A walk over what a primitive has beside its value."""

    def of_extra(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        if extra is not None:
            walk(extra, None, out, scope)

    return of_extra


def _where_text(shape: Shape, name: str, text: str, then: Then) -> Walk:
    element = shape.members.get(name)
    walk = then(shape)
    if element is None or walk is nowhere:
        return nowhere
    ways = [way for way in element.alternatives if way.shape and way.shape.system == "String"]
    if len(ways) == 1 == len(element.alternatives) and not shape.is_primitive:
        property_ = ways[0].property

        def where_text(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
            found = value.get(property_)
            if found == text or (type(found) is list and found == [text]):
                walk(value, extra, out, scope)

        return where_text
    return _where_any(_member(shape, name, collect, is_last=False), text, walk)


def _where_any(member: Walk, text: str, walk: Walk) -> Walk:
    """The same for a member that is a choice or no string: only a String equals a text."""

    def where_any(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        found: list[Node] = []
        member(value, extra, found, scope)
        if len(found) == 1 and found[0].shape.system == "String" and found[0].value == text:
            walk(value, extra, out, scope)

    return where_any


def _where_refers(shape: Shape, type_: TypeSpecifier, then: Then) -> Walk:
    walk = then(shape)
    if walk is nowhere or type_.namespace == "System":
        return nowhere
    definitions = shape.shapes.definitions
    targets = frozenset(
        name for name in definitions.resource_types if definitions.is_subtype(name, type_.name)
    )

    def where_refers(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        if refers_to(value, targets, scope):
            walk(value, extra, out, scope)

    return where_refers


def _extension(shape: Shape, url: str, then: Then) -> Walk:
    if "extension" not in shape.members:
        return nowhere
    walk = then(shape.shapes.of("Extension"))
    if walk is nowhere:
        return nowhere

    def extension(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        for item in value.get("extension", ()):
            if item.get("url") == url:
                walk(item, None, out, scope)

    return _of_extra(extension) if shape.is_primitive else extension
