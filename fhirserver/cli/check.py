"""`fhirserver check`: whether what the server stands on is whole, in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from fhirserver.cli.configuration import TenantName, settings_of

if TYPE_CHECKING:
    from fhirserver.settings import Settings

_WRONG: Final = 1


class Finding(NamedTuple):
    """`state` is ok, note (worth knowing) or wrong."""

    state: str
    text: str


def check(
    data: Annotated[
        Path | None, typer.Option(help="Folder of all that the server keeps [fhirserver-data].")
    ] = None,
    tenant: TenantName = None,
    mend: Annotated[
        bool, typer.Option(help="Take away what broken-off writes of DICOM instances left.")
    ] = False,
) -> None:
    """Check settings, definitions, store, indexes, DICOM archive and capability."""
    from rich.console import Console

    settings = settings_of(tenant, data=data)
    console = Console(highlight=False, soft_wrap=True)
    wrong = False
    sections = SECTIONS | ({"Mended": mended} if mend else {})
    for title, examine in sections.items():
        console.print(f"[bold]{title}[/bold]")
        for finding in _examined(examine, settings):
            wrong = wrong or finding.state == "wrong"
            console.print(f"  [{_COLOURS[finding.state]}]{finding.state:<6}[/]", end="")
            console.print(finding.text, markup=False)
    console.print("Something is wrong." if wrong else "All is well.")
    raise typer.Exit(_WRONG if wrong else 0)


def of_settings(settings: Settings) -> Iterator[Finding]:
    """Where settings come from, and which of them will not do what they say."""
    import os

    from fhirserver.settings import CONFIG_VARIABLE, DESCRIPTIONS, PREFIX, Settings, config_file

    file = config_file()
    defaults = Settings()
    yield Finding("ok", f"file: {file or 'none'}")
    for name in sorted(DESCRIPTIONS):
        if getattr(settings, name) != getattr(defaults, name):
            yield Finding("ok", f"{name} = {_shown(name, settings)}")
    known = {f"{PREFIX}{name.upper()}" for name in DESCRIPTIONS} | {CONFIG_VARIABLE}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            yield Finding("note", f"the environment variable {name} is no setting")


def of_definitions(settings: Settings) -> Iterator[Finding]:
    """Whether the packaged definitions are those that were built, and how many there are."""
    import tomllib

    from fhirserver.definitions.packaged import folder, packaged

    places = (folder() / name for name in ("capability", "profiles", "terminology"))
    for source in (file for place in places for file in sorted(place.rglob("SOURCE.toml"))):
        said = tomllib.loads(source.read_text())
        for origin in said["origin"]:
            yield Finding("ok", f"{origin['package']} {origin['version']} ({origin['licence']})")
        for file in said["file"]:
            content = (source.parent / file["name"]).read_bytes()
            place = f"{source.parent.relative_to(folder())}/{file['name']}"
            if sha256(content).hexdigest() == file["sha256"]:
                yield Finding("ok", f"{place}: {file.get('definitions', 1)} definitions")
            else:
                yield Finding("wrong", f"{place} is not the file that was built: install again")
    yield Finding("ok", f"{len(packaged().resource_types)} resource types")


def of_store(settings: Settings) -> Iterator[Finding]:
    """Whether the store is whole, and what it holds."""
    if settings.is_mongodb:
        yield from _of_mongodb(settings)
        return
    from fhirserver.store.sqlite.examine import examine

    path = settings.database
    if not path.exists():
        yield Finding("note", f"{path} is not there yet: the server makes it when it starts")
        return
    found = examine(path)
    state = "ok" if found.schema == found.newest_schema else "note"
    yield Finding(state, f"{path}: schema {found.schema} of {found.newest_schema}")
    for text in found.damage:
        yield Finding("wrong", f"damaged: {text}. Restore it from a backup")
    if found.damage:
        return
    total = sum(found.counts.values())
    yield Finding("ok", f"{total:,} resources, {found.versions:,} versions, {_size(found.size)}")
    for type, count in found.counts.items():
        yield Finding("ok", f"{type}: {count:,}")
    for table, rows in found.entries.items():
        yield Finding("ok", f"index of {table}: {rows:,} rows")
    if found.schema == found.newest_schema:
        yield from _of_index(settings)
        yield from _of_policies(settings)
    if total and not any(found.entries.values()):
        yield Finding("wrong", "nothing is indexed, so no search finds anything")


def _of_index(settings: Settings) -> Iterator[Finding]:
    """Whether all that is stored can be found by all search parameters."""
    import asyncio

    from fhirserver.app import index_state

    known, jobs = asyncio.run(index_state(settings))
    for id, text in known.refused.items():
        yield Finding("wrong", f"SearchParameter/{id} has no effect: {text}")
    yield Finding("ok", f"search parameters that were added: {len(known.stamps)}")
    for job in jobs:
        yield Finding("note", f"job {job.id} ({job.kind}) is {job.state}: {job.progress}")
    waiting = sorted(known.definitions.unindexed)
    for type_, code in waiting:
        yield Finding("note", f"{type_} is not wholly indexed by '{code}' yet")
    if waiting:
        yield Finding("note", "a server indexes that when it runs; so does: fhirserver reindex")
    else:
        yield Finding("ok", "all is indexed by the rules of this version")


def _of_policies(settings: Settings) -> Iterator[Finding]:
    """What each role may do, and which policies are the tenant's own."""
    import asyncio

    from fhirserver.access.policy import Policies, findings
    from fhirserver.app import open_authority
    from fhirserver.definitions.packaged import packaged

    async def in_force() -> tuple[Policies, list[str]]:
        async with open_authority(settings) as (authority, _):
            return authority.policies, sorted(await authority.own_policies())

    policies, own = asyncio.run(in_force())
    for text in findings(policies, packaged()):
        yield Finding("wrong", f"policies: {text}")
    yield Finding("ok", f"policies of {', '.join(sorted(policies.roles))}")
    yield Finding("ok", f"policies of the tenant's own: {', '.join(own) or 'none'}")


def _of_mongodb(settings: Settings) -> Iterator[Finding]:
    import asyncio

    from fhirserver.cli.store import look

    found = asyncio.run(look(settings))
    yield Finding("ok", "transactions" if found.atomic else "no transactions: no replica set")
    from fhirserver.store.mongo.layout import NUMBER

    fits = found.layout in (None, NUMBER)
    layout = "none yet" if found.layout is None else found.layout
    told = f"layout {layout}, this server needs {NUMBER}"
    yield Finding("ok" if found.layout == NUMBER else "wrong", told)
    if not fits:
        return
    for state in found.states:
        told = f"index {state.index.collection}.{state.index.name}"
        if state.is_there:
            yield Finding("ok", told)
        else:
            yield Finding("wrong", f"{told} is missing: fhirserver store init")
    yield Finding("ok", f"{sum(found.counts.values()):,} resources")
    for type, count in found.counts.items():
        yield Finding("ok", f"{type}: {count:,}")
    if all(state.is_there for state in found.states):
        yield from _of_index(settings)
        yield from _of_policies(settings)


def of_imaging(settings: Settings) -> Iterator[Finding]:
    """Whether each DICOM instance has its bytes, and what has none."""
    import asyncio

    from fhirserver.app.imaging import examined, has_archive

    if not has_archive(settings):
        yield Finding("ok", "no DICOM instance was stored yet")
        return
    found, (studies, series, instances) = asyncio.run(examined(settings))
    yield Finding("ok", f"{studies:,} studies, {series:,} series, {instances:,} instances")
    if found.missing:
        yield Finding(
            "wrong",
            f"the bytes of {len(found.missing):,} instances are not there. Restore them from a "
            "backup; fhirserver check --mend deletes these instances: they can be sent again then",
        )
    left = {"blobs without an instance": len(found.blobs), "broken-off writes": found.leftovers}
    for name, number in left.items():
        if number:
            told = "take them away: fhirserver check --mend"
            yield Finding("note", f"{number:,} {name} (or of writes that go on now); {told}")


def mended(settings: Settings) -> Iterator[Finding]:
    """Mends what `of_imaging` found."""
    import asyncio

    from fhirserver.app.imaging import has_archive, mended

    if has_archive(settings):
        done = asyncio.run(mended(settings))
        yield Finding(
            "ok",
            f"taken away: {done.leftovers:,} broken-off writes, {done.blobs:,} blobs, "
            f"{done.rows:,} instances without bytes",
        )


def _shown(name: str, settings: Settings) -> object:
    """A setting without a password."""
    value = getattr(settings, name)
    return re.sub(r"//[^/@]*@", "//***@", value) if name == "store" else value


def of_capability(settings: Settings) -> Iterator[Finding]:
    """What the server offers."""
    from fhirserver.app import policy_of
    from fhirserver.definitions.packaged import packaged
    from fhirserver.interactions.capabilities import statement
    from fhirserver.search.index import Indexer

    definitions = packaged()
    (rest,) = statement(definitions, Indexer(definitions), policy_of(settings))["rest"]
    resources = rest["resource"]
    of_type = sorted({item["code"] for resource in resources for item in resource["interaction"]})
    of_system = sorted(item["code"] for item in rest["interaction"])
    parameters = sum(len(resource.get("searchParam", ())) for resource in resources)
    yield Finding("ok", f"{len(resources)} resource types with: {', '.join(of_type)}")
    yield Finding("ok", f"of the whole system: {', '.join(of_system)}")
    yield Finding("ok", f"{parameters:,} search parameters, all indexed")


def _size(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MB"


def _examined(
    examine: Callable[[Settings], Iterator[Finding]], settings: Settings
) -> Iterator[Finding]:
    from fhirserver.errors import FhirError

    try:
        yield from examine(settings)
    except Exception as error:  # noqa: BLE001 - whatever is broken is a finding
        text = error.text if isinstance(error, FhirError) else f"{type(error).__name__}: {error}"
        yield Finding("wrong", text)


_COLOURS: Final = {"ok": "green", "note": "yellow", "wrong": "red"}

SECTIONS: Final[dict[str, Callable[[Settings], Iterator[Finding]]]] = {
    "Settings": of_settings,
    "Definitions": of_definitions,
    "Store and indexes": of_store,
    "DICOM archive": of_imaging,
    "Capability": of_capability,
}
"""What is checked, in order."""
