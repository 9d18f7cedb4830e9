"""Where a load goes."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from fhirserver.model.json import Resource
from fhirserver.model.outcome import Issue


class Denied(NamedTuple):
    """What was not taken: the entry's number (None: the whole Bundle), the status and why."""

    entry: int | None
    status: int
    text: str
    issues: tuple[Issue, ...] = ()


class Target(Protocol):
    """A FHIR server, reached in whatever way."""

    async def send(self, bundle: Resource) -> list[Denied]:
        """What of a transaction or batch was refused; all else is durable then.

        Raises `Unreachable` when the server is not there or lets nobody in.
        """


class Unreachable(Exception):
    """Nothing more can be loaded for now; the text says what to do."""
