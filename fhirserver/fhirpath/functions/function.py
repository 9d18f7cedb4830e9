"""A row of a table of functions."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from fhirserver.fhirpath.node import Collection


class Kind(Enum):
    """How a function takes its arguments."""

    VALUES = "evaluated where the function is called"
    CODES = "as code, which the function evaluates for the items that it chooses"
    KEYS = "as what to order by"
    TYPE = "the name of a type; compiled apart"


class Function(NamedTuple):
    """`run(frame, input, *arguments)`; from `least` to `most` arguments, None for any number.

    For the check of types: `takes` is the type of input (`any`, or a System type), of which
    there may be several only where `many`; `gives` is the type of the result: a System type,
    `same` as the input, `argument` as the first argument (`choice`: as those after the first),
    or `any`. `gives_many` None: as many as the input. `unordered` where the order of the
    result means nothing, `ordered` where that of the input has to mean something.
    """

    run: Callable[..., Collection]
    least: int = 0
    most: int | None = 0
    kind: Kind = Kind.VALUES
    takes: str = "any"
    many: bool = True
    gives: str = "any"
    gives_many: bool | None = False
    unordered: bool = False
    ordered: bool = False


def compiled_apart(*_: object) -> Collection:
    """Stands for functions of `Kind.TYPE`, for which the compiler makes code of its own."""
    raise AssertionError
