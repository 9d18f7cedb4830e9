"""What a caller may do. Every interaction runs under a grant, inside a guarded store."""

from __future__ import annotations

from dataclasses import dataclass

from fhirserver.errors import Unauthenticated
from fhirserver.store.port import Store


@dataclass(frozen=True, slots=True)
class Grant:
    """A caller's rights. `subject` names the caller in the audit trail.

    `unrestricted` is the grant of an open server, which listens on loopback only. `administers`:
    what concerns the store as a whole is allowed as well.
    """

    subject: str
    unrestricted: bool = False
    administers: bool = False

    @property
    def is_administrator(self) -> bool:
        return self.unrestricted or self.administers


OPEN = Grant(subject="anonymous", unrestricted=True)
"""The grant of everyone on a server that runs with `--auth none`."""


def guard(store: Store, grant: Grant) -> Store:
    """The store as the grant lets it be seen. Raises `Unauthenticated` where it grants nothing."""
    if grant.unrestricted:
        return store
    raise Unauthenticated("Sign in first.")
