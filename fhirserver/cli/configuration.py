"""Settings of a command: its options before the environment and the configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer

if TYPE_CHECKING:
    from fhirserver.settings import Settings

NOT_POSSIBLE: Final = 2
"""Exit code of a command that cannot do what it was asked to."""


def settings_of(**options: Any) -> Settings:
    """The settings, with the options that are not None; wrong ones are told and end the process."""
    from pydantic import ValidationError

    from fhirserver.settings import Settings

    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        refuse("The settings do not fit:", *_lines(error))
    except (OSError, ValueError) as error:
        refuse(f"The settings cannot be read: {error}")


def refuse(*lines: str) -> NoReturn:
    """Tells why a command cannot run, on standard error, and ends the process."""
    for line in lines:
        typer.echo(line, err=True)
    raise typer.Exit(NOT_POSSIBLE)


def _lines(error: Any) -> list[str]:
    return [
        f"  {'.'.join(map(str, item['loc'])) or 'together'}: "
        f"{item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False, include_input=False)
    ]
