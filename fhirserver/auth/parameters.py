"""The parameters of a request to an endpoint of the authorization server (RFC 6749 appendix B)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from starlette.requests import Request

from fhirserver.auth.oauth_error import OAuthError

Parameters: TypeAlias = Mapping[str, str]

FORM: Final = "application/x-www-form-urlencoded"
MOST_BYTES: Final = 64 * 1024
_MOST_FIELDS: Final = 100


async def form_of(request: Request) -> Parameters:
    """The form of a POST; what has no value counts as not sent (RFC 6749 section 3.2).

    Raises `invalid_request` for another type of content, for too much, and for a parameter that
    comes twice.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise OAuthError("invalid_request", f"Send the parameters as {FORM}.")
    body = await body_of(request)
    try:
        return pairs_of(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise OAuthError("invalid_request", "The form is not UTF-8.") from None


async def body_of(request: Request) -> bytes:
    """The body of a request. Raises `invalid_request` for one of more than 64 KiB."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise OAuthError("invalid_request", "The request is too long.")
    return bytes(body)


def pairs_of(text: str) -> Parameters:
    """The parameters of a form or query. Raises `invalid_request`, also for doubled ones."""
    found: dict[str, str] = {}
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise OAuthError("invalid_request", "The parameters cannot be read.") from None
    for name, value in pairs:
        if name in found:
            raise OAuthError("invalid_request", "A parameter is there twice.")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def required(parameters: Parameters, name: str) -> str:
    """The value of a parameter. Raises `invalid_request` where it is missing."""
    value = parameters.get(name)
    if value is None:
        raise OAuthError("invalid_request", f"{name} is missing.")
    return value
