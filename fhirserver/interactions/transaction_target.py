"""What each entry of a transaction acts on.

https://hl7.org/fhir/R4/http.html#trules. Conditions are decided on the state that the store
shows, less what the transaction itself deletes, as if deletions came first; so the order of
the entries does not matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from fhirserver.errors import Invalid, TooCostly
from fhirserver.interactions import create, delete, patch, update
from fhirserver.interactions.bundle_entry import entry_errors
from fhirserver.interactions.cascade import referring
from fhirserver.interactions.condition import Condition, condition
from fhirserver.interactions.context import Context
from fhirserver.interactions.plan import Target
from fhirserver.interactions.same import same
from fhirserver.interactions.transaction_write import Write, breathe, names, substituted
from fhirserver.search.expression import Expression
from fhirserver.store.port import Key, Version

_AT_ONCE = 200  # resources that are read together


@dataclass(slots=True)
class Targets:
    """The targets by index of the entry; of a conditional delete there may be any number.

    `twins` are creates that are the same as another entry's, by that one's index. `conditions`
    are those of what is not deleted. `along` are the targets of a deletion that go because they
    refer to others of it.
    """

    of: dict[int, tuple[Target, ...]] = field(default_factory=dict)
    twins: dict[int, int] = field(default_factory=dict)
    conditions: dict[int, Condition] = field(default_factory=dict)
    full_urls: dict[str, Key] = field(default_factory=dict)
    along: dict[int, frozenset[Key]] = field(default_factory=dict)


async def choose_targets(context: Context, writes: Sequence[Write]) -> Targets:
    """The targets of all entries.

    Raises the refusal of the entry whose condition has several matches, whose If-Match fails
    and so on; `Invalid` where two entries have the same target.
    """
    return await _Choice(context, writes).made()


class _Choice:
    def __init__(self, context: Context, writes: Sequence[Write]) -> None:
        self._context = context
        self._writes = writes
        self._made = Targets()
        self._deleted = 0
        self._gone: frozenset[Key] = frozenset()
        self._by_condition: dict[tuple[str, Expression], Write] = {}
        self._heads: dict[Key, Version] = {}

    async def made(self) -> Targets:
        await self._deletions()
        pending = [write for write in self._writes if write.entry.verb != "DELETE"]
        await self._look_up(pending)
        unknown = {url for write in pending for url in _urls(write)}
        while pending:
            waiting = []
            for number, write in enumerate(pending):
                await breathe(number)
                if write.when and names(write.when, unknown):
                    waiting.append(write)  # its condition names what another entry decides
                    continue
                with entry_errors(write.index):
                    self._take(write, await self._target(write))
                unknown.difference_update(_urls(write))
            if len(waiting) == len(pending):
                raise Invalid(
                    f"The conditions of the entries {_list(waiting)} depend on each other.",
                    expression=f"Bundle.entry[{waiting[0].index}].request",
                )
            pending = waiting
        self._check_identities()
        return self._made

    async def _look_up(self, writes: Sequence[Write]) -> None:
        """Reads what updates write over, many at a time."""
        keys = [
            Key(write.type, write.entry.request.id)
            for write in writes
            if write.entry.request.interaction == "update" and write.entry.request.id is not None
        ]
        for start in range(0, len(keys), _AT_ONCE):
            self._heads |= await self._context.store.heads(keys[start : start + _AT_ONCE])
            await asyncio.sleep(0)  # other requests have their turn

    async def _deletions(self) -> None:
        for number, write in enumerate(self._writes):
            if write.entry.verb != "DELETE":
                continue
            await breathe(number)
            request = write.entry.request
            with entry_errors(write.index):
                if write.when is None:
                    found: tuple[Target, ...] = (await delete.target(self._context, request),)
                else:
                    when = await condition(self._context, request, write.type, write.when)
                    found = await delete.conditional_targets(self._context, request, when)
            self._delete(write, found)
        await self._cascades()
        self._gone = frozenset(target.key for some in self._made.of.values() for target in some)

    def _delete(self, write: Write, targets: tuple[Target, ...]) -> None:
        """Notes what an entry deletes. Raises `TooCostly` for too much of all entries."""
        self._deleted += len(targets) - len(self._made.of.get(write.index, ()))
        if self._deleted > self._context.policy.max_bundle_entries:
            raise TooCostly("The transaction deletes too much at once: send smaller ones.")
        self._made.of[write.index] = targets

    async def _cascades(self) -> None:
        """Adds what goes along with deletions, but what the transaction itself changes."""
        changed = {target.key for some in self._made.of.values() for target in some}
        changed |= {
            Key(write.type, write.entry.request.id)
            for write in self._writes
            if write.entry.request.id is not None
        }
        for write in self._writes:
            if write.cascades:
                with entry_errors(write.index):
                    own = self._made.of[write.index]
                    along = await referring(self._context, own, changed)
                self._delete(write, own + along)
                self._made.along[write.index] = frozenset(target.key for target in along)
                changed |= self._made.along[write.index]

    async def _target(self, write: Write) -> Target:
        context, request = self._context, write.entry.request
        when = None
        if write.when is not None:
            pairs = substituted(write.when, self._made.full_urls)
            when = await condition(context, request, write.type, pairs)
            self._made.conditions[write.index] = when
            twin = self._twin(write, when)
            if twin is not None:
                return twin
        if request.interaction == "create":
            return await create.target(context, write.type, write.new_id, when, self._gone)
        if write.patch is not None:
            if when is None:
                return await patch.target(context, request)
            return await patch.conditional_target(context, request, when, self._gone)
        if when is None:
            return await update.target(context, request, self._heads)
        assert write.resource is not None
        return await update.conditional_target(
            context, request, when, write.resource, write.new_id, self._gone
        )

    def _twin(self, write: Write, when: Condition) -> Target | None:
        """What another entry creates by the same condition, if this one says the same."""
        other = self._by_condition.setdefault((when.type, when.where), write)
        if other is write:
            return None
        (target,) = self._made.of[other.index]
        if target.exists:
            return None
        both_create = {write.entry.verb, other.entry.verb} == {"POST"}
        if not both_create or not same(_content(write), _content(other)):
            raise Invalid(
                f"Entry {other.index} creates something else by the same condition "
                f"{when.text}: leave one of them out."
            )
        self._made.twins[write.index] = other.index
        return target

    def _take(self, write: Write, target: Target) -> None:
        self._made.of[write.index] = (target,)
        for url in _urls(write):
            if self._made.full_urls.setdefault(url, target.key) != target.key:
                raise Invalid("Another entry has the same fullUrl.", expression="fullUrl")

    def _check_identities(self) -> None:
        """https://hl7.org/fhir/R4/http.html#trules: a resource is in a transaction once."""
        seen: dict[Key, int] = {}
        for write in self._writes:
            for target in self._made.of[write.index]:
                if target.found or write.index in self._made.twins:
                    continue
                first = seen.setdefault(target.key, write.index)
                if first != write.index:
                    raise Invalid(
                        f"The entries {first} and {write.index} both act on "
                        f"{target.type}/{target.id}: a transaction can change a resource once.",
                        expression=f"Bundle.entry[{write.index}]",
                    )


def _urls(write: Write) -> tuple[str, ...]:
    """The URLs by which other entries refer to what a write makes.

    Without a full URL it is the id that a new resource was sent with.
    """
    if write.entry.full_url is not None:
        return (write.entry.full_url,)
    if write.resource is not None and isinstance(write.resource.get("id"), str):
        return (f"{write.type}/{write.resource['id']}",)
    return ()


def _content(write: Write) -> dict[str, object]:
    assert write.resource is not None
    return {name: value for name, value in write.resource.items() if name != "id"}


def _list(writes: Sequence[Write]) -> str:
    return " and ".join(str(write.index) for write in writes)
