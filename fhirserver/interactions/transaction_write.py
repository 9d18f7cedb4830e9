"""The writing entries of a transaction, checked as far as can be without the store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from fhirserver.errors import FhirError, Invalid
from fhirserver.interactions.accept import accept
from fhirserver.interactions.bundle_entry import BundleEntry, located
from fhirserver.interactions.cascade import deletion
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import check_parameters
from fhirserver.interactions.patch import Patch, patch_of
from fhirserver.interactions.request import Pairs, Request
from fhirserver.interactions.update import check_id
from fhirserver.model.json import Resource
from fhirserver.model.outcome import issues_of
from fhirserver.store.port import Key

_BREATH: Final = 16  # entries


@dataclass(slots=True)  # frozen would cost three times the time to make
class Write:
    """An entry that creates, updates, patches or deletes.

    `when` is its condition, as it was sent. `new_id` is the id of what it may create.
    `cascades`: it deletes what refers to its target as well.
    """

    entry: BundleEntry
    new_id: str
    when: Pairs | None = None
    resource: Resource | None = None
    patch: Patch | None = None
    cascades: bool = False

    @property
    def index(self) -> int:
        return self.entry.index

    @property
    def type(self) -> str:
        assert self.entry.request.type is not None
        return self.entry.request.type


async def breathe(number: int) -> None:
    """Gives other requests their turn, once in a while as `number` grows."""
    if number % _BREATH == _BREATH - 1:
        await asyncio.sleep(0)


async def checked_writes(context: Context, entries: Sequence[BundleEntry]) -> list[Write]:
    """The writes of the entries. Raises one refusal that tells what is wrong with any of them."""
    writes: list[Write] = []
    refusals: list[FhirError] = []
    types = {
        entry.full_url: entry.request.type
        for entry in entries
        if entry.full_url is not None and entry.request.type is not None
    }
    for number, entry in enumerate(entries):
        await breathe(number)
        try:
            writes.append(await _checked(context, entry, types))
        except FhirError as error:
            refusals.append(located(error, entry.index))
    refuse(refusals)
    return writes


def refuse(refusals: Sequence[FhirError]) -> None:
    """Raises all refusals as one, of the class of the first if they agree in that."""
    if not refusals:
        return
    first = refusals[0]
    error = first if len({type(item) for item in refusals}) == 1 else Invalid(first.text)
    error.issues = tuple(issue for item in refusals for issue in issues_of(item))
    raise error


def substituted(pairs: Pairs, known: Mapping[str, Key]) -> Pairs:
    """The condition with the full URLs of entries replaced by what they lead to."""
    return tuple(
        (name, ",".join(_address(part, known) for part in value.split(",")))
        for name, value in pairs
    )


def names(pairs: Pairs, urls: Set[str]) -> bool:
    """Whether the condition names one of the URLs."""
    return any(part in urls for _, value in pairs for part in value.split(","))


def _address(part: str, known: Mapping[str, Key]) -> str:
    key = known.get(part)
    return part if key is None else f"{key.type}/{key.id}"


async def _checked(context: Context, entry: BundleEntry, types: Mapping[str, str]) -> Write:
    request = entry.request
    context.admit(request)
    read = _READERS.get(request.interaction)
    if read is None:
        raise Invalid(f"A transaction cannot do {entry.verb} at this address.")
    write = read(context, entry, request)
    if entry.verb == "PATCH" or entry.verb == "DELETE":
        return write
    accepted = await accept(context, request, write.type, request.resource, types)
    return replace(write, resource=accepted.resource)


def _create(context: Context, entry: BundleEntry, request: Request) -> Write:
    check_parameters(request)
    return Write(entry, context.new_id(), request.if_none_exist)


def _update(context: Context, entry: BundleEntry, request: Request) -> Write:
    check_parameters(request)
    assert request.type is not None and request.id is not None
    check_id(request.id, request.resource)
    return Write(entry, request.id)


def _conditional_update(context: Context, entry: BundleEntry, request: Request) -> Write:
    return Write(entry, context.new_id(), request.parameters)


def _patch(context: Context, entry: BundleEntry, request: Request) -> Write:
    check_parameters(request)
    return Write(entry, "", None, patch=patch_of(request.patch, context.definitions))


def _conditional_patch(context: Context, entry: BundleEntry, request: Request) -> Write:
    patch = patch_of(request.patch, context.definitions)
    return Write(entry, "", request.parameters, patch=patch)


def _delete(context: Context, entry: BundleEntry, request: Request) -> Write:
    request, cascades = deletion(request)
    check_parameters(request)
    return Write(entry, "", cascades=cascades)


def _conditional_delete(context: Context, entry: BundleEntry, request: Request) -> Write:
    request, cascades = deletion(request)
    return Write(entry, "", request.parameters, cascades=cascades)


_READERS: Final = {
    "create": _create,
    "update": _update,
    "conditional-update": _conditional_update,
    "patch": _patch,
    "conditional-patch": _conditional_patch,
    "delete": _delete,
    "conditional-delete": _conditional_delete,
}
