"""What an interaction works with: the guarded store, the definitions, the house rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from fhirserver.access.authority import Authority
from fhirserver.access.grant import Grant
from fhirserver.archive.port import Archive
from fhirserver.audit.recorder import Recorder
from fhirserver.blobs.port import Blobs
from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Fault
from fhirserver.interactions.operation import OperationRow
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.stored_definitions import StoredDefinitions
from fhirserver.jobs.table import JobTable
from fhirserver.search.expression import Cursor
from fhirserver.search.index import Indexer
from fhirserver.search.text import FullText
from fhirserver.store.concepts import NO_CONCEPTS, ConceptStore
from fhirserver.store.port import Store, Unchanged


@dataclass(frozen=True, slots=True)
class Policy:
    """House rules that an operator sets (see docs/settings.md)."""

    auth: Literal["smart", "none"] = "none"
    update_create: bool = True
    conditional_delete: Literal["single", "multiple"] = "single"
    integrity_on_write: bool = False
    integrity_on_delete: bool = True
    validation: Literal["reject", "warn", "off"] = "reject"
    validation_modes: tuple[str, ...] = ()
    required_profiles: tuple[str, ...] = ()
    page_size: int = 50
    max_page_size: int = 1000
    max_includes: int = 1000
    full_text: FullText = "all"
    max_bundle_entries: int = 10_000
    max_conditional_deletes: int = 1000
    max_expansion: int = 10_000
    max_cascaded_deletes: int = 1000
    privacy_officer: str = ""


class Sealer(Protocol):
    """Turns a page's cursor and its request into an unreadable token, and back."""

    def seal(self, cursor: Cursor, parameters: tuple[tuple[str, str], ...]) -> str: ...

    def unseal(self, token: str) -> tuple[Cursor, tuple[tuple[str, str], ...]]:
        """Raises `fhirserver.errors.Invalid` for a token that is not ours or has expired."""


async def _no_gate(request: Request) -> Answer:
    raise Fault("No gate was given to this context.")


def _no_guard(request: Request) -> None:
    raise Fault("No gate was given to this context.")


@dataclass(frozen=True, slots=True)
class Context:
    """`store` is guarded: what the caller may not see is not in it.

    `now` gives microseconds since 1970, `new_id` a fresh logical id. The gate sets `dispatch`,
    which re-enters it for the entries of a batch, and `admit`, which raises what it would
    raise for a request that a transaction plans itself. `contended` is held by those who plan
    a write again because others were faster, so that they do not outrun each other.
    `operations` are those that the gate serves, `stored` the definitions to validate by, which
    are read from `rules`: definitions hold for everybody, whoever may read them. `concepts` are
    the code systems of the store; who may not see all of them has them for validation only.
    `access` tells what callers may do; without it, only those without limits may do anything.
    `recorder` takes in what goes beyond the access itself. `unchanged` is what a
    commit states that was prepared by these definitions and this indexer. `jobs` are those of
    the server, if it does any. `base` is the service base URL that the store is indexed by, as
    far as it is known. `archive` and `blobs` hold DICOM instances, where they are kept; they are
    not guarded: what the caller may see of them, the ImagingStudies in `store` tell, unless the
    letter (`r`, `s`, `d`) is in `all_studies`: it is then allowed for all of them.
    `pseudonyms` gives the tenant's key of de-identified copies.
    """

    store: Store
    definitions: Definitions
    indexer: Indexer
    policy: Policy
    sealer: Sealer
    now: Callable[[], int]
    new_id: Callable[[], str]
    dispatch: Callable[[Request], Awaitable[Answer]] = _no_gate
    admit: Callable[[Request], None] = _no_guard
    contended: asyncio.Lock = field(default_factory=asyncio.Lock)
    operations: tuple[OperationRow, ...] = ()
    stored: StoredDefinitions = field(default_factory=StoredDefinitions)
    concepts: ConceptStore = NO_CONCEPTS
    unchanged: Unchanged | None = None
    jobs: JobTable | None = None
    base: str = ""
    access: Authority | None = None
    rules: Store | None = None
    recorder: Recorder | None = None
    archive: Archive | None = None
    blobs: Blobs | None = None
    all_studies: frozenset[str] = frozenset()
    pseudonyms: Callable[[], Awaitable[bytes]] | None = None

    def may_search(self, grant: Grant, type: str) -> bool:
        """Whether there is anything of a type that the caller may search."""
        if self.access is None or grant.unrestricted:
            return grant.unrestricted
        return self.access.rights(grant, self.definitions).allows(type, "s")

    def may_name(self, grant: Grant, type: str) -> bool:
        """Whether the caller may create resources of a type under ids of its own choice."""
        if self.access is None or grant.unrestricted:
            return grant.unrestricted
        return self.access.rights(grant, self.definitions).may_name(type)
