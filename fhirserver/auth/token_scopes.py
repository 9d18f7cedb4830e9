"""The scopes of one access token, never more than those of its authorization or client."""

from __future__ import annotations

from fhirserver.access.scope import InvalidScope, ResourceScope, parse_scopes, within
from fhirserver.auth.client import Client
from fhirserver.auth.live import INTROSPECTION, scopes_of
from fhirserver.auth.oauth_error import OAuthError


def narrowed(wanted: str | None, granted: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes of a refresh: all that are granted, or those of them that are wanted.

    Raises `invalid_scope` for any that goes beyond (RFC 6749 section 6).
    """
    if wanted is None:
        return granted
    asked = tuple(dict.fromkeys(wanted.split()))
    if set(asked) <= set(granted):
        return asked
    try:
        limits = parse_scopes(granted)
        if all(within(scope, limits) for scope in parse_scopes(asked)):
            return asked
    except InvalidScope as error:
        raise OAuthError("invalid_scope", error.text) from None
    raise OAuthError("invalid_scope", "A scope goes beyond what was granted.")


def of_system(wanted: str, client: Client) -> tuple[str, ...]:
    """The scopes of a system: what it asks for, as far as it was given beforehand.

    Raises `invalid_scope` for scopes that are none of a system, and where nothing is left.
    """
    asked = tuple(dict.fromkeys(wanted.split()))
    try:
        parsed = parse_scopes(item for item in asked if item != INTROSPECTION)
    except InvalidScope as error:
        raise OAuthError("invalid_scope", error.text) from None
    if any(not isinstance(item, ResourceScope) or item.level != "system" for item in parsed):
        raise OAuthError("invalid_scope", "Systems have scopes such as system/Patient.rs only.")
    found = scopes_of(client, asked)
    if not found:
        raise OAuthError("invalid_scope", "The client may have none of these scopes.")
    return found
