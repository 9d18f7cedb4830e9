"""`fhirserver tenant`: the tenants beside the one at `/`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

from fhirserver.cli.configuration import Data, refuse, settings_of

if TYPE_CHECKING:
    from fhirserver.app.tenants import Tenant, TenantTable
    from fhirserver.settings import Settings

_T = TypeVar("_T")

Name: TypeAlias = Annotated[str, typer.Argument(help="Name of the tenant, as in /t/NAME/fhir.")]
Values: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of its own; may be repeated."),
]


def create(
    name: Name,
    title: Annotated[str, typer.Option(help="What people call it.")] = "",
    values: Values = None,
    data: Data = None,
) -> None:
    """Create a tenant, and print how its first administrator signs in.

    Running servers have it at once, at /t/NAME/.
    """
    from fhirserver.app import now, open_store
    from fhirserver.app.tenants import Tenant, own_settings, settings_of_tenant
    from fhirserver.cli.user import tell_first

    async def work(settings: Settings, table: TenantTable) -> Settings:
        own = own_settings(_pairs(values), settings)
        await table.create(Tenant(name, now(), title, settings=own))
        made = settings_of_tenant(settings, name, own)
        await (await open_store(made)).close()
        return made

    made = _run(data, work, f"{name} created")
    typer.echo(f"Tenant '{name}' is there: /t/{name}/fhir")
    if made.auth != "none":
        tell_first(made)


def configure(name: Name, values: Values = None, data: Data = None) -> None:
    """Give a tenant settings of its own; NAME= takes one away. Running servers follow at once."""
    import msgspec

    from fhirserver.app.tenants import own_settings, settings_of_tenant

    async def work(settings: Settings, table: TenantTable) -> Tenant:
        pairs = _pairs(values)
        taken = {key for key, value in pairs.items() if not value}
        own = own_settings({k: v for k, v in pairs.items() if v}, settings)

        def changed(tenant: Tenant) -> Tenant:
            kept = {k: v for k, v in tenant.settings.items() if k not in taken}
            settings_of_tenant(settings, name, kept | own)  # raises where they do not fit together
            return msgspec.structs.replace(tenant, settings=kept | own)

        return await table.change(name, changed)

    for key, value in sorted(_run(data, work, f"{name} set" if values else "").settings.items()):
        typer.echo(f"{key} = {value}")


def list_tenants(data: Data = None) -> None:
    """List the tenants."""

    async def work(settings: Settings, table: TenantTable) -> list[Tenant]:
        return [tenant async for tenant in table.all()]

    found = _run(data, work)
    for tenant in found:
        typer.echo(f"{tenant.name}  {tenant.state}  {tenant.title}".rstrip())
    if not found:
        typer.echo("There is no tenant beside the one at /.")


def suspend(name: Name, data: Data = None) -> None:
    """Stop serving a tenant: all its addresses answer as if it had never been."""
    _run(
        data,
        lambda settings, table: table.to_state(name, "suspended", "active", "suspended"),
        f"{name} suspended",
    )
    typer.echo(f"Tenant '{name}' is suspended.")


def resume(name: Name, data: Data = None) -> None:
    """Serve a suspended tenant again."""
    _run(
        data,
        lambda settings, table: table.to_state(name, "active", "active", "suspended"),
        f"{name} resumed",
    )
    typer.echo(f"Tenant '{name}' is served.")


def export_all(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="A new or empty folder for the files.")],
    data: Data = None,
) -> None:
    """Write all versions of all resources, and the accounts and clients, of a tenant to files.

    The files are as confidential as the store.
    """
    from fhirserver.app import tenant_settings
    from fhirserver.app.removal import export_tenant

    server = settings_of(data=data)

    async def work() -> int:
        return await export_tenant(await tenant_settings(server, name), folder)

    _told(lambda: _recorded(server, f"{name} exported"))
    count = _told(work)
    typer.echo(f"{count:,} versions are in {folder}.")


def delete(
    name: Name,
    confirm: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name again, instead of being asked.")
    ] = None,
    data: Data = None,
) -> None:
    """Destroy a tenant with all its keys and data. There is no way back but a backup."""
    from fhirserver.app.removal import remove_tenant

    server = settings_of(data=data)
    if confirm is None:
        typer.echo(f"All that tenant '{name}' has will be destroyed.")
        confirm = typer.prompt("Its name, to confirm")
    if confirm != name:
        refuse("That is another name. Nothing was done.")
    _told(lambda: remove_tenant(server, name))
    _told(lambda: _recorded(server, f"{name} deleted"))
    typer.echo(f"Tenant '{name}' is destroyed. Its name is not given again.")


def _pairs(values: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in values or ():
        name, sign, value = text.partition("=")
        if not sign:
            refuse(f"'{text}' is not of the form NAME=VALUE.")
        pairs[name] = value
    return pairs


def _run(
    data: Path | None,
    work: Callable[[Settings, TenantTable], Coroutine[Any, Any, _T]],
    done: str = "",
) -> _T:
    """What the work gives, with the table of tenants; recorded as `NAME done` where that is
    said."""
    from fhirserver.app import tenant_table

    settings = settings_of(data=data)

    async def run() -> _T:
        async with tenant_table(settings) as table:
            found = await work(settings, table)
        if done:
            await _recorded(settings, done)
        return found

    return _told(run)


async def _recorded(settings: Settings, done: str) -> None:
    """Records what became of a tenant in the trail of the default one."""
    from fhirserver.app.opening import open_recorder
    from fhirserver.audit.recorder import Event

    name, _, what = done.partition(" ")
    detail = (("by", "command"), ("change", what))
    async with open_recorder(settings) as recorder:
        await recorder.record(Event("tenant-changed", about=(f"tenant/{name}",), detail=detail))


def _told(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """What the work gives; refusals are told and end the process."""
    import asyncio

    from fhirserver.app import NotRunnable
    from fhirserver.errors import FhirError
    from fhirserver.settings import SettingsError

    try:
        return asyncio.run(work())
    except FhirError as error:
        refuse(error.text)
    except SettingsError as error:
        refuse("The settings do not fit:", *(f"  {text}" for text in error.wrong))
    except (NotRunnable, OSError, ValueError) as error:
        refuse(str(error))
