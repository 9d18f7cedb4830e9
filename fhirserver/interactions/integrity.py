"""Referential integrity: of deletions (on by default) and of writes (a setting).

https://hl7.org/fhir/R4/http.html#integrity. What is decided here from the store is stated as
an expectation, so that it holds inside the commit too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, NoReturn

from fhirserver.errors import Conflict, Unprocessable
from fhirserver.interactions.context import Context
from fhirserver.interactions.plan import Step
from fhirserver.interactions.request import Request
from fhirserver.model.outcome import Issue
from fhirserver.model.reference import literal, references
from fhirserver.search.entry import Reference
from fhirserver.search.expression import (
    And,
    Expression,
    IdIs,
    Not,
    Or,
    Query,
    ReferenceIs,
    Target,
    TypeIs,
)
from fhirserver.store.port import Expectation, Key

_NAMED = 10  # so many referrers are told
_VERSION = re.compile(r"[1-9]\d{0,14}", re.ASCII)  # as this server numbers them
_TOGETHER = 200  # so many targets are looked for by one search


_WITNESSES = Not(TypeIs(("AuditEvent",)))  # tell what was; nothing is held by them


def holding(keys: Sequence[Key]) -> Expression:
    """What refers to any of those resources so that these must stay."""
    return And((ReferenceIs(None, tuple(Target(type, id) for type, id in keys)), _WITNESSES))


async def integrity(
    context: Context, request: Request, steps: Sequence[Step], *, doubtful: bool
) -> tuple[Expectation, ...]:
    """What must hold after the steps for every reference to point to something.

    `doubtful`: a commit was refused before, so that it is worth while to ask who refers to what
    is deleted. Raises `Conflict` for a deletion of what others refer to, and `Unprocessable` for a
    reference to what is not there.
    """
    after: tuple[Expectation, ...] = ()
    if context.policy.integrity_on_delete:
        deleted = [step.key for step in steps if step.change and step.change.body is None]
        for start in range(0, len(deleted), _TOGETHER):
            some = deleted[start : start + _TOGETHER]
            if doubtful:
                await _check_unreferenced(context, some, steps)
            refers = holding(some)
            after += (Expectation((), refers, ()),)
    if context.policy.integrity_on_write:
        after += await _resolved(context, request, steps)
    return after


def selection(keys: Collection[Key]) -> Expression:
    """The expression that exactly the resources of those keys match."""
    by_type: dict[str, list[str]] = {}
    for type, id in keys:
        by_type.setdefault(type, []).append(id)
    return Or(tuple(And((TypeIs((type,)), IdIs(tuple(ids)))) for type, ids in by_type.items()))


async def _check_unreferenced(
    context: Context, deleted: Sequence[Key], steps: Sequence[Step]
) -> None:
    """Raises `Conflict` when somebody will refer to what is deleted."""
    gone = frozenset(Reference(type, id) for type, id in deleted)
    for step in steps:
        if step.change and any(
            isinstance(entry, Reference) and entry in gone
            for entries in step.change.entries.values()
            for entry in entries
        ):
            _refuse_deletion([step.key])
    changed = [step.key for step in steps if step.change]
    refers = holding(deleted)
    page = await context.store.search(
        Query((), And((refers, Not(selection(changed)))), count=_NAMED)
    )
    if page.versions:
        _refuse_deletion([Key(version.type, version.id) for version in page.versions])


def _refuse_deletion(referrers: Sequence[Key]) -> NoReturn:
    names = ", ".join(f"{type}/{id}" for type, id in referrers)
    raise Conflict(
        f"Other resources refer to what is to be deleted, among them {names}. "
        "Delete or change these first, or all together in one transaction, or add "
        "_cascade=delete to delete all that refer to it."
    )


async def _resolved(
    context: Context, request: Request, steps: Sequence[Step]
) -> tuple[Expectation, ...]:
    """That every literal reference to this server points to a resource."""
    written = {step.key for step in steps if step.change and step.change.body is not None}
    deleted = {step.key for step in steps if step.change and step.change.body is None}
    places = [place for step in steps for place in _references(context, request, step)]
    of_versions = await _versions(context, steps, (place for place in places if place.version))
    asked = list(
        dict.fromkeys(
            place.key for place in places if not place.version and place.key not in written
        )
    )
    found = written | {
        Key(version.type, version.id)
        for version in await context.store.read_many([key for key in asked if key not in deleted])
    }
    issues = [
        Issue("error", "not-found", place.expression, f"There is no {place.text}.")
        for place in places
        if (place.text not in of_versions if place.version else place.key not in found)
    ]
    if issues:
        raise Unprocessable("A reference points to nothing.", issues=issues)
    return tuple(Expectation((key.type,), IdIs((key.id,)), (key,)) for key in asked)


async def _versions(
    context: Context, steps: Sequence[Step], places: Iterable[_Place]
) -> frozenset[str]:
    """Those references to versions that lead to one with content, also of what is deleted now.

    A version stays readable after a later deletion (https://hl7.org/fhir/R4/http.html#vread).
    """
    made = {
        (step.key, str(step.change.version))
        for step in steps
        if step.change and step.change.body is not None
    }
    found = set()
    for key, version, text in {(place.key, place.version, place.text) for place in places}:
        if (key, version) in made:
            found.add(text)
        elif version is not None and _VERSION.fullmatch(version):
            there = await context.store.read(key.type, key.id, int(version))
            if there is not None and there.body is not None:
                found.add(text)
    return frozenset(found)


class _Place(NamedTuple):
    """A reference to this server: where it leads, and where it stands."""

    key: Key
    version: str | None
    expression: str

    @property
    def text(self) -> str:
        version = f"/_history/{self.version}" if self.version else ""
        return f"{self.key.type}/{self.key.id}{version}"


def _references(context: Context, request: Request, step: Step) -> Iterator[_Place]:
    if step.resource is None:
        return
    root = step.target.type if step.entry is None else f"Bundle.entry[{step.entry}].resource"
    for holder, expression in references(step.resource, root):
        found = literal(holder["reference"])
        if found is None or found.base not in ("", request.base):
            continue
        if found.type in context.definitions.resource_types:
            key = Key(found.type, found.id)
            yield _Place(key, found.version, f"{expression}.reference")
