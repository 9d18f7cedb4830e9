"""The table of sessions. The browser has a random token; the record is named by its hash."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from fhirserver.identity.account import Account
from fhirserver.identity.accounts import Accounts
from fhirserver.identity.clocks import has_begun
from fhirserver.identity.session import MINUTE, Method, Session, SignedIn, Stage, decode, encode
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, MAX_LISTED, Records

COLLECTION: Final = "identity.session"
_TOKEN_BYTES: Final = 32
_UNFINISHED: Final = 10 * MINUTE  # for the second factor, or for choosing a password
_LONGEST_AGENT: Final = 80


@dataclass(frozen=True, slots=True)
class Lives:
    """How long a session lasts: `idle` without use, `absolute` at the most (microseconds)."""

    idle: int = 15 * MINUTE
    absolute: int = 12 * 60 * MINUTE


class Begun(NamedTuple):
    """A new session, and what its browser is to be given: the value of the cookie."""

    session: Session
    cookie: str


class Sessions:
    """`now` gives microseconds since 1970, `random` that many bytes nobody can guess."""

    def __init__(
        self,
        records: Records,
        accounts: Accounts,
        *,
        now: Callable[[], int],
        random: Callable[[int], bytes],
        lives: Lives | None = None,
    ) -> None:
        self._records = records
        self._accounts = accounts
        self._now = now
        self._random = random
        self._lives = lives or Lives()
        # Instants of use are written once in a while only; a session may lock that much early.
        self._grain = min(MINUTE, self._lives.idle // 10)

    async def begin(
        self,
        account: Account,
        methods: tuple[Method, ...],
        *,
        stage: Stage = "full",
        agent: str = "",
        until: int | None = None,
        renews: str = "",
    ) -> Begun:
        """A session of somebody who just proved who they are; always under a new id."""
        now = self._now()
        token = base64.urlsafe_b64encode(self._random(_TOKEN_BYTES)).rstrip(b"=").decode()
        session = Session(
            key=_key(account.id, token),
            account=account.id,
            epoch=account.epoch,
            created=now,
            seen=now,
            until=until or now + (self._lives.absolute if stage == "full" else _UNFINISHED),
            authenticated_at=now,
            methods=methods,
            stage=stage,
            agent=agent[:_LONGEST_AGENT],
            renews=renews,
        )
        await self._records.put(
            COLLECTION, session.key, encode(session), expected=ABSENT, expires=session.until
        )
        return Begun(session, f"{account.id}.{token}")

    async def find(
        self, cookie: str | None, *, stage: Stage = "full", used: bool = True
    ) -> SignedIn | None:
        """The live session of a cookie's value, at that stage; None where it proves nothing.

        `used`: it is the person who uses it, so that it stays unlocked.
        """
        session = await self._read(_key_of_cookie(cookie))
        found = await self._live(session)
        if found is None or found.session.stage != stage:
            return None
        if used and self._now() - found.session.seen >= self._grain:
            return SignedIn(await self._touched(found.session), found.account)
        return found

    async def get(self, key: str) -> SignedIn | None:
        """The live session of a key, for what hangs on it (`online_access`)."""
        found = await self._live(await self._read(key))
        return found if found is not None and found.session.stage == "full" else None

    async def locked(self, cookie: str | None) -> Account | None:
        """Whose session it is that is locked because nobody used it; None if it is none."""
        session = await self._read(_key_of_cookie(cookie))
        if session is None or session.stage != "full" or not self._is_idle(session):
            return None
        account = await self._accounts.get(session.account)
        fits = account is not None and account.is_active and account.epoch == session.epoch
        return account if fits else None

    def key_of(self, cookie: str | None) -> str:
        """The key of the session that a cookie's value is of, be there one or not."""
        return _key_of_cookie(cookie) or ""

    async def idle(self) -> AsyncIterator[str]:
        """The keys of sessions that nobody used for too long and that are not locked yet."""
        after = ""
        while True:
            found = await self._records.list(COLLECTION, after=after)
            for record in found:
                session = decode(record.body)
                if session.stage == "full" and not session.locked and self._is_idle(session):
                    yield session.key
            if len(found) < MAX_LISTED:
                return
            after = found[-1].key

    async def lock(self, key: str) -> SignedIn | None:
        """Locks a session that nobody used for too long: from here on no clock opens it again.

        Whose it is, for who was the first to lock it; else None.
        """
        record = await self._records.get(COLLECTION, key) if key else None
        if record is None:
            return None
        session = decode(record.body)
        if session.stage != "full" or session.locked or not self._is_idle(session):
            return None
        account = await self._accounts.get(session.account)
        if account is None or not account.is_active or account.epoch != session.epoch:
            return None  # it was ended, not locked
        locked = msgspec.structs.replace(session, locked=self._now())
        return SignedIn(locked, account) if await self._replace(locked, record.revision) else None

    async def unlock(self, session: Session) -> None:
        """As before `lock`, because it could not be put on record; the next who looks locks it."""
        record = await self._records.get(COLLECTION, session.key)
        if record is not None:
            await self._replace(msgspec.structs.replace(session, locked=0), record.revision)

    async def renew(
        self, session: Session, account: Account, methods: tuple[Method, ...] | None = None
    ) -> Begun:
        """The session under a new id, after the person proved again who they are.

        `methods` None: nothing was proved; only the id and the account's epoch are new.
        """
        begun = await self.begin(
            account, methods or session.methods, agent=session.agent, until=session.until
        )
        if methods is None:
            kept = msgspec.structs.replace(begun.session, authenticated_at=session.authenticated_at)
            await self._records.put(COLLECTION, kept.key, encode(kept), expires=kept.until)
            begun = Begun(kept, begun.cookie)
        await self.end(session.key)
        return begun

    async def end(self, key: str) -> None:
        """Ends one session."""
        await self._records.delete(COLLECTION, key)

    async def end_all(self, id: str) -> None:
        """Ends every session of an account, at once."""
        await self._accounts.change(
            id, lambda old: msgspec.structs.replace(old, epoch=old.epoch + 1)
        )
        await self.clear(id)

    async def clear(self, id: str) -> None:
        """Takes the records of an account's sessions away, which its epoch ended."""
        for record in await self._records.list(COLLECTION, prefix=f"{id}/"):
            await self._records.delete(COLLECTION, record.key)

    async def of(self, account: Account) -> list[Session]:
        """The live sessions of an account, the one used last first."""
        found = await self._records.list(COLLECTION, prefix=f"{account.id}/")
        sessions = [decode(record.body) for record in found]
        live = [one for one in sessions if one.stage == "full" and self._is_live(one, account)]
        return sorted(live, key=lambda one: -one.seen)

    async def _read(self, key: str | None) -> Session | None:
        record = await self._records.get(COLLECTION, key) if key else None
        return decode(record.body) if record else None

    async def _live(self, session: Session | None) -> SignedIn | None:
        if session is None:
            return None
        account = await self._accounts.get(session.account)
        if account is None or not self._is_live(session, account):
            return None
        return SignedIn(session, account)

    def _is_live(self, session: Session, account: Account) -> bool:
        fits = account.is_active and account.epoch == session.epoch
        return fits and not self._is_idle(session) and self._now() < session.until

    def _is_idle(self, session: Session) -> bool:
        now = self._now()
        is_unused = now - session.seen >= self._lives.idle or not has_begun(session.seen, now)
        return is_unused or session.locked > 0

    async def _touched(self, session: Session) -> Session:
        """The session as used now. One that was ended meanwhile is not brought back."""
        record = await self._records.get(COLLECTION, session.key)
        touched = msgspec.structs.replace(session, seen=self._now())
        if record is None or decode(record.body).locked:
            return touched
        # Else another request of the same browser did the same, or it was ended.
        return touched if await self._replace(touched, record.revision) else session

    async def _replace(self, session: Session, revision: int) -> bool:
        """Writes the session if its record is still of that revision; whether it was."""
        try:
            await self._records.put(
                COLLECTION,
                session.key,
                encode(session),
                expected=revision,
                expires=session.until,
            )
        except Stale:
            return False
        return True


def _key(account: str, token: str) -> str:
    return f"{account}/{hashlib.sha256(token.encode()).hexdigest()}"


def _key_of_cookie(cookie: str | None) -> str | None:
    account, _, token = (cookie or "").partition(".")
    return _key(account, token) if account and token and "/" not in account else None
