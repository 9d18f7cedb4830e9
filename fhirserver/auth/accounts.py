"""What the authorization server asks about users and their sessions; app gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Holder:
    """An account as it is now. `active`: neither locked by an administrator nor ended.

    `roles` name its policies, `fhir_user` its own resource (`Practitioner/1`).
    """

    id: str
    roles: tuple[str, ...]
    fhir_user: str | None = None
    name: str | None = None
    active: bool = True


class Accounts(Protocol):
    async def holder(self, id: str) -> Holder | None:
        """The account of that id; None where there is none."""

    async def is_session_live(self, id: str) -> bool:
        """Whether that sign-in goes on: neither signed out, nor idle for too long, nor ended."""
