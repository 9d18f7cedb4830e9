"""The processes of the DICOM port, which `serve` starts beside those of HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fhirserver.cli.beside import beside
from fhirserver.cli.telling import refuse, tell
from fhirserver.settings import Settings


@contextmanager
def dicom_port(settings: Settings) -> Iterator[int | None]:
    """Serves the DICOM port, if there is one to be, as long as the block lasts.

    Gives its number. What is set is to be in the environment already.
    """
    if settings.dicom_port is None:
        yield None
        return
    from fhirserver.app.dicom import tls_of
    from fhirserver.imaging.dimse.listening import listener

    try:
        tls_of(settings)
    except OSError as error:
        refuse(f"The certificates of the DICOM port cannot be used: {error}")
    host = settings.dicom_host or settings.host
    try:
        socket = listener(host, settings.dicom_port)
    except OSError as error:
        refuse(f"The DICOM port {settings.dicom_port} cannot be listened on: {error.strerror}")
    port = socket.getsockname()[1]
    tell(f"DICOM        {settings.dicom_aet}@{host}:{port}")
    number = socket.fileno()
    processes = [("fhirserver.app.dicom", str(number))] * settings.dicom_processes
    with socket, beside(*processes, descriptors=[number]):
        yield port
