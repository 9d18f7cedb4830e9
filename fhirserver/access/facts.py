"""What a restriction rests on, asked of the store: consents, care teams, opened records.

Nothing here is guarded, and nothing of it leaves but as a part of a restriction. What is kept
is told apart by the numbers of the store's commits, so that a change acts at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Final

from fhirserver.access.break_glass import BreakGlass
from fhirserver.access.condition import PATIENT
from fhirserver.access.consent import (
    Agreement,
    Agreements,
    Consents,
    Viewer,
    agreement,
    next_change,
)
from fhirserver.access.grant import Grant
from fhirserver.access.principal import Principal
from fhirserver.access.restriction import Facts, assumed
from fhirserver.errors import Forbidden
from fhirserver.model.json import Resource, decode
from fhirserver.model.reference import literal
from fhirserver.search.expression import (
    And,
    Expression,
    Query,
    ReferenceIs,
    Target,
    TokenIs,
    TokenValue,
)
from fhirserver.store.port import LogQuery, Store, Version

_CONSENT: Final = "Consent"
_PAGE: Final = 500
_WHOLE: Final = 3600 * 1_000_000
"""Microseconds after which all Consents are read again, and not only what was written."""

_TREATMENT: Final = frozenset({"TREAT"})
_TEAM_TYPES: Final = ("CareTeam", "PractitionerRole", PATIENT)


@dataclass(frozen=True, slots=True)
class _Agreed:
    """The agreements as of a commit, until when none begins or ends.

    `since` is the instant of the last Consent in them, `whole` when all were read.
    """

    number: int
    until: int
    agreements: Agreements
    since: int = 0
    whole: int = 0


class FactSource:
    """Asks the unguarded store; `now` gives microseconds since 1970."""

    def __init__(
        self, store: Store, break_glass: BreakGlass | None, now: Callable[[], int]
    ) -> None:
        self._store = store
        self._break_glass = break_glass
        self._now = now
        self._known: dict[int, tuple[Grant, Facts]] = {}
        self._agreed = _Agreed(-1, 0, Agreements())
        self._reading = asyncio.Lock()
        self._viewers: dict[str, tuple[tuple[int, ...], Viewer]] = {}
        self._consents: dict[str, tuple[tuple[object, ...], Consents]] = {}

    async def of(self, grant: Grant) -> Facts:
        """The facts for a grant as they are now. Raises `Forbidden` where one is missing."""
        facts = self._assumed(grant)
        principal = grant.principal
        if principal is None:
            return facts
        if facts.own and not (principal.fhir_user or "").startswith(f"{PATIENT}/"):
            await self._check_related(principal)
        if grant.is_held_to_consents:
            consents = await self._consents_for(principal)
            if consents is not None:
                facts = replace(facts, consents=consents)
        if grant.may_break_glass and self._break_glass is not None:
            opened = await self._break_glass.open_for(principal.subject)
            if opened:
                facts = replace(facts, opened=opened)
        return facts

    def _assumed(self, grant: Grant) -> Facts:
        known = self._known.get(id(grant))
        if known is None or known[0] is not grant:
            if len(self._known) >= _KEPT:
                self._known.clear()
            known = self._known[id(grant)] = (grant, assumed(grant))
        return known[1]

    async def _check_related(self, principal: Principal) -> None:
        """Raises `Forbidden` unless the user's RelatedPerson is one of the patient in context."""
        type, _, id = (principal.fhir_user or "").partition("/")
        found = await self._store.read(type, id)
        person: Resource = decode(found.body) if found is not None and found.body else {}
        patient = f"{PATIENT}/{principal.patient}"
        if person.get("active") is False or _reference(person.get("patient")) != patient:
            raise Forbidden("This account is not related to the patient in context.")

    # --- consents -------------------------------------------------------------------------

    async def _consents_for(self, principal: Principal) -> Consents | None:
        agreed = await self._agreements()
        if not agreed.agreements:
            return None
        viewer = await self._viewer(principal)
        state: tuple[object, ...] = (agreed, viewer)
        known = self._consents.get(principal.subject)
        # The same object as before, as long as nothing changed: what is made of it is kept.
        if known is not None and known[0][0] is agreed and known[0][1] is viewer:
            return known[1]
        made = Consents(agreed.agreements, viewer)
        if len(self._consents) >= _KEPT:
            self._consents.clear()
        self._consents[principal.subject] = (state, made)
        return made

    async def _agreements(self) -> _Agreed:
        number = await self._store.latest(_CONSENT)
        known = self._agreed
        if known.number == number and self._now() < known.until:
            return known
        async with self._reading:
            return await self._read_again(number)

    async def _read_again(self, number: int) -> _Agreed:
        now = self._now()
        known = self._agreed
        if known.number >= number and now < known.until:
            return known  # another request has read them meanwhile
        if known.number == number:  # a provision begins or ends: nothing was written
            agreements, since = known.agreements, known.since
        elif known.number < 0 or now >= known.whole + _WHOLE:
            agreements, since = await self._read_all()
            known = replace(known, whole=now)
        else:
            agreements = known.agreements
            since = await self._take_up(agreements, known.since)
        until = next_change((item for item, _ in agreements.provisions), now)
        self._agreed = _Agreed(number, until, agreements, since, known.whole)
        return self._agreed

    async def _read_all(self) -> tuple[Agreements, int]:
        """The agreements, and the instant of the last Consent that was read."""
        found, since = Agreements(), 0
        is_active = TokenIs("status", (TokenValue(None, "active"),))
        async for version in _versions(self._store, (_CONSENT,), is_active):
            since = max(since, version.last_updated)
            found.put(version.id, _agreed_by(version))
        return found, since

    async def _take_up(self, agreements: Agreements, since: int) -> int:
        """Puts what was written since into the agreements; the instant of the last of it."""
        written = [version async for version in self._store.log(LogQuery((_CONSENT,), since))]
        # Without a pause: nobody is to see a part of it.
        for version in written:
            since = max(since, version.last_updated)
            agreements.put(version.id, _agreed_by(version))
        return since

    async def _viewer(self, principal: Principal) -> Viewer:
        """Who the caller is to consents; as of now, if a provision begins or ends."""
        numbers = tuple([await self._store.latest(type) for type in _TEAM_TYPES])
        known = self._viewers.get(principal.subject)
        user = principal.fhir_user
        stamp = (*numbers, self._agreed.number, self._agreed.until, hash(user))
        if known is not None and known[0] == stamp:
            return known[1]
        viewer = Viewer(frozenset(), _TREATMENT, frozenset(), self._now())
        if user is not None:
            viewer = await self._of_user(user)
        if len(self._viewers) >= _KEPT:
            self._viewers.clear()
        self._viewers[principal.subject] = (stamp, viewer)
        return viewer

    async def _of_user(self, user: str) -> Viewer:
        names = {user}
        organizations = set()
        async for role in self._referring("PractitionerRole", "practitioner", names):
            if role.get("active") is not False:
                names.add(f"PractitionerRole/{role['id']}")
                organizations.add(_reference(role.get("organization")))
        cares_for = set()
        teams = set()
        async for team in self._referring("CareTeam", "participant", names):
            if team.get("status", "active") == "active":
                teams.add(f"CareTeam/{team['id']}")
                cares_for.add(_reference(team.get("subject")))
        async for patient in self._referring(PATIENT, "general-practitioner", names):
            cares_for.add(f"{PATIENT}/{patient['id']}")
        return Viewer(
            frozenset(name for name in names | teams | organizations if name),
            _TREATMENT,
            frozenset(
                name.partition("/")[2]
                for name in cares_for
                if name and name.startswith(f"{PATIENT}/")
            ),
            self._now(),
        )

    def _referring(self, type: str, param: str, names: set[str]) -> AsyncIterator[Resource]:
        targets = tuple(Target(*name.split("/", 1)) for name in sorted(names))
        return _all(self._store, (type,), ReferenceIs(param, targets))


_KEPT: Final = 10_000


def _agreed_by(version: Version) -> Agreement | None:
    return None if version.body is None else agreement(decode(version.body))


async def _all(store: Store, types: tuple[str, ...], where: Expression) -> AsyncIterator[Resource]:
    async for version in _versions(store, types, where):
        if version.body is not None:
            yield decode(version.body)


async def _versions(
    store: Store, types: tuple[str, ...], where: Expression
) -> AsyncIterator[Version]:
    query: Query | None = Query(types, And((where,)), count=_PAGE)
    while query is not None:
        page = await store.search(query)
        for version in page.versions:
            yield version
        query = replace(query, after=page.next) if page.next is not None else None


def _reference(value: object) -> str | None:
    text = value.get("reference") if isinstance(value, dict) else None
    found = literal(text) if isinstance(text, str) else None
    return None if found is None else f"{found.type}/{found.id}"
