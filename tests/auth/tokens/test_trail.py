"""What is recorded of tokens, and that none is given where it cannot be."""

from __future__ import annotations

import pytest
from auth.tokens.world import World

from fhirserver.audit.recorder import Event
from fhirserver.audit.trail import Trail
from fhirserver.errors import Unavailable


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """The events that are recorded, in their order."""
    found: list[Event] = []
    record = Trail.record

    async def noting(self: Trail, *events: Event) -> None:
        await record(self, *events)
        found.extend(events)

    monkeypatch.setattr(Trail, "record", noting)
    return found


@pytest.mark.check("AUD-5")
async def test_what_is_recorded_of_tokens(world: World, events: list[Event]) -> None:
    client, user = await world.client(), await world.user()
    granted = await world.grant(client, user, patient="a")
    body = (await world.redeem(client, granted.code)).json()
    (issued,) = events
    assert issued.kind == "token-issued"
    assert issued.principal is not None
    assert issued.principal.subject == user.id
    assert issued.principal.client == client.id
    assert issued.patient == "a"
    second = (await world.refresh(client, body["refresh_token"])).json()
    assert (await world.ask(client, "/auth/revoke", {"token": second["access_token"]})).is_success
    world.clock.move(30)
    assert (await world.refresh(client, body["refresh_token"])).status_code == 400
    again = (await world.grant(client, user)).code
    assert (await world.redeem(client, again)).is_success
    assert not (await world.redeem(client, again)).is_success
    kinds = [(event.kind, event.reason) for event in events]
    assert kinds[1:] == [
        ("token-refreshed", ""),
        ("token-revoked", "client"),
        ("token-reused", "refresh-replay"),
        ("token-issued", ""),
        ("token-reused", "code-replay"),
    ]
    told = repr(events)
    for text in (granted.code, again, *body.values(), *second.values()):
        if isinstance(text, str) and len(text) > 40:
            assert text not in told


@pytest.mark.check("AUD-6")
async def test_no_token_without_a_record(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client, user = await world.client(), await world.user()
    token = (await world.tokens(client, user))["refresh_token"]
    code = (await world.grant(client, user)).code

    async def down(self: Trail, *events: Event) -> None:
        raise Unavailable("The audit trail cannot be written.")

    monkeypatch.setattr(Trail, "record", down)
    for answer in (await world.redeem(client, code), await world.refresh(client, token)):
        assert answer.status_code == 503
        assert "access_token" not in answer.text
        assert answer.json()["error"] == "temporarily_unavailable"
