"""Token requests while the disk is full: refused whole, and none is lost when there is room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from auth.tokens.world import Clock, World, serving
from full_disk import Disk, small_disk
from store.making import put

from fhirserver.app.audit import verification_of
from fhirserver.errors import FhirError
from fhirserver.settings import Settings

pytestmark = pytest.mark.check("OPS-10")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", 8) as found:
        yield found


@pytest.fixture
async def world(disk: Disk, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with serving(disk.folder / "data", clock, monkeypatch) as found:
        yield found


async def exhaust(world: World, disk: Disk) -> None:
    """Fills the disk, and what room the store's files had themselves."""
    disk.fill()
    for size in (100_000, 4000, 1):
        try:
            for number in range(1000):
                body = bytes(number % 251 for number in range(size))
                await world.store.records.put("test.filler", f"{size}-{number}", body)
        except FhirError as error:
            assert error.status in (500, 503)
        else:
            raise AssertionError("it is not full")


@pytest.mark.check("OAU-1")
@pytest.mark.check("OAU-4")
@pytest.mark.check("AUD-6")
async def test_tokens_on_a_full_disk(world: World, disk: Disk) -> None:
    await world.store.commit([put("Patient", "a")])
    client, user = await world.client(), await world.user()
    system = await world.system()
    body = await world.tokens(client, user)
    other = await world.tokens(client, user)
    code = (await world.grant(client, user)).code
    token = body["access_token"]
    await exhaust(world, disk)

    for answer in (
        await world.redeem(client, code),
        await world.refresh(client, body["refresh_token"]),
        await world.system_token(system),
        await world.ask(client, "/auth/revoke", {"token": other["refresh_token"]}),
    ):
        assert answer.status_code in (500, 503), answer.text
        assert "access_token" not in answer.text
        assert answer.json()["error"] in ("temporarily_unavailable", "server_error")
    read = await world.fhir("Patient/a", token)
    assert read.status_code == 503  # it cannot be recorded
    assert '"Patient"' not in read.text

    disk.make_room()
    assert (await world.fhir("Patient/a", token)).status_code == 200
    assert await world.is_let_in(other["access_token"])  # the refused revocation was none
    revoked = await world.ask(client, "/auth/revoke", {"token": other["refresh_token"]})
    assert revoked.status_code == 200
    assert not await world.is_let_in(other["access_token"])
    refreshed = await world.refresh(client, body["refresh_token"])
    assert refreshed.status_code == 200
    redeemed = await world.redeem(client, code)
    assert redeemed.status_code == 200  # nothing was half written: it is not used up
    assert (await world.redeem(client, code)).status_code == 400
    assert (await world.system_token(system)).status_code == 200
    settings = Settings(data=disk.folder / "data", auth="smart")
    assert (await verification_of(settings, world.store).run()).problems == []
