"""A registered client (RFC 7591 section 2; SMART App Launch 2.2, app registration)."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["public", "symmetric", "asymmetric"]


SUBJECTS: Final = ("Patient", "Practitioner", "RelatedPerson", "")
"""What state can be of."""


class StateCode(msgspec.Struct, frozen=True, omit_defaults=True):
    """A code under which an app keeps state (SMART 2.2, "App State"), with what it may do.

    `subjects` are the kinds that the state is of: `Patient`, `Practitioner`, `RelatedPerson`, or
    empty for state that is nobody's. Without `modifies` it is read only.
    """

    system: str
    code: str
    subjects: tuple[str, ...] = SUBJECTS
    modifies: bool = True


class Client(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An app or a system. Instants are microseconds since 1970.

    `kind` says how it authenticates: not at all, by a secret (`secret_hash`, SHA-256), or by
    signed assertions, whose keys are `jwks` (by value) or at `jwks_uri`. `redirect_uris` are
    compared as they are, to the letter; `launch_uri` is where an EHR launch goes. `origins` are
    of web pages that may use the token endpoint, beside those of the redirect URIs. `scopes` is
    the ceiling of what can be granted; empty: whatever the user has. `roles` are the policies
    of a backend service. `grant_types` are those of RFC 6749.
    `pushes`: it must push its authorization requests (RFC 9126). `dpop`: its tokens are bound
    to a key (RFC 9449). `rotates`: whether refresh tokens are replaced with each use (None:
    those of public clients). `access_seconds` shortens the life of its access tokens.
    `app_state` are the codes under which it may keep state.
    `introspects`: it may ask about tokens of other clients. `suspended` stops it at once.
    """

    id: str
    name: str
    kind: Kind
    created: int
    redirect_uris: tuple[str, ...] = ()
    launch_uri: str | None = None
    origins: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token")
    secret_hash: bytes = b""
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    pushes: bool = False
    dpop: bool = False
    rotates: bool | None = None
    access_seconds: int | None = None
    introspects: bool = False
    app_state: tuple[StateCode, ...] = ()
    logo_uri: str | None = None
    website: str | None = None
    dynamic: bool = False
    suspended: bool = False

    @property
    def is_public(self) -> bool:
        return self.kind == "public"

    @property
    def rotates_refresh_tokens(self) -> bool:
        return self.is_public if self.rotates is None else self.rotates


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Client).decode
