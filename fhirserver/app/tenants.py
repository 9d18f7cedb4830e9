"""The tenants beside the default one: records of its store, so that all workers see the same.

A tenant has a store, a folder, keys, users and settings of its own. A name is not given twice:
what was kept of a deleted tenant elsewhere (a link, a token, a backup) never fits another.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import asdict, replace

from fhirserver.app.edge import FHIR_PATH
from fhirserver.errors import Conflict, Invalid, NotFound
from fhirserver.settings import DEFAULT_TENANT, Settings
from fhirserver.settings.reading import converted
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, MAX_LISTED, Records

COLLECTION: Final = "tenant"

OF_TENANTS: Final = frozenset(
    {
        "base_url",
        "brand",
        "conditional_delete",
        "cors_origins",
        "expunge",
        "full_text",
        "integrity_on_delete",
        "integrity_on_write",
        "max_bundle_entries",
        "max_cascaded_deletes",
        "max_conditional_deletes",
        "max_expansion",
        "max_includes",
        "max_page_size",
        "openid_providers",
        "page_size",
        "privacy_officer",
        "required_profiles",
        "update_create",
        "validation",
        "validation_modes",
        "validation_on_load",
    }
)
"""Settings that a tenant can have of its own."""

State: TypeAlias = Literal["active", "suspended", "deleting", "deleted"]

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


class Tenant(msgspec.Struct, frozen=True, omit_defaults=True):
    """`title` is for people. `settings` are its own values; `created` is in microseconds."""

    name: str
    created: int
    title: str = ""
    state: State = "active"
    settings: dict[str, Any] = {}

    def settings_by(self, server: Settings) -> Settings:
        """Its settings, given those of the server. Raises `ValueError`."""
        return settings_of_tenant(server, self.name, self.settings)


class Held(NamedTuple):
    """A tenant as it was read, with the revision of its record."""

    tenant: Tenant
    revision: int


class TenantTable:
    """`records` are those of the default tenant's store."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def get(self, name: str) -> Held | None:
        """The tenant of a name, also one that is deleted; None if there never was one."""
        if not is_name(name):
            return None
        record = await self._records.get(COLLECTION, name)
        return None if record is None else Held(_DECODER.decode(record.body), record.revision)

    async def all(self) -> AsyncIterator[Tenant]:
        """The tenants in the order of their names, without those that are deleted."""
        after = ""
        while True:
            found = await self._records.list(COLLECTION, after=after)
            for record in found:
                tenant = _DECODER.decode(record.body)
                if tenant.state != "deleted":
                    yield tenant
            if len(found) < MAX_LISTED:
                return
            after = found[-1].key

    async def create(self, tenant: Tenant) -> None:
        """Raises `Invalid` for a name that none can have, `Conflict` for one that was given."""
        if not is_name(tenant.name):
            raise Invalid(
                "A tenant's name is lower-case letters, digits and hyphens inside, at most 63, "
                f"and not '{DEFAULT_TENANT}'."
            )
        try:
            await self._records.put(
                COLLECTION, tenant.name, msgspec.json.encode(tenant), expected=ABSENT
            )
        except Stale:
            raise Conflict(f"The name '{tenant.name}' was given before.") from None

    async def change(self, name: str, changed: Callable[[Tenant], Tenant]) -> Tenant:
        """The tenant as it is made by `changed`, which may raise. Raises `NotFound`."""
        while True:
            held = await self.get(name)
            if held is None or held.tenant.state == "deleted":
                raise NotFound(f"There is no tenant '{name}'.")
            tenant = changed(held.tenant)
            try:
                await self._records.put(
                    COLLECTION, name, msgspec.json.encode(tenant), expected=held.revision
                )
            except Stale:
                continue
            return tenant

    async def to_state(self, name: str, state: State, *before: State) -> Tenant:
        """Brings the tenant from one of the states before to another. Raises `Conflict`."""

        def changed(tenant: Tenant) -> Tenant:
            if tenant.state not in before:
                raise Conflict(f"The tenant '{name}' is {tenant.state}.")
            return msgspec.structs.replace(tenant, state=state)

        return await self.change(name, changed)


def tenant_folder(data: Path, name: str) -> Path:
    """Where a tenant keeps its files, in the folder of the server."""
    return data / "tenants" / name


def server_folder(settings: Settings) -> Path:
    """The folder of the server whose tenant the settings are of."""
    return settings.data if settings.tenant == DEFAULT_TENANT else settings.data.parent.parent


def is_name(text: str) -> bool:
    """Whether a tenant beside the default one can have that name."""
    return text != DEFAULT_TENANT and _NAME.fullmatch(text) is not None


def settings_of_tenant(server: Settings, name: str, own: Mapping[str, Any]) -> Settings:
    """The settings of a tenant, which has a folder, and perhaps values, of its own.

    Raises `ValueError` (`SettingsError` is one) for what it cannot have.
    """
    if not own.keys() <= OF_TENANTS:
        names = ", ".join(sorted(own.keys() - OF_TENANTS))
        raise ValueError(f"a tenant has no value of its own for: {names}")
    values: dict[str, Any] = {"data": tenant_folder(server.data, name)}
    if not server.is_mongodb:
        values["store"] = ""
    if server.base_url is not None and "base_url" not in own:
        if not server.base_url.endswith(FHIR_PATH):
            raise ValueError("name its base_url: that of the server does not end with /fhir")
        values["base_url"] = f"{server.base_url.removesuffix(FHIR_PATH)}/t/{name}{FHIR_PATH}"
    given = asdict(server)
    del given["tenant"]
    return replace(converted({**given, **values, **own}), tenant=name)


def own_settings(pairs: Mapping[str, str], server: Settings) -> dict[str, Any]:
    """Values as an operator writes them, as a record keeps them. Raises `ValueError`."""
    checked = settings_of_tenant(server, "x", pairs)
    return {name: _plain(getattr(checked, name)) for name in pairs}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


_DECODER: Final = msgspec.json.Decoder(Tenant)
