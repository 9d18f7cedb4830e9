"""Clients that register themselves (RFC 7591), where the policy lets them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from fhirserver.access.scope import InvalidScope, parse_scopes
from fhirserver.auth.authorization import SECOND
from fhirserver.auth.client import Client, Kind
from fhirserver.auth.client_keys import NoKey, key_list, public_key
from fhirserver.auth.live import INTROSPECTION
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.secret import SECRET_BYTES, RandomBytes, hash_of, new_client_id, text_of

METHODS: Final[Mapping[str, Kind]] = {
    "none": "public",
    "client_secret_basic": "symmetric",
    "client_secret_post": "symmetric",
    "private_key_jwt": "asymmetric",
}
GRANTS: Final = frozenset({"authorization_code", "refresh_token"})
"""What a client may register for by itself; a system is registered by an administrator."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+", re.ASCII)
_NEVER: Final = frozenset({"javascript", "data", "vbscript", "file", "blob"})
_LONGEST: Final = 2048
_MOST: Final = 20
_LONGEST_NAME: Final = 120


def bad(text: str, code: str = "invalid_client_metadata") -> OAuthError:
    """A refusal of RFC 7591 section 3.2.2."""
    return OAuthError(code, text)


def checked_client(client: Client) -> Client:
    """The client, if it can work as it is registered. Raises `OAuthError`, which says why not."""
    if not client.name.strip() or len(client.name) > _LONGEST_NAME or not client.name.isprintable():
        raise bad(f"The name has 1 to {_LONGEST_NAME} characters.")
    by_code = "authorization_code" in client.grant_types
    if by_code and not client.redirect_uris:
        raise bad("The client needs a redirect URI.", "invalid_redirect_uri")
    if len(client.redirect_uris) > _MOST:
        raise bad("There are too many redirect URIs.", "invalid_redirect_uri")
    for uri in client.redirect_uris:
        check_redirect(uri)
    for address in (client.launch_uri, client.logo_uri, client.website, client.jwks_uri):
        if address is not None:
            _check_web(address)
    _check_keys(client)
    if "client_credentials" in client.grant_types:
        if client.kind != "asymmetric":
            raise bad("A system authenticates by assertions: give its keys.")
        if not client.scopes:
            raise bad("Say which scopes the system may have.")
    _check_scopes(client.scopes)
    return client


def check_redirect(uri: str) -> None:
    """Raises `invalid_redirect_uri` for an address that codes must not be sent to.

    https; http on this machine (RFC 8252 section 7.3); or the scheme of an app, in the form of
    a reversed domain name (section 7.1).
    """
    code = "invalid_redirect_uri"
    parts = _parts(uri, code)
    if parts.fragment or "#" in uri:
        raise bad("A redirect URI has no fragment.", code)
    if parts.scheme in ("http", "https"):
        if parts.username is not None or not parts.hostname:
            raise bad("A redirect URI names a host, and no user.", code)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise bad("A redirect URI is https, but on this machine.", code)
    elif not _SCHEME.fullmatch(parts.scheme) or parts.scheme in _NEVER:
        raise bad("The scheme of an app is a reversed domain name, such as org.example.app.", code)


def registered(
    metadata: Any, *, now: int, random: RandomBytes, suspended: bool
) -> tuple[Client, dict[str, Any]]:
    """A client from its metadata, and the response that tells it what it is registered as.

    `now` is in microseconds. Raises `OAuthError`.
    """
    if not isinstance(metadata, dict):
        raise bad("Send the metadata as a JSON object.")
    method = _text(metadata, "token_endpoint_auth_method") or "client_secret_basic"
    if method not in METHODS:
        raise bad(f"token_endpoint_auth_method is one of {', '.join(METHODS)}.")
    grants = _texts(metadata, "grant_types") or ("authorization_code",)
    if not GRANTS.issuperset(grants):
        raise bad("Clients register for authorization_code and refresh_token only.")
    if set(_texts(metadata, "response_types")) - {"code"}:
        raise bad("response_types is code.")
    kind = METHODS[method]
    secret = text_of(random(SECRET_BYTES)) if kind == "symmetric" else None
    jwks = metadata.get("jwks")
    if jwks is not None and not isinstance(jwks, dict):
        raise bad("jwks is a JWK Set.")
    client = checked_client(
        Client(
            id=new_client_id(random),
            name=_text(metadata, "client_name") or "App without a name",
            kind=kind,
            created=now,
            redirect_uris=_texts(metadata, "redirect_uris"),
            launch_uri=_text(metadata, "initiate_login_uri"),
            scopes=tuple((_text(metadata, "scope") or "").split()),
            grant_types=tuple(dict.fromkeys((*grants, "refresh_token"))),
            secret_hash=hash_of(secret.encode()) if secret else b"",
            jwks=jwks,
            jwks_uri=_text(metadata, "jwks_uri"),
            pushes=metadata.get("require_pushed_authorization_requests") is True,
            dpop=metadata.get("dpop_bound_access_tokens") is True,
            logo_uri=_text(metadata, "logo_uri"),
            website=_text(metadata, "client_uri"),
            dynamic=True,
            suspended=suspended,
        )
    )
    return client, _response(client, method, secret)


def _response(client: Client, method: str, secret: str | None) -> dict[str, Any]:
    out: dict[str, Any] = {
        "client_id": client.id,
        "client_id_issued_at": client.created // SECOND,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "require_pushed_authorization_requests": client.pushes,
        "dpop_bound_access_tokens": client.dpop,
    }
    told = {
        "scope": " ".join(client.scopes),
        "jwks": client.jwks,
        "jwks_uri": client.jwks_uri,
        "logo_uri": client.logo_uri,
        "client_uri": client.website,
        "initiate_login_uri": client.launch_uri,
    }
    out |= {name: value for name, value in told.items() if value}
    if secret is not None:
        out |= {"client_secret": secret, "client_secret_expires_at": 0}
    return out


def _check_keys(client: Client) -> None:
    if client.kind != "asymmetric":
        return
    if (client.jwks is None) == (client.jwks_uri is None):
        raise bad("Give the keys of the client by jwks or by jwks_uri.")
    if client.jwks is None:
        return
    try:
        keys = key_list(client.jwks)
    except NoKey as error:
        raise bad(str(error)) from None
    if any({"d", "p", "q", "k"} & key.keys() for key in keys):
        raise bad("The keys are public ones: keep the private part to yourself.")
    if not any(_fits(key) for key in keys):
        raise bad("None of the keys is for RS384 or ES384, with a kid.")


def _fits(key: dict[str, Any]) -> bool:
    algorithm = {"RSA": "RS384", "EC": "ES384"}.get(str(key.get("kty")))
    if algorithm is None or not isinstance(key.get("kid"), str):
        return False
    try:
        public_key(key, algorithm)
    except NoKey:
        return False
    return True


def _check_scopes(scopes: tuple[str, ...]) -> None:
    try:
        parse_scopes(item for item in scopes if item != INTROSPECTION)
    except InvalidScope as error:
        raise bad(error.text) from None


def _check_web(uri: str) -> None:
    parts = _parts(uri, "invalid_client_metadata")
    is_here = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or not (parts.scheme == "https" or is_here) or parts.username:
        raise bad("An address of the client is not https.")


def _parts(uri: str, code: str) -> Any:
    if len(uri) > _LONGEST or not uri.isascii() or not uri.isprintable() or " " in uri:
        raise bad("An address has characters that none has, or too many.", code)
    try:
        return urlsplit(uri)
    except ValueError:
        raise bad("An address cannot be read.", code) from None


def _text(metadata: Mapping[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    if value is not None and not isinstance(value, str):
        raise bad(f"{name} is a text.")
    return value


def _texts(metadata: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = metadata.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise bad(f"{name} is a list of texts.")
    return tuple(dict.fromkeys(value))
