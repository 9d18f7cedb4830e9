"""Writes: planned from what the store shows, then committed with all that the plan relied on.

A `Target` is what a write acts on, a `Step` what it does to it. Single interactions and the
entries of a transaction make the same ones; a transaction puts the steps of all its entries
into one commit (`fhirserver.interactions.commit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from fhirserver.interactions.accept import check_fragments
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.same import same_content
from fhirserver.model.json import Resource
from fhirserver.model.resource import draft
from fhirserver.store.port import Change, Expectation, Key, Method, Version
from fhirserver.terminology.concept import concept_set


@dataclass(slots=True)  # frozen would cost three times the time to make
class Target:
    """What a write acts on: `current` is the last version there is, perhaps a deletion.

    `before` is what the choice of it relied on. `found`: it is the match of a conditional
    create, which leaves it as it is.
    """

    type: str
    id: str
    current: Version | None = None
    before: tuple[Expectation, ...] = ()
    found: bool = False

    @property
    def key(self) -> Key:
        return Key(self.type, self.id)

    @property
    def exists(self) -> bool:
        return self.current is not None and self.current.body is not None


@dataclass(slots=True)  # frozen would cost three times the time to make
class Step:
    """What a write does: `change`, or nothing when that is None and `current` is as wanted.

    `entry` is the index of the entry of a bundle that asked for it, `resource` what is
    written.
    """

    status: int
    target: Target
    change: Change | None = None
    resource: Resource | None = None
    entry: int | None = None

    @property
    def key(self) -> Key:
        return self.target.key


class Plan(NamedTuple):
    """Steps to be committed together, and what else must hold after them."""

    steps: tuple[Step, ...]
    after: tuple[Expectation, ...] = ()


def written(
    context: Context,
    request: Request,
    target: Target,
    resource: Resource,
    method: Method,
    entry: int | None = None,
) -> Step:
    """The step that makes `resource` the content of the target.

    A target that has that content already keeps its version, as does one that was `found`.
    Raises `Unprocessable` for a reference to a contained resource that is not there.
    """
    if target.found:
        return Step(200, target, entry=entry)
    current = target.current
    version = 1 if current is None else current.version + 1
    body = draft(resource, target.id, version)
    if current is not None and current.body is not None and same_content(current.body, body):
        return Step(200, target, entry=entry)
    check_fragments(resource, body.tail)
    change = Change(
        target.type,
        target.id,
        version,
        method,
        body,
        context.indexer.entries(resource, request.base, target.id, body.tail),
        concept_set(resource) if target.type == "CodeSystem" else None,
    )
    return Step(200 if target.exists else 201, target, change, resource, entry)


def removed(target: Target, entry: int | None = None) -> Step:
    """The step that deletes the target; nothing where it is gone already or never was."""
    current = target.current
    if current is None or current.body is None:
        return Step(204, target, entry=entry)
    change = Change(target.type, target.id, current.version + 1, "DELETE", None)
    return Step(204, target, change, entry=entry)


def answer(step: Step, instant: int | None, *, with_body: bool = True) -> Answer:
    """The answer that shows the outcome of a step, with the resource as it now is."""
    change = step.change
    if change is None or instant is None:
        return _unchanged(step)
    body = change.body
    return Answer(
        step.status,
        body.stamped(instant) if body is not None and with_body else None,
        change.type,
        change.id,
        change.version,
        instant,
        None if body is None else f"{change.type}/{change.id}/_history/{change.version}",
    )


def _unchanged(step: Step) -> Answer:
    type, id = step.key
    current = step.target.current
    if current is None:
        return Answer(step.status, type=type, id=id)
    location = f"{type}/{id}/_history/{current.version}" if step.status == 200 else None
    return Answer(
        step.status, current.body, type, id, current.version, current.last_updated, location
    )
