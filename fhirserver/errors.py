"""The exception tree: every way in which the server refuses a request.

    FhirError                   what the caller is told: issues with code, place and text
    +- Invalid                  400  the request cannot be understood
    +- Unauthenticated          401  nobody is signed in
    +- Forbidden                403  somebody is, but may not
    |  +- TooCostly             403  the answer would cost more than a request may
    +- NotFound                 404
    |  +- Gone                  410  it was deleted
    +- MethodNotAllowed         405
    +- NotAcceptable            406
    +- RequestTimeout           408  the rest of the request did not come
    +- Conflict                 409  the state of the store forbids it
    +- PreconditionFailed       412  If-Match, If-None-Match, If-None-Exist
    |  +- MultipleMatches       412  a condition selects several resources
    +- TooLarge                 413
    +- UriTooLong               414
    +- UnsupportedMediaType     415
    +- Unprocessable            422  understood, but against the rules of FHIR
    +- Throttled                429
    +- Fault                    500  our own failure
    +- NotSupported             501
    +- Unavailable              503  try again later
       +- Incomplete            503  what is asked is still being indexed

A class carries its HTTP status and the code of its OperationOutcome issue
(https://hl7.org/fhir/R4/valueset-issue-type.html); a subclass inherits what it does
not set. Findings about a resource are data (`fhirserver.model.outcome.Issue`), not
exceptions; a refusal may carry them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from fhirserver.model.outcome import Issue


class FhirError(Exception):
    """A refusal. `text` tells the caller what to do; `expression` is a FHIRPath place.

    `issues`, when given, replace the single issue made from `text` and `expression`.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "exception"

    def __init__(
        self,
        text: str,
        *,
        expression: str | None = None,
        issues: Sequence[Issue] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.expression = expression
        self.issues = tuple(issues)
        self.headers = headers or {}


class Invalid(FhirError):
    status = 400
    code = "invalid"


class Unauthenticated(FhirError):
    status = 401
    code = "login"


class Forbidden(FhirError):
    status = 403
    code = "forbidden"


class TooCostly(Forbidden):
    code = "too-costly"


class NotFound(FhirError):
    status = 404
    code = "not-found"


class Gone(NotFound):
    status = 410
    code = "deleted"


class MethodNotAllowed(FhirError):
    status = 405
    code = "not-supported"


class NotAcceptable(FhirError):
    status = 406
    code = "not-supported"


class RequestTimeout(FhirError):
    status = 408
    code = "timeout"


class Conflict(FhirError):
    status = 409
    code = "conflict"


class PreconditionFailed(FhirError):
    status = 412
    code = "conflict"


class MultipleMatches(PreconditionFailed):
    code = "multiple-matches"


class TooLarge(FhirError):
    status = 413
    code = "too-long"


class UriTooLong(FhirError):
    status = 414
    code = "too-long"


class UnsupportedMediaType(FhirError):
    status = 415
    code = "not-supported"


class Unprocessable(FhirError):
    status = 422
    code = "processing"


class Throttled(FhirError):
    status = 429
    code = "throttled"


class Fault(FhirError):
    status = 500
    code = "exception"


class NotSupported(FhirError):
    status = 501
    code = "not-supported"


class Unavailable(FhirError):
    status = 503
    code = "transient"


class Incomplete(Unavailable):
    code = "incomplete"
