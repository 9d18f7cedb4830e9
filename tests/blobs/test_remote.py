"""What object storage does that a folder does not: parts, buckets, signatures, and being away."""

from __future__ import annotations

import asyncio
import os
import socket
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from blobs.conftest import REMOTE, Clouds, opened

from fhirserver.blobs.port import CHUNK
from fhirserver.blobs.remote import RemoteShelf
from fhirserver.blobs.store import ShelfBlobs, open_blobs
from fhirserver.errors import NotFound, Unavailable

PART = 8 << 20
NOWHERE = "http://127.0.0.1:9"
AT_ONCE = {"retry_config": {"max_retries": 0}}
_IN_THE_CLEAR = {"client_options": {"allow_http": True}}
AWAY: dict[str, dict[str, Any]] = {
    "s3": {
        "aws_endpoint": NOWHERE,
        "aws_access_key_id": "a",
        "aws_secret_access_key": "b",
        **_IN_THE_CLEAR,
    },
    "az": {
        "azure_storage_account_name": "a",
        "azure_storage_account_key": "Yg==",
        "azure_storage_endpoint": f"{NOWHERE}/a",
        **_IN_THE_CLEAR,
    },
    "gs": {"google_bearer_token": "b", "google_base_url": NOWHERE},
}
CANNOT_SIGN: dict[str, dict[str, Any]] = {
    "az": {"azure_storage_account_name": "a", "azure_storage_sas_token": "sv=2023-11-03&sig=b"},
    "gs": {"google_bearer_token": "b"},
}

remote = pytest.mark.parametrize("blobs", REMOTE, indirect=True)


@remote
async def test_a_large_blob_goes_up_in_parts(blobs: ShelfBlobs) -> None:
    data = os.urandom(3 * PART + 1001)
    stored = await blobs.put(data)
    assert stored.size == await blobs.size(stored.digest) == len(data)
    assert b"".join([chunk async for chunk in blobs.read(stored.digest)]) == data
    for start, end in [(PART - 1, PART + 1), (PART, 2 * PART), (3 * PART, None), (7, 2 * PART)]:
        assert await blobs.get(stored.digest, start, end) == data[start:end]


@remote
async def test_all_who_send_the_same_large_blob_are_told_that_it_is_there(
    blobs: ShelfBlobs,
) -> None:
    """On Azure the first upload that ends drops the parts of the others."""
    data = os.urandom(2 * PART + 5)
    stored = await asyncio.gather(*(blobs.put(data) for _ in range(4)))
    assert len(set(stored)) == 1
    assert await blobs.get(stored[0].digest) == data
    assert await blobs.leftovers() == 0


@remote
@pytest.mark.parametrize("replaced_after", ["the head", "a chunk"])
async def test_a_blob_is_read_on_when_another_sender_replaces_it(
    blobs: ShelfBlobs, replaced_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who send at once see none there: the second puts its object, sealed anew, over it."""
    data = os.urandom(3 * CHUNK)
    digest = (await blobs.put(data)).digest
    monkeypatch.setattr(RemoteShelf, "_there", lambda *_: -1)
    read, number = RemoteShelf.read, 0

    async def meanwhile(shelf: RemoteShelf, name: str, start: int, end: int) -> bytes:
        nonlocal number
        found = await read(shelf, name, start, end)
        number += 1
        if number == {"the head": 1, "a chunk": 3}[replaced_after]:
            await blobs.put(data)
        return found

    monkeypatch.setattr(RemoteShelf, "read", meanwhile)
    assert b"".join([chunk async for chunk in blobs.read(digest)]) == data


@pytest.mark.parametrize("kind", REMOTE)
@pytest.mark.parametrize("size", [1, PART + 1])
async def test_nothing_is_kept_in_a_bucket_that_is_not_there(
    kind: str, size: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    blobs = opened(kind, tmp_path, request, bucket="missing")
    with pytest.raises(Unavailable, match="FHIRSERVER_BLOBS"):
        await blobs.put(os.urandom(size))
    assert await blobs.leftovers() == 0
    with pytest.raises(Unavailable, match="FHIRSERVER_BLOBS"):
        _ = [kept async for kept in blobs.list()]
    await blobs.delete("0" * 64)
    with pytest.raises(NotFound):
        await blobs.get("0" * 64)


@pytest.mark.parametrize("scheme", AWAY)
async def test_storage_that_cannot_be_reached_is_unavailable(scheme: str, tmp_path: Path) -> None:
    blobs = open_blobs(f"{scheme}://images/x", tmp_path, options=AWAY[scheme] | AT_ONCE)

    async def listed() -> None:
        _ = [kept async for kept in blobs.list()]

    digest = "0" * 64
    asked = [blobs.put(b"pixels"), blobs.size(digest), blobs.get(digest), blobs.has(digest)]
    for one in [*asked, blobs.delete(digest), listed()]:
        with pytest.raises(Unavailable, match="FHIRSERVER_BLOBS"):
            await one
    assert await blobs.leftovers() == 0
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(120)  # obstore's own way is to try for three minutes
async def test_storage_that_hangs_is_unavailable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        blobs = open_blobs(
            "s3://images/x", tmp_path, options=AWAY["s3"] | {"aws_endpoint": endpoint}
        )
        with pytest.raises(Unavailable):
            await blobs.put(b"pixels")


@pytest.mark.slow
async def test_refused_credentials_are_unavailable(
    clouds: Clouds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in clouds.variables("azure").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", b64encode(os.urandom(64)).decode())
    blobs = open_blobs("az://images/x", tmp_path)
    for one in (blobs.put(b"pixels"), blobs.get("0" * 64), blobs.delete("0" * 64)):
        with pytest.raises(Unavailable, match="credentials"):
            await one
    assert await blobs.leftovers() == 0


@pytest.mark.parametrize("scheme", CANNOT_SIGN)
async def test_there_is_no_signed_address_without_a_key(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shared access signature signs nothing, nor does a token with nobody to ask for it."""
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
    blobs = open_blobs(f"{scheme}://images/x", tmp_path, options=CANNOT_SIGN[scheme] | AT_ONCE)
    assert await blobs.url("0" * 64, 60) is None


@pytest.mark.parametrize("scheme", ["az", "gs"])
def test_what_no_variable_explains_is_unavailable(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "missing.json"))
    with pytest.raises(Unavailable, match="FHIRSERVER_BLOBS"):
        open_blobs(f"{scheme}://images/x", tmp_path)
