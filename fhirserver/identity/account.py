"""An account as it is kept."""

from __future__ import annotations

import unicodedata
from typing import Final, Literal, TypeAlias

import msgspec

from fhirserver.errors import Invalid

State: TypeAlias = Literal["active", "locked"]
Role: TypeAlias = Literal["admin", "doctor", "nurse", "patient", "support"]

ROLES: Final[tuple[Role, ...]] = ("admin", "doctor", "nurse", "patient", "support")

PERSONS: Final = ("Practitioner", "Patient", "RelatedPerson")
"""Types of resources that an account can be of (SMART App Launch 2.2, `fhirUser`)."""

LONGEST_NAME: Final = 128
_SEPARATORS: Final = frozenset("._-@+'")


class Totp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An authenticator app (RFC 6238). `secret` is sealed; `step` is the last accepted one."""

    secret: bytes
    since: int
    step: int = 0


class Passkey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A WebAuthn credential. `id` is its credential id, `key` its public key (COSE).

    `count` is the last signature counter; `name` what its owner calls it.
    """

    id: bytes
    key: bytes
    count: int
    name: str
    since: int
    used: int = 0


class Link(msgspec.Struct, frozen=True):
    """The account's subject at another OpenID provider."""

    issuer: str
    subject: str


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody who may sign in. Instants are microseconds since 1970.

    `id` never changes (the `sub` of an id_token); `name` is what is typed in to sign in, in its
    comparable form; `display` what others know the person by. `fhir_user` is the person's own
    resource (`Practitioner/1`). `password` is a hash in PHC form, or empty: no sign-in by
    password. A password that `must_change` does nothing but let its owner choose another; from
    `password_until` on (0: never) it is void. `epoch` counts what ends all sessions begun before:
    changes of password, factors, roles, state, and signing out everywhere. `recovery` are hashes
    of the codes that are left.
    """

    id: str
    name: str
    created: int
    changed: int
    display: str = ""
    roles: tuple[str, ...] = ()
    fhir_user: str | None = None
    state: State = "active"
    password: str = ""
    password_since: int = 0
    password_until: int = 0
    must_change: bool = False
    epoch: int = 0
    totp: Totp | None = None
    passkeys: tuple[Passkey, ...] = ()
    recovery: tuple[bytes, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def is_active(self) -> bool:
        """Whether it may do anything at all; asked on each use of what was given to it."""
        return self.state == "active"

    @property
    def has_second_factor(self) -> bool:
        return self.totp is not None or bool(self.passkeys)

    @property
    def called(self) -> str:
        """What a reader of a page or of the audit trail knows the person by."""
        return self.display or self.name


def comparable(name: str) -> str:
    """A user name as it is compared: NFKC, case folded, no space around it.

    Raises `Invalid` for what cannot be one.
    """
    found = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()
    if not found or len(found) > LONGEST_NAME:
        raise Invalid(f"A user name has 1 to {LONGEST_NAME} characters.")
    if not all(mark.isalnum() or mark in _SEPARATORS for mark in found):
        raise Invalid("A user name has letters, digits and . _ - @ + ' only.")
    return found


def checked_roles(roles: tuple[str, ...]) -> tuple[str, ...]:
    """The roles in their order, each once. Raises `Invalid` for one that there is not."""
    for role in roles:
        if role not in ROLES:
            raise Invalid(f"'{role}' is no role. Roles are {', '.join(ROLES)}.")
    return tuple(role for role in ROLES if role in roles)


def checked_person(reference: str | None) -> str | None:
    """The reference to the person's own resource. Raises `Invalid` for any other."""
    if reference is None:
        return None
    type, _, id = reference.partition("/")
    fits = 0 < len(id) <= 64 and id.isascii() and all(c.isalnum() or c in "-." for c in id)
    if type not in PERSONS or not fits:
        raise Invalid(f"'{reference}' is no account's person: write TYPE/ID of {_PERSONS}.")
    return reference


_PERSONS: Final = ", ".join(PERSONS)

encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Account).decode
