"""`fhirserver dicom titles`: the AE titles by which tenants beside the one at / are called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar

import typer

from fhirserver.cli.configuration import carry_out, refuse, settings_of
from fhirserver.cli.package import Data

if TYPE_CHECKING:
    from fhirserver.imaging.dimse.peers import CalledTitles
    from fhirserver.settings import Settings

_T = TypeVar("_T")

Title: TypeAlias = Annotated[str, typer.Argument(help="The AE title.")]
Tenant: TypeAlias = Annotated[str, typer.Argument(help="Name of the tenant.")]


def list_titles(data: Data = None) -> None:
    """List the titles."""

    async def work(titles: CalledTitles) -> list[tuple[str, str]]:
        return await titles.all()

    settings = settings_of(data=data)
    typer.echo(f"{settings.dicom_aet:<16}  {settings.tenant}")
    for title, tenant in _run(settings, work):
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

    _run(settings, work, f"called {title}")
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

    _run(settings_of(data=data), work, f"not called {title}")
    typer.echo(f"{title} was removed.")


COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "list": list_titles,
    "add": add,
    "remove": remove,
}
"""Name and function of each, in the order of the help."""


def _run(settings: Settings, work: Callable[[CalledTitles], Awaitable[_T]], change: str = "") -> _T:
    """What the work on the titles gives; of a change, which is on record, that is the tenant."""
    from fhirserver.app import open_titles
    from fhirserver.audit.recorder import Event

    async def run() -> _T:
        async with open_titles(settings) as (titles, recorder):
            found = await work(titles)
            if change:
                detail = (("by", "command"), ("change", change))
                event = Event("tenant-changed", about=(f"tenant/{found}",), detail=detail)
                await recorder.record(event)
            return found

    return carry_out(run())
