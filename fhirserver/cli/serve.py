"""The process that serves: what `fhirserver serve` becomes, without the commands and their parser.

`python -m fhirserver.cli.serve` serves by the settings of the environment.
"""

from __future__ import annotations

import os
import resource
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from fhirserver.cli.beside import beside
from fhirserver.cli.telling import refuse, tell

if TYPE_CHECKING:
    from fhirserver.settings import Settings

_KEEP_ALIVE: Final = 65  # seconds; longer than the minute after which proxies give up
_GRACE: Final = 30  # seconds for requests under way when the server is told to stop
_FAILED: Final = 3  # exit code of a server that could not start


def run(settings: Settings) -> None:
    """Prepares and serves."""
    prepare(settings)
    keep_serving(settings)


def keep_serving(settings: Settings) -> None:
    """Serves until the process is told to stop; lets requests under way end first."""
    import uvicorn

    from fhirserver.cli.dicom import dicom_port
    from fhirserver.cli.tls import Config

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
            raise SystemExit(_FAILED)


def filing(settings: Settings) -> AbstractContextManager[None]:
    """Has a process that files audit events, where there are any in journals.

    Without it, whatever the reason, the server files them itself.
    """
    if not settings.audits or settings.is_mongodb:
        return nullcontext()
    return beside(("fhirserver.app.filing_process", str(settings.data)))


def prepare(settings: Settings) -> None:
    """What is to be so, or to be told, before the first request."""
    from fhirserver.cli.tls import check_files, warning

    try:
        check_files(settings)
    except OSError as error:
        refuse(f"The certificate of TLS, or its key, cannot be used: {error}")
    if told := warning(settings):
        tell(told, is_error=True)
    if settings.auth != "none":
        from fhirserver.cli.user import tell_first

        tell_first(settings)


def tell_addresses(host: str, port: int, scheme: str, *, is_open: bool) -> None:
    """Prints where the server is found."""
    name = f"[{host}]" if ":" in host else host
    tell(f"FHIR base    {scheme}://{name}:{port}/fhir")
    tell(f"DICOMweb     {scheme}://{name}:{port}/dicom-web")
    tell(f"Start page   {scheme}://{name}:{port}/")
    if is_open:
        tell("Open server: everybody on this machine may read and change everything.")


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


if __name__ == "__main__":
    from fhirserver.settings.reading import read

    keep_serving(read())
