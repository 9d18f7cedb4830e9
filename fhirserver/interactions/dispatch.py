"""The one gate: authorise, then do. Every edge and every bundle entry passes it.

`INTERACTIONS` is the table of what the server can do; route, capability entry and needed scope
all come from its rows. The audit trail, which is not there yet, will be written here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fhirserver.access.grant import guard
from fhirserver.errors import NotFound, NotSupported
from fhirserver.interactions import (
    batch,
    capabilities,
    create,
    delete,
    explain,
    history,
    patch,
    read,
    search,
    transaction,
    update,
    vread,
)
from fhirserver.interactions.context import Context
from fhirserver.interactions.operation import MARK, OperationRow
from fhirserver.interactions.prefer import preferred
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.outcome import Issue


@dataclass(frozen=True, slots=True)
class Interaction:
    """A row: the code of CapabilityStatement (or ours), the SMART v2 scope letter, the doer."""

    code: str
    level: Literal["instance", "type", "system"]
    scope: Literal["c", "r", "u", "d", "s", ""]
    run: Callable[[Context, Request], Awaitable[Answer]]


_ROWS = (
    Interaction("read", "instance", "r", read.run),
    Interaction("vread", "instance", "r", vread.run),
    Interaction("update", "instance", "u", update.run),
    Interaction("conditional-update", "type", "u", update.run_conditional),
    Interaction("patch", "instance", "u", patch.run),
    Interaction("conditional-patch", "type", "u", patch.run_conditional),
    Interaction("delete", "instance", "d", delete.run),
    Interaction("conditional-delete", "type", "d", delete.run_conditional),
    Interaction("history-instance", "instance", "r", history.run),
    Interaction("history-type", "type", "r", history.run),
    Interaction("history-system", "system", "r", history.run),
    Interaction("create", "type", "c", create.run),
    Interaction("search-type", "type", "s", search.run),
    Interaction("search-system", "system", "s", search.run),
    Interaction("search-compartment", "instance", "s", search.run),
    Interaction("explain", "type", "s", explain.run),
    Interaction("transaction", "system", "", transaction.run),
    Interaction("batch", "system", "", batch.run),
    Interaction("capabilities", "system", "", capabilities.run),
)
INTERACTIONS = {row.code: row for row in _ROWS}


class Gate:
    """Runs requests against an unguarded context that nobody else holds.

    `operations` is the table of operations that it serves beside the interactions.
    """

    def __init__(self, context: Context, operations: Sequence[OperationRow] = ()) -> None:
        self._context = replace(
            context, dispatch=self.dispatch, admit=self.admit, operations=tuple(operations)
        )
        self._operations: dict[str, list[OperationRow]] = {}
        for row in operations:
            self._operations.setdefault(f"{MARK}{row.code}", []).append(row)

    def admit(self, request: Request) -> None:
        """Raises what `dispatch` would raise before it does anything.

        For the entries of a transaction, which are done together and not one by one.
        """
        self._row(request)
        guard(self._context.store, request.grant)

    async def dispatch(self, request: Request) -> Answer:
        """The answer to a request. Raises a `FhirError` for every refusal."""
        row = self._row(request)
        store = guard(self._context.store, request.grant)
        context = self._context
        if store is not context.store:
            context = replace(context, store=store)
        answer = await row.run(context, request)
        prefers = request.prefer is not None or answer.outcome is not None
        if prefers and row.scope in _WRITING and isinstance(row, Interaction):
            return preferred(answer, request.prefer)
        return answer

    def _row(self, request: Request) -> Interaction | OperationRow:
        row = INTERACTIONS.get(request.interaction)
        if row is not None:
            return row
        for found in self._operations.get(request.interaction, ()):
            if found.serves(request):
                return found
        if request.interaction.startswith(MARK):
            text = f"This server has no operation {request.interaction} here."
            raise NotFound(text, issues=[Issue("error", "not-supported", "", text)])
        raise NotSupported(f"This server has no interaction '{request.interaction}'.")


_WRITING = frozenset({"c", "u", "d"})
