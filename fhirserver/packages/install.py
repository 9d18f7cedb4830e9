"""Packages in a server: installed, listed and removed through the gate.

All of a package is written in one transaction, together with a Library (an asset-collection)
that lists it: so it is there as a whole or not at all. Definitions are ordinary resources, found
by search; whoever uses definitions reads them from the store, so every worker has them at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from fhirserver.access.grant import SERVER
from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Conflict, Gone, NotFound
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, decode
from fhirserver.packages.package import Package
from fhirserver.search.parameter_check import (
    TYPE,
    check_parameter,
    is_active,
    is_standard,
)

Dispatch: TypeAlias = Callable[[Request], Awaitable[Answer]]

BASE: Final = "http://localhost/fhir"
SYSTEM: Final = "urn:fhirserver:package"
"""The system of the identifiers of packages: `name#version`."""

_TYPE: Final = "http://terminology.hl7.org/CodeSystem/library-type"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9\-.]")
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Installed:
    """A package in the store. `resources` are `Type/id`."""

    id: str
    name: str
    version: str
    title: str
    resources: tuple[str, ...]
    dependencies: tuple[str, ...]


class Outcome(NamedTuple):
    """How many definitions were installed, and which were left out and why."""

    number: int
    left_out: dict[str, str]


async def installed(dispatch: Dispatch) -> list[Installed]:
    """The packages, by name and version."""
    pairs = (("identifier", f"{SYSTEM}|"), ("_count", str(_PAGE)))
    bundle = await _answer(
        dispatch, Request("search-type", BASE, "Library", parameters=pairs, grant=SERVER)
    )
    found = [_installed(entry["resource"]) for entry in bundle.get("entry", ())]
    return sorted(found, key=lambda item: (item.name, item.version))


def missing(package: Package, known: Sequence[Installed]) -> list[str]:
    """The dependencies that neither come with the server nor are installed: `name#version`."""
    names = {(item.name, item.version) for item in known} | {
        (item.name, item.version.rpartition(".")[0] + ".x") for item in known
    }
    return [
        f"{name}#{version}"
        for name, version in sorted(package.missing.items())
        if (name, version) not in names and not (version in ("latest", "*") and _has(known, name))
    ]


async def install(dispatch: Dispatch, package: Package, definitions: Definitions) -> Outcome:
    """Installs the package, or brings it to what the file has.

    Search parameters that cannot take effect beside the standard ones are left out. Raises what
    the gate raises: then nothing was written.
    """
    left_out = dict(_useless(package, definitions))
    before = next(
        (item for item in await installed(dispatch) if _is(item, package.name, package.version)),
        None,
    )
    entries, written = [], []
    for resource in package.resources:
        if f"{resource['resourceType']}/{resource['id']}" in left_out:
            continue
        id = await _id(dispatch, resource)
        key = f"{resource['resourceType']}/{id}"
        if key in written:
            continue
        written.append(key)
        entries.append(_put(key, {**resource, "id": id}))
    library = _library(package, written)
    entries.append(_put(f"Library/{library['id']}", library))
    gone = [key for key in (before.resources if before else ()) if key not in written]
    entries += [{"request": {"method": "DELETE", "url": key}} for key in gone]
    await _transact(dispatch, entries)
    return Outcome(len(written), left_out)


def _useless(package: Package, definitions: Definitions) -> Iterator[tuple[str, str]]:
    """The search parameters that the server would refuse."""
    for resource in package.resources:
        if is_active(resource) and not is_standard(definitions, resource):
            issues = check_parameter(definitions, resource)
            if issues:
                yield f"{TYPE}/{resource['id']}", issues[0].text


async def remove(dispatch: Dispatch, name: str, version: str | None = None) -> list[Installed]:
    """Removes the versions of a package, with what no other package has; which they were.

    Raises `NotFound` where there is none.
    """
    known = await installed(dispatch)
    wanted = [item for item in known if _is(item, name, version or item.version)]
    if not wanted:
        raise NotFound(f"The package {name}{f'#{version}' if version else ''} is not installed.")
    kept = {key for item in known if item not in wanted for key in item.resources}
    keys = dict.fromkeys(key for item in wanted for key in item.resources if key not in kept)
    keys |= {f"Library/{item.id}": None for item in wanted}
    await _transact(dispatch, [{"request": {"method": "DELETE", "url": key}} for key in keys])
    return wanted


async def _transact(dispatch: Dispatch, entries: list[Resource]) -> None:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    await dispatch(Request("transaction", BASE, resource=bundle, prefer="minimal", grant=SERVER))


async def _id(dispatch: Dispatch, resource: Resource) -> str:
    """The id of the file, unless another definition has it: then one made from the URL."""
    type, id = resource["resourceType"], resource["id"]
    url, version = resource.get("url"), resource.get("version")
    try:
        there = await _answer(dispatch, Request("read", BASE, type, id, grant=SERVER))
    except (NotFound, Gone):
        return str(id)
    if there.get("url") == url and there.get("version") == version:
        return str(id)
    if url is None:
        raise Conflict(f"There is a {type}/{id} already, which is not of this package.")
    digest = hashlib.sha256(f"{url}|{version}".encode()).hexdigest()[:12]
    return f"{id[:50]}-{digest}"


def _put(key: str, resource: Resource) -> Resource:
    return {"resource": resource, "request": {"method": "PUT", "url": key}}


def _library(package: Package, keys: Sequence[str]) -> Resource:
    related: list[dict[str, Any]] = [{"type": "composed-of", "resource": key} for key in keys]
    related += (
        {"type": "depends-on", "display": f"{name}#{version}"}
        for name, version in sorted(package.dependencies.items())
    )
    return {
        "resourceType": "Library",
        "id": _UNSAFE.sub("-", f"package-{package.name}-{package.version}")[:64],
        "identifier": [{"system": SYSTEM, "value": f"{package.name}#{package.version}"}],
        "version": package.version,
        "name": package.name,
        "title": package.title,
        "status": "active",
        "type": {"coding": [{"system": _TYPE, "code": "asset-collection"}]},
        "relatedArtifact": related,
    }


def _installed(library: Resource) -> Installed:
    related = library.get("relatedArtifact", ())
    return Installed(
        library["id"],
        library.get("name", ""),
        library.get("version", ""),
        library.get("title", ""),
        tuple(item["resource"] for item in related if item["type"] == "composed-of"),
        tuple(item["display"] for item in related if item["type"] == "depends-on"),
    )


def _is(item: Installed, name: str, version: str) -> bool:
    return item.name == name and item.version == version


def _has(known: Sequence[Installed], name: str) -> bool:
    return any(item.name == name for item in known)


async def _answer(dispatch: Dispatch, request: Request) -> Resource:
    answer = await dispatch(request)
    found: Resource = decode(answer.body or b"{}")
    return found
