"""`fhirserver serve`: the server."""

from __future__ import annotations

import os
import resource
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fhirserver.cli.beside import beside
from fhirserver.cli.configuration import refuse, settings_of

if TYPE_CHECKING:
    from fhirserver.settings import Settings

_KEEP_ALIVE: Final = 65  # seconds; longer than the minute after which proxies give up
_GRACE: Final = 30  # seconds for requests under way when the server is told to stop
_FAILED: Final = 3  # exit code of a server that could not start


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
    settings = settings_of(host=host, port=port, data=data, workers=workers, auth=auth)
    run(settings)


def run(settings: Settings) -> None:
    """Serves until the process is told to stop; lets requests under way end first."""
    import uvicorn

    from fhirserver.cli.dicom import dicom_port
    from fhirserver.cli.tls import Config

    _prepare(settings)
    # Nothing that is in memory (keys, records) goes into a core dump; workers inherit it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ |= settings.environment()  # for the workers, which are processes of their own
    config = Config(
        "fhirserver.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http="fhirserver.rest.wire:FhirProtocol",
        ws="none",
        lifespan="on",
        log_config=_log_config(settings.log_level),
        access_log=False,  # it would write addresses, which may name patients
        proxy_headers=False,
        server_header=False,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )
    socket = config.bind_socket()
    port = socket.getsockname()[1]
    tell_addresses(settings.host, port, settings.scheme, is_open=settings.auth == "none")
    with filing(settings), dicom_port(settings):
        if settings.workers > 1:
            from uvicorn.supervisors import Multiprocess

            Multiprocess(config, sockets=[socket]).run()
            return
        server = uvicorn.Server(config)
        server.run(sockets=[socket])
        if not server.started:
            raise typer.Exit(_FAILED)


def filing(settings: Settings) -> AbstractContextManager[None]:
    """Has a process that files audit events, where there are any in journals.

    Without it, whatever the reason, the server files them itself.
    """
    if not settings.audits or settings.is_mongodb:
        return nullcontext()
    return beside(("fhirserver.app.filing_process", str(settings.data)))


def _prepare(settings: Settings) -> None:
    """What is to be so, or to be told, before the first request."""
    from fhirserver.cli.tls import check_files, warning

    try:
        check_files(settings)
    except OSError as error:
        refuse(f"The certificate of TLS, or its key, cannot be used: {error}")
    if told := warning(settings):
        typer.echo(told, err=True)
    if settings.auth != "none":
        from fhirserver.cli.user import tell_first

        tell_first(settings)


def tell_addresses(host: str, port: int, scheme: str, *, is_open: bool) -> None:
    """Prints where the server is found."""
    name = f"[{host}]" if ":" in host else host
    typer.echo(f"FHIR base    {scheme}://{name}:{port}/fhir")
    typer.echo(f"DICOMweb     {scheme}://{name}:{port}/dicom-web")
    typer.echo(f"Start page   {scheme}://{name}:{port}/")
    if is_open:
        typer.echo("Open server: everybody on this machine may read and change everything.")


_LINE: Final = "%(asctime)s %(levelname)s %(name)s %(request)s %(message)s"


def _log_config(level: str) -> dict[str, Any]:
    least = level.upper()
    chatty = least if least == "DEBUG" else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": _LINE}},
        "filters": {"request": {"()": "fhirserver.rest.shield.RequestIds"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["request"],
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "fhirserver": {"level": least},
            "uvicorn": {"level": chatty},
            "uvicorn.error": {"level": chatty},
        },
    }
