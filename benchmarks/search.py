"""Kinds of searches at growing sizes: medians, 99th percentiles, errors, on either store.

    python benchmarks/search.py [--patients 1000,4000,16000,64000] [--times 40] [--folder DIR]
                                [--store sqlite|mongodb://HOST:PORT] [--only TEXT] [--explain]

A patient has 16 resources (`population.py`), so 64,000 patients are a million. Each search has
other values than the one before and goes through the gate, as from HTTP: parsed, compiled, found,
with what it includes, written as a Bundle. The sizes take turns search by search, so that what
else the machine does falls on all alike. Searches named with a `*` are selective: they find about
as much whatever the size; the last column is the median at the greatest size over that at the
smallest. `--folder` keeps the stores for another run; `--explain` prints the plans of one search
of each kind at the greatest size. On MongoDB each size is a database of its own, `bench_N`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AsyncExitStack
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

import population
from search_shapes import PAGES, SHAPES, Asked, World
from shown_plan import told

from fhirserver.access.grant import OPEN
from fhirserver.app import open_gate, whole_store
from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError
from fhirserver.indexing.marks import without_custom
from fhirserver.interactions.query import query_pairs
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.route import route
from fhirserver.model.json import Resource, decode
from fhirserver.model.resource import draft
from fhirserver.search.index import Indexer
from fhirserver.settings import Settings
from fhirserver.store.port import Change, Store

BASE = "http://localhost/fhir"
AHEAD = 3

Dispatch: TypeAlias = Callable[[Request], Awaitable[Answer]]


class Taken(NamedTuple):
    """Milliseconds of each search, errors by text, and how many entries a search gave."""

    times: list[float]
    errors: dict[str, int]
    entries: list[int]


# --- filling ----------------------------------------------------------------------------------


@cache
def _indexer() -> Indexer:
    return Indexer(packaged(), "all")


def _changes(resources: list[Resource]) -> list[Change]:
    index = _indexer().entries
    made = []
    for resource in resources:
        body = draft(resource, resource["id"], 1)
        entries = index(resource, BASE, resource["id"], body.tail)
        made.append(Change(resource["resourceType"], resource["id"], 1, "PUT", body, entries))
    return made


def _of_patients(first: int, last: int, patients: int) -> list[Change]:
    found = [it for n in range(first, last) for it in population.records(n, patients)]
    return _changes(found)


def _chunks(patients: int, each: int) -> Iterator[list[Change]]:
    """The changes in order, made in another process a little ahead."""
    ranges = ((first, min(first + each, patients)) for first in range(0, patients, each))
    with ProcessPoolExecutor(1) as pool:
        ahead: list[Future[list[Change]]] = [
            pool.submit(_of_patients, *bounds, patients) for bounds in islice(ranges, AHEAD)
        ]
        while ahead:
            yield ahead.pop(0).result()
            ahead += [pool.submit(_of_patients, *some, patients) for some in islice(ranges, 1)]


async def fill(store: Store, patients: int, each: int) -> None:
    """Writes the population; so many patients are one commit."""
    await store.commit(_changes(list(population.directory(patients))))
    for changes in _chunks(patients, each):
        await store.commit(changes)


async def _ready(settings: Settings, patients: int) -> None:
    """Fills the store unless it holds the population."""
    each = 10 if settings.is_mongodb else 200
    async with whole_store(settings) as store:
        await without_custom(store, store.records, settings.full_text)  # marks it as indexed
        if (await store.counts()).get("Patient", 0) < patients:
            began, cpu = time.perf_counter(), time.process_time()
            await fill(store, patients, each)
            took = time.perf_counter() - began
            cpu = (time.process_time() - cpu) / patients / population.EACH * 1e6
            rate = patients * population.EACH / took
            print(
                f"{patients:,} patients stored: {rate:,.0f} resources/s, {cpu:.0f} µs of CPU each"
            )
        total = sum((await store.counts()).values())
        if not settings.is_mongodb:
            size = settings.database.stat().st_size / total
            print(f"{patients:,} patients: {total:,} resources, {size:,.0f} bytes each", flush=True)


# --- searching --------------------------------------------------------------------------------


def request(url: str) -> Request:
    """The request of `GET [base]/url`."""
    path, _, query = url.partition("?")
    at = route("GET", path, packaged())
    return Request(
        at.interaction,
        BASE,
        at.type,
        at.id,
        parameters=query_pairs(query),
        compartment=at.compartment,
        grant=OPEN,
    )


async def _once(dispatch: Dispatch, asked: Asked) -> Resource:
    """The answer; of a walk through pages, the last page."""
    bundle: Resource = {}
    url = asked.url
    for _ in range(PAGES if asked.is_walk else 1):
        answer = await dispatch(request(url))
        bundle = answer.body if not asked.is_walk else decode(answer.body or b"")
        if asked.is_walk:
            following = [it["url"] for it in bundle["link"] if it["relation"] == "next"]
            if not following:
                break
            url = following[0].removeprefix(BASE).lstrip("/")
    return bundle


async def _timed(dispatch: Dispatch, asked: Asked, taken: Taken) -> None:
    began = time.perf_counter()
    try:
        answer = await _once(dispatch, asked)
    except FhirError as error:
        taken.errors[error.text] = taken.errors.get(error.text, 0) + 1
        return
    taken.times.append((time.perf_counter() - began) * 1000)
    bundle = answer if asked.is_walk else decode(answer)
    taken.entries.append(len(bundle.get("entry", ())) or bundle.get("total", 0))


async def _measure(
    gates: dict[int, Dispatch], worlds: dict[int, World], options: argparse.Namespace
) -> dict[str, dict[int, Taken]]:
    out: dict[str, dict[int, Taken]] = {}
    for name, shape in SHAPES.items():
        if options.only not in name:
            continue
        chance = {size: random.Random(f"{name}{size}{options.seed}") for size in gates}
        out[name] = {size: Taken([], {}, []) for size in gates}
        for turn in range(options.times + 1):
            for size, dispatch in gates.items():
                asked = shape(worlds[size], chance[size])
                taken = out[name][size] if turn else Taken([], {}, [])  # the first warms up
                await _timed(dispatch, asked, taken)
        _tell(name, out[name])
        if options.explain:
            size = max(gates)
            explained = asked.url.replace("?", "/__explain?", 1)
            answer = await gates[size](request(explained))
            print(f"      {asked.url}\n{told(decode(answer.body or b''))}", flush=True)
    return out


def _tell(name: str, sizes: dict[int, Taken]) -> None:
    cells = ""
    medians = []
    for times, errors, entries in sizes.values():
        if times:
            medians.append(statistics.median(times))
            last = sorted(times)[min(len(times) - 1, int(len(times) * 0.99))]
            cells += f"{medians[-1]:10.2f}{last:10.2f}{statistics.median(entries):6.0f}"
        else:
            cells += f"{'-':>10}{'-':>10}{'-':>6}"
        cells += f"{sum(errors.values()):4}"
    ratio = f"{medians[-1] / medians[0]:8.2f}" if len(medians) > 1 else ""
    print(f"{name:34}{cells}{ratio}", flush=True)
    for text in {text for taken in sizes.values() for text in taken.errors}:
        print(f"      error: {text}")


def _settings(options: argparse.Namespace, folder: Path, patients: int) -> Settings:
    data = folder / f"search-{patients}"
    if options.store == "sqlite":
        return Settings(data=data, auth="none", search_seconds=30)
    url = f"{options.store.rstrip('/')}/bench_{patients}"
    if not urlsplit(url).scheme.startswith("mongodb"):
        raise SystemExit("--store is sqlite or the address of a MongoDB: mongodb://host:port")
    return Settings(data=data, store=url, auth="none", search_seconds=30)


async def run(options: argparse.Namespace, folder: Path) -> None:
    """Fills what is missing, measures and prints."""
    sizes = [int(size) for size in options.patients.split(",")]
    settings = {size: _settings(options, folder, size) for size in sizes}
    for size in sizes:
        await _ready(settings[size], size)
    async with AsyncExitStack() as stack:
        gates = {size: await stack.enter_async_context(open_gate(settings[size])) for size in sizes}
        worlds = {size: World(size) for size in sizes}
        for size in sizes:
            async with whole_store(settings[size]) as store:
                found = await store.read_many([worlds[size].first, worlds[size].last])
                worlds[size].instants = tuple(it.last_updated for it in found)
        head = "".join(f"{size:>10,} p50{'p99':>7}{'hits':>6} err" for size in sizes)
        print(f"{'milliseconds':34}{head}   ratio")
        await _measure(gates, worlds, options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", default="1000,4000,16000,64000")
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--store", default="sqlite")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--seed", default="1", help="Another one asks for other values.")
    parser.add_argument("--explain", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(run(options, options.folder or Path(temporary)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
