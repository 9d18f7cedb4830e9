"""`fhirserver dicom titles`: the AE titles by which tenants beside the one at / are called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from fhirserver.cli.configuration import Data, refuse, settings_of
from fhirserver.cli.recorded import changed, looked_up

if TYPE_CHECKING:
    from fhirserver.imaging.dimse.peers import CalledTitles
    from fhirserver.settings import Settings

Title: TypeAlias = Annotated[str, typer.Argument(help="The AE title.")]
Tenant: TypeAlias = Annotated[str, typer.Argument(help="Name of the tenant.")]


def list_titles(data: Data = None) -> None:
    """List the titles."""

    from fhirserver.app import open_titles

    settings = settings_of(data=data)
    typer.echo(f"{settings.dicom_aet:<16}  {settings.tenant}")
    for title, tenant in looked_up(open_titles(settings), lambda titles: titles.all()):
        typer.echo(f"{title:<16}  {tenant}")


def add(title: Title, tenant: Tenant, data: Data = None) -> None:
    """Let a tenant be called by a title, at once. It may have several."""
    settings = settings_of(data=data)
    settings_of(tenant, data=data)  # ends the command where there is no such tenant
    if tenant == settings.tenant or title.strip() == settings.dicom_aet:
        refuse("The title of the tenant at / is the setting FHIRSERVER_DICOM_AET.")

    async def work(titles: CalledTitles) -> str:
        await titles.set(title, tenant)
        return tenant

    _changed(settings, work, f"called {title}")
    typer.echo(f"{title} is '{tenant}'.")


def remove(title: Title, data: Data = None) -> None:
    """Take a title away: whoever calls it is rejected."""
    from fhirserver.errors import NotFound

    async def work(titles: CalledTitles) -> str:
        tenant = await titles.tenant(title)
        if tenant is None:
            raise NotFound(f"No tenant has the AE title '{title}'.")
        await titles.remove(title)
        return tenant

    _changed(settings_of(data=data), work, f"not called {title}")
    typer.echo(f"{title} was removed.")


COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "list": list_titles,
    "add": add,
    "remove": remove,
}
"""Name and function of each, in the order of the help."""


def _changed(
    settings: Settings, work: Callable[[CalledTitles], Awaitable[str]], change: str
) -> None:
    """Does the work, which gives the name of the tenant whose title it is."""
    from fhirserver.app import open_titles

    opened = open_titles(settings)
    changed(opened, work, "tenant-changed", lambda tenant: f"tenant/{tenant}", change)
