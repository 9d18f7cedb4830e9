"""The small codes that operators and invocations compile to.

Boolean logic in three values: https://hl7.org/fhirpath/N1/#boolean-logic. A second operand
that cannot change the result is not evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fhirserver.fhirpath.context import Code, Frame, bounded
from fhirserver.fhirpath.equality import Seen
from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.node import Collection
from fhirserver.fhirpath.operators import EMPTY, FALSE, TRUE, answer
from fhirserver.fhirpath.singletons import boolean, integer, single
from fhirserver.fhirpath.types import Test


def this(frame: Frame) -> Collection:
    """`$this`"""
    return frame.this


def index(frame: Frame) -> Collection:
    """`$index`"""
    if frame.index is None:
        raise FhirPathExecutionError("$index is only there within where(), select() and the like.")
    return frame.index


def total(frame: Frame) -> Collection:
    """`$total`"""
    if frame.total is None:
        raise FhirPathExecutionError("$total is only there within aggregate().")
    return frame.total


def indexer(source: Code, at: Code) -> Code:
    """`source[at]`"""

    def indexed(frame: Frame) -> Collection:
        items = source(frame)
        place = integer(at(frame))
        if place is None or not 0 <= place < len(items):
            return EMPTY
        return [items[place]]

    return indexed


def union(operands: list[Code]) -> Code:
    """`a | b | c`"""

    def united(frame: Frame) -> Collection:
        known = Seen()
        return bounded([i for operand in operands for i in operand(frame) if known.add(i)])

    return united


def is_code(source: Code, test: Test) -> Code:
    """`source is T`"""

    def is_(frame: Frame) -> Collection:
        item = single(source(frame))
        if item is None:
            return EMPTY
        return TRUE if test(item) else FALSE

    return is_


def as_code(source: Code, keep: Test) -> Code:
    """`source as T`"""

    def as_(frame: Frame) -> Collection:
        items = source(frame)
        item = single(items)
        return items if item is not None and keep(item) else EMPTY

    return as_


def of_type_code(source: Code, keep: Test) -> Code:
    """`source.ofType(T)`"""

    def of_type(frame: Frame) -> Collection:
        return [item for item in source(frame) if keep(item)]

    return of_type


def _and(left: Code, right: Code) -> Code:
    def both(frame: Frame) -> Collection:
        first = boolean(left(frame))
        if first is False:
            return FALSE
        second = boolean(right(frame))
        if second is False:
            return FALSE
        return TRUE if first and second else EMPTY

    return both


def _or(left: Code, right: Code) -> Code:
    def either(frame: Frame) -> Collection:
        first = boolean(left(frame))
        if first is True:
            return TRUE
        second = boolean(right(frame))
        if second is True:
            return TRUE
        return EMPTY if first is None or second is None else FALSE

    return either


def _xor(left: Code, right: Code) -> Code:
    def one(frame: Frame) -> Collection:
        first, second = boolean(left(frame)), boolean(right(frame))
        return EMPTY if first is None or second is None else answer(first is not second)

    return one


def _implies(left: Code, right: Code) -> Code:
    def implied(frame: Frame) -> Collection:
        first = boolean(left(frame))
        if first is False:
            return TRUE
        second = boolean(right(frame))
        if second is True:
            return TRUE
        return EMPTY if first is None or second is None else FALSE

    return implied


LOGIC: Final[Mapping[str, Callable[[Code, Code], Code]]] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
}
