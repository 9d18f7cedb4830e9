"""What happens to accounts and sessions, put on record before the browser hears of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request

from fhirserver.access.principal import Principal
from fhirserver.audit.recorder import (
    MINOR,
    NOWHERE,
    SUCCESS,
    Event,
    Origin,
    Outcome,
    Recorder,
)
from fhirserver.identity.account import Account
from fhirserver.identity.session import SignedIn
from fhirserver.identity.sign_in import Passed, Refused

_WORDS: Final = {
    "pwd": "password",
    "otp": "authenticator app",
    "hwk": "passkey",
    "kba": "recovery code",
    "fed": "other provider",
}


class Trail:
    """Writes to the recorder. `address_of` is the network address that a request came from."""

    def __init__(
        self, recorder: Recorder, *, tenant: str, address_of: Callable[[Request], str]
    ) -> None:
        self._recorder = recorder
        self._tenant = tenant
        self.address_of = address_of

    async def passed(self, request: Request, passed: Passed, *, again: bool = False) -> None:
        """Somebody is in; of a stage on the way nothing is recorded but a second factor due."""
        if passed.stage == "full":
            kind = "reauthentication" if again else "sign-in"
        elif passed.stage == "factor":
            kind = "second-factor"
        else:
            return
        methods = "+".join(_WORDS[one] for one in passed.begun.session.methods)
        await self.of(request, kind, passed.account, detail=(("method", methods),))

    async def refused(self, request: Request, refused: Refused, *, again: bool = False) -> None:
        """A failure, and the lock that it led to."""
        origin = self._origin(request)
        kind = "reauthentication" if again else "sign-in"
        events = [Event(kind, MINOR, account=refused.account, reason=_FAILED, origin=origin)]
        if refused.locked:
            events.append(
                Event("lockout", MINOR, account=refused.account, reason=_LOCKED, origin=origin)
            )
        await self._recorder.record(*events)

    async def locked(self, signed_in: SignedIn, request: Request | None) -> None:
        """Nobody used a session for too long; without `request` nobody came back either."""
        session, account = signed_in
        since = datetime.fromtimestamp(session.seen / 1_000_000, UTC)
        event = Event(
            "session-locked",
            principal=self.principal(account),
            about=(f"identity.account/{account.id}",),
            detail=(("unused since", since.isoformat(timespec="seconds")),),
            origin=NOWHERE if request is None else self._origin(request),
        )
        await self._recorder.record(event)

    async def of(
        self,
        request: Request,
        kind: str,
        account: Account,
        *,
        by: Account | None = None,
        outcome: Outcome = SUCCESS,
        detail: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Something that was done to an account, by its owner or by an administrator."""
        event = Event(
            kind,
            outcome,
            principal=self.principal(by or account),
            about=(f"identity.account/{account.id}",),
            detail=detail,
            origin=self._origin(request),
        )
        await self._recorder.record(event)

    def principal(self, account: Account) -> Principal:
        """The account's owner, as a caller of the server's own pages."""
        return Principal(
            subject=account.id,
            tenant=self._tenant,
            roles=account.roles,
            fhir_user=account.fhir_user,
            name=account.called,
        )

    def _origin(self, request: Request) -> Origin:
        return Origin(address=self.address_of(request), server=request.url.hostname or "")


_FAILED: Final = "The password, code or passkey was not accepted."
_LOCKED: Final = "Too many failures."
