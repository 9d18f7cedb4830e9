"""An authorization: what a user granted to a client, in one document.

Code, refresh tokens and revocation are fields of it, so that each step is a compare-and-set of
one record, and nothing that was revoked can live on in another.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

DAY: Final = 24 * 3600 * 1_000_000
MINUTE: Final = 60 * 1_000_000
SECOND: Final = 1_000_000


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """What the authorization endpoint hands over once the user has agreed.

    `user` is the account's stable id. `scopes` are the granted ones, each as it will be told to
    the client. `audience` is the FHIR base that tokens are for. `challenge` is that of PKCE
    S256. `context` are further parameters of the token response as JSON values
    (need_patient_banner, smart_style_url, intent, fhirContext). `session` is the id of the
    sign-in: without `offline_access` the authorization ends with it. `authenticated` is when
    the user signed in (microseconds), `methods` how (RFC 8176: `pwd`, `otp`). `thumbprint`
    binds the code to a DPoP key (RFC 9449 section 10).
    """

    tenant: str
    client: str
    user: str
    scopes: tuple[str, ...]
    audience: str
    redirect_uri: str
    challenge: str
    nonce: str | None = None
    patient: str | None = None
    encounter: str | None = None
    context: dict[str, Any] = {}
    session: str | None = None
    authenticated: int = 0
    methods: tuple[str, ...] = ()
    thumbprint: str | None = None


class Authorization(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The grant document. Instants are microseconds since 1970, hashes SHA-256.

    Without `user` a system acts for itself (client_credentials), without a code. `used`: the
    code was redeemed. `refresh` is the hash of the refresh token in force, `previous` that of
    the one it took the place of at `rotated`; `salt` makes the one from the other. `family` is
    the hash of what all refresh tokens of the authorization share. `refresh_until` slides,
    `until` does not. `revoked` is when it ended, `reason` why, in a word.
    """

    id: str
    tenant: str
    client: str
    scopes: tuple[str, ...]
    audience: str
    created: int
    until: int
    user: str | None = None
    redirect_uri: str = ""
    challenge: str = ""
    nonce: str | None = None
    patient: str | None = None
    encounter: str | None = None
    context: dict[str, Any] = {}
    session: str | None = None
    authenticated: int = 0
    methods: tuple[str, ...] = ()
    thumbprint: str | None = None
    code: bytes = b""
    code_until: int = 0
    used: bool = False
    family: bytes = b""
    refresh: bytes = b""
    previous: bytes = b""
    salt: bytes = b""
    rotated: int = 0
    refresh_until: int = 0
    revoked: int = 0
    reason: str = ""

    @property
    def is_online(self) -> bool:
        """Whether it ends with the session in which it was granted."""
        return self.session is not None and "offline_access" not in self.scopes

    def is_live(self, now: int) -> bool:
        """Whether access under it goes on."""
        return not self.revoked and now < self.until


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Authorization).decode
