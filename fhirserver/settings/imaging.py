"""Where DICOM instances are kept, and by what name and port modalities call."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

_SCHEMES = ("file", "s3", "gs", "az")


class Imaging(BaseSettings):
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

    @field_validator("blobs")
    @classmethod
    def _known_place(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in _SCHEMES or not (parts.netloc or parts.path)):
            raise ValueError("use file:///PATH, s3://BUCKET/PREFIX, gs://BUCKET or az://CONTAINER")
        return value
