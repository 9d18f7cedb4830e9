"""The commands. Each is a function of its own module, which imports what it needs when it runs,
so that `fhirserver --help` is quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import typer

from fhirserver.cli.audit import verify, who_saw
from fhirserver.cli.backup import backup, restore
from fhirserver.cli.breach import breach
from fhirserver.cli.check import check
from fhirserver.cli.client import COMMANDS as CLIENT_COMMANDS
from fhirserver.cli.demo import demo
from fhirserver.cli.dicom_import import import_ as import_dicom
from fhirserver.cli.export import export
from fhirserver.cli.keys import list_keys, make, retire, rewrap, rotate
from fhirserver.cli.keys import status as key_status
from fhirserver.cli.load import load
from fhirserver.cli.package import install, list_packages, remove
from fhirserver.cli.peers import COMMANDS as PEER_COMMANDS
from fhirserver.cli.policy import COMMANDS as POLICY_COMMANDS
from fhirserver.cli.reindex import reindex
from fhirserver.cli.signing_keys import list_signing_keys, rotate_signing_key
from fhirserver.cli.start import serve
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
from fhirserver.cli.titles import COMMANDS as TITLE_COMMANDS
from fhirserver.cli.user import COMMANDS as USER_COMMANDS

COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "demo": demo,
    "serve": serve,
    "load": load,
    "export": export,
    "check": check,
    "reindex": reindex,
    "backup": backup,
    "restore": restore,
}
"""Name and function of each command, in the order of the help."""

Commands: TypeAlias = dict[str, "Callable[..., Any] | Commands"]
"""Functions, or further commands, by their names."""

GROUPS: Final[dict[str, tuple[str, Commands]]] = {
    "store": ("Look after the store.", {"init": init, "status": status}),
    "package": (
        "Packages of definitions (implementation guides).",
        {"install": install, "list": list_packages, "remove": remove},
    ),
    "client": ("Apps and systems that may ask for access.", {**CLIENT_COMMANDS}),
    "user": ("Accounts of people.", {**USER_COMMANDS}),
    "policy": ("What each role may do.", {**POLICY_COMMANDS}),
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
        "Keys of encryption, and those that id_tokens are signed with.",
        {
            "signing": {"list": list_signing_keys, "rotate": rotate_signing_key},
            "make": make,
            "list": list_keys,
            "status": key_status,
            "rotate": rotate,
            "retire": retire,
            "rewrap": rewrap,
        },
    ),
    "audit": ("The audit trail.", {"verify": verify, "who-saw": who_saw, "breach": breach}),
    "dicom": (
        "DICOM instances, the peers that send and fetch them, and what tenants are called by.",
        {"import": import_dicom, "peers": {**PEER_COMMANDS}, "titles": {**TITLE_COMMANDS}},
    ),
    "terminology": ("Large code systems.", {"import": import_, "list": list_systems}),
}
"""Name, help and commands of each group of commands."""


def run() -> None:
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
        app.add_typer(_group(text, commands), name=name)
    app()


def _group(text: str | None, commands: Commands) -> typer.Typer:
    group = typer.Typer(help=text, no_args_is_help=True)
    for name, found in commands.items():
        if isinstance(found, dict):
            group.add_typer(_group(None, found), name=name)
        else:
            group.command(name)(found)
    return group
