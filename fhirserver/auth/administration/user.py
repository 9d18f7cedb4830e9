"""Accounts as administrators see and send them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from fhirserver.identity.account import Account, Role, State


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class User(_Model):
    """An account; instants are seconds since 1970. No hash or secret is ever shown."""

    id: str
    name: str
    display: str
    roles: list[str]
    person: str | None
    state: State
    locked_until: int | None = None
    password: Literal["none", "one-time", "chosen"]
    second_factors: list[str]
    recovery_codes: int
    links: list[str]
    sessions: int | None = None
    created: int
    changed: int


class NewUser(_Model):
    """An account to make; with `passwordHash` (argon2id, bcrypt) without a one-time password."""

    name: str
    display: str = ""
    roles: list[Role] = Field(default_factory=list)
    person: str | None = None
    password_hash: str | None = None


class UserChange(_Model):
    """What is to be different; what is not named stays."""

    display: str | None = None
    roles: list[Role] | None = None
    person: str | None = None
    state: State | None = None


class Given(_Model):
    """An account with the one-time password that is to be handed to its owner."""

    user: User
    one_time_password: str | None


def user_of(account: Account, *, locked_until: int = 0, sessions: int | None = None) -> User:
    """The account, for administrators."""
    second = 1_000_000
    password = "one-time" if account.must_change else "chosen"
    factors = ["authenticator app"] if account.totp else []
    return User(
        id=account.id,
        name=account.name,
        display=account.display,
        roles=[*account.roles],
        person=account.fhir_user,
        state=account.state,
        locked_until=locked_until // second or None,
        password=password if account.password else "none",  # type: ignore[arg-type]
        second_factors=[*factors, *("passkey" for _ in account.passkeys)],
        recovery_codes=len(account.recovery),
        links=[f"{link.subject} of {link.issuer}" for link in account.links],
        sessions=sessions,
        created=account.created // second,
        changed=account.changed // second,
    )
