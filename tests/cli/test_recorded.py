"""Changes by commands are on record: what was changed, and by whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from audit.conftest import about
from typer.testing import CliRunner

from fhirserver.app import whole_store
from fhirserver.app.audit import operator, segments_of
from fhirserver.cli import client, peers, signing_keys, user
from fhirserver.cli.commands import _group
from fhirserver.model.json import Resource, decode
from fhirserver.settings import Settings

KEYS = {
    "list": signing_keys.list_signing_keys,
    "rotate": signing_keys.rotate_signing_key,
}


async def _events(settings: Settings) -> list[Resource]:
    async with whole_store(settings) as store:
        await segments_of(settings, store).settle()
        found = [decode(item.body or b"{}") async for item in store.scan("AuditEvent")]
    return [item for item in found if item["type"]["code"] != "110100"]


@pytest.mark.check("AUD-5")
@pytest.mark.parametrize(
    ("commands", "changes", "looks"),
    [
        (user.COMMANDS, (("add", "anna"), ("lock", "anna")), (("list",), ("show", "anna"))),
        (client.COMMANDS, (("add", "App", "--redirect-uri", "https://a.test/cb"),), (("list",),)),
        (peers.COMMANDS, (("add", "CT1"), ("suspend", "CT1"), ("remove", "CT1")), (("list",),)),
        (KEYS, (("rotate",),), (("list",),)),
    ],
    ids=["user", "client", "peers", "keys"],
)
def test_a_change_is_on_record_and_a_look_is_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    commands: Mapping[str, Callable[..., Any]],
    changes: tuple[tuple[str, ...], ...],
    looks: tuple[tuple[str, ...], ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    app = _group("x", dict(commands))
    for words in (*changes, *looks, (changes[0][0], "--no-such-option")):
        CliRunner().invoke(app, list(words))
    events = asyncio.run(_events(Settings(data=tmp_path / "fhirserver-data")))
    assert len(events) == len(changes)
    for event in events:
        assert event["agent"][-1]["altId"] == operator()
        (named,) = [item for item in event["entity"] if "identifier" in item.get("what", {})]
        assert "/" in named["what"]["identifier"]["value"]
        assert about(event) == []
