"""Who calls: the user, the client that acts for the user, and what was granted to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    `subject` is the account's stable id (the `sub` of an id_token), or `client/` and the
    client_id where a system acts for itself. `roles` name the policies of the account, or of
    the client where it acts for itself. `fhir_user` is the user's own resource
    (`Practitioner/1`). `client` is the client_id; None for a session of the server's own pages,
    which no scope narrows. `scopes` are the granted ones. `patient` and `encounter` are the ids
    of the launch context. `authorization` names the grant document, `name` is what a reader of
    the audit trail knows the caller by. `authenticated_at` is when the user last gave a password
    or a key, in microseconds since 1970; None where that is not known. `methods` are how
    (RFC 8176), `has_second_factor` whether the account has more than a password.
    """

    subject: str
    tenant: str
    roles: tuple[str, ...]
    fhir_user: str | None = None
    client: str | None = None
    scopes: tuple[str, ...] | None = None
    patient: str | None = None
    encounter: str | None = None
    authorization: str | None = None
    name: str | None = None
    authenticated_at: int | None = None
    methods: tuple[str, ...] = ()
    has_second_factor: bool = False
