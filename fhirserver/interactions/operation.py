"""Operations as rows of the gate. What they do is above, in `fhirserver.operations`.

https://hl7.org/fhir/R4/operations.html. `app` hands the table to the gate, so that the
interactions know no operation by name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from fhirserver.interactions.request import Answer, Request

if TYPE_CHECKING:
    from fhirserver.interactions.context import Context

Level: TypeAlias = Literal["system", "type", "instance"]

MARK = "$"
"""How the code of an operation begins in an address, and in `Request.interaction`."""


@dataclass(frozen=True, slots=True)
class OperationRow:
    """A row: `code` without `$`, the URL of its OperationDefinition, where it can be called.

    `types` are the resource types that have it; none of them: all. `scope` is the SMART v2
    letter of what the caller must be allowed to do. One that is `administrative` is an
    administrator's where it is called on more than one resource.
    """

    code: str
    url: str
    levels: tuple[Level, ...]
    types: tuple[str, ...]
    scope: Literal["c", "r", "u", "d", "s", ""]
    run: Callable[[Context, Request], Awaitable[Answer]]
    administrative: bool = False

    def permits(self, request: Request) -> bool:
        """Whether the caller is administrator enough for this call."""
        if not self.administrative or level(request) == "instance":
            return True
        return request.grant.is_administrator

    def serves(self, request: Request) -> bool:
        """Whether the request calls this operation at one of its levels."""
        if request.interaction != f"{MARK}{self.code}" or level(request) not in self.levels:
            return False
        return not self.types or request.type is None or request.type in self.types


def level(request: Request) -> Level:
    """Where an operation is called: on an instance, on a type or on the system."""
    if request.id is not None:
        return "instance"
    return "system" if request.type is None else "type"
