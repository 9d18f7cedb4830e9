"""`fhirserver store init` and `status`: the indexes of a store in MongoDB.

A store in SQLite looks after itself. On MongoDB an index of a large collection takes hours, so
it is made when somebody says so, never by a server that starts.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from fhirserver.cli.configuration import refuse, settings_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from fhirserver.settings import Settings
    from fhirserver.store.mongo.indexes import State

_Data = Annotated[
    Path | None, typer.Option(help="Folder of all that the server keeps [fhirserver-data].")
]
_MISSING = 1


class Looked(NamedTuple):
    """What is in the database of a store. `atomic`: it has transactions."""

    atomic: bool
    states: list[State]
    counts: dict[str, int]


def init(data: _Data = None) -> None:
    """Make the store's indexes. Broken off, it goes on where it was when called again."""
    settings = _settings(data)
    asyncio.run(_told(_init(settings)))


def status(data: _Data = None) -> None:
    """Tell which indexes of the store are there, and how much it holds."""
    settings = _settings(data)
    asyncio.run(_told(_status(settings)))


async def look(settings: Settings) -> Looked:
    """What is in the store's database. Raises `Unavailable` when it cannot be reached."""
    from fhirserver.store.mongo.connection import Connection, translated
    from fhirserver.store.mongo.guard import Guard
    from fhirserver.store.mongo.indexes import states
    from fhirserver.store.mongo.store import DEFAULT_TENANT

    connection = Connection(settings.store)
    try:
        atomic = await connection.has_transactions()
        with translated():
            found = await states(connection.database)
            counts = await Guard(connection, DEFAULT_TENANT, atomic=atomic).counts()
        return Looked(atomic, found, counts)
    finally:
        await connection.close()


async def _init(settings: Settings) -> None:
    from fhirserver.store.mongo.connection import Connection, translated
    from fhirserver.store.mongo.indexes import INDEXES, making, states

    connection = Connection(settings.store, waits=True)
    try:
        with translated():
            missing = [state.index for state in await states(connection.database)
                       if not state.is_there]  # fmt: skip
            typer.echo(f"{len(INDEXES) - len(missing)} of {len(INDEXES)} indexes are there.")
            for number, index in enumerate(missing, 1):
                start = time.monotonic()
                name = f"{index.collection}.{index.name}"
                typer.echo(f"[{number}/{len(missing)}] {name} ...")
                async for progress in making(connection.database, index):
                    typer.echo(f"[{number}/{len(missing)}] {name}: {progress}")
                typer.echo(f"[{number}/{len(missing)}] {name}: {time.monotonic() - start:.1f} s")
    finally:
        await connection.close()
    typer.echo("All indexes are there.")


async def _status(settings: Settings) -> None:
    found = await look(settings)
    for state in found.states:
        said = "there" if state.is_there else "missing"
        typer.echo(f"{said:<8} {state.index.collection}.{state.index.name}")
    typer.echo(f"transactions: {'yes' if found.atomic else 'no (not a replica set)'}")
    typer.echo(f"resources: {sum(found.counts.values()):,}")
    if not all(state.is_there for state in found.states):
        typer.echo("Make what is missing: fhirserver store init")
        raise typer.Exit(_MISSING)


async def _told(work: Coroutine[None, None, None]) -> None:
    from fhirserver.errors import FhirError

    try:
        await work
    except FhirError as error:
        refuse(error.text)


def _settings(data: Path | None) -> Settings:
    settings = settings_of(data=data)
    if not settings.is_mongodb:
        refuse(
            "The store is an SQLite file, which looks after its indexes itself.",
            "Set FHIRSERVER_STORE=mongodb://HOST/DATABASE to look after one in MongoDB.",
        )
    return settings
