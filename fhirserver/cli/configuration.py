"""Settings of a command: its options before the environment and the configuration file."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

from fhirserver.cli.telling import NOT_POSSIBLE as NOT_POSSIBLE
from fhirserver.cli.telling import refuse as refuse

if TYPE_CHECKING:
    from fhirserver.settings import Settings

_T = TypeVar("_T")

Data: TypeAlias = Annotated[
    Path | None, typer.Option(help="Folder of all that the server keeps [fhirserver-data].")
]
"""The option of commands that need no server."""

TenantName: TypeAlias = Annotated[
    str | None, typer.Option("--tenant", help="Name of a tenant [that at /].", metavar="NAME")
]
"""The option of commands that serve one tenant."""


def settings_of(tenant: str | None = None, **options: Any) -> Settings:
    """The settings, with the options that are not None; wrong ones are told and end the process.

    With `tenant` they are those of that tenant; what is opened by them is its own.
    """
    from fhirserver.settings import SettingsError
    from fhirserver.settings.reading import read

    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = read(**given)
        return settings if tenant is None else _of_tenant(settings, tenant)
    except SettingsError as error:
        refuse("The settings do not fit:", *(f"  {text}" for text in error.wrong))
    except (OSError, ValueError) as error:
        refuse(f"The settings cannot be read: {error}")


def carry_out(work: Coroutine[Any, Any, _T]) -> _T:
    """What the work gives; a refusal is told, and ends the process."""
    import asyncio

    from fhirserver.app import NotRunnable
    from fhirserver.errors import FhirError

    try:
        return asyncio.run(work)
    except FhirError as error:
        refuse(error.text)
    except (NotRunnable, OSError) as error:
        refuse(str(error))


def _of_tenant(settings: Settings, name: str) -> Settings:
    from fhirserver.app import tenant_settings

    return settings if name == settings.tenant else carry_out(tenant_settings(settings, name))
