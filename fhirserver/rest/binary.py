"""Binary, whose content may come and go as it is.

https://hl7.org/fhir/R4/binary.html#rest: a read that does not name a FHIR media type gives
the content in its own type, and a body that is not in a FHIR media type is the content.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode

from fhirserver.errors import Invalid
from fhirserver.model.json import Resource, decode
from fhirserver.rest.asgi import HeaderList
from fhirserver.rest.negotiation import accepts

BINARY = "Binary"

_HEADER_SAFE = re.compile(r"[ -~]+", re.ASCII)

_HARMLESS: HeaderList = [
    # What somebody uploaded must not run as a page of this server.
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"x-content-type-options", b"nosniff"),
]


def binary_of(
    content: bytes, content_type: str, id: str | None, security_context: str | None
) -> Resource:
    """The Binary resource that holds uploaded content.

    `security_context` is the X-Security-Context header: a reference to the resource whose
    access rules hold for the content too.
    """
    if not content:
        raise Invalid("The body is empty: send the content of the Binary.")
    resource: Resource = {"resourceType": BINARY, "contentType": content_type}
    if id is not None:
        resource["id"] = id
    if security_context:
        resource["securityContext"] = {"reference": security_context}
    resource["data"] = b64encode(content).decode("ascii")
    return resource


def is_binary(value: object) -> bool:
    """Whether decoded JSON is a Binary resource rather than content that happens to be JSON."""
    return isinstance(value, dict) and value.get("resourceType") == BINARY


def raw_content(stored: bytes, accept: bytes | None) -> tuple[HeaderList, bytes] | None:
    """The headers and bytes of a stored Binary's content.

    None where the caller does not take its type, or where it cannot be served as it is.
    """
    resource = decode(stored)
    content_type = resource.get("contentType", "")
    if not isinstance(content_type, str) or not _HEADER_SAFE.fullmatch(content_type):
        return None
    if not accepts(accept, content_type):
        return None
    try:
        content = b64decode("".join(resource.get("data", "").split()), validate=True)
    except (binascii.Error, AttributeError):
        return None
    headers = [(b"content-type", content_type.encode("ascii")), *_HARMLESS]
    reference = resource.get("securityContext", {}).get("reference")
    if isinstance(reference, str) and _HEADER_SAFE.fullmatch(reference):
        headers.append((b"x-security-context", reference.encode("ascii")))
    return headers, content
