"""What commands do to the records of a tenant: a change is on record, and who made it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from fhirserver.cli.configuration import carry_out

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from fhirserver.audit.recorder import Recorder

_A = TypeVar("_A")
_T = TypeVar("_T")


def looked_up(
    opened: AbstractAsyncContextManager[tuple[_A, Recorder]], work: Callable[[_A], Awaitable[_T]]
) -> _T:
    """What the work gives, which changes nothing. A refusal is told, and ends the process."""

    async def run() -> _T:
        async with opened as (records, _):
            return await work(records)

    return carry_out(run())


def changed(
    opened: AbstractAsyncContextManager[tuple[_A, Recorder]],
    work: Callable[[_A], Awaitable[_T]],
    kind: str,
    about: Callable[[_T], str],
    change: str = "",
) -> _T:
    """What the work gives, which is recorded as a `kind` of event by who runs the command.

    `about` names what was changed, by what the work gave, or '' where nothing was; `change` says
    how, if need be. A refusal is told, and ends the process; nothing is recorded of it.
    """
    from fhirserver.app.audit import operator
    from fhirserver.audit.recorder import Event

    async def run() -> _T:
        async with opened as (records, recorder):
            found = await work(records)
            if what := about(found):
                detail = (("by", "command"), *((("change", change),) if change else ()))
                event = Event(kind, account=operator(), about=(what,), detail=detail)
                await recorder.record(event)
            return found

    return carry_out(run())
