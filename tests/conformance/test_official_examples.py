"""The resources of the official R4 package: each is taken, found, and comes back as it was.

694 of them are plain examples; the others define the standard or are bundles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from interactions.client import BASE, Client, ids, open_context
from stores import MONGODB

from fhirserver.errors import FhirError
from fhirserver.model.json import Resource, decode, encode
from fhirserver.model.outcome import issues_of
from fhirserver.model.temporal import MAX_INSTANT, MIN_INSTANT, format_instant
from fhirserver.search.contained import MARK
from fhirserver.search.entry import Date, Entry, Number, Quantity, Reference, String, Token, Uri
from fhirserver.search.escape import escape
from fhirserver.search.index import UNCOVERED

pytestmark = pytest.mark.conformance

LEDGER: dict[str, str] = yaml.safe_load(
    Path(__file__).with_name("examples_ledger.yaml").read_text()
)
TOO_LARGE_FOR_MONGODB = {
    "Bundle-resources.json": ": The resource is larger than the store can hold.",
}
"""Of 35 MB; a document of MongoDB has 16 at the most."""

NOT_PLAIN = (
    "Bundle-",
    "CapabilityStatement-",
    "CodeSystem-",
    "ConceptMap-",
    "OperationDefinition-",
    "SearchParameter-",
    "StructureDefinition-",
    "ValueSet-",
)


@pytest.mark.slow_on_mongodb
async def test_the_plain_examples(
    definitions_package: Path, tmp_path: Path, each_store: str
) -> None:
    files = [path for path in resources(definitions_package) if is_plain(path)]
    assert len(files) == 694
    await check(files, tmp_path, LEDGER)


@pytest.mark.slow
async def test_the_definitions(definitions_package: Path, tmp_path: Path, each_store: str) -> None:
    files = [path for path in resources(definitions_package) if not is_plain(path)]
    assert len(files) == 4612
    more = TOO_LARGE_FOR_MONGODB if each_store == MONGODB else {}
    await check(files, tmp_path, LEDGER | more)


async def test_the_plain_examples_are_found_by_what_they_hold(
    definitions_package: Path, tmp_path: Path, each_store: str
) -> None:
    """By each search parameter that has a value in them, in the words of a caller."""
    files = [path for path in resources(definitions_package) if is_plain(path)]
    missed: list[str] = []
    searched: set[tuple[str, str]] = set()
    async with open_context(tmp_path / "fhir.db") as context:
        client = Client(context)
        for path in files:
            if path.name in LEDGER:
                continue
            resource = decode(path.read_bytes())
            await client.put(resource)
            type, id = resource["resourceType"], resource["id"]
            for code, entries in context.indexer.entries(resource, BASE).items():
                asked = ":" not in code and code != UNCOVERED and query(code, entries[0])
                if asked and (type, code) not in searched:
                    searched.add((type, code))
                    if ids(await client.get(f"{type}?_id={id}&{asked}")) != [f"{type}/{id}"]:
                        missed.append(f"{type}?{asked}")
    assert missed == []
    assert len(searched) > 1000


def query(code: str, entry: Entry) -> str | None:
    """A search that finds a resource by one of its entries; None for what has several parts."""
    match entry:
        case Token(system, value) if value:
            return (
                f"{code}={quoted(system)}|{quoted(value)}" if system else f"{code}={quoted(value)}"
            )
        case String(_, exact) if exact:
            return f"{code}:exact={quoted(exact)}"
        case Date(start, end) if start > MIN_INSTANT and end < MAX_INSTANT:
            return f"{code}=ge{quote(format_instant(start))}&{code}=lt{quote(format_instant(end))}"
        case Number(low, high) if abs(low) + abs(high) < inf:
            return f"{code}=ge{low}&{code}=le{high}"
        case Quantity(low, high) if abs(low) + abs(high) < inf:
            return f"{code}=ge{low}&{code}=le{high}"
        case Reference("", id) if ":" not in id:
            return None  # a canonical should be absolute; a bare word is taken for an id
        case Reference(type, _) if type.startswith(MARK):
            return None  # what is contained is found by chains alone
        case Reference(type, id):
            return f"{code}={quoted(f'{type}/{id}' if type else id)}"
        case Uri(value):
            return f"{code}={quoted(value)}"
        case _:
            return None


def quoted(text: str) -> str:
    return quote(escape(text), safe="")


def resources(package: Path) -> Iterator[Path]:
    return (path for path in sorted(package.glob("*.json")) if path.name != "package.json")


def is_plain(path: Path) -> bool:
    return not path.name.startswith(NOT_PLAIN)


async def check(files: Sequence[Path], folder: Path, ledger: dict[str, str]) -> None:
    refused: dict[str, str] = {}
    changed: list[str] = []
    lost: list[str] = []
    expected = {path.name: ledger[path.name] for path in files if path.name in ledger}
    async with open_context(folder / "fhir.db") as context:
        client = Client(context)
        for path in files:
            resource = decode(path.read_bytes())
            type, id = resource["resourceType"], resource["id"]
            try:
                await client.ask("PUT", f"{type}/{id}", resource=resource)
            except FhirError as error:
                issue = next(issue for issue in issues_of(error) if issue.is_error)
                refused[path.name] = f"{issue.expression}: {issue.text}"
                continue
            if not is_same(await client.get(f"{type}/{id}"), resource):
                changed.append(path.name)
            if ids(await client.get(f"{type}?_id={id}")) != [f"{type}/{id}"]:
                lost.append(path.name)
    assert (refused, changed, lost) == (expected, [], [])


def is_same(found: Resource, sent: Resource) -> bool:
    """Whether all is as it was sent, to the spelling of numbers and the order of what is nested,
    but for the version and its time."""
    found, sent = without_version(found), without_version(sent)
    in_order = {name: sent[name] for name in found if name in sent}
    return len(found) == len(sent) and encode(found) == encode(in_order)


def without_version(resource: Resource) -> Resource:
    kept = ("versionId", "lastUpdated")
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in kept}
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return rest | ({"meta": meta} if meta else {})
