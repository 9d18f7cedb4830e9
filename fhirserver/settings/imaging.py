"""Where DICOM instances are kept, and by what name and port modalities call."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fhirserver.settings.declared import Declared, Field, Words, checks

_SCHEMES = ("file", "s3", "gs", "az")


class Imaging(Declared):
    """The settings of imaging."""

    blobs: str = Field(
        default="",
        description="Where DICOM instances are kept: `file:///PATH`, `s3://BUCKET/PREFIX`, `gs://` "
        "or `az://`, with credentials from the variables of these services. Empty: `blobs` in "
        "the data folder.",
    )
    dicom_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port that DICOM associations are made to, customarily 11112; 0 takes a free "
        "one. Unset: there is none.",
    )
    dicom_aet: str = Field(
        default="FHIRSERVER",
        pattern=r"^[!-\[\]-~]{1,16}$",
        description="Application entity title that the server is called by, and calls with.",
    )
    dicom_host: str = Field(
        default="",
        description="Address that DICOM associations are made to. Empty: that of `HOST`.",
    )
    dicom_processes: int = Field(
        default=1, ge=1, le=64, description="Processes that serve DICOM associations."
    )
    dicom_associations: int = Field(
        default=100, ge=1, le=10_000, description="DICOM associations of a process at once."
    )
    dicom_peer_associations: int = Field(
        default=25, ge=1, le=10_000, description="Those of one peer."
    )
    dicom_silence: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="Seconds without a message after which a DICOM association is aborted.",
    )
    dicom_object_limit: int = Field(
        default=8 * 2**30,
        ge=2**20,
        description="Bytes of a data set that is stored by C-STORE.",
    )
    dicom_private_classes: bool = Field(
        default=True,
        description="Instances of SOP classes outside the standard are stored too.",
    )
    dicom_tls_certificate: Path | None = Field(
        default=None,
        description="Certificate chain (PEM): DICOM associations are made over TLS then.",
    )
    dicom_tls_key: Path | None = Field(
        default=None, description="Private key of that certificate (PEM), if it is not in there."
    )
    dicom_tls_clients: Path | None = Field(
        default=None,
        description="Certificates (PEM) of the authorities of clients: each has to show one then.",
    )

    dicom_issuers: Words = Field(
        default=(),
        description="Identifier systems of those who issue patient ids, accession numbers and "
        "admission ids, as `ISSUER=SYSTEM`: the local name or universal id that DICOM names, such "
        "as `HOSPITAL=urn:oid:1.2.3`.",
    )
    dicom_patient_system: str = Field(
        default="",
        description="Identifier system of patient ids for which DICOM names no issuer. Empty: "
        "such a number identifies nobody.",
    )
    dicom_accession_system: str = Field(
        default="",
        description="Identifier system of accession numbers for which DICOM names no issuer.",
    )
    dicom_admission_system: str = Field(
        default="",
        description="Identifier system of admission ids for which DICOM names no issuer.",
    )
    dicom_time_zone: str = Field(
        default="",
        description="Time zone (IANA name) of modalities whose data sets and peers name none, such "
        "as `Europe/Vienna`. Empty: of their times only the dates are told.",
    )

    dicomweb_body_limit: int = Field(
        default=4 * 2**30,
        gt=0,
        description="Largest body in bytes that is stored over DICOMweb.",
    )
    picture_processes: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Processes of each worker that decode, transcode and draw images; they start "
        "when they are first needed.",
    )

    @staticmethod
    @checks("dicom_issuers")
    def _issuer_pairs(value: tuple[str, ...]) -> None:
        for pair in value:
            issuer, equals, system = pair.partition("=")
            if not (issuer and equals and ":" in system):
                raise ValueError("use ISSUER=SYSTEM, such as HOSPITAL=urn:oid:1.2.3")

    @staticmethod
    @checks("dicom_time_zone")
    def _known_zone(value: str) -> None:
        try:
            if value:
                ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("use an IANA name, such as Europe/Vienna") from None

    @staticmethod
    @checks("blobs")
    def _known_place(value: str) -> None:
        parts = urlsplit(value)
        if value and (parts.scheme not in _SCHEMES or not (parts.netloc or parts.path)):
            raise ValueError("use file:///PATH, s3://BUCKET/PREFIX, gs://BUCKET or az://CONTAINER")
