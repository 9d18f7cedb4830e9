"""An authorization request, checked (SMART App Launch 2.2, "Obtain authorization code").

RFC 6749 section 4.1.1, RFC 7636, RFC 9700 section 2.1, OpenID Connect Core section 3.1.2.1. What
is asked here is asked of every client, confidential ones included. Until client and redirect_uri
are known to belong together nothing is sent anywhere: the user sees an error page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from fhirserver.access.scope import InvalidScope, ResourceScope, Scope, parse_scopes
from fhirserver.auth.client import Client
from fhirserver.auth.oauth_error import OAuthError

PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # 32 bytes, base64url without padding
_THUMBPRINT = _CHALLENGE
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)
_LONGEST: Final = 2048


class NotRegistered(Exception):
    """Client or redirect_uri are not known, so nothing may be sent to that address."""


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asks for. `scopes` are as they were spelled, `challenge` that of S256.

    `launch` is the value of an EHR launch. `prompt` and `max_age` (seconds) are those of OpenID
    Connect. `thumbprint` is `dpop_jkt` (RFC 9449 section 10).
    """

    client: str
    redirect_uri: str
    state: str
    scopes: tuple[str, ...]
    audience: str
    challenge: str
    nonce: str | None = None
    launch: str | None = None
    prompt: tuple[str, ...] = ()
    max_age: int | None = None
    thumbprint: str | None = None

    @property
    def wanted(self) -> tuple[Scope, ...]:
        """The scopes, parsed."""
        return parse_scopes(self.scopes)

    @property
    def needs_patient(self) -> bool:
        """Whether it cannot be granted without a patient in context (SMART 2.2, scopes)."""
        return any(
            scope.level == "patient" if isinstance(scope, ResourceScope) else is_patient(scope)
            for scope in self.wanted
        )

    @property
    def asks_encounter(self) -> bool:
        """Whether an encounter is to be chosen."""
        return "launch/encounter" in self.scopes


def is_patient(scope: Scope) -> bool:
    """Whether it is the scope that asks for a patient in context."""
    return str(scope) == "launch/patient"


def redirect_of(fields: Mapping[str, str], client: Client | None) -> str:
    """The redirect_uri, which is one of the client's to the letter. Raises `NotRegistered`."""
    if client is None or client.id != fields.get("client_id"):
        raise NotRegistered("This app is not registered here.")
    found = fields.get("redirect_uri")
    if found is None:
        raise NotRegistered("The app did not say where to send you back to.")
    if found not in client.redirect_uris:
        raise NotRegistered("The app wants to send you back to an address that is not its own.")
    return found


def checked(fields: Mapping[str, str], client: Client, audience: str) -> AuthorizationRequest:
    """The request that the parameters make; `audience` is the FHIR base of the tenant.

    Raises `NotRegistered` for the redirect_uri, else `OAuthError`. For pushed requests as well,
    whose parameters are checked when they are pushed (RFC 9126, 2.1).
    """
    redirect_uri = redirect_of(fields, client)
    if any(len(value) > _LONGEST for name, value in fields.items() if name != "scope"):
        raise OAuthError("invalid_request", "A parameter is too long.")
    if "request" in fields:
        raise OAuthError("request_not_supported", "Request objects are not supported.")
    if "authorization_code" not in client.grant_types:
        raise OAuthError("unauthorized_client", "This client acts for itself only.")
    _check_response(fields)
    if "state" not in fields:
        raise OAuthError("invalid_request", "Send a state that nobody can guess.")
    _check_audience(fields, audience)
    return AuthorizationRequest(
        client=client.id,
        redirect_uri=redirect_uri,
        state=fields["state"],
        scopes=_scopes(fields),
        audience=audience,
        challenge=_challenge(fields),
        nonce=fields.get("nonce"),
        launch=_launch(fields),
        prompt=_prompt(fields),
        max_age=_max_age(fields),
        thumbprint=_thumbprint(fields),
    )


def _check_response(fields: Mapping[str, str]) -> None:
    if "response_type" not in fields:
        raise OAuthError("invalid_request", "Send response_type=code.")
    if fields["response_type"] != "code":
        raise OAuthError("unsupported_response_type", "Only response_type=code is supported.")
    if fields.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "Only response_mode=query is supported.")


def _check_audience(fields: Mapping[str, str], audience: str) -> None:
    """`aud` keeps a counterfeit server from getting tokens for this one (SMART 2.2)."""
    if fields.get("aud") not in (audience, f"{audience}/"):
        raise OAuthError("invalid_request", "aud is not the base address of this FHIR server.")


def _challenge(fields: Mapping[str, str]) -> str:
    challenge = fields.get("code_challenge", "")
    if fields.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "Send code_challenge_method=S256.")
    if not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "code_challenge is not one of S256.")
    return challenge


def _scopes(fields: Mapping[str, str]) -> tuple[str, ...]:
    try:
        scopes = parse_scopes(fields.get("scope", ""))
    except InvalidScope as error:
        raise OAuthError("invalid_scope", error.text) from None
    if not scopes:
        raise OAuthError("invalid_scope", "Say in scope what access the app needs.")
    if any(isinstance(item, ResourceScope) and item.level == "system" for item in scopes):
        raise OAuthError("invalid_scope", "system/ scopes are not a user's to grant.")
    return tuple(str(item) for item in scopes)


def _launch(fields: Mapping[str, str]) -> str | None:
    launch = fields.get("launch")
    asked = "launch" in fields.get("scope", "").split(" ")
    if asked and launch is None:
        raise OAuthError("invalid_request", "The scope launch goes with the launch parameter.")
    return launch


def _prompt(fields: Mapping[str, str]) -> tuple[str, ...]:
    prompt = tuple(dict.fromkeys(fields.get("prompt", "").split()))
    if not PROMPTS.issuperset(prompt) or ("none" in prompt and len(prompt) > 1):
        raise OAuthError("invalid_request", "prompt is not one of OpenID Connect.")
    return prompt


def _max_age(fields: Mapping[str, str]) -> int | None:
    value = fields.get("max_age")
    if value is not None and not _SECONDS.fullmatch(value):
        raise OAuthError("invalid_request", "max_age is a number of seconds.")
    return None if value is None else int(value)


def _thumbprint(fields: Mapping[str, str]) -> str | None:
    value = fields.get("dpop_jkt")
    if value is not None and not _THUMBPRINT.fullmatch(value):
        raise OAuthError("invalid_request", "dpop_jkt is no thumbprint of a key.")
    return value
