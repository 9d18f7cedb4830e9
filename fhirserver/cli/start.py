"""`fhirserver serve`: the command. The process becomes the server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhirserver.cli.configuration import settings_of

if TYPE_CHECKING:
    from fhirserver.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [8080].")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of all that the server keeps [fhirserver-data].")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve [1].")] = None,
    auth: Annotated[
        str | None,
        typer.Option(
            metavar="smart|none",
            help="Authorization [smart]. `none` only on a loopback address.",
        ),
    ] = None,
) -> None:
    """Run the server."""
    from fhirserver.cli.serve import prepare

    settings = settings_of(host=host, port=port, data=data, workers=workers, auth=auth)
    prepare(settings)
    _become_server(settings)


def run() -> None:
    """Runs this command alone, of all those in `commands`."""
    app = typer.Typer(name="fhirserver", add_completion=False, pretty_exceptions_enable=False)
    app.callback()(lambda: None)  # without it, the name of a single command is left out
    app.command("serve")(serve)
    app()


def _become_server(settings: Settings) -> None:
    """Runs the server instead of this program: its memory would not be given back otherwise.

    What parsed the command line and prepared the server takes some 20 MB.
    """
    os.environ |= settings.environment()
    # One heap of glibc for all threads: each would keep for itself what it freed, 6 MB together.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    # The working folder is no place of modules unless it was one before.
    safe = [] if sys.path[0] == str(Path.cwd()) else ["-P"]
    command = [sys.executable, *safe, "-m", "fhirserver.cli.serve"]
    os.execv(sys.executable, command)  # noqa: S606 - our own
