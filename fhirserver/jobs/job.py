"""A job as it is kept."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["queued", "running", "completed", "failed", "cancelled"]

FINISHED: Final = frozenset({"completed", "failed", "cancelled"})

_LONGEST_LEASE: Final = 600_000_000  # microseconds; clocks of machines may differ a little


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job. Instants are in microseconds since 1970.

    `kind` names the work, `arguments` and `checkpoint` are its own affair, as JSON values.
    `subject` is who asked for it. `due`: not to be begun before. `owner` does it and has it
    until `lease`, unless that is renewed. `attempts` counts beginnings since there was
    progress. `cancelling`: whoever does it is to stop. `done` of `total` (None: unknown) is its
    progress, and `phase` says in words what it is at. `result` is a resource; `failure` says
    why it failed.
    """

    id: str
    kind: str
    created: int
    changed: int
    arguments: dict[str, Any] = {}
    subject: str = ""
    state: State = "queued"
    due: int = 0
    owner: str = ""
    lease: int = 0
    attempts: int = 0
    cancelling: bool = False
    checkpoint: Any = None
    done: int = 0
    total: int | None = None
    phase: str = ""
    result: Any = None
    failure: str = ""

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    def is_free(self, now: int) -> bool:
        """Whether a worker may take it."""
        if self.state == "queued":
            return self.due <= now
        return self.state == "running" and not self.is_led(now)

    def is_led(self, now: int) -> bool:
        """Whether a worker has it. A lease that is longer than any was given by a clock that was
        ahead; who is alive renews it in seconds."""
        return self.state == "running" and now < self.lease <= now + _LONGEST_LEASE

    @property
    def progress(self) -> str:
        """How far it is, in a few words for people."""
        if self.state == "queued":
            return "queued" if self.done == 0 else f"waiting after {self.done:,}"
        if self.total:
            share = min(100 * self.done // self.total, 99)
            return f"{self.phase} {self.done:,} of about {self.total:,} ({share} %)".strip()
        return f"{self.phase} {self.done:,}".strip() if self.done else self.phase or "started"


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Job).decode
