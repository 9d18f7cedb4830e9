"""The one gate: authorise, do, record. Every edge and every bundle entry passes it.

`INTERACTIONS` is the table of what the server can do; route, capability entry and needed scope
all come from its rows. What was done is in the audit trail before the answer is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from fhirserver.access.guard import GuardedStore
from fhirserver.audit.chain import TYPE as AUDIT_EVENT
from fhirserver.audit.imaging import IMAGING, IMAGING_STUDY
from fhirserver.audit.masked import Masked
from fhirserver.audit.observed import Observed, Seen, refuse_trail
from fhirserver.errors import Conflict, FhirError, Forbidden, NotFound, NotSupported
from fhirserver.indexing.registry import Registry
from fhirserver.interactions import (
    async_status,
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
from fhirserver.interactions.accesses import Accesses, Tallied, is_bare
from fhirserver.interactions.authorize import WRITING, check_caller, check_rights, may_show
from fhirserver.interactions.context import Context
from fhirserver.interactions.operation import MARK, OperationRow
from fhirserver.interactions.prefer import preferred
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.outcome import Issue
from fhirserver.store.concepts import NO_CONCEPTS
from fhirserver.store.port import Outdated, Store


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
    Interaction("history-type", "type", "s", history.run),
    Interaction("history-system", "system", "s", history.run),
    Interaction("create", "type", "c", create.run),
    Interaction("search-type", "type", "s", search.run),
    Interaction("search-system", "system", "s", search.run),
    Interaction("search-compartment", "instance", "s", search.run),
    Interaction("explain", "type", "s", explain.run),
    Interaction("transaction", "system", "", transaction.run),
    Interaction("batch", "system", "", batch.run),
    Interaction("capabilities", "system", "", capabilities.run),
    Interaction("async-status", "system", "", async_status.run),
    Interaction("async-cancel", "system", "", async_status.cancel),
)
INTERACTIONS = {row.code: row for row in _ROWS}


class _View(NamedTuple):
    """A context as it is with one guarded store, and what it was made from."""

    context: Context
    knows_all: bool
    view: Context


class Gate:
    """Runs requests against an unguarded context that nobody else holds.

    `operations` is the table of operations that it serves beside the interactions, `imaging`
    what it does with DICOM instances, which edges of imaging ask for and the FHIR base does not
    show; `registry` tells which search parameters are in effect, if these can change.
    `accesses` writes the audit trail; without it nothing is recorded.
    """

    def __init__(
        self,
        context: Context,
        operations: Sequence[OperationRow] = (),
        registry: Registry | None = None,
        accesses: Accesses | Tallied | None = None,
        imaging: Sequence[Interaction] = (),
    ) -> None:
        self._interactions = INTERACTIONS | {row.code: row for row in imaging}
        self._registry = registry
        self._accesses = accesses
        self._views: dict[int, _View] = {}
        self._context = replace(
            context,
            dispatch=self.dispatch,
            admit=self.admit,
            operations=tuple(operations),
            rules=context.store,
        )
        self._operations: dict[str, list[OperationRow]] = {}
        for row in operations:
            self._operations.setdefault(f"{MARK}{row.code}", []).append(row)

    def admit(self, request: Request) -> None:
        """Raises what `dispatch` would raise before it does anything.

        For the entries of a transaction, which are done together and not one by one.
        """
        self._authorized(request)

    def _authorized(self, request: Request) -> Interaction | OperationRow:
        """The row of the request. Raises for whom and what is refused without looking."""
        check_caller(self._context, request)
        row = self._row(request)
        check_rights(self._context, row, request)
        return row

    async def dispatch(self, request: Request) -> Answer:
        """The answer to a request. Raises a `FhirError` for every refusal.

        Raises `Unavailable` where the audit trail cannot be written: nothing is told then.
        """
        accesses = self._accesses
        if accesses is None:
            return await self._answer(request, None)
        seen = Seen()
        try:
            if request.type == AUDIT_EVENT:
                await accesses.settled()
            if request.interaction not in _ONLY_READS:
                await accesses.ready()
                seen.note = accesses.noting(request)
            answer = await self._answer(request, seen)
        except FhirError as error:
            await accesses.refused(request, error, seen)
            raise
        except Exception:
            await accesses.refused(request, None, seen)
            raise
        if is_bare(request):
            await accesses.read(request, answer, seen)
        else:
            await accesses.answered(request, answer, seen)
        return answer

    async def _answer(self, request: Request, seen: Seen | None) -> Answer:
        row = self._authorized(request)
        if row.scope != "r" or not isinstance(row, Interaction):
            await self._refresh(request)
        try:
            answer = await row.run(await self._guarded(row, request, seen), request)
        except Outdated:
            answer = await self._again(row, request, seen)
        if not may_show(self._context, row, request):
            answer.body = None
        prefers = request.prefer is not None or answer.outcome is not None
        if prefers and row.scope in WRITING and isinstance(row, Interaction):
            return preferred(answer, request.prefer)
        return answer

    async def _guarded(
        self, row: Interaction | OperationRow, request: Request, seen: Seen | None
    ) -> Context:
        """The context with the store as the caller may see it; what it gives goes to `seen`."""
        context = await self._permitted(row, request)
        if seen is not None and isinstance(context.store, GuardedStore):
            seen.reasons = context.store.reasons
        if is_bare(request):
            return context
        store = context.store if seen is None else Observed(context.store, seen)
        # Also without a trail now: there may be one of earlier times.
        if not request.grant.is_administrator:
            store = Masked(store)
        return context if store is context.store else replace(context, store=store)

    async def _permitted(self, row: Interaction | OperationRow, request: Request) -> Context:
        """The context with the store as the caller may see it."""
        context, grant = self._context, request.grant
        if grant.unrestricted:
            return _of_all_studies(context) if row.code in IMAGING else context
        if context.access is None:  # only what is public comes here
            return replace(context, concepts=NO_CONCEPTS)
        rights = context.access.rights(grant, context.definitions)
        writes = row.scope in WRITING or row.code == "transaction"
        store = await context.access.guard(
            grant,
            context.indexer,
            context.definitions,
            context.base or request.base,
            writes=writes,
        )
        if row.code in IMAGING:
            context = _of_all_studies(context, store)
        return self._with(context, store, knows_all=writes or rights.sees_terminology())

    def _with(self, context: Context, store: Store, *, knows_all: bool) -> Context:
        """The context with a guarded store. Most requests of a caller have the same."""
        known = self._views.get(id(store))
        if (
            known is not None
            and known.context is context
            and known.view.store is store
            and known.knows_all == knows_all
        ):
            return known.view
        concepts = context.concepts if knows_all else NO_CONCEPTS
        view = replace(context, store=store, concepts=concepts)
        if context is self._context:
            if len(self._views) >= _VIEWS:
                self._views.clear()
            self._views[id(store)] = _View(context, knows_all, view)
        return view

    async def _refresh(self, request: Request) -> None:
        """Takes up the search parameters that are now in effect."""
        if self._registry is None:
            return
        known, base = await self._registry.current(request.base)
        context = self._context
        if (
            known.definitions is not context.definitions
            or known.unchanged != context.unchanged
            or base != context.base
        ):
            self._context = replace(
                context,
                definitions=known.definitions,
                indexer=known.indexer,
                unchanged=known.unchanged,
                base=base,
            )

    async def _again(
        self, row: Interaction | OperationRow, request: Request, seen: Seen | None
    ) -> Answer:
        """Runs a request whose commit found that search parameters have changed."""
        for _ in range(_ATTEMPTS):
            await self._refresh(request)
            try:
                return await row.run(await self._guarded(row, request, seen), request)
            except Outdated:
                continue
        raise Conflict(
            "Search parameters keep changing. Send the request again.",
            headers={"Retry-After": "1"},
        )

    def _row(self, request: Request) -> Interaction | OperationRow:
        row = self._interactions.get(request.interaction)
        if row is not None:
            if request.type == AUDIT_EVENT and row.scope in WRITING and self._accesses:
                raise refuse_trail()
            return row
        for found in self._operations.get(request.interaction, ()):
            if found.serves(request):
                if not found.permits(request):
                    raise Forbidden(f"{request.interaction} is an administrator's here.")
                return found
        if request.interaction.startswith(MARK):
            text = f"This server has no operation {request.interaction} here."
            raise NotFound(text, issues=[Issue("error", "not-supported", "", text)])
        raise NotSupported(f"This server has no interaction '{request.interaction}'.")


def _of_all_studies(context: Context, store: Store | None = None) -> Context:
    """The context with the letters that the caller is allowed for all ImagingStudies."""
    letters = frozenset("rsd")
    if isinstance(store, GuardedStore):
        letters = frozenset(item for item in letters if store.shows_all(IMAGING_STUDY, item))
    return replace(context, all_studies=letters)


_ONLY_READS = frozenset({"read", "vread", "search-type", "search-compartment"})
"""Of the interactions that write nothing, those that are many."""

_ATTEMPTS = 50
_VIEWS = 1000  # guarded stores whose contexts are kept
