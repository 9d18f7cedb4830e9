"""What of a server is backed up, and where a backup of it is restored to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from fhirserver.app.audit import verification_of
from fhirserver.app.errors import NotRunnable
from fhirserver.app.ids import now
from fhirserver.app.imaging import blob_folder, has_archive, open_imaging
from fhirserver.app.opening import open_recorder, tenant_settings, tenant_table, whole_store
from fhirserver.app.tenants import tenant_folder
from fhirserver.archive.orphans import find_orphans
from fhirserver.audit.recorder import Event
from fhirserver.backup.manifest import Manifest, NotRestorable
from fhirserver.backup.restore import Place, differences, restore
from fhirserver.backup.write import Source, backup
from fhirserver.durable import make_durable
from fhirserver.errors import FhirError
from fhirserver.settings import DEFAULT_TENANT, Settings
from fhirserver.store.port import LogQuery, ServerStore

NOT_OF_MONGODB: Final = (
    "The store is in MongoDB, whose own tools back it up at one moment: "
    "mongodump --oplog (and mongorestore --oplogReplay), or a snapshot of the disks. "
    "fhirserver export --history writes one tenant's resources to files. See docs/backup.md."
)

MASTER: Final = "master.key"
"""The name of the master key among those of a backup. It lies outside of the data folder."""

_BY_COMMAND: Final = (("by", "command"),)
_KEYS: Final = "*.key"
_FILE: Final = "file:"


class Found(NamedTuple):
    """What a drill found. `wrong` says in words what is not as it was; seconds of each step.

    `opened` are the versions that the server's own code read back, keys and all.
    """

    manifest: Manifest
    wrong: tuple[str, ...]
    opened: int
    restoring: float
    comparing: float


async def sources(settings: Settings) -> list[Source]:
    """The stores of all tenants, suspended ones too. Raises `NotRunnable`, `FhirError`."""
    if settings.is_mongodb:
        raise NotRunnable(NOT_OF_MONGODB)
    if not settings.database.exists():
        raise NotRunnable(f"{settings.database} is not there: nothing is stored yet.")
    found = [Source(DEFAULT_TENANT, settings.database, settings.data, blob_folder(settings))]
    async with tenant_table(settings) as table:
        async for tenant in table.all():
            folder = tenant_folder(settings.data, tenant.name)
            if tenant.state in ("active", "suspended") and (folder / "fhir.db").exists():
                blobs = blob_folder(_settings_of(settings, tenant.name))
                found.append(Source(tenant.name, folder / "fhir.db", folder, blobs))
    return found


def keys_of(settings: Settings) -> dict[str, bytes]:
    """The keys in the data folder, by their path below it, and the master key if it is a file."""
    folders = [settings.data, *sorted(tenant_folder(settings.data, "*").parent.glob("*"))]
    paths = [path for folder in folders for path in sorted(folder.glob(_KEYS))]
    keys = {path.relative_to(settings.data).as_posix(): path.read_bytes() for path in paths}
    master = _master_file(settings)
    return keys if master is None else keys | {MASTER: master.read_bytes()}


def _master_file(settings: Settings) -> Path | None:
    """Where the master key is, or is to be; None where it is no file, or there is none."""
    if settings.encryption == "off" or not settings.encryption_key.startswith(_FILE):
        return None
    return Path(settings.encryption_key.removeprefix(_FILE))


async def back_up(settings: Settings, folder: Path, told: Callable[[str], None]) -> Manifest:
    """A backup of all tenants; keys are not in it. Raises `FileExistsError`, `FhirError`."""
    found = await sources(settings)
    async with open_recorder(settings) as recorder:
        await recorder.record(Event("backup", detail=_BY_COMMAND))
    names = list(keys_of(settings))
    return await asyncio.to_thread(backup, folder, found, names, now, told)


def restore_into(
    settings: Settings, folder: Path, keys: Mapping[str, bytes], told: Callable[[str], None]
) -> Manifest:
    """Makes the data folder of the settings what a backup is of. Raises `NotRestorable`."""
    if settings.is_mongodb:
        raise NotRestorable(NOT_OF_MONGODB)
    inside = {name: key for name, key in keys.items() if name != MASTER}
    if MASTER in keys:
        _put_master(settings, keys[MASTER])

    return restore(folder, settings.data, partial(_place, settings), inside, told)


def _place(settings: Settings, tenant: str) -> Place:
    """Where the files of a tenant are, or are to be."""
    found = _settings_of(settings, tenant)
    return Place(found.database, found.data, blob_folder(found) or found.data / "blobs")


def _settings_of(settings: Settings, tenant: str) -> Settings:
    if tenant == DEFAULT_TENANT:
        return settings
    place: dict[str, Any] = {"data": tenant_folder(settings.data, tenant), "store": ""}
    return replace(settings, tenant=tenant, **place)


def _put_master(settings: Settings, key: bytes) -> None:
    path = _master_file(settings)
    if path is None:
        raise NotRestorable(
            "The keys have a master key: set FHIRSERVER_ENCRYPTION=on, and "
            "FHIRSERVER_ENCRYPTION_KEY=file:PATH where it is to go."
        )
    if path.exists():
        if path.read_bytes() != key:
            raise NotRestorable(f"{path} is another master key than that of the backup.")
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(key)
    make_durable(path)


async def record_restore(settings: Settings) -> None:
    """Says in the trail of the restored server that it was restored."""
    async with open_recorder(settings) as recorder:
        await recorder.record(Event("restore", detail=_BY_COMMAND))


async def drill(
    settings: Settings, folder: Path, keys: Mapping[str, bytes], told: Callable[[str], None]
) -> Found:
    """Restores a backup into a temporary place, which only its owner can read, and compares.

    Counts, digests of all versions and records, SQLite's own examination; then the server's code
    opens each store and reads every version. Raises `NotRestorable`.
    """
    with TemporaryDirectory(prefix="fhirserver-drill-") as scratch:
        there = replace(settings, data=Path(scratch) / "data", store="")
        if blob_folder(settings) is not None:
            there = replace(there, blobs="")
        if MASTER in keys:
            master = {"encryption": "on", "encryption_key": f"{_FILE}{scratch}/{MASTER}"}
            there = replace(there, **master)
        start = time.monotonic()
        manifest = await asyncio.to_thread(restore_into, there, folder, keys, told)
        restored = time.monotonic()
        wrong: list[str] = []
        opened = 0
        for part in manifest.parts:
            told(f"{part.tenant}: compared")
            wrong += await asyncio.to_thread(differences, part, _place(there, part.tenant))
        if not wrong:
            for part in manifest.parts:
                told(f"{part.tenant}: read")
                number = await _read(there, part.tenant, wrong)
                opened += number
                if number != part.content.versions:
                    wrong.append(
                        f"{part.tenant}: {number:,} of {part.content.versions:,} versions are read"
                    )
        end = time.monotonic()
    return Found(manifest, tuple(wrong), opened, restored - start, end - restored)


async def _read(settings: Settings, tenant: str, wrong: list[str]) -> int:
    """How many versions the server reads, each of them JSON; the audit trail is verified too."""
    number = 0
    try:
        if tenant != DEFAULT_TENANT:
            settings = await tenant_settings(settings, tenant)
        async with whole_store(settings) as store:
            async for version in store.log(LogQuery()):
                msgspec.json.decode(version.body or b"null", type=msgspec.Raw)
                number += 1
            wrong += await _missing(settings, store, tenant)
            if (settings.audit_key or settings.data / "audit.key").exists():
                trail = await verification_of(settings, store).run()
                wrong += [f"{tenant}: event {one.place} {one.text}" for one in trail.problems]
    except (FhirError, NotRunnable, ValueError) as error:
        wrong.append(f"{tenant}: {error}")
    return number


async def _missing(settings: Settings, store: ServerStore, tenant: str) -> list[str]:
    """What of the DICOM instances has no bytes, in words."""
    if not has_archive(settings):
        return []
    imaging = await open_imaging(settings, store)
    try:
        found = await find_orphans(imaging.archive, imaging.blobs)
    finally:
        await imaging.close()
    told = f"{tenant}: the bytes of {len(found.missing):,} DICOM instances are not there"
    return [told] if found.missing else []
