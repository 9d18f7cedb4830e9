"""A session as it is kept, and what it proves."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from fhirserver.identity.account import Account
from fhirserver.identity.clocks import has_begun

Method: TypeAlias = Literal["pwd", "otp", "hwk", "kba", "fed"]
"""How somebody signed in (RFC 8176): password, authenticator app, passkey, recovery code; `fed`:
at another provider."""

Stage: TypeAlias = Literal["factor", "password", "enrol", "full"]
"""What a session is good for: nothing before the second factor; nothing but choosing another
password, or adding a second factor; all."""

MINUTE: Final = 60_000_000


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A browser that somebody signed in with. Instants are microseconds since 1970.

    `key` names its record; it is no secret, and says which session an authorization hangs on.
    `epoch` is the account's when it began. `seen` is when it was last used, `until` its absolute
    end. `authenticated_at` and `methods` tell when and how the person last proved who they are.
    `agent` is the kind of browser, for the person's own list. `renews` is the key of the session
    that this one takes the place of once it is `full`. `locked` is when it was found that nobody
    used it for too long; 0: not. It never opens again.
    """

    key: str
    account: str
    epoch: int
    created: int
    seen: int
    until: int
    authenticated_at: int
    methods: tuple[Method, ...]
    stage: Stage = "full"
    agent: str = ""
    renews: str = ""
    locked: int = 0

    def is_recent(self, now: int, minutes: float = 5) -> bool:
        """Whether the person proved who they are in the last minutes, as signing asks."""
        since = self.authenticated_at
        return has_begun(since, now) and now - since <= minutes * MINUTE


class SignedIn(NamedTuple):
    """A live session with its account as it is now."""

    session: Session
    account: Account


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Session).decode
