"""How somebody gets in: password, second factor, passkey, another provider.

Every refusal is the same to the caller. What is tried is counted before it is looked at
(`attempts`), and a name that nobody has takes the same steps as one that somebody has.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fhirserver.errors import FhirError, Invalid
from fhirserver.identity.account import Account, Link, comparable
from fhirserver.identity.accounts import Accounts
from fhirserver.identity.attempts import Attempt, Attempts
from fhirserver.identity.credentials import Credentials
from fhirserver.identity.factors import Factors
from fhirserver.identity.passkeys import Answer, Passkeys
from fhirserver.identity.session import Method, Session, SignedIn, Stage
from fhirserver.identity.sessions import Begun, Sessions
from fhirserver.identity.slowdown import Slowdown

_DEVICE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is at the door. `origin` is what the browser calls this server by.

    `device` is the token of a browser that was here before, `visit` of this visit. `renews` is
    the session of somebody who proves again who they are.
    """

    address: str
    origin: str
    visit: str
    device: str | None = None
    agent: str = ""
    renews: Session | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Nobody was let in. `account` is the id of the one that was tried; `locked`: its name is
    locked now, or was. Neither is for the one who tried."""

    account: str | None = None
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """Somebody was let in, as far as `begun.session.stage` says; `device` is for the browser."""

    account: Account
    begun: Begun
    device: str | None = None

    @property
    def stage(self) -> Stage:
        return self.begun.session.stage


class SignIn:
    """The verbs. They raise `Throttled` for an address or a server that is too busy.

    Accounts with one of `two_step_roles` get in with a second factor only.
    """

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        credentials: Credentials,
        factors: Factors,
        passkeys: Passkeys,
        attempts: Attempts,
        slowdown: Slowdown,
        *,
        random: Callable[[int], bytes],
        two_step_roles: frozenset[str] = frozenset(),
    ) -> None:
        self._two_step_roles = two_step_roles
        self._accounts = accounts
        self._sessions = sessions
        self._credentials = credentials
        self._factors = factors
        self._passkeys = passkeys
        self._attempts = attempts
        self._slowdown = slowdown
        self._random = random

    async def by_password(self, name: str, password: str, who: Visitor) -> Passed | Refused:
        """The first factor, and the only one where the account has no other."""
        name = _comparable(name)
        await self._slowdown.check(who.address)
        attempt = await self._attempts.begin(name, who.device)
        # the second look-up takes as long as that of an account behind its name
        account = await self._accounts.by_name(name) or await self._accounts.get("")
        if attempt is None:
            return await self._refuse(account, None, who)
        try:
            fits = await self._credentials.fits(account, password)
        except FhirError:
            await self._attempts.passed(attempt, wholly=False)  # it was not looked at
            raise
        if account is None or not fits or not _may(account, who):
            return await self._refuse(account, attempt, who)
        return await self._let_in(account, ("pwd",), attempt, who)

    async def by_code(self, pending: SignedIn, code: str, who: Visitor) -> Passed | Refused:
        """The second factor: a code of the authenticator app, or a recovery code."""
        account = pending.account
        await self._slowdown.check(who.address)
        attempt = await self._attempts.begin(account.name, who.device)
        method = await self._factors.use_code(account.id, code) if attempt else None
        if attempt is None or method is None or not _may(account, who):
            return await self._refuse(account, attempt, who)
        return await self._second(pending, method, attempt, who)

    async def by_second_passkey(
        self, pending: SignedIn, answer: Answer, who: Visitor
    ) -> Passed | Refused:
        """The second factor: a passkey that was asked for by `ask_second`."""
        account = pending.account
        await self._slowdown.check(who.address)
        attempt = await self._attempts.begin(account.name, who.device)
        about = about_second(pending.session)
        if attempt is None or not await self._answers(answer, account, about, who):
            return await self._refuse(account, attempt, who)
        return await self._second(pending, "hwk", attempt, who)

    async def by_passkey(self, answer: Answer, who: Visitor) -> Passed | Refused:
        """A passkey alone, which is both factors: its owner holds it, and unlocked it."""
        await self._slowdown.check(who.address)
        account = await self._accounts.get(answer.account) if answer.account else None
        if account is None:
            await self._slowdown.failed(who.address)
            return Refused()
        attempt = await self._attempts.begin(account.name, who.device)
        about = about_visit(who)
        if attempt is None or not await self._answers(answer, account, about, who):
            return await self._refuse(account, attempt, who)
        if not _may(account, who):
            return await self._refuse(account, attempt, who)
        return await self._let_in(account, ("hwk",), attempt, who)

    async def by_provider(self, link: Link, who: Visitor) -> Passed | Refused:
        """Somebody whom another OpenID provider vouches for, if an account is linked."""
        account = await self._accounts.by_link(link)
        if account is None or not _may(account, who):
            return Refused(account.id if account else None)
        return await self._let_in(account, ("fed",), None, who)

    async def with_new_password(
        self, pending: SignedIn, password: str, who: Visitor
    ) -> Passed | Refused:
        """Goes on after a one-time password. Raises `Invalid` for a password that is too weak."""
        account = await self._credentials.choose(pending.account, password)
        await self._sessions.end(pending.session.key)
        return await self._let_in(account, pending.session.methods, None, who)

    async def with_new_factor(
        self, pending: SignedIn, account: Account, method: Method, who: Visitor
    ) -> Passed:
        """Goes on after a second factor was added, and used in that, by somebody who needs one."""
        await self._sessions.end(pending.session.key)
        return await self._let_in(account, (*pending.session.methods, method), None, who)

    async def _second(
        self, pending: SignedIn, method: Method, attempt: Attempt, who: Visitor
    ) -> Passed:
        await self._sessions.end(pending.session.key)
        methods: tuple[Method, ...] = (*pending.session.methods, method)
        account = await self._accounts.get(pending.account.id) or pending.account
        return await self._let_in(account, methods, attempt, who)

    async def _let_in(
        self,
        account: Account,
        methods: tuple[Method, ...],
        attempt: Attempt | None,
        who: Visitor,
    ) -> Passed:
        stage = self._stage(account, methods)
        if attempt is not None:
            await self._attempts.passed(attempt, wholly=stage != "factor")
        if stage != "full":
            renews = who.renews.key if who.renews else ""
            begun = await self._sessions.begin(
                account, methods, stage=stage, agent=who.agent, renews=renews
            )
            return Passed(account, begun)
        if who.renews is not None:
            begun = await self._sessions.renew(who.renews, account, methods)
            return Passed(account, begun, who.device)
        begun = await self._sessions.begin(account, methods, agent=who.agent)
        device = who.device or _text(self._random(_DEVICE_BYTES))
        await self._attempts.know(account.name, device)
        return Passed(account, begun, device)

    def _stage(self, account: Account, methods: tuple[Method, ...]) -> Stage:
        by_password_alone = methods == ("pwd",)
        if by_password_alone and account.has_second_factor:
            return "factor"
        if "pwd" in methods and account.must_change:
            return "password"
        needs_two = not self._two_step_roles.isdisjoint(account.roles)
        return "enrol" if by_password_alone and needs_two else "full"

    async def _answers(self, answer: Answer, account: Account, about: str, who: Visitor) -> bool:
        try:
            passkey = await self._passkeys.verified(answer, account, who.origin, about)
        except Invalid:
            return False
        await self._factors.used_passkey(account.id, passkey)
        return True

    async def _refuse(
        self, account: Account | None, attempt: Attempt | None, who: Visitor
    ) -> Refused:
        await self._slowdown.failed(who.address)
        return Refused(account.id if account else None, attempt is None or attempt.locks)


def about_second(session: Session) -> str:
    """What the challenge of a second factor is bound to."""
    return f"second {session.key}"


def about_visit(who: Visitor) -> str:
    """What the challenge of a sign-in by passkey alone is bound to."""
    return f"visit {hashlib.sha256(who.visit.encode()).hexdigest()}"


def _may(account: Account, who: Visitor) -> bool:
    """An active account; for somebody who proves it again, the one that is signed in."""
    return account.is_active and (who.renews is None or who.renews.account == account.id)


def _comparable(name: str) -> str:
    """The name; for what cannot be one, something that nobody has."""
    try:
        return comparable(name)
    except Invalid:
        return f" {name[:256]}"


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
