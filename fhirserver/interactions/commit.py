"""The one place where a plan becomes a commit.

When the store has moved on since a plan was made, it is made again. A caller who stated a
version (If-Match) is refused by the second planning, which sees the newer one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fhirserver.errors import Conflict
from fhirserver.interactions.context import Context
from fhirserver.interactions.integrity import integrity
from fhirserver.interactions.plan import Plan, Step
from fhirserver.interactions.request import Request
from fhirserver.interactions.search_parameters import check_search_parameters
from fhirserver.interactions.stored_definitions import TYPE as DEFINITION
from fhirserver.store.port import Outdated, Stale

_PATIENCE = 10.0  # seconds; on several servers others may be faster many times in a row
_PAUSE = 0.002  # seconds, more with each attempt
_LONGEST_PAUSE = 0.02


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

    Raises what `plan` raises, and `Conflict` when others are faster again and again. `Outdated`,
    when a search parameter was added or changed, is for the gate to answer.
    """
    try:
        return await _attempt(context, request, plan, doubtful=False)
    except Outdated:
        raise
    except Stale:
        pass
    async with context.contended:
        end = time.monotonic() + _PATIENCE
        pause = 0.0
        while time.monotonic() < end:
            try:
                return await _attempt(context, request, plan, doubtful=True)
            except Outdated:
                raise
            except Stale:
                await asyncio.sleep(pause)
                pause = min(pause + _PAUSE, _LONGEST_PAUSE)
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
    check_search_parameters(context, steps)
    before = tuple(expectation for step in steps for expectation in step.target.before)
    after += await integrity(context, request, steps, doubtful=doubtful)
    committed = await context.store.commit(changes, before, after, context.unchanged)
    if any(change.type == DEFINITION for change in changes):
        context.stored.forget()
    return Done(steps, committed.instant)
