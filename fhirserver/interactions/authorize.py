"""The first step of the gate: what is refused before anything is looked up.

Decided from the grant and the request alone, so that it is the same whatever the store holds:
401 for who is not signed in, 403 for what no resource of that type is allowed. The guarded store
judges the rest, resource by resource.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fhirserver.access.restriction import TERMINOLOGY, Restriction
from fhirserver.errors import Forbidden, Unauthenticated
from fhirserver.interactions.context import Context
from fhirserver.interactions.operation import MARK, OperationRow
from fhirserver.interactions.request import Request
from fhirserver.search.expression import EVERYTHING

if TYPE_CHECKING:
    from fhirserver.interactions.dispatch import Interaction

PUBLIC: Final = frozenset({"capabilities", f"{MARK}versions"})
"""What may be asked by nobody in particular."""

WRITING: Final = frozenset({"c", "u", "d"})

_ALSO: Final = {
    "patch": "r",  # what is patched is shown, and can be asked by a test
    "conditional-patch": "rs",
    "conditional-update": "s",
    "conditional-delete": "s",
}
"""Further letters that an interaction needs, beside that of its row."""

_NOT_ALLOWED: Final = "Your access does not include this."


def check_caller(context: Context, request: Request) -> None:
    """Raises `Unauthenticated` for a caller who is nobody, where somebody is asked for."""
    grant = request.grant
    if grant.unrestricted or request.interaction in PUBLIC:
        return
    if grant.is_anonymous or context.access is None:
        raise Unauthenticated("Sign in first.", headers={"WWW-Authenticate": "Bearer"})


def check_rights(context: Context, row: Interaction | OperationRow, request: Request) -> None:
    """Raises `Forbidden` for what the caller may do with no resource at all."""
    grant = request.grant
    if grant.unrestricted or request.interaction in PUBLIC:
        return
    assert context.access is not None
    rights = context.access.rights(grant, context.definitions)
    if isinstance(row, OperationRow):
        _check_operation(rights, row, request)
        return
    letters = row.scope + _ALSO.get(row.code, "")
    if request.if_none_exist is not None:
        letters += "s"
    for letter in letters:
        _check_types(rights, letter, (request.type,) if request.type else ())
    if row.scope in WRITING and request.prefer == "representation" and request.type:
        _check_types(rights, "r", (request.type,))
    if row.code == "history-system" and rights.is_of_patients:
        raise Forbidden("The history of the whole system is not told to who sees single records.")


def may_show(context: Context, row: Interaction | OperationRow, request: Request) -> bool:
    """Whether the answer to a write may show the resource: who may write it need not read it."""
    if request.grant.unrestricted or row.scope not in WRITING or not request.type:
        return True
    assert context.access is not None
    return context.access.rights(request.grant, context.definitions).allows(request.type, "r")


def _check_operation(rights: Restriction, row: OperationRow, request: Request) -> None:
    if not rights.grant.has_operation(row.code):
        raise Forbidden(f"Your access does not include ${row.code}.")
    types = (request.type,) if request.type else row.types
    if row.scope:
        _check_types(rights, row.scope, types)
    if row.types and set(row.types) <= set(TERMINOLOGY):
        # Answers come from all of them, also from those that may not be read one by one.
        for type in row.types:
            if rights.of(type, "r") != EVERYTHING:
                raise Forbidden(f"Your access does not include all of {type}.")


def _check_types(rights: Restriction, letter: str, types: Iterable[str]) -> None:
    """Of several types one is enough; none of them: any there is."""
    some = tuple(types)
    if len(some) == 1:
        rights.check(some[0], letter)
    elif not any(rights.allows(type, letter) for type in some or rights.types):
        raise Forbidden(_NOT_ALLOWED)
