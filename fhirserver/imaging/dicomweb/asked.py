"""A request of DICOMweb, before it is made one to the gate."""

from __future__ import annotations

from dataclasses import dataclass

from fhirserver.access.grant import Grant
from fhirserver.audit.recorder import Origin
from fhirserver.imaging.dicomweb.route import Route
from fhirserver.interactions.request import Pairs, Request
from fhirserver.rest.headers import Headers

IMAGING_STUDY = "ImagingStudy"


@dataclass(frozen=True, slots=True)
class Asked:
    """`fhir` and `base` are the service base URLs of FHIR and DICOMweb, without a final slash."""

    target: Route
    method: str
    fhir: str
    base: str
    grant: Grant
    origin: Origin
    headers: Headers
    parameters: Pairs

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter."""
        return next((value for found, value in self.parameters if found == name), None)

    @property
    def accept(self) -> bytes | None:
        """What is taken: by the query (PS3.18, 8.3.3.1), else by the header."""
        asked = self.parameter("accept")
        # A plus that was not encoded is a blank by now.
        return (
            asked.replace("m j", "m+j").replace("m x", "m+x").encode()
            if asked
            else (self.headers.get(b"accept"))
        )

    def to_gate(self, code: str, study: str | None = None, parameters: Pairs = ()) -> Request:
        """The request of a row of imaging."""
        return Request(
            code,
            self.fhir,
            IMAGING_STUDY,
            study,
            parameters=parameters,
            grant=self.grant,
            origin=self.origin,
        )
