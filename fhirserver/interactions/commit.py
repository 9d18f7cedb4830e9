"""The one place where a plan becomes a commit.

When the store has moved on since a plan was made, it is made again. A caller who stated a
version (If-Match) is refused by the second planning, which sees the newer one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fhirserver.errors import Conflict
from fhirserver.interactions.context import Context
from fhirserver.interactions.integrity import integrity
from fhirserver.interactions.plan import Plan, Step
from fhirserver.interactions.request import Request
from fhirserver.interactions.stored_definitions import TYPE as DEFINITION
from fhirserver.store.port import Stale

_ATTEMPTS = 20
_PAUSE = 0.002  # seconds, more with each attempt


class Done(NamedTuple):
    """The steps that were carried out, and the instant (microseconds) of their commit.

    The instant is None where there was nothing to commit.
    """

    steps: tuple[Step, ...]
    instant: int | None


async def carry_out(
    context: Context, request: Request, plan: Callable[[], Awaitable[Plan]]
) -> Done:
    """Commits what `plan` says; calls it again when the store has moved on meanwhile.

    Raises what `plan` raises, and `Conflict` when others are faster again and again.
    """
    try:
        return await _attempt(context, request, plan, doubtful=False)
    except Stale:
        pass
    async with context.contended:
        for attempt in range(_ATTEMPTS):
            try:
                return await _attempt(context, request, plan, doubtful=True)
            except Stale:
                await asyncio.sleep(_PAUSE * attempt)
    raise Conflict(
        "Others keep changing what this request relies on. Send it again.",
        headers={"Retry-After": "1"},
    )


async def _attempt(
    context: Context, request: Request, plan: Callable[[], Awaitable[Plan]], *, doubtful: bool
) -> Done:
    steps, after = await plan()
    changes = [step.change for step in steps if step.change is not None]
    if not changes:
        return Done(steps, None)
    before = tuple(expectation for step in steps for expectation in step.target.before)
    after += await integrity(context, request, steps, doubtful=doubtful)
    committed = await context.store.commit(changes, before, after)
    if any(change.type == DEFINITION for change in changes):
        context.stored.forget()
    return Done(steps, committed.instant)
