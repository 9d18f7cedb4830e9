"""Associations over sockets of our own, with dcmtk and pynetdicom as peers."""

from __future__ import annotations

import asyncio

import pytest
import stores
from imaging.dimse.calling import command, listening
from store.making import Clock

from fhirserver.errors import NotSupported
from fhirserver.imaging.dimse.peers import Peers
from fhirserver.imaging.dimse.session import Called


async def nothing(request):
    raise NotSupported("There is no gate here.")


@pytest.fixture
async def called(tmp_path):
    store = await stores.open_store(tmp_path / "fhir.db", Clock())
    peers = Peers(store.records, now=lambda: 0)
    yield Called("default", "OURS", "", peers, nothing, asyncio.get_running_loop())
    await store.close()


async def test_echo(called):
    async with listening(called, "CT1") as port:
        told = await command("/usr/bin/echoscu", "-v", "127.0.0.1", str(port))
        assert "Received Echo Response (Success)" in told
