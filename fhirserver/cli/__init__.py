"""The commands. Each is a function of its own module, which imports what it needs when it runs,
so that `fhirserver --help` is quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import typer

from fhirserver.cli.audit import verify, who_saw
from fhirserver.cli.check import check
from fhirserver.cli.demo import demo
from fhirserver.cli.export import export
from fhirserver.cli.keys import list_keys, make, retire, rewrap, rotate
from fhirserver.cli.keys import status as key_status
from fhirserver.cli.load import load
from fhirserver.cli.package import install, list_packages, remove
from fhirserver.cli.reindex import reindex
from fhirserver.cli.serve import serve
from fhirserver.cli.store import init, status
from fhirserver.cli.tenant import (
    configure,
    create,
    delete,
    export_all,
    list_tenants,
    resume,
    suspend,
)
from fhirserver.cli.terminology import import_, list_systems

COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "demo": demo,
    "serve": serve,
    "load": load,
    "export": export,
    "check": check,
    "reindex": reindex,
}
"""Name and function of each command, in the order of the help."""

GROUPS: Final[dict[str, tuple[str, dict[str, Callable[..., Any]]]]] = {
    "store": ("Look after the store.", {"init": init, "status": status}),
    "package": (
        "Packages of definitions (implementation guides).",
        {"install": install, "list": list_packages, "remove": remove},
    ),
    "audit": ("The audit trail.", {"verify": verify, "who-saw": who_saw}),
    "tenant": (
        "Tenants beside the one at /.",
        {
            "create": create,
            "list": list_tenants,
            "set": configure,
            "suspend": suspend,
            "resume": resume,
            "export": export_all,
            "delete": delete,
        },
    ),
    "keys": (
        "Keys of encryption.",
        {
            "make": make,
            "list": list_keys,
            "status": key_status,
            "rotate": rotate,
            "retire": retire,
            "rewrap": rewrap,
        },
    ),
    "terminology": ("Large code systems.", {"import": import_, "list": list_systems}),
}
"""Name, help and commands of each group of commands."""


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
    for name, (text, commands) in GROUPS.items():
        group = typer.Typer(help=text, no_args_is_help=True)
        for inner, function in commands.items():
            group.command(inner)(function)
        app.add_typer(group, name=name)
    app()
