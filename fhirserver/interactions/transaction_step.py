"""What each entry of a transaction does to its target, with all links resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fhirserver.errors import Invalid, MultipleMatches, PreconditionFailed
from fhirserver.interactions.accept import accept
from fhirserver.interactions.bundle_entry import entry_errors
from fhirserver.interactions.condition import condition, one_match
from fhirserver.interactions.context import Context
from fhirserver.interactions.links import Linked, Links, Rewritten
from fhirserver.interactions.made import Made
from fhirserver.interactions.patch import patched
from fhirserver.interactions.plan import Plan, Step, Target, removed, written
from fhirserver.interactions.query import query_pairs
from fhirserver.interactions.request import Request
from fhirserver.interactions.transaction_target import Targets
from fhirserver.interactions.transaction_write import Write, breathe, substituted
from fhirserver.model.json import Resource
from fhirserver.model.outcome import Issue
from fhirserver.search.match import Document
from fhirserver.store.port import Expectation, Key

_ROUNDS = 5  # until version-specific links agree with which versions are made


async def make_steps(
    context: Context, request: Request, writes: Sequence[Write], targets: Targets
) -> Plan:
    """The steps of all entries, deletions first.

    Raises the refusal of an entry whose conditional reference has no match or several.
    """
    return await _Making(context, request, writes, targets).plan()


class _Making:
    def __init__(
        self, context: Context, request: Request, writes: Sequence[Write], targets: Targets
    ) -> None:
        self._context = context
        self._request = request
        self._targets = targets
        self._deleted = [write for write in writes if write.entry.verb == "DELETE"]
        self._written = [
            write
            for write in writes
            if write.entry.verb != "DELETE" and write.index not in targets.twins
        ]
        self._contents: dict[int, Resource] = {}
        self._versions = {
            target.key: _next_version(target) for some in targets.of.values() for target in some
        }
        self._conditional: dict[str, Key] = {}
        self._after: list[Expectation] = []

    async def plan(self) -> Plan:
        for write in self._written:
            with entry_errors(write.index):
                self._contents[write.index] = await self._content(write)
        steps: list[Step] = []
        for _ in range(_ROUNDS):
            rewritten = await self._rewritten()
            if await self._resolve(rewritten):
                rewritten = await self._rewritten()
            steps = await self._steps(rewritten)
            made = {step.key: _version(step) for step in steps}
            if not any(item.versioned for item in rewritten.values()) or made == self._versions:
                break
            self._versions |= made
        self._check_conditions(steps)
        return Plan(tuple(steps), tuple(self._after))

    async def _content(self, write: Write) -> Resource:
        if write.patch is not None:
            content = patched(self._target(write), write.patch)
            return (await accept(self._context, self._request, write.type, content)).resource
        assert write.resource is not None
        return write.resource

    def _target(self, write: Write) -> Target:
        (target,) = self._targets.of[write.index]
        return target

    async def _rewritten(self) -> dict[int, Rewritten]:
        targets = {
            url: Linked(key.type, key.id, self._versions[key])
            for url, key in self._targets.full_urls.items()
        }
        links = Links(self._context.definitions, self._request.base, targets, self._conditional)
        found = {}
        for number, write in enumerate(self._written):
            await breathe(number)
            if not self._target(write).found:
                resource = self._contents[write.index]
                with entry_errors(write.index):
                    found[write.index] = links.rewrite(resource, write.entry.full_url)
        return found

    async def _steps(self, rewritten: Mapping[int, Rewritten]) -> list[Step]:
        steps = [
            removed(target, write.index)
            for write in self._deleted
            for target in self._targets.of[write.index]
        ]
        for number, write in enumerate(self._written):
            await breathe(number)
            target = self._target(write)
            if target.found:
                steps.append(Step(200, target, entry=write.index))
                continue
            verb = write.entry.verb
            assert verb in ("POST", "PUT", "PATCH")
            with entry_errors(write.index):
                resource = rewritten[write.index].resource
                request = write.entry.request
                steps.append(written(self._context, request, target, resource, verb, write.index))
        return steps

    # --- conditional references -----------------------------------------------------------

    async def _resolve(self, rewritten: dict[int, Rewritten]) -> bool:
        """Resolves the conditional references that are still open; whether there were any."""
        places = {
            text: index for index, item in reversed(rewritten.items()) for text in item.conditions
        }
        if not places:
            return False
        types = {text.partition("?")[0] for text in places}
        made = Made(self._documents(types, rewritten))
        for number, (text, index) in enumerate(places.items()):
            await breathe(number)
            with entry_errors(index):
                await self._resolve_one(text, made)
        return True

    async def _resolve_one(self, text: str, made: Made) -> None:
        context = self._context
        type, _, query = text.partition("?")
        if type not in context.definitions.resource_types:
            raise Invalid(f"The reference '{text}' names no resource type.")
        pairs = substituted(query_pairs(query), self._targets.full_urls)
        when = await condition(context, self._request, type, pairs)
        stored = (await one_match(context, when, frozenset(self._versions))).version
        keys = [Key(stored.type, stored.id)] if stored is not None else []
        keys += made.matching(type, when.where)
        if not keys:
            reason = f"Nothing matches the conditional reference '{text}'."
            raise PreconditionFailed(reason, issues=[Issue("error", "not-found", "", reason)])
        if len(keys) > 1:
            raise MultipleMatches(f"Several resources match the conditional reference '{text}'.")
        self._conditional[text] = keys[0]
        self._after.append(Expectation((type,), when.where, (keys[0],)))

    def _documents(
        self, types: Iterable[str], rewritten: Mapping[int, Rewritten]
    ) -> Iterable[Document]:
        now = self._context.now()
        for write in self._written:
            target = self._target(write)
            if write.type in types and not target.found:
                resource = rewritten[write.index].resource
                entries = self._context.indexer.entries(resource, self._request.base, target.id)
                yield Document(target.type, target.id, now, entries)

    # --- conditions of entries ------------------------------------------------------------

    def _check_conditions(self, steps: Sequence[Step]) -> None:
        """That no entry creates what the condition of another one means.

        Which of them came first would otherwise decide what becomes of them.
        """
        if not self._targets.conditions:
            return
        now = self._context.now()
        made = Made(
            Document(step.target.type, step.target.id, now, step.change.entries)
            for step in steps
            if step.change is not None and step.status == 201
        )
        for index, when in self._targets.conditions.items():
            own = self._targets.of[index][0].key
            for key in made.matching(when.type, when.where):
                if key != own:
                    with entry_errors(index):
                        raise Invalid(
                            f"Another entry creates a resource that {when.text} means as well: "
                            "leave one of them out."
                        )


def _next_version(target: Target) -> int:
    if target.current is None:
        return 1
    return target.current.version + (0 if target.found else 1)


def _version(step: Step) -> int:
    if step.change is not None:
        return step.change.version
    return step.target.current.version if step.target.current is not None else 1
