"""Searches of a store with 10,000, 100,000 and 1,000,000 resources.

    python benchmarks/search.py [--sizes 10000,100000,1000000] [--folder DIR] [--times 300]

A tenth are Patients, the others their Observations, with the entries that the indexer finds.
Selective queries have about as many hits whatever the size: their median at the greatest size
may be at most twice that at the smallest. `--folder` keeps the files for another run.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import cache
from itertools import islice
from pathlib import Path

from fhirserver.definitions.packaged import packaged
from fhirserver.model.json import Resource
from fhirserver.model.resource import draft
from fhirserver.model.temporal import SECOND, interval
from fhirserver.search.expression import (
    EVERYTHING,
    And,
    Chain,
    CompositeIs,
    DateIs,
    Expression,
    Has,
    Missing,
    Not,
    QuantityIs,
    Query,
    ReferenceIs,
    SortKey,
    StringIs,
    StringMode,
    Target,
    TokenIs,
    TokenValue,
)
from fhirserver.search.index import Indexer
from fhirserver.store.port import Change
from fhirserver.store.sqlite import SqliteStore

CHUNK = 5000
EACH = 10  # resources of a patient, with the patient
START = interval("2015-01-01").start
CODES = ("8867-4", "8480-6", "8462-4", "9279-1", "8310-5", "29463-7", "8302-2", "2708-6", "39156-5")
MRN, LOINC, UCUM = "urn:oid:1.2.36", "http://loinc.org", "http://unitsofmeasure.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def patient(n: int) -> Resource:
    return {
        "resourceType": "Patient",
        "id": f"p{n}",
        "active": True,
        "identifier": [{"system": MRN, "value": f"mrn{n}"}],
        "name": [{"family": f"Family{n // 10:06}", "given": [f"Given{n % 977}", "Maria"]}],
        "gender": "female" if n % 2 else "male",
        "birthDate": f"{1930 + n % 90}-{n % 12 + 1:02}-{n % 28 + 1:02}",
        "address": [{"line": [f"{n % 300} Road"], "city": f"City{n % 500}", "country": "XX"}],
        "telecom": [{"system": "phone", "value": f"555-{n}"}],
        "managingOrganization": {"reference": f"Organization/o{n % 20}"},
    }


def observation(n: int, subject: int) -> Resource:
    """Ten of them fall in a minute, ten of a whole store's have one rare value."""
    when = START + n * 6 * SECOND
    day = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when // SECOND))
    return {
        "resourceType": "Observation",
        "id": f"o{n}",
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": "vital-signs"}]}],
        "code": {"coding": [{"system": LOINC, "code": CODES[n % len(CODES)]}], "text": "Vital"},
        "subject": {"reference": f"Patient/p{subject}"},
        "encounter": {"reference": f"Encounter/e{n // 5}"},
        "effectiveDateTime": day,
        "valueQuantity": {
            "value": Decimal(500 + n % 1009) / 10,
            "unit": "x",
            "system": UCUM,
            "code": "/min",
        },
        "device": {"identifier": {"value": f"batch{n // 10}"}},
        "note": [{"text": "Measured at rest, sitting, after five minutes."}],
    }


@cache
def _indexer() -> Indexer:
    return Indexer(packaged())


def _resources(first: int, last: int) -> Iterator[Resource]:
    for n in range(first, last):
        subject, place = divmod(n, EACH)
        yield patient(subject) if place == 0 else observation(n - subject - 1, subject)


def _changes(first: int, last: int) -> list[Change]:
    index = _indexer().entries
    return [
        Change(it["resourceType"], it["id"], 1, "PUT", draft(it, it["id"], 1), index(it))
        for it in _resources(first, last)
    ]


def _chunks(size: int) -> Iterator[list[Change]]:
    """The changes in order, made in another process a little ahead."""
    ranges = ((first, min(first + CHUNK, size)) for first in range(0, size, CHUNK))
    with ProcessPoolExecutor(1) as pool:
        ahead: list[Future[list[Change]]] = [
            pool.submit(_changes, *bounds) for bounds in islice(ranges, 3)
        ]
        while ahead:
            yield ahead.pop(0).result()
            ahead += [pool.submit(_changes, *bounds) for bounds in islice(ranges, 1)]


async def _fill(path: Path, size: int) -> float:
    """Writes a store; the seconds that it took."""
    store = SqliteStore.open(path, clock=lambda: time.time_ns() // 1000)
    began = time.perf_counter()
    for changes in _chunks(size):
        await store.commit(changes)
    await store.close()
    return time.perf_counter() - began


def _is(param: str, code: str, system: str | None = None) -> TokenIs:
    return TokenIs(param, (TokenValue(system, code),))


def _starts(param: str, text: str) -> StringIs:
    return StringIs(param, StringMode.STARTS, (text,))


def _subject(n: int) -> ReferenceIs:
    return ReferenceIs("subject", (Target("Patient", f"p{n}"),))


def _minute(n: int) -> DateIs:
    start = START + n * 9 // 10 * 60 * SECOND  # nine of ten are Observations
    return DateIs("date", "eq", start, start + 60 * SECOND)


def _since(n: int) -> DateIs:
    start = _minute(n).start
    return DateIs("date", "ge", start, start + 1)


def _above(value: float) -> QuantityIs:
    return QuantityIs("value-quantity", "gt", value, value, value, None, "x")


NEWEST = (SortKey("date", "date", True),)
CHANGED = (SortKey("_lastUpdated", "date", True),)

Ask = Callable[[int], Query]
"""A query about the n-th patient (or minute)."""


def _of(type: str, where: Callable[[int], Expression], **more: object) -> Ask:
    return lambda n: replace(Query((type,), where(n)), **more)


SELECTIVE: dict[str, Ask] = {
    "token": _of("Patient", lambda n: _is("identifier", f"mrn{n}", MRN)),
    "token, any system": _of("Patient", lambda n: _is("identifier", f"mrn{n}")),
    "string": _of("Patient", lambda n: _starts("name", f"family{n // 10:06}")),
    "string, exact": _of(
        "Patient", lambda n: StringIs("family", StringMode.EXACT, (f"Family{n // 10:06}",))
    ),
    "date": _of("Observation", _minute),
    "reference": _of("Observation", _subject),
    "reference and token": _of("Observation", lambda n: And((_subject(n), _is("code", CODES[0])))),
    "reference, newest first": _of("Observation", _subject, sort=NEWEST),
    "date and token": _of("Observation", lambda n: And((_is("code", CODES[1]), _minute(n)))),
    "string and token": _of(
        "Patient", lambda n: And((_is("gender", "male"), _starts("family", f"family{n // 10:06}")))
    ),
    "chain": _of(
        "Observation",
        lambda n: Chain("subject", ("Patient",), _is("identifier", f"mrn{n}", MRN)),
    ),
    "chain and token": _of(
        "Observation",
        lambda n: And((
            Chain("subject", ("Patient",), _starts("family", f"family{n // 10:06}")),
            _is("code", CODES[2]),
        )),
    ),
    "_has": _of("Patient", lambda n: Has("Observation", "subject", _minute(n))),
    "_has and token": _of(
        "Patient", lambda n: And((_is("gender", "male"), Has("Observation", "subject", _minute(n))))
    ),
    "total of a reference": _of("Observation", _subject, total=True),
}  # fmt: skip

BROAD: dict[str, Ask] = {
    "everything": _of("Observation", lambda n: EVERYTHING),
    "common token": _of("Patient", lambda n: _is("gender", "male")),
    "common tokens": _of(
        "Observation", lambda n: And((_is("code", CODES[n % 9]), _is("status", "final")))
    ),
    "common token and date": _of(
        "Observation",
        lambda n: And((_is("code", CODES[n % 9]), _since(n))),
    ),
    "late dates": _of("Observation", _since),
    "late dates, common token": _of(
        "Observation", lambda n: And((_since(n), _is("category", "vital-signs")))
    ),
    "not": _of("Patient", lambda n: Not(_is("gender", "male"))),
    "missing": _of("Observation", lambda n: Missing("performer", "reference", True)),
    "newest first": _of("Observation", lambda n: EVERYTHING, sort=NEWEST),
    "common token, newest first": _of(
        "Observation", lambda n: _is("code", CODES[n % 9]), sort=NEWEST
    ),
    "last changed": _of("Observation", lambda n: EVERYTHING, sort=CHANGED),
    "by name": _of("Patient", lambda n: EVERYTHING, sort=(SortKey("family", "string"),)),
    "composite": _of(
        "Observation",
        lambda n: CompositeIs(
            "code-value-quantity", (_is("", CODES[n % 9], LOINC), replace(_above(150), param=""))
        ),
    ),
    "great quantity": _of("Observation", lambda n: _above(150)),
    "_has of common ones": _of("Patient", lambda n: Has("Observation", "subject", _above(120))),
    "chain to common ones": _of(
        "Observation", lambda n: Chain("subject", ("Patient",), _is("gender", "male"))
    ),
    "total of a common token": _of(
        "Patient", lambda n: _is("gender", "male"), total=True, count=0
    ),
}  # fmt: skip


async def _measure(path: Path, size: int, times: int) -> dict[str, list[float]]:
    store = SqliteStore.open(path, clock=lambda: time.time_ns() // 1000)
    chance = random.Random(size)
    out: dict[str, list[float]] = {}
    for name, ask in (SELECTIVE | BROAD).items():
        patients = size // EACH
        first = patients * 9 // 10 if name.startswith("late") else 0
        queries = [
            ask(chance.randrange(first, patients))
            for _ in range(times if name in SELECTIVE else max(5, times // 10))
        ]
        await store.search(queries[0])
        taken = []
        for query in queries:
            began = time.perf_counter()
            page = await store.search(query)
            taken.append((time.perf_counter() - began) * 1e6)
        taken.sort()
        out[name] = [len(page.versions), *taken]
    keys = [f"p{chance.randrange(size // EACH)}" for _ in range(20 * times)]
    began = time.perf_counter()
    for key in keys:
        await store.read("Patient", key)
    print(f"{size:,}: a read takes {(time.perf_counter() - began) / len(keys) * 1e6:.1f} µs")
    await store.close()
    return out


def _tell(sizes: list[int], results: list[dict[str, list[float]]]) -> None:
    head = "".join(f"{size:>12,} p50      p99" for size in sizes)
    for title, group in (("selective", SELECTIVE), ("broad", BROAD)):
        print(f"\n{title:28} hits{head}   ratio of medians")
        for name in group:
            cells, medians = "", []
            for result in results:
                taken = result[name][1:]
                medians.append(statistics.median(taken))
                cells += f"{medians[-1]:13.0f} µs {taken[int(len(taken) * 0.99)]:6.0f}"
            print(f"{name:28} {results[-1][name][0]:4.0f}{cells}   {medians[-1] / medians[0]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--times", type=int, default=300)
    asked = parser.parse_args()
    sizes = [int(size) for size in asked.sizes.split(",")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = []
        for size in sizes:
            path = folder / f"search-{size}.db"
            if not path.exists():
                seconds = asyncio.run(_fill(path, size))
                print(f"{size:,} resources in {seconds:.0f} s: {size / seconds:,.0f} a second")
            print(f"{size:,}: {path.stat().st_size / size:,.0f} bytes a resource", flush=True)
            results.append(asyncio.run(_measure(path, size, asked.times)))
    _tell(sizes, results)


if __name__ == "__main__":
    main()
