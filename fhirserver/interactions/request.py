"""An interaction as asked and as answered, apart from HTTP.

https://hl7.org/fhir/R4/http.html. The REST edge and every entry of a batch or transaction
make the same `Request`, so that they cannot differ in what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from fhirserver.access.grant import ANONYMOUS, Grant
from fhirserver.audit.imaging import StudyAccess
from fhirserver.audit.recorder import NOWHERE, Origin
from fhirserver.model.json import Json, Resource

Return: TypeAlias = Literal["minimal", "representation", "OperationOutcome"]
Handling: TypeAlias = Literal["strict", "lenient"]
Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(slots=True)  # frozen would cost three times the time to make
class Request:
    """What a caller asks. `interaction` is the code of a row of `dispatch.INTERACTIONS`,
    or of an operation: `$everything`.

    `base` is the service base URL that links are made with, without a final slash.
    `parameters` are decoded query pairs in order (with those of a POST _search behind them).
    `resource` is the body of create and update, the Bundle, or what an operation was sent by
    POST (None: it was called by GET); `patch` the body of a patch, a JSON Patch list, a
    Parameters resource or the bytes of an XML Patch. `kept` are parameters of the edge that
    links to other pages carry on. `if_match` and `if_none_match` are header values.
    `if_none_exist` holds the pairs of that header; for update, patch and delete without an id,
    the condition is in `parameters`. `compartment` is (code, id) of a compartment search.
    `imaging` is what the rows of imaging are asked, in words of `fhirserver.archive`; their
    `type` is ImagingStudy, their `id` a Study Instance UID, `parameters` the matching keys.
    """

    interaction: str
    base: str
    type: str | None = None
    id: str | None = None
    version: str | None = None
    parameters: Pairs = ()
    resource: Resource | None = None
    patch: Json | bytes = None
    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_none_exist: Pairs | None = None
    compartment: tuple[str, str] | None = None
    kept: Pairs = ()
    handling: Handling = "strict"
    prefer: Return | None = None
    grant: Grant = ANONYMOUS
    languages: str | None = None
    origin: Origin = NOWHERE
    imaging: object | None = None


@dataclass(slots=True)
class Answer:
    """What the caller gets. `body` is a resource as JSON bytes; None where there is none.

    `type`, `id`, `version`, `last_updated` (microseconds) name the version answered, for
    Location, ETag and Last-Modified. `location` is relative to the base. `content_type` is
    that of a body which is no resource. `outcome` tells what a write did beside what it says.
    `imaging` is what a row of imaging found or did, and `studies` whose, for the audit trail.
    """

    status: int
    body: bytes | None = None
    type: str | None = None
    id: str | None = None
    version: int | None = None
    last_updated: int | None = None
    location: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str | None = None
    outcome: bytes | None = None
    imaging: object | None = None
    studies: Sequence[StudyAccess] = ()
