"""Settings of a command: its options before the environment and the configuration file."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeAlias, TypeVar

import typer

if TYPE_CHECKING:
    from fhirserver.settings import Settings

_T = TypeVar("_T")

NOT_POSSIBLE: Final = 2
"""Exit code of a command that cannot do what it was asked to."""


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
    from pydantic import ValidationError

    from fhirserver.settings import Settings

    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = Settings(**given)
        return settings if tenant is None else _of_tenant(settings, tenant)
    except ValidationError as error:
        refuse("The settings do not fit:", *_lines(error))
    except (OSError, ValueError) as error:
        refuse(f"The settings cannot be read: {error}")


def refuse(*lines: str) -> NoReturn:
    """Tells why a command cannot run, on standard error, and ends the process."""
    for line in lines:
        typer.echo(line, err=True)
    raise typer.Exit(NOT_POSSIBLE)


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


def _lines(error: Any) -> list[str]:
    return [
        f"  {'.'.join(map(str, item['loc'])) or 'together'}: "
        f"{item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False, include_input=False)
    ]
