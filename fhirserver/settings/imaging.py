"""Where DICOM instances are kept, and by what name and port modalities call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from msgspec import Meta

from fhirserver.settings.rules import Rules

_SCHEMES = ("file", "s3", "gs", "az")


class Imaging(Rules, frozen=True, kw_only=True):
    """The settings of imaging."""

    blobs: Annotated[
        str,
        Meta(
            description="Where DICOM instances are kept: `file:///PATH`, `s3://BUCKET/PREFIX`, "
            "`gs://` or `az://`, with credentials from the variables of these services. Empty: "
            "`blobs` in the data folder."
        ),
    ] = ""
    dicom_port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)] | None,
        Meta(
            description="Port that DICOM associations are made to, customarily 11112; 0 takes a "
            "free one. Unset: there is none."
        ),
    ] = None
    dicom_aet: Annotated[
        str,
        Meta(
            pattern=r"^[!-\[\]-~]{1,16}$",
            description="Application entity title that the server is called by, and calls with.",
        ),
    ] = "FHIRSERVER"
    dicom_host: Annotated[
        str, Meta(description="Address that DICOM associations are made to. Empty: that of `HOST`.")
    ] = ""
    dicom_processes: Annotated[
        int, Meta(ge=1, le=64, description="Processes that serve DICOM associations.")
    ] = 2
    dicom_associations: Annotated[
        int, Meta(ge=1, le=10_000, description="DICOM associations of a process at once.")
    ] = 100
    dicom_peer_associations: Annotated[
        int, Meta(ge=1, le=10_000, description="Those of one peer.")
    ] = 25
    dicom_silence: Annotated[
        int,
        Meta(
            ge=1,
            le=3600,
            description="Seconds without a message after which a DICOM association is aborted.",
        ),
    ] = 60
    dicom_object_limit: Annotated[
        int, Meta(ge=2**20, description="Bytes of a data set that is stored by C-STORE.")
    ] = 8 * 2**30
    dicom_private_classes: Annotated[
        bool, Meta(description="Instances of SOP classes outside the standard are stored too.")
    ] = True
    dicom_tls_certificate: Annotated[
        Path | None,
        Meta(description="Certificate chain (PEM): DICOM associations are made over TLS then."),
    ] = None
    dicom_tls_key: Annotated[
        Path | None,
        Meta(description="Private key of that certificate (PEM), if it is not in there."),
    ] = None
    dicom_tls_clients: Annotated[
        Path | None,
        Meta(
            description="Certificates (PEM) of the authorities of clients: each has to show one "
            "then."
        ),
    ] = None

    dicom_issuers: Annotated[
        tuple[str, ...],
        Meta(
            description="Identifier systems of those who issue patient ids, accession numbers and "
            "admission ids, as `ISSUER=SYSTEM`: the local name or universal id that DICOM names, "
            "such as `HOSPITAL=urn:oid:1.2.3`."
        ),
    ] = ()
    dicom_patient_system: Annotated[
        str,
        Meta(
            description="Identifier system of patient ids for which DICOM names no issuer. Empty: "
            "such a number identifies nobody."
        ),
    ] = ""
    dicom_accession_system: Annotated[
        str,
        Meta(description="Identifier system of accession numbers for which DICOM names no issuer."),
    ] = ""
    dicom_admission_system: Annotated[
        str, Meta(description="Identifier system of admission ids for which DICOM names no issuer.")
    ] = ""
    dicom_time_zone: Annotated[
        str,
        Meta(
            description="Time zone (IANA name) of modalities whose data sets and peers name none, "
            "such as `Europe/Vienna`. Empty: of their times only the dates are told."
        ),
    ] = ""

    dicomweb_body_limit: Annotated[
        int, Meta(gt=0, description="Largest body in bytes that is stored over DICOMweb.")
    ] = 4 * 2**30
    picture_processes: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="Processes of each worker that decode, transcode and draw images; they "
            "start when they are first needed.",
        ),
    ] = 2

    def wrong(self) -> Iterator[str]:
        yield from super().wrong()
        for pair in self.dicom_issuers:
            issuer, equals, system = pair.partition("=")
            if not (issuer and equals and ":" in system):
                yield "dicom_issuers: use ISSUER=SYSTEM, such as HOSPITAL=urn:oid:1.2.3"
        try:
            _ = self.dicom_time_zone and ZoneInfo(self.dicom_time_zone)
        except (KeyError, ValueError, OSError):
            yield "dicom_time_zone: use an IANA name, such as Europe/Vienna"
        place = urlsplit(self.blobs)
        if self.blobs and (place.scheme not in _SCHEMES or not (place.netloc or place.path)):
            yield "blobs: use file:///PATH, s3://BUCKET/PREFIX, gs://BUCKET or az://CONTAINER"
