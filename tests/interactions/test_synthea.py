"""Synthetic patients of Synthea, posted as the transactions that they are."""

import gzip
from collections import Counter
from pathlib import Path

import pytest
from interactions.bundles import send, statuses
from interactions.client import Client

from fhirserver.model.json import Resource, decode


def _bundles(shared: Path) -> list[Path]:
    return sorted(
        (shared / "data" / "synthea").glob("*.json.gz"), key=lambda path: path.stat().st_size
    )


def _read(path: Path) -> Resource:
    found: Resource = decode(gzip.decompress(path.read_bytes()))
    return found


async def _post(client: Client, paths: list[Path]) -> None:
    expected: Counter[str] = Counter()
    for path in paths:
        bundle = _read(path)
        expected.update(item["resource"]["resourceType"] for item in bundle["entry"])
        answers = await send(client, bundle)
        assert statuses(answers) == ["201"] * len(answers), path.name
    assert await client.context.store.counts() == dict(expected)
    async for version in client.context.store.scan():
        assert version.body is not None
        assert b'"reference":"urn:uuid:' not in version.body


async def test_a_few_patients_are_taken_whole(client: Client, shared: Path) -> None:
    await _post(client, _bundles(shared)[:4])
    search = await client.get("Observation?patient.gender=female,male&_summary=count")
    assert search["total"] == (await client.context.store.counts())["Observation"]


@pytest.mark.slow
async def test_all_patients_are_taken_whole(client: Client, shared: Path) -> None:
    paths = _bundles(shared)
    assert len(paths) == 60
    await _post(client, paths)
    assert sum((await client.context.store.counts()).values()) == 17_197
