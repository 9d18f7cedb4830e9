"""transaction: a Bundle of requests that happen together or not at all.

https://hl7.org/fhir/R4/http.html#trules. The plans of all entries become one commit, so the
order of the entries makes no difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from fhirserver.errors import FhirError, Gone, NotSupported, Unprocessable
from fhirserver.interactions.bundle import Entry, bundle
from fhirserver.interactions.bundle_entry import (
    BundleEntry,
    entries_of,
    entry_errors,
    envelope_issues,
    located,
    read_entry,
)
from fhirserver.interactions.bundle_response import refused_entry, response_entry
from fhirserver.interactions.cascade import told
from fhirserver.interactions.commit import Done, carry_out
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import check_parameters
from fhirserver.interactions.plan import Plan, Step, answer
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.route import bundle_interaction
from fhirserver.interactions.transaction_step import make_steps
from fhirserver.interactions.transaction_target import Targets, choose_targets
from fhirserver.interactions.transaction_write import checked_writes, refuse
from fhirserver.store.port import Key

_READING = frozenset({"GET", "HEAD"})
_OF_ONE = frozenset({"read", "vread"})


async def run(context: Context, request: Request) -> Answer:
    """200 with a transaction-response, in the order of the request.

    Raises the refusal of an entry, which names it; then nothing has been changed.
    """
    check_parameters(request)
    bundle_interaction(request.resource)
    if not context.store.atomic:
        raise NotSupported(
            "The store of this server has no transactions: send a batch, or the entries one by one."
        )
    entries = _entries(context, request)
    reads = [entry for entry in entries if entry.verb in _READING]
    writes = await checked_writes(
        context, [entry for entry in entries if entry.verb not in _READING]
    )
    targets = Targets()
    known: dict[int, Answer] = {}

    async def plan() -> Plan:
        nonlocal targets, known
        targets = await choose_targets(context, writes)
        made = await make_steps(context, request, writes, targets)
        known = await _check_reads(context, reads, made.steps)
        return made

    done = await carry_out(context, request, plan)
    results = _written(entries, done, targets)
    for entry in reads:
        results[entry.index] = await _read(context, entry, known.get(entry.index))
    body = bundle(
        "transaction-response",
        [results[entry.index] for entry in entries],
        timestamp=context.now(),
    )
    return Answer(200, body)


def _entries(context: Context, request: Request) -> list[BundleEntry]:
    assert request.resource is not None
    issues = envelope_issues(context, request.resource)
    if issues:
        raise Unprocessable("The Bundle breaks the rules of FHIR R4.", issues=issues)
    found: list[BundleEntry] = []
    refusals: list[FhirError] = []
    for index, item in enumerate(entries_of(context, request.resource)):
        try:
            found.append(read_entry(context, request, index, item))
        except FhirError as error:
            refusals.append(located(error, index))
    refuse(refusals)
    return found


async def _check_reads(
    context: Context, reads: Sequence[BundleEntry], steps: Sequence[Step]
) -> dict[int, Answer]:
    """Raises what a read would be refused with after the commit, where that can be known.

    The answers to reads of one resource that the commit does not change, by their entries: they
    are not asked, and recorded, again.
    """
    known: dict[int, Answer] = {}
    changed: Mapping[Key, Step] = {step.key: step for step in steps if step.change}
    if not changed:
        return known
    for entry in reads:
        asked = entry.request
        type, id = asked.compartment or (asked.type, asked.id)
        step = changed.get(Key(type or "", id or ""))
        with entry_errors(entry.index):
            if step is None:
                answered = await context.dispatch(asked)
                if asked.interaction in _OF_ONE:
                    known[entry.index] = answered
            elif asked.interaction == "read" and step.status == 204:
                raise Gone(f"{type}/{id} is deleted by this transaction.")
    return known


def _written(entries: Sequence[BundleEntry], done: Done, targets: Targets) -> dict[int, Entry]:
    steps: dict[int | None, list[Step]] = defaultdict(list)
    for step in done.steps:
        steps[step.entry].append(step)
    results = {}
    for entry in entries:
        if entry.verb not in _READING:
            own = steps[targets.twins.get(entry.index, entry.index)]
            along = targets.along.get(entry.index)
            if along is not None:
                own = [step for step in own if step.key not in along]
            single = Answer(204)
            if len(own) == 1:
                shown = entry.request.prefer == "representation"
                single = answer(own[0], done.instant, with_body=shown)
            if along is not None:
                single = told(single, sorted(along))
            results[entry.index] = response_entry(entry, single)
    return results


async def _read(context: Context, entry: BundleEntry, known: Answer | None) -> Entry:
    try:
        return response_entry(entry, known or await context.dispatch(entry.request))
    except FhirError as error:
        return refused_entry(located(error, entry.index))
