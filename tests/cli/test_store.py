"""`fhirserver store init` and `status`, over MongoDB's protocol."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from stores import url_of_database
from typer import Typer
from typer.testing import CliRunner

from fhirserver.cli import store
from fhirserver.cli.check import check
from fhirserver.errors import Unavailable
from fhirserver.store.mongo import MongoStore, indexes
from fhirserver.store.mongo.indexes import INDEXES
from fhirserver.store.mongo.layout import COLLECTION, NUMBER

pytestmark = pytest.mark.mongodb


class Bare:
    """A database in which nothing was made, and commands on it."""

    def __init__(self, address: str, name: str) -> None:
        self.url = url_of_database(address, name)
        self.client: MongoClient[dict[str, Any]] = MongoClient(address)
        self.database = self.client[name]

    def run(self, command: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
        monkeypatch.setenv("FHIRSERVER_STORE", self.url)
        app = Typer()
        app.command()(command)
        result = CliRunner().invoke(app, [])
        return result.exit_code, result.output

    def refusal(self) -> str:
        """Why a server does not start there."""

        async def opened() -> None:
            await (await MongoStore.open(self.url, clock=lambda: 1)).close()

        with pytest.raises(Unavailable) as refused:
            asyncio.run(opened())
        return refused.value.text


@pytest.fixture
def bare(wire: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    found = Bare(wire.address(), f"fhirserver_test_{tmp_path.name.replace('-', '_')[-30:]}")
    found.client.drop_database(found.database.name)
    yield found
    found.client.drop_database(found.database.name)
    found.client.close()


def test_what_is_missing_is_made_and_told(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = bare.run(store.status, monkeypatch)
    assert code == 1
    assert "layout: none" in told
    assert told.count("missing ") == len(INDEXES)
    assert "store init" in bare.refusal()
    code, told = bare.run(store.init, monkeypatch)
    assert (code, f"0 of {len(INDEXES)} indexes" in told) == (0, True)
    code, told = bare.run(store.status, monkeypatch)
    assert (code, f"layout: {NUMBER} of {NUMBER}" in told, "missing" in told) == (0, True, False)
    bare.database["resource"].drop_index("by_key")
    assert "by_key" in bare.refusal()
    code, told = bare.run(store.status, monkeypatch)
    assert (code, told.count("missing ")) == (1, 1)
    code, told = bare.run(store.init, monkeypatch)
    assert f"{len(INDEXES) - 1} of {len(INDEXES)} indexes" in told
    assert "[1/1] resource.by_key" in told


def test_an_init_that_was_cut_goes_on(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    making = indexes.making

    async def cut(database: Any, index: Any) -> Any:
        nonlocal made
        if made == 3:
            raise OperationFailure("interrupted", 11601)
        made += 1
        async for told in making(database, index):
            yield told

    with monkeypatch.context() as broken:
        broken.setattr(indexes, "making", cut)
        code, told = bare.run(store.init, broken)
    assert code != 0
    assert "All indexes are there" not in told
    assert "by_low" in bare.refusal()
    code, told = bare.run(store.init, monkeypatch)
    assert code == 0
    assert f"3 of {len(INDEXES)} indexes are there." in told
    assert f"[{len(INDEXES) - 3}/{len(INDEXES) - 3}]" in told


@pytest.mark.parametrize("layout", [NUMBER + 1, None], ids=["newer", "without a number"])
def test_another_layout_is_refused(
    bare: Bare, monkeypatch: pytest.MonkeyPatch, layout: int | None
) -> None:
    bare.run(store.init, monkeypatch)
    bare.database[COLLECTION].delete_many({})
    if layout is None:
        bare.database["version"].insert_one({"t": "default", "k": "Patient", "i": "1", "v": 1})
    else:
        bare.database[COLLECTION].insert_one({"_id": "store", "n": layout})
    assert f"layout {layout or 0}" in bare.refusal()
    for command in (store.init, store.status):
        code, told = bare.run(command, monkeypatch)
        assert code == 2
        assert "load --restore" in told
    assert f"layout {layout or 0}" in bare.run(check, monkeypatch)[1]
    found = bare.database[COLLECTION].find_one({})
    assert (found or {}).get("n") == layout
