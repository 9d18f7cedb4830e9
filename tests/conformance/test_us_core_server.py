"""US Core 6.1.0 as an installed package: its examples over HTTP, and each of its searches."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from conformance.test_official_examples import query
from conformance.test_us_core import INVALID
from serving import client as serving
from typer import Typer
from typer.testing import CliRunner

from fhirserver.cli.package import install
from fhirserver.definitions import packaged
from fhirserver.definitions.search_parameter import search_parameter
from fhirserver.model.json import Resource, decode, encode
from fhirserver.search.index import Indexer
from fhirserver.search.parameter_check import check_parameter

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

BASE = "http://localhost/fhir"
PACKAGE = "suites/us-core/us_core_610.tgz"
READ = ("package/SearchParameter-", "package/example/")
UNASKED = {
    ("CarePlan", "date"),
    ("Condition", "asserted-date"),
    ("Encounter", "identifier"),
    ("PractitionerRole", "practitioner"),
    ("PractitionerRole", "specialty"),
}
"""Searches for which no example holds a value."""


@pytest.fixture(scope="module")
def files(shared: Path) -> dict[str, Resource]:
    found = {}
    with tarfile.open(shared / PACKAGE) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            if file is not None and member.name.startswith(READ) and member.name.endswith(".json"):
                found[member.name.removeprefix("package/")] = decode(file.read())
    return found


@pytest.fixture(scope="module")
def examples(files: dict[str, Resource]) -> dict[str, Resource]:
    return {
        name.removeprefix("example/"): item
        for name, item in files.items()
        if name.startswith("example/")
    }


@pytest.fixture(scope="module")
def indexer(files: dict[str, Resource]) -> Indexer:
    """What the server with the package looks for in resources."""
    known = packaged()
    own = [
        search_parameter(item, custom=True)
        for name, item in files.items()
        if name.startswith("SearchParameter-") and not check_parameter(known, item)
    ]
    return Indexer(known.with_search_parameters(own), "all")


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder into which the package was installed by the command."""
    found = tmp_path_factory.mktemp("us-core")
    app = Typer()
    app.command()(install)
    arguments = [str(shared / PACKAGE), "--data", str(found)]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    return found


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(folder) as found:
        yield found


async def test_the_examples_are_taken_as_the_package_intends(
    client: httpx2.AsyncClient, examples: dict[str, Resource]
) -> None:
    refused = {}
    for name, resource in examples.items():
        answer = await put(client, resource)
        if answer.status_code not in (200, 201):
            errors = [item for item in answer.json()["issue"] if item["severity"] == "error"]
            refused[name] = errors[0]["expression"][0]
    assert len(examples) == 183
    assert refused == INVALID


async def test_what_a_profile_requires_is_required_over_http(
    client: httpx2.AsyncClient, examples: dict[str, Resource]
) -> None:
    patient = examples["Patient-example.json"]
    less = {name: value for name, value in patient.items() if name != "gender"}
    answer = await put(client, less)
    assert answer.status_code == 422
    assert "gender" in answer.json()["issue"][0]["diagnostics"]


async def test_each_search_parameter_finds_what_it_means(
    client: httpx2.AsyncClient,
    files: dict[str, Resource],
    examples: dict[str, Resource],
    indexer: Indexer,
) -> None:
    wanted = {
        (type, (item["code"],))
        for name, item in files.items()
        if name.startswith("SearchParameter-")
        for type in item["base"]
    }
    asked, missed = await ask(client, wanted, examples, indexer)
    assert missed == []
    assert {(type, codes[0]) for type, codes in wanted - asked} <= UNASKED


async def test_the_searches_of_the_profiles_answer(
    client: httpx2.AsyncClient, shared: Path, examples: dict[str, Resource], indexer: Indexer
) -> None:
    text = (shared / "suites/us-core/search_metadata_6.1.0.yml").read_text()
    groups = yaml.safe_load(text)[":groups"]
    wanted = {
        (group[":resource"], tuple(search[":names"]))
        for group in groups
        for search in group.get(":searches", ())
    }
    asked, missed = await ask(client, wanted, examples, indexer)
    assert missed == []
    assert len(asked) / len(wanted) > 0.8


async def put(client: httpx2.AsyncClient, resource: Resource) -> httpx2.Response:
    address = f"/fhir/{resource['resourceType']}/{resource['id']}"
    headers = {"Content-Type": "application/fhir+json"}
    return await client.put(address, content=encode(resource), headers=headers)


async def ask(
    client: httpx2.AsyncClient,
    wanted: set[tuple[str, tuple[str, ...]]],
    examples: Mapping[str, Resource],
    indexer: Indexer,
) -> tuple[set[tuple[str, tuple[str, ...]]], list[str]]:
    """The searches that an example has values for, and those that did not find it."""
    asked, missed = set(), []
    for name, resource in examples.items():
        type, id = resource["resourceType"], resource["id"]
        if name in INVALID:
            continue
        await put(client, resource)
        entries = indexer.entries(resource, BASE)
        for search in sorted(item for item in wanted - asked if item[0] == type):
            words = [written(code, entries, id) for code in search[1]]
            if None in words:
                continue
            asked.add(search)
            address = f"/fhir/{type}?_count=1000&{'&'.join(filter(None, words))}"
            answer = await client.get(address)
            found = [item["resource"]["id"] for item in answer.json().get("entry", ())]
            if answer.status_code != 200 or id not in found:
                missed.append(address)
    return asked, missed


def written(code: str, entries: Mapping[str, Sequence[Any]], id: str) -> str | None:
    """The query by one code for a value of the resource."""
    if code == "_id":
        return f"_id={id}"
    return next(filter(None, (query(code, item) for item in entries.get(code, ()))), None)
