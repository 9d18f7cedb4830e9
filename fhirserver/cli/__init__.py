"""The commands. Each is a function of its own module, which imports what it needs when it runs,
so that `fhirserver --help` is quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import typer

from fhirserver.cli.check import check
from fhirserver.cli.demo import demo
from fhirserver.cli.load import load
from fhirserver.cli.package import package
from fhirserver.cli.serve import serve
from fhirserver.cli.terminology import terminology

COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "demo": demo,
    "serve": serve,
    "load": load,
    "check": check,
}
"""Name and function of each command, in the order of the help."""

GROUPS: Final[dict[str, typer.Typer]] = {"package": package, "terminology": terminology}
"""Commands that have commands of their own."""


def main() -> None:
    """Runs the command that the process was started with."""
    app = typer.Typer(
        name="fhirserver",
        help="A FHIR R4 server in one process.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, function in COMMANDS.items():
        app.command(name)(function)
    for name, group in GROUPS.items():
        app.add_typer(group, name=name)
    app()
