"""`fhirserver package`: packages of definitions, installed from files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from msgspec.structs import replace

from fhirserver.cli.configuration import Data, TenantName, refuse, settings_of

if TYPE_CHECKING:
    from fhirserver.packages.install import Dispatch, Outcome
    from fhirserver.settings import Settings

_T = TypeVar("_T")


package = typer.Typer(help="Packages of definitions (implementation guides).", no_args_is_help=True)


def install(
    path: Annotated[Path, typer.Argument(help="A package: a .tgz, or its unpacked folder.")],
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Install a package; a running server has it at once."""
    from fhirserver.definitions.packaged import packaged
    from fhirserver.packages.archive import NotAPackage, files_of
    from fhirserver.packages.install import install as install_package
    from fhirserver.packages.install import installed, missing
    from fhirserver.packages.package import package as package_of

    try:
        found = package_of(files_of(path))
    except NotAPackage as error:
        refuse(str(error))

    async def work(dispatch: Dispatch) -> tuple[Outcome, list[str]]:
        outcome = await install_package(dispatch, found, packaged())
        return outcome, missing(found, await installed(dispatch))

    outcome, lacking = _run(settings_of(tenant, data=data), work)
    typer.echo(f"{found.name}#{found.version}: {outcome.number} definitions installed.")
    for key, reason in outcome.left_out.items():
        typer.echo(f"  left out {key}: {reason}")
    for name in lacking:
        typer.echo(f"  needs {name}, which is not installed.")


def list_packages(data: Data = None, tenant: TenantName = None) -> None:
    """List the packages that are installed."""
    from fhirserver.packages.install import installed

    found = _run(settings_of(tenant, data=data), installed)
    for item in found:
        typer.echo(f"{item.name}#{item.version}  {len(item.resources)} definitions  {item.title}")
    if not found:
        typer.echo("No package is installed.")


def remove(
    name: Annotated[str, typer.Argument(help="name#version, or the name alone for all of them.")],
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Remove a package, with the definitions that no other package has."""
    from fhirserver.packages.install import remove as remove_package

    known, _, version = name.partition("#")
    settings = settings_of(tenant, data=data)
    for item in _run(settings, lambda dispatch: remove_package(dispatch, known, version or None)):
        typer.echo(f"{item.name}#{item.version} is removed.")


def _run(settings: Settings, work: Callable[[Dispatch], Awaitable[_T]]) -> _T:
    """What the work gives at the gate of the store; refusals are told and end the process."""
    import asyncio

    from fhirserver.app import NotRunnable, open_gate
    from fhirserver.errors import FhirError
    from fhirserver.model.outcome import issues_of

    free = {"integrity_on_write": False, "max_bundle_entries": 1_000_000}

    async def run() -> _T:
        async with open_gate(replace(settings, **free)) as dispatch:
            return await work(dispatch)

    try:
        return asyncio.run(run())
    except FhirError as error:
        refuse(error.text, *(f"  {item.expression} {item.text}" for item in issues_of(error)[:20]))
    except (NotRunnable, OSError) as error:
        refuse(str(error))
