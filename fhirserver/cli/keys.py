"""`fhirserver keys`: the keys that the store is encrypted with (docs/encryption.md).

A server may run on the store meanwhile, whatever is done here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from msgspec.structs import replace

from fhirserver.cli.configuration import TenantName, carry_out, refuse, settings_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from fhirserver.jobs.job import Job
    from fhirserver.settings import Settings
    from fhirserver.store.sealed import SealedStore

_Data = Annotated[
    Path | None, typer.Option(help="Folder of all that the server keeps [fhirserver-data].")
]
_FAILED: Final = 1
_LOOK: Final = 0.3  # seconds between two looks at the job


def make(
    path: Annotated[Path, typer.Argument(help="File to write; outside the data folder.")],
) -> None:
    """Write a new master key, which only you can read. Keep a copy where no data are."""
    from fhirserver.store.sealed.master import make_file

    try:
        make_file(path)
    except OSError as error:
        refuse(f"{path} was not written: {error.strerror}.")
    typer.echo(f"{path} has a new master key. Use it: FHIRSERVER_ENCRYPTION_KEY=file:{path}")
    typer.echo("Without it nobody can read what is stored: keep a copy in another place.")


def list_keys(data: _Data = None, tenant: TenantName = None) -> None:
    """List the keys of the store, and which master key wrapped each."""
    _told(_list(_settings(data, tenant)))


def status(data: _Data = None, tenant: TenantName = None) -> None:
    """Tell whether the store is encrypted, can be read, and is sealed under the newest key."""
    _told(_status(_settings(data, tenant)))


def rotate(data: _Data = None, tenant: TenantName = None) -> None:
    """Make a new data key, and seal under it what older ones sealed.

    That is a job of the store: a server that runs there may do it, or go on with it when this
    command is stopped.
    """
    try:
        job = _told(_rotate(_settings(data, tenant)))
    except KeyboardInterrupt:
        refuse("Stopped. A server on this data folder goes on with it, now or when it starts.")
    if job.state != "completed":
        typer.echo(f"{job.state}: {job.failure}", err=True)
        raise typer.Exit(_FAILED)
    typer.echo(f"{job.done:,} versions and records are sealed under the newest key.")


def retire(data: _Data = None, tenant: TenantName = None) -> None:
    """Destroy old data keys under which nothing is sealed any more."""
    gone = _told(_retire(_settings(data, tenant)))
    if gone:
        typer.echo(f"Destroyed: {', '.join(map(str, gone))}.")
    else:
        typer.echo("None can go: a key stays for 10 minutes after it had a successor.")


def rewrap(
    to: Annotated[str, typer.Option(help="The new master key: file:PATH, env:NAME, command:...")],
    data: _Data = None,
    tenant: TenantName = None,
) -> None:
    """Wrap the keys with another master key. No content changes, and servers run on."""
    count = _told(_rewrap(_settings(data, tenant), to))
    typer.echo(f"{count} keys are wrapped by it. Now set FHIRSERVER_ENCRYPTION_KEY={to}")


async def _list(settings: Settings) -> None:
    store = await _open(settings)
    try:
        for one in (await store.keys.ring()).keys:
            what = f"data key {one.number}" if one.number else "index key"
            if one.number:
                what += ", in use" if one.superseded is None else f", until {_at(one.superseded)}"
            typer.echo(f"{what:<40} made {_at(one.created)}  wrapped by {one.master}")
    finally:
        await store.close()


async def _status(settings: Settings) -> None:
    from fhirserver.store.sealed.allowance import BOUND
    from fhirserver.store.sealed.reseal import survey

    store = await _open(settings)
    try:
        ring = await store.keys.ring()
        found = await survey(store)
        typer.echo(f"encryption: on, {len(ring.data)} data keys, newest {ring.current}")
        typer.echo(f"hashed beside names and identifiers: {', '.join(ring.fields) or 'nothing'}")
        for number, count in sorted(found.items()):
            typer.echo(f"sealed under data key {number}: {count:,} versions and records")
        used = await store.keys.allowance(ring.current).used()
        typer.echo(f"data key {ring.current} may seal {BOUND - used:,} messages more, then another")
    finally:
        await store.close()


async def _rotate(settings: Settings) -> Job:
    """The finished job; what it does is shown while it lasts."""
    import asyncio

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from fhirserver.app import open_jobs
    from fhirserver.jobs.resealing import RESEAL
    from fhirserver.store.sealed import SealedStore

    async with open_jobs(replace(settings, job_share=1.0)) as running:
        assert isinstance(running.store, SealedStore)
        typer.echo(f"Data key {await running.store.keys.rotate()} is in use.")
        job = await running.jobs.ensure(RESEAL, RESEAL, {})
        columns = (TextColumn("{task.description}"), BarColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("queued", total=None)
            while not job.is_finished:
                await asyncio.sleep(_LOOK)
                held = await running.jobs.get(job.id)
                assert held is not None
                job = held.job
                progress.update(bar, description=job.progress, completed=job.done)
    return job


async def _retire(settings: Settings) -> list[int]:
    from fhirserver.store.sealed.reseal import retire

    store = await _open(settings)
    try:
        return await retire(store)
    finally:
        await store.close()


async def _rewrap(settings: Settings, to: str) -> int:
    from fhirserver.store.sealed import master_of

    store = await _open(settings)
    try:
        return await store.keys.rewrap(master_of(to))
    finally:
        await store.close()


async def _open(settings: Settings) -> SealedStore:
    from fhirserver.app import open_store
    from fhirserver.store.sealed import SealedStore

    store = await open_store(settings)
    assert isinstance(store, SealedStore)
    return store


def _settings(data: Path | None, tenant: str | None) -> Settings:
    settings = settings_of(tenant, data=data)
    if settings.encryption == "off":
        refuse(
            "Encryption is off. To make an encrypted store: fhirserver keys make PATH,",
            "then set FHIRSERVER_ENCRYPTION=on and FHIRSERVER_ENCRYPTION_KEY=file:PATH.",
        )
    if not settings.is_mongodb and not settings.database.exists():
        refuse(f"{settings.database} is not there: nothing is stored yet.")
    return settings


def _told(work: Coroutine[Any, Any, Any]) -> Any:

    return carry_out(work)


def _at(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).isoformat(sep=" ")[:16]
