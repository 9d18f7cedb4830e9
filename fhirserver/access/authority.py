"""Who may see what of one store: grants made from policies, and the store guarded by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fhirserver.access.break_glass import BreakGlass
from fhirserver.access.facts import FactSource
from fhirserver.access.grant import Grant, grant_of
from fhirserver.access.guard import GuardedStore
from fhirserver.access.guard.reasons import Reasons
from fhirserver.access.hops import Hops
from fhirserver.access.judge import Judge
from fhirserver.access.policy import Policies, packaged_document, packaged_policies
from fhirserver.access.principal import Principal
from fhirserver.access.restriction import Facts, Restriction, assumed
from fhirserver.definitions.registry import Definitions
from fhirserver.search.index import Indexer
from fhirserver.store.port import Store
from fhirserver.store.records import Records

POLICIES: Final = "access.policy"
"""The collection of policies that this tenant has instead of those that come with the server:
a TOML document under the name of each role."""

_KEPT: Final = 10_000
_FRESH: Final = 1_000_000
"""Microseconds after which another process's change of a policy is looked for."""


class Authority:
    """Of one store and its records. `now` gives microseconds since 1970."""

    def __init__(
        self,
        store: Store,
        records: Records | None,
        now: Callable[[], int],
        policies: Policies | None = None,
    ) -> None:
        self._store = store
        self.records = records
        self._now = now
        self._packaged = policies or packaged_policies()
        self.policies = self._packaged
        self.break_glass = BreakGlass(records, now) if records is not None else None
        self._revisions: tuple[tuple[str, int], ...] = ()
        self._looked = now()
        self._facts = FactSource(store, self.break_glass, now)
        self._grants: dict[Principal, Grant] = {}
        # By the identity of a grant, which is kept with what is made of it: to hash one is slow.
        self._compiled: dict[int, tuple[Grant, tuple[object, ...], GuardedStore, GuardedStore]] = {}
        self._by_type: dict[int, tuple[Grant, Definitions, Restriction]] = {}

    async def load(self) -> None:
        """Takes up this tenant's own policies, if they have changed.

        Raises `Invalid` for one that cannot be read.
        """
        if self.records is None:
            return
        self._looked = self._now()
        found = await self.records.list(POLICIES)
        revisions = tuple((item.key, item.revision) for item in found)
        if revisions != self._revisions:
            self._grants.clear()
            self.policies = self._packaged.with_roles(item.body.decode() for item in found)
            self._revisions = revisions

    async def set_policy(self, role: str, document: str) -> None:
        """Puts a policy in force for this tenant. Raises `Invalid` for what is none."""
        assert self.records is not None
        self.considered(role, document)
        await self.records.put(POLICIES, role, document.encode())
        await self.load()

    async def reset_policy(self, role: str) -> None:
        """Takes this tenant's own policy of a role away: the packaged one, if any, holds again."""
        assert self.records is not None
        await self.records.delete(POLICIES, role)
        await self.load()

    def considered(self, role: str, document: str) -> Policies:
        """The policies as they would be with that one. Raises `Invalid` for what is none."""
        return self.policies.with_role(role, document)

    async def own_policies(self) -> dict[str, str]:
        """The documents of this tenant's own policies, by role."""
        found = await self.records.list(POLICIES) if self.records is not None else ()
        return {item.key: item.body.decode() for item in found}

    async def document(self, role: str) -> str:
        """The policy of a role, as it is written down. Raises `NotFound` where there is none."""
        own = await self.own_policies()
        if role in own:
            return own[role]
        return packaged_document(role)

    def grant_of(self, principal: Principal) -> Grant:
        """What a caller may do here; the same object while nothing changes. Raises as
        `fhirserver.access.grant.grant_of`."""
        found = self._grants.get(principal)
        if found is None:
            found = grant_of(principal, self.policies)
            if len(self._grants) >= _KEPT:
                self._grants.clear()
            self._grants[principal] = found
        return found

    def rights(self, grant: Grant, definitions: Definitions) -> Restriction:
        """What can be told by type and letter alone, before anything is looked up."""
        known = self._by_type.get(id(grant))
        if known is not None and known[0] is grant and known[1] is definitions:
            return known[2]
        if len(self._by_type) >= _KEPT:
            self._by_type.clear()
        made = Restriction(grant, definitions, assumed(grant))
        self._by_type[id(grant)] = (grant, definitions, made)
        return made

    async def guard(
        self, grant: Grant, indexer: Indexer, definitions: Definitions, base: str, *, writes: bool
    ) -> Store:
        """The store as the grant lets it be seen, at this moment; to nobody it is empty.

        Raises `Forbidden` where a fact that it rests on is missing.
        """
        if grant.unrestricted:
            return self._store
        if not self._looked <= self._now() < self._looked + _FRESH:
            await self.load()
        facts = await self._facts.of(grant)
        state = (definitions, indexer, base, facts.own, facts.consents, facts.opened)
        known = self._compiled.get(id(grant))
        if known is None or known[0] is not grant or known[1] != state:
            known = (grant, state, *self._guarded(grant, definitions, facts, Judge(indexer, base)))
            if len(self._compiled) >= _KEPT:
                self._compiled.clear()
            self._compiled[id(grant)] = known
        return known[3] if writes else known[2]

    def _guarded(
        self, grant: Grant, definitions: Definitions, facts: Facts, judge: Judge
    ) -> tuple[GuardedStore, GuardedStore]:
        """The guarded stores of requests that read, and of those that write."""
        restriction = Restriction(grant, definitions, facts)
        hops = Hops(restriction)
        reasons = Reasons(self._store, restriction, facts, judge)
        return (
            GuardedStore(self._store, restriction, hops, judge, self._now, reasons),
            GuardedStore(self._store, restriction, hops, judge, self._now, reasons, writes=True),
        )
