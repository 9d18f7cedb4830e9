"""Taking all of a tenant along, and leaving nothing of it."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import stores
from msgspec.structs import replace

from fhirserver.access.grant import OPEN
from fhirserver.app import open_gate, removal, tenant_settings, tenant_table, whole_store
from fhirserver.app.imaging import open_imaging
from fhirserver.app.removal import export_tenant, remove_tenant
from fhirserver.app.tenants import Tenant
from fhirserver.errors import Conflict, NotFound
from fhirserver.interactions.request import Request
from fhirserver.settings import Settings
from fhirserver.store.sealed.keys import Shredded


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "_NOTICED", 0.0)
    monkeypatch.setattr(removal, "FRESH", 0.0)


@pytest.fixture
async def server(tmp_path: Path, each_store: str) -> Settings:
    """Tenants `one` and `two` that hold the same: two versions, a deletion, concepts, records."""
    url = stores.url_of(tmp_path)
    settings = Settings(data=tmp_path, auth="none", **({"store": url} if url else {}))
    async with tenant_table(settings) as table:
        for name in ("one", "two"):
            await table.create(Tenant(name, 1, name.title()))
    for name in ("one", "two"):
        await fill(await tenant_settings(settings, name))
    await fill(settings)
    return settings


def write_master(path: Path) -> None:
    path.write_text(b64encode(b"k" * 32).decode())
    path.chmod(0o600)


async def fill(settings: Settings) -> None:
    async with open_gate(settings) as dispatch:
        for interaction, type, id, more in (
            ("update", "Patient", "a", {"name": [{"family": f"Of{settings.tenant}"}]}),
            ("update", "Patient", "a", {"gender": "female"}),
            ("update", "Patient", "b", {}),
            ("delete", "Patient", "b", {}),
            (
                "update",
                "CodeSystem",
                "c",
                {
                    "url": "http://example.org/c",
                    "status": "active",
                    "content": "complete",
                    "concept": [{"code": "x"}],
                },
            ),
        ):
            resource = {"resourceType": type, "id": id, **more}
            sent = resource if interaction == "update" else None
            await dispatch(
                Request(interaction, "http://x/fhir", type, id, resource=sent, grant=OPEN)
            )
    async with whole_store(settings) as store:
        await store.records.put("identity.account", "u", b'{"name":"u"}')
        await store.records.put("identity.session", "s", b'{"secret":"s"}')
        await store.concepts.begin_closure("u", "table", 10)


async def held(settings: Settings) -> Any:
    async with whole_store(settings) as store:
        return (
            await store.counts(),
            await store.records.get("identity.account", "u"),
            await store.read("Patient", "a", 1),
            [item.url for item in await store.concepts.code_systems()],
        )


async def test_all_of_a_tenant_in_files(server: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert await export_tenant(await tenant_settings(server, "one"), folder) == 5
    history = (folder / "resources" / "history.ndjson").read_text()
    assert "Ofone" in history
    assert "Oftwo" not in history
    assert "Ofdefault" not in history
    lines = [json.loads(line) for line in (folder / "records.ndjson").read_text().splitlines()]
    assert lines == [
        {"collection": "identity.account", "key": "u", "expires": None, "body": {"name": "u"}}
    ]
    assert (folder / "records.ndjson").stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        await export_tenant(await tenant_settings(server, "one"), folder)


async def test_nothing_is_left_of_a_removed_tenant(server: Settings, at_once: None) -> None:
    other = await held(await tenant_settings(server, "two"))
    default = await held(server)
    own = await tenant_settings(server, "one")
    await remove_tenant(server, "one")
    assert await held(await tenant_settings(server, "two")) == other
    assert await held(server) == default
    async with tenant_table(server) as table:
        kept = await table.get("one")
        assert kept is not None
        assert kept.tenant == Tenant("one", 1, state="deleted")
        with pytest.raises(Conflict):
            await table.create(Tenant("one", 2))
    with pytest.raises(NotFound):
        await tenant_settings(server, "one")
    with pytest.raises(NotFound):
        await remove_tenant(server, "one")
    assert not own.data.exists()
    assert await held(own) == ({}, None, None, [])  # what would be found if it were opened


async def test_blobs_elsewhere_go_with_their_tenant(
    server: Settings, at_once: None, tmp_path: Path
) -> None:
    elsewhere = replace(server, blobs=f"file://{tmp_path}/elsewhere")
    for name in ("one", "two"):
        settings = await tenant_settings(elsewhere, name)
        async with whole_store(settings) as store:
            imaging = await open_imaging(settings, store)
            await imaging.blobs.put(name.encode())
            await imaging.close()
    await remove_tenant(elsewhere, "one")
    left = [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in left] == [b"two"]


@pytest.mark.mongodb
async def test_no_document_is_left(server: Settings, at_once: None) -> None:
    if not server.is_mongodb:
        pytest.skip("of MongoDB")
    from pymongo import MongoClient

    await remove_tenant(server, "one")
    with MongoClient[dict[str, Any]](server.store) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():
            for document in database[name].find():
                if name != "record":
                    assert "Ofone" not in str(document)
                assert document.get("t") != "one"
                assert document["_id"] != "one"


async def test_a_removal_goes_on_where_it_was(
    server: Settings, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tenant_table(server) as table:
        await table.to_state("one", "deleting", "active")
    with pytest.raises(NotFound):
        await tenant_settings(server, "one")
    await remove_tenant(server, "one")
    async with tenant_table(server) as table:
        kept = await table.get("one")
        assert kept is not None
        assert kept.tenant.state == "deleted"


@pytest.mark.check("OPS-5")
async def test_the_keys_of_a_sealed_tenant_are_destroyed(
    tmp_path: Path, each_store: str, at_once: None
) -> None:
    """What a copy of the database would hold after that is read by nobody."""
    master = tmp_path / "elsewhere" / "master.key"
    master.parent.mkdir()
    write_master(master)
    url = stores.url_of(tmp_path)
    settings = Settings(
        data=tmp_path,
        auth="none",
        encryption="on",
        encryption_key=f"file:{master}",
        **({"store": url} if url else {}),
    )
    async with tenant_table(settings) as table:
        for name in ("one", "two"):
            await table.create(Tenant(name, 1))
    for name in ("one", "two"):
        await fill(await tenant_settings(settings, name))
    one, two = [await tenant_settings(settings, name) for name in ("one", "two")]
    other = await held(two)
    await removal.shred_keys(one)
    with pytest.raises(Shredded):
        await held(one)
    assert await held(two) == other
    await remove_tenant(settings, "one")
    assert await held(two) == other
