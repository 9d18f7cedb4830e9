"""The joint through which everything is recorded: sign-ins, grants, changes, exports, the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from fhirserver.access.principal import Principal

Outcome: TypeAlias = Literal["0", "4", "8", "12"]
"""http://hl7.org/fhir/audit-event-outcome: success, minor, serious, major failure."""

SUCCESS: Outcome = "0"
MINOR: Outcome = "4"
SERIOUS: Outcome = "8"
MAJOR: Outcome = "12"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from. `address` is the peer's, `server` the host that it called.

    `request_id` is ours, which the logs name as well.
    """

    address: str = ""
    server: str = ""
    request_id: str = ""


NOWHERE = Origin()
"""What the server does of itself, and what a command does."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `kind` is the code of a row of `audit.kinds.KINDS`.

    `principal` is who did it, where that is known; else `account` may name the account that was
    tried, by its id (what was typed into a form is not recorded). `patient` is a Patient's id.
    `about` names what it was done to: references (`Consent/1`) or the server's own things
    (`auth.client/abc`). `reason` is a fixed text of ours, without data of the request.
    `purposes` are codes of v3-ActReason (`BTG`). `detail` are names and values that an auditor
    needs; no secrets and nothing clinical.
    """

    kind: str
    outcome: Outcome = SUCCESS
    principal: Principal | None = None
    account: str | None = None
    patient: str | None = None
    about: tuple[str, ...] = ()
    reason: str = ""
    purposes: tuple[str, ...] = ()
    detail: tuple[tuple[str, str], ...] = ()
    origin: Origin = NOWHERE


class Recorder(Protocol):
    """Takes events in. What was recorded cannot be changed or taken out."""

    async def record(self, *events: Event) -> None:
        """Durable when it returns. Raises `fhirserver.errors.Unavailable` where it cannot be.

        The caller then must not answer as if it had happened: no token, no page, no data.
        """


class NotRecorded:
    """The recorder of a server that keeps no trail (`audit` is off)."""

    async def record(self, *events: Event) -> None:
        return None
