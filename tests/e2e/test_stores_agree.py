"""Two servers over the 60 Synthea bundles, one on SQLite and one on MongoDB, answer alike.

The bundles' resources are put under ids of their own, one transaction after another, so that
both servers have them under the same ids in the same order.
"""

from __future__ import annotations

import gzip
import json
import random
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import httpx2
import pytest
from e2e.agreed_searches import BY_HAND
from e2e.server import FHIR_JSON, Server, ran, serving
from stores import url_of_database

from fhirserver.definitions.packaged import packaged
from fhirserver.model.json import decode
from fhirserver.search.entry import Date, Entries, Number, Quantity, Reference, String, Token, Uri
from fhirserver.search.escape import escape
from fhirserver.search.index import Indexer

pytestmark = [pytest.mark.slow, pytest.mark.mongodb, pytest.mark.timeout(3600)]

AT_LEAST = 200
PAGES = 4

Answer = tuple[object, list[str]]
"""The total of a page, and its entries as `mode Type/id`."""


class Both(NamedTuple):
    sqlite: Server
    mongodb: Server


@pytest.fixture(scope="module")
def bundles(shared: Path) -> list[dict[str, Any]]:
    """The transactions, as updates under the ids that the files give."""
    found = []
    for path in sorted((shared / "data" / "synthea").glob("*.json.gz")):
        bundle = json.loads(gzip.decompress(path.read_bytes()))
        for entry in bundle["entry"]:
            kind, id = entry["resource"]["resourceType"], entry["fullUrl"].rpartition(":")[2]
            entry["resource"]["id"] = id
            entry["request"] = {"method": "PUT", "url": f"{kind}/{id}"}
        found.append(bundle)
    return found


@pytest.fixture(scope="module")
def both(
    bundles: list[dict[str, Any]], wire: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    folder: Path = tmp_path_factory.mktemp("agreement")
    url = url_of_database(wire.address(), f"agree_{uuid.uuid4().hex[:8]}")
    made = ran(folder, "store", "init", FHIRSERVER_STORE=url)
    assert made.returncode == 0, made.stderr
    with (
        serving(folder / "sqlite") as sqlite,
        serving(folder / "mongodb", FHIRSERVER_STORE=url) as mongodb,
    ):
        for server in (sqlite, mongodb):
            for bundle in bundles:
                answer = httpx2.post(server.base, json=bundle, headers=FHIR_JSON, timeout=300)
                assert answer.status_code == 200, answer.text[:2000]
        yield Both(sqlite, mongodb)


def searches(bundles: list[dict[str, Any]]) -> list[str]:
    """Those written by hand, and for each parameter that the data has values of, two of them."""
    dice = random.Random(20)
    indexer = Indexer(packaged(), "all")
    by_parameter: dict[tuple[str, str], list[str]] = {}
    for bundle in bundles[::6]:
        for entry in bundle["entry"]:
            resource = decode(json.dumps(entry["resource"]).encode())
            entries = indexer.entries(resource, "http://localhost/fhir")
            kind = resource["resourceType"]
            known = indexer.parameters(kind)
            for name, value in _values({n: e for n, e in entries.items() if n in known}):
                by_parameter.setdefault((kind, name), []).append(value)
    by_value = [
        f"{kind}?{urlencode({name: value})}"
        for (kind, name), values in sorted(by_parameter.items())
        for value in dice.sample(values, min(2, len(values)))
    ]
    patients = [bundle["entry"][0]["resource"]["id"] for bundle in bundles]
    encounter = next(
        entry["resource"]["id"]
        for entry in bundles[0]["entry"]
        if entry["resource"]["resourceType"] == "Encounter"
    )
    ids = {"{patient}": patients[0], "{other}": patients[1], "{encounter}": encounter}
    by_hand = []
    for text in BY_HAND:
        for name, id in ids.items():
            text = text.replace(name, id)
        by_hand.append(text)
    return list(dict.fromkeys([*by_hand, *by_value]))


def _values(entries: Entries) -> Iterable[tuple[str, str]]:
    for name, found in entries.items():
        for entry in found:
            match entry:
                case Token(system, code) if code:
                    yield name, f"{escape(system)}|{escape(code)}" if system else escape(code)
                case String(folded, exact) if exact and len(folded) > 2:
                    yield name, escape(exact[:3])
                    yield f"{name}:exact", escape(exact)
                case Reference(type_, id_) if type_:
                    yield name, f"{type_}/{id_}"
                case Uri(value) if value:
                    yield name, escape(value)
                case Number(low, high) | Quantity(low, high) if low == high:
                    yield name, f"ge{low:g}"
                case Date():
                    yield name, "gt2012-03"


def encoded(search: str) -> tuple[str, list[tuple[str, str]]]:
    path, _, query = search.partition("?")
    return path, parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)


def walk(client: httpx2.Client, search: str, *, posts: bool = False) -> list[Answer]:
    """The first pages of a search."""
    path, pairs = encoded(search)
    pages: list[Answer] = []
    if posts:
        answer = client.post(f"{path}/_search" if path else "_search", data=dict(pairs))
    else:
        answer = client.get(f"{path}?{urlencode(pairs)}" if pairs else path)
    while True:
        bundle = answer.json()
        if answer.status_code != 200:
            return [(answer.status_code, [str(bundle["issue"][0]["diagnostics"])])]
        entries = [
            f"{one['search']['mode']} {one['resource']['resourceType']}/{one['resource'].get('id')}"
            for one in bundle.get("entry", [])
        ]
        pages.append((bundle.get("total"), entries))
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        if "next" not in links or len(pages) == PAGES:
            return pages
        answer = client.get(links["next"])


def test_all_searches(both: Both, bundles: list[dict[str, Any]]) -> None:
    asked = searches(bundles)
    assert len(asked) >= AT_LEAST
    differ: list[tuple[str, list[Answer], list[Answer]]] = []
    empty: list[str] = []
    refused: list[str] = []
    with (
        httpx2.Client(base_url=both.sqlite.base + "/", timeout=120) as sqlite,
        httpx2.Client(base_url=both.mongodb.base + "/", timeout=120) as mongodb,
    ):
        for number, search in enumerate(asked):
            by_post = number % 3 == 0 and search.count("&") < 3 and "/" not in search
            for posts in (False, True) if by_post else (False,):
                expected = walk(sqlite, search, posts=posts)
                found = walk(mongodb, search, posts=posts)
                if found != expected:
                    differ.append((search, expected, found))
            if not expected[0][1] and not expected[0][0]:
                empty.append(search)
            if (
                isinstance(expected[0][0], int)
                and expected[0][0] >= 400
                and len(expected[0][1]) == 1
            ):
                refused.append(search)
    assert differ == []
    assert refused == []
    assert len(empty) < len(asked) / 10, empty


def test_whole_walks(both: Both) -> None:
    """Every resource of the large types, by pages, in four orders."""
    for kind in ("Observation", "Encounter", "Claim"):
        for order in ("", "&_sort=_id", "&_sort=-date" if kind != "Claim" else "&_sort=-created"):
            walks = [
                list(_ids(server, f"{kind}?_count=700{order}")) for server in both
            ]  # fmt: skip
            assert walks[0] == walks[1], (kind, order)
            assert len(set(walks[0])) == len(walks[0])


def _ids(server: Server, search: str) -> Iterator[str]:
    following: str | None = f"{server.base}/{search}"
    with httpx2.Client(timeout=120) as client:
        while following:
            bundle = client.get(following).json()
            yield from (entry["resource"]["id"] for entry in bundle.get("entry", []))
            links = {link["relation"]: link["url"] for link in bundle["link"]}
            following = links.get("next")


def test_counts_by_type(both: Both, bundles: list[dict[str, Any]]) -> None:
    distinct = {entry["request"]["url"] for bundle in bundles for entry in bundle["entry"]}
    counts = Counter(url.partition("/")[0] for url in distinct)
    for server in both:
        assert {kind: server.count(kind) for kind in counts} == dict(counts)
