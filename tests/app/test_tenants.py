"""Two hospitals on one server: what one has, the other has nothing of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import started
from stores import url_of

from fhirserver import Settings, create_app
from fhirserver.app import Running, open_tenants, running, tenant_table
from fhirserver.app.tenants import Tenant, TenantTable, own_settings
from fhirserver.errors import Conflict, Invalid, NotFound, Unavailable

FHIR = {"Content-Type": "application/fhir+json"}
ONE, TWO = "/t/one/fhir", "/t/two/fhir"


@dataclass
class House:
    """A server with two tenants, `one` and `two`, and the table that an operator changes."""

    http: httpx2.AsyncClient
    table: TenantTable
    settings: Settings

    async def put(self, base: str, kind: str, id: str, /, **elements: Any) -> httpx2.Response:
        body = json.dumps({"resourceType": kind, "id": id, **elements})
        answer = await self.http.put(f"{base}/{kind}/{id}", content=body, headers=FHIR)
        assert answer.status_code in (200, 201), answer.text
        return answer


def settings_of(data: Path, **more: Any) -> Settings:
    if url := url_of(data):
        more["store"] = url
    return Settings(data=data, auth="none", **more)


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(settings)
    async with started(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


@asynccontextmanager
async def house_in(data: Path, **more: Any) -> AsyncIterator[House]:
    settings = settings_of(data, **more)
    async with tenant_table(settings) as table:
        for name in ("one", "two"):
            await table.create(Tenant(name, 1))
        async with worker(settings) as client:
            yield House(client, table, settings)


@pytest.fixture
async def house(tmp_path: Path, each_store: str) -> AsyncIterator[House]:
    async with house_in(tmp_path) as found:
        yield found


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers look at a tenant's record with every request."""
    monkeypatch.setattr(open_tenants, "FRESH", 0.0)


def names(bundle: Any) -> list[str]:
    return [entry["resource"]["name"][0]["family"] for entry in bundle.get("entry", ())]


@pytest.mark.check("FHA-7")
@pytest.mark.check("FHA-16")
async def test_the_same_ids_are_other_resources(house: House) -> None:
    for base, family in (("/fhir", "Zero"), (ONE, "One"), (TWO, "Two")):
        await house.put(base, "Patient", "a", name=[{"family": family}])
    await house.put(ONE, "Patient", "a", name=[{"family": "Again"}])
    for base, family, versions in (("/fhir", "Zero", 1), (ONE, "Again", 2), (TWO, "Two", 1)):
        read = (await house.http.get(f"{base}/Patient/a")).json()
        assert read["name"][0]["family"] == family
        assert read["meta"]["versionId"] == str(versions)
        found = (await house.http.get(f"{base}/Patient")).json()
        assert names(found) == [family]
        assert found["entry"][0]["fullUrl"] == f"http://localhost{base}/Patient/a"
        for address in ("_history", "Patient/_history", "Patient/a/_history"):
            told = (await house.http.get(f"{base}/{address}")).json()
            assert told["total"] == versions
    assert (await house.http.get(f"{TWO}/Patient/a/_history/2")).status_code == 404
    await house.http.delete(f"{ONE}/Patient/a")
    assert (await house.http.get(f"{ONE}/Patient/a")).status_code == 410
    assert (await house.http.get(f"{TWO}/Patient/a")).status_code == 200


async def test_references_and_chains_end_at_the_tenant(house: House) -> None:
    await house.put(ONE, "Patient", "a", name=[{"family": "Ek"}])
    await house.put(TWO, "Patient", "b", name=[{"family": "Ek"}])
    observation = {"status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/a"}}
    await house.put(TWO, "Observation", "o", **observation)
    for query in (
        "Observation?subject.family=ek",
        "Patient?_has:Observation:patient:code:text=x",
    ):
        assert (await house.http.get(f"{TWO}/{query}")).json()["total"] == 0, query
    included = (await house.http.get(f"{TWO}/Observation?_include=Observation:subject")).json()
    assert [entry["resource"]["id"] for entry in included["entry"]] == ["o"]
    everything = await house.http.get(f"{TWO}/Patient/a/$everything")
    assert everything.status_code == 404


@pytest.mark.check("FHA-2")
async def test_a_page_link_of_one_is_refused_by_the_other(house: House) -> None:
    for base in ("/fhir", ONE, TWO):
        for id in "abc":
            await house.put(base, "Patient", id, name=[{"family": base}])
    page = (await house.http.get(f"{ONE}/Patient?_count=1")).json()
    (following,) = [link["url"] for link in page["link"] if link["relation"] == "next"]
    assert following.startswith(f"http://localhost{ONE}")
    assert (await house.http.get(following)).status_code == 200
    for base in ("/fhir", TWO):
        elsewhere = following.replace(ONE, base)
        answer = await house.http.get(elsewhere)
        assert answer.status_code == 400
        assert "not made by this server" in answer.text


@pytest.mark.check("FHA-13")
async def test_a_job_of_one_is_not_there_for_the_other(house: House) -> None:
    await house.put(ONE, "Patient", "a", name=[{"family": "Ek"}])
    asked = await house.http.post(f"{ONE}/$reindex", headers={"Prefer": "respond-async"})
    status = asked.headers["content-location"]
    assert (await house.http.get(status)).status_code in (200, 202)
    never = f"http://localhost{TWO}/__async-status/{'0' * 36}"
    for base in ("/fhir", TWO):
        other = await house.http.get(status.replace(ONE, base))
        missing = await house.http.get(never.replace(TWO, base))
        assert other.status_code == missing.status_code == 404
        assert other.json() == missing.json()
        assert (await house.http.delete(status.replace(ONE, base))).status_code == 404


@pytest.mark.check("FHA-17")
async def test_definitions_of_one_mean_nothing_to_the_other(house: House) -> None:
    """Neither a stored profile nor a search parameter, nor what is cached of them."""
    profile = {
        "url": "http://example.org/StructureDefinition/strict",
        "name": "Strict",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [{"id": "Patient.gender", "path": "Patient.gender", "min": 1}]},
    }
    parameter = {
        "url": "http://example.org/SearchParameter/nick",
        "name": "nick",
        "status": "active",
        "description": "x",
        "code": "nick",
        "base": ["Patient"],
        "type": "string",
        "expression": "Patient.name.given",
    }
    await house.put(ONE, "StructureDefinition", "strict", **profile)
    await house.put(ONE, "SearchParameter", "nick", **parameter)
    body = {"resourceType": "Patient", "meta": {"profile": [profile["url"]]}}
    answers = {
        base: await house.http.post(f"{base}/Patient", content=json.dumps(body), headers=FHIR)
        for base in (ONE, TWO, "/fhir", ONE)
    }
    assert answers[ONE].status_code == 422
    assert answers[TWO].status_code == answers["/fhir"].status_code == 201
    known = await house.http.get(f"{ONE}/Patient?nick=x")
    assert known.status_code in (200, 503)  # 503 while it is being indexed
    for base in (TWO, "/fhir"):
        assert (await house.http.get(f"{base}/Patient?nick=x")).status_code == 400
        metadata = (await house.http.get(f"{base}/metadata")).text
        assert "nick" not in metadata


async def test_settings_of_its_own(house: House, at_once: None) -> None:
    own = own_settings({"validation": "off", "update_create": "false"}, house.settings)
    await house.table.create(Tenant("own", 1, settings=own))
    base = "/t/own/fhir"
    wrong = json.dumps({"resourceType": "Patient", "gender": "no such code"})
    assert (await house.http.post(f"{base}/Patient", content=wrong, headers=FHIR)).is_success
    refused = await house.http.post(f"{ONE}/Patient", content=wrong, headers=FHIR)
    assert refused.status_code == 422
    put = await house.http.put(
        f"{base}/Patient/a", content='{"resourceType":"Patient","id":"a"}', headers=FHIR
    )
    assert put.status_code in (404, 405)

    def strict(tenant: Tenant) -> Tenant:
        return Tenant(tenant.name, tenant.created)

    await house.table.change("own", strict)
    changed = await house.http.post(f"{base}/Patient", content=wrong, headers=FHIR)
    assert changed.status_code == 422


async def test_pages_beside_the_base(house: House) -> None:
    await house.put(ONE, "Patient", "a", name=[{"family": "Ek"}])
    page = await house.http.get("/t/one/")
    assert page.status_code == 200
    assert f"http://localhost{ONE}" in page.text
    assert "1 resources of 1 types" in page.text
    assert "Nothing yet" in (await house.http.get("/")).text
    assert (await house.http.get("/t/one/readyz")).text == "ready\n"
    moved = await house.http.get("/t/one")
    assert (moved.status_code, moved.headers["location"]) == (307, "/t/one/")
    assert "/t/one/fhir" in (await house.http.get("/t/one/elsewhere")).text


ADDRESSES = ("", "/", "/fhir", "/fhir/metadata", "/fhir/Patient/a", "/auth/token", "/readyz", "/x")


@pytest.mark.check("FHA-16")
async def test_who_is_not_served_is_as_one_who_never_was(house: House, at_once: None) -> None:
    await house.put(ONE, "Patient", "a", name=[{"family": "Ek"}])
    await house.table.to_state("one", "suspended", "active")
    await house.table.create(Tenant("gone", 1, state="deleted"))
    await house.table.create(Tenant("going", 1, state="deleting"))
    for address in ADDRESSES:
        for method in ("GET", "POST", "OPTIONS", "HEAD"):
            answers = set()
            for name in ("one", "gone", "going", "never", "default", "One", "%00", "a" * 99):
                given = {"x-request-id": "the-same"}
                answer = await house.http.request(method, f"/t/{name}{address}", headers=given)
                answers.add((answer.status_code, str(sorted(answer.headers.items())), answer.text))
            assert len(answers) == 1, (method, address)
            assert answers.pop()[0] == 404
    await house.table.to_state("one", "active", "suspended")
    assert (await house.http.get(f"{ONE}/Patient/a")).status_code == 200


async def test_every_worker_sees_what_becomes_of_a_tenant(house: House, at_once: None) -> None:
    async with worker(house.settings) as other:
        await house.put(ONE, "Patient", "a", name=[{"family": "Ek"}])
        assert (await other.get(f"{ONE}/Patient/a")).status_code == 200
        await house.table.create(Tenant("three", 1))
        assert (await other.get("/t/three/fhir/metadata")).status_code == 200
        await house.table.to_state("one", "suspended", "active")
        assert (await other.get(f"{ONE}/Patient/a")).status_code == 404
        assert (await house.http.get(f"{ONE}/Patient/a")).status_code == 404
        assert (await other.get(f"{TWO}/metadata")).status_code == 200


def count_opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tenants that are opened from now on."""
    opened: list[str] = []

    class Counted(Running):
        async def start(self, base: str, *, works: bool = True) -> None:
            opened.append(self.tenant)
            await asyncio.sleep(0.01)
            await super().start(base, works=works)

    monkeypatch.setattr(running, "Running", Counted)
    return opened


async def test_no_more_are_open_than_may_be(
    tmp_path: Path, each_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = count_opened(monkeypatch)
    async with house_in(tmp_path, max_open_tenants=1) as house:
        for base in (ONE, TWO):
            await house.put(base, "Patient", "a", name=[{"family": base}])
        opened.clear()
        for base in (TWO, ONE, TWO, TWO):
            read = (await house.http.get(f"{base}/Patient/a")).json()
            assert read["name"][0]["family"] == base
        assert opened == ["one", "two"]


async def test_first_requests_together_open_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house_in(tmp_path) as house:
        opened = count_opened(monkeypatch)
        asks = [house.http.get(f"{base}/metadata") for base in (ONE, TWO) * 5]
        assert {answer.status_code for answer in await asyncio.gather(*asks)} == {200}
        assert sorted(opened) == ["one", "two"]


async def test_a_request_under_way_ends_before_its_tenant_is_closed(
    tmp_path: Path, at_once: None
) -> None:
    settings = settings_of(tmp_path)
    async with tenant_table(settings) as table:
        await table.create(Tenant("one", 1))
        tenants = open_tenants.OpenTenants(settings, table)
        with await tenants.find("one") as running:
            await table.to_state("one", "suspended", "active")
            with pytest.raises(NotFound):
                await tenants.find("one")
            closing = asyncio.create_task(tenants.close())
            await asyncio.sleep(0.05)
            assert not closing.done()
            assert await running.store.read("Patient", "a") is None
        await closing


async def test_when_all_are_in_use_others_wait(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, max_open_tenants=1)
    async with tenant_table(settings) as table:
        for name in ("one", "two"):
            await table.create(Tenant(name, 1))
        async with worker(settings) as client:
            app_tenants = open_tenants.OpenTenants(settings, table)
            with (
                await app_tenants.find("one"),
                pytest.raises(Unavailable, match="busy for others"),
            ):
                await app_tenants.find("two")
            await app_tenants.close()
            assert (await client.get(f"{TWO}/metadata")).status_code == 200


async def test_the_table(tmp_path: Path, each_store: str) -> None:
    async with tenant_table(settings_of(tmp_path)) as table:
        for name in ("", "default", "A", "a_b", "-a", "a-", "a/b", "a" * 64, "é", "a\n"):
            with pytest.raises(Invalid):
                await table.create(Tenant(name, 1))
            assert await table.get(name) is None
        await table.create(Tenant("b", 1, "B"))
        await table.create(Tenant("a-1", 2))
        with pytest.raises(Conflict):
            await table.create(Tenant("b", 3))
        assert [tenant.name async for tenant in table.all()] == ["a-1", "b"]
        with pytest.raises(Conflict, match="is active"):
            await table.to_state("b", "active", "suspended")
        await table.to_state("b", "deleted", "active")
        assert [tenant.name async for tenant in table.all()] == ["a-1"]
        with pytest.raises(NotFound):
            await table.to_state("b", "active", "deleted")
        with pytest.raises(Conflict):  # a name is not given twice
            await table.create(Tenant("b", 3))


@pytest.mark.parametrize(
    "pairs",
    [
        {"data": "elsewhere"},
        {"store": "sqlite:///elsewhere.db"},
        {"auth": "none"},
        {"host": "0.0.0.0"},
        {"trusted_proxies": "10.0.0.0/8"},
        {"validation": "nonsense"},
        {"page_size": "0"},
        {"page_size": "5000"},
        {"nonsense": "1"},
    ],
)
def test_what_a_tenant_cannot_have_of_its_own(tmp_path: Path, pairs: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        own_settings(pairs, Settings(data=tmp_path, auth="none"))


def test_what_a_record_keeps_is_what_is_meant(tmp_path: Path) -> None:
    server = Settings(data=tmp_path, auth="none")
    pairs = {"openid_providers": "/etc/idp.toml", "cors_origins": "https://a.b https://c.d"}
    kept = json.loads(json.dumps(own_settings(pairs, server)))
    own = Tenant("x", 1, settings=kept).settings_by(server)
    assert own.openid_providers == Path("/etc/idp.toml")
    assert own.cors_origins == ("https://a.b", "https://c.d")


def test_base_urls(tmp_path: Path) -> None:
    def base(server: str | None, **own: str) -> str | None:
        settings = Settings(data=tmp_path, auth="none", base_url=server)
        return Tenant("x", 1, settings=own).settings_by(settings).base_url

    assert base("https://h.example/fhir") == "https://h.example/t/x/fhir"
    assert base("https://h.example/deep/fhir") == "https://h.example/deep/t/x/fhir"
    assert base(None) is None
    assert base("https://h.example/r4", base_url="https://x.example/r4") == "https://x.example/r4"
    with pytest.raises(ValueError, match="name its base_url"):
        base("https://h.example/r4")
