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
    """What is in the database of a store. `atomic`: it has transactions.

    `layout` is None in a database that has nothing yet.
    """

    atomic: bool
    layout: int | None
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
    from fhirserver.store.mongo.layout import layout_of

    connection = Connection(settings.store)
    try:
        atomic = await connection.has_transactions()
        with translated():
            layout = await layout_of(connection.database)
            found = await states(connection.database)
            counts = await Guard(connection, settings.tenant, atomic=atomic).counts()
        return Looked(atomic, layout, found, counts)
    finally:
        await connection.close()


def database_of(settings: Settings) -> str:
    """The name of the store's database."""
    from fhirserver.store.mongo.connection import place_of

    return place_of(settings.store).database


async def _init(settings: Settings) -> None:
    from fhirserver.store.mongo.connection import Connection, translated
    from fhirserver.store.mongo.indexes import INDEXES, making, missing
    from fhirserver.store.mongo.layout import mark_layout

    connection = Connection(settings.store, waits=True)
    try:
        with translated():
            await mark_layout(connection.database)
            wanted = await missing(connection.database)
            typer.echo(f"{len(INDEXES) - len(wanted)} of {len(INDEXES)} indexes are there.")
            for number, index in enumerate(wanted, 1):
                start = time.monotonic()
                name = f"{index.collection}.{index.name}"
                typer.echo(f"[{number}/{len(wanted)}] {name} ...")
                async for progress in making(connection.database, index):
                    typer.echo(f"[{number}/{len(wanted)}] {name}: {progress}")
                typer.echo(f"[{number}/{len(wanted)}] {name}: {time.monotonic() - start:.1f} s")
    finally:
        await connection.close()
    typer.echo("All indexes are there.")


async def _status(settings: Settings) -> None:
    from fhirserver.store.mongo.layout import NUMBER, check_layout

    found = await look(settings)
    check_layout(database_of(settings), found.layout)
    typer.echo(f"layout: {found.layout or 'none'} of {NUMBER}")
    for state in found.states:
        said = "there" if state.is_there else "missing"
        typer.echo(f"{said:<8} {state.index.collection}.{state.index.name}")
    typer.echo(f"transactions: {'yes' if found.atomic else 'no (not a replica set)'}")
    typer.echo(f"resources: {sum(found.counts.values()):,}")
    if not found.layout or not all(state.is_there for state in found.states):
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
