"""From the expression of a search parameter to a function that finds its elements.

Nearly all are plain paths, which `fhirserver.fhirpath.paths` compiles to walks over the JSON;
the few others are evaluated as FHIRPath.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from fhirserver.fhirpath.compiler import compile_part
from fhirserver.fhirpath.context import MAX_STEPS, Code, Frame, Run
from fhirserver.fhirpath.errors import FhirPathError, FhirPathLimitError
from fhirserver.fhirpath.node import Node
from fhirserver.fhirpath.paths import (
    ExtensionOf,
    Names,
    OfType,
    Step,
    Then,
    Walk,
    build,
    collect,
    is_of,
    names_type,
    nowhere,
    steps,
)
from fhirserver.fhirpath.references import Scope
from fhirserver.fhirpath.shapes import Shape, Shapes
from fhirserver.fhirpath.syntax import Expr, External, Union


class Select(NamedTuple):
    """`walk` adds what is selected; it can add nothing without one of the JSON `keys`.

    `keys` None: whatever properties the element has.
    """

    walk: Walk
    keys: frozenset[str] | None


def selects(
    shapes: Shapes, shape: Shape, expression: Expr, end: Then = collect, most: int = MAX_STEPS
) -> list[Select]:
    """How to find what an expression selects in elements of a shape: one for each branch.

    `end` makes, for each shape that is selected, what is done with its elements. What is no path
    may take `most` steps of evaluation, counted in `Scope.spent`; a walk raises
    `FhirPathLimitError` beyond.
    """
    operands = expression.operands if isinstance(expression, Union) else (expression,)
    return [found for part in operands if (found := _select(shapes, shape, part, end, most))]


def _select(shapes: Shapes, shape: Shape, part: Expr, end: Then, most: int) -> Select | None:
    start, path = steps(part, lenient=True)
    if start is None:
        walk = build(path, shape, end)
        return None if walk is nowhere else Select(walk, _keys(path, shape))
    if start == External("resource"):
        return Select(_from_root(path, shapes, end), None)
    code = compile_part(part, "", shapes, lenient=True)
    return Select(_evaluated(code, shapes, shape, end, most), None)


def _keys(path: tuple[Step, ...], shape: Shape) -> frozenset[str] | None:
    """The JSON properties of which the first step needs one."""
    match path:
        case (Names(name, True), *rest) if names_type(shape, name):
            return _keys(tuple(rest), shape)
        case (Names(name), *rest) if name in shape.members:
            ways = shape.members[name].alternatives
            if rest and isinstance(rest[0], OfType):
                wanted = rest[0].type
                ways = tuple(way for way in ways if way.shape is None or is_of(way.shape, wanted))
            return frozenset(way.property for way in ways)
        case (ExtensionOf(), *_):
            return frozenset({"extension"})
        case _:
            return None


def _from_root(path: tuple[Step, ...], shapes: Shapes, end: Then) -> Walk:
    """A walk that begins at the resource, wherever it is asked for."""
    walks: dict[Shape, Walk] = {}

    def walk(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        assert scope is not None
        shape = shapes.of_value(scope.root)
        if shape not in walks:
            walks[shape] = build(path, shape, end)
        walks[shape](scope.root, None, out, scope)

    return walk


def _evaluated(code: Code, shapes: Shapes, shape: Shape, end: Then, most: int) -> Walk:
    """A walk that evaluates FHIRPath; what fails on odd data selects nothing.

    Raises `FhirPathLimitError`: nothing would be told from what is not there.
    """
    boolean = shapes.of("boolean")
    ends: dict[Shape, Walk] = {}

    def walk(value: Any, extra: Any, out: Any, scope: Scope | None) -> None:
        assert scope is not None
        node = Node(value, shape, extra)
        resource = Node(scope.root, shapes.of_value(scope.root))
        root = resource
        if scope.container is not scope.root:
            root = Node(scope.container, shapes.of_value(scope.container))
        run = Run(node, resource, root, shapes, most=most)
        run.steps = scope.spent
        try:
            found: Iterable[Any] = code(Frame(run, [node]))
        except FhirPathLimitError:
            raise
        except FhirPathError:
            return
        finally:
            scope.spent = run.steps
        for item in found:
            if isinstance(item, bool):
                item = Node(item, boolean)
            if isinstance(item, Node):
                if item.shape not in ends:
                    ends[item.shape] = end(item.shape)
                ends[item.shape](item.value, item.extra, out, scope)

    return walk
