"""What encryption costs: the same server with and without, reads, loading, searches, size.

    python benchmarks/encryption.py [--patients 150] [--rounds 5] [--seconds 2]

Processor time, not time on the clock, so that what else the machine does counts little; with and
without take turns. Reads go over HTTP to one worker, also with the audit trail and with both.
Loading is index extraction and commits, without validation, which encryption does not touch;
searches go through the gate. A ratio is the throughput with encryption over that without.
Floors of reads: 0.8, with the audit trail 0.6, with both 0.5.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import population
from load_generator import requests_per_second
from read import PATIENT
from search import _changes, request
from server_process import ServerProcess, fhirserver

from fhirserver.app import open_gate, whole_store
from fhirserver.indexing.marks import without_custom
from fhirserver.model.json import Resource, decode, encode
from fhirserver.settings import Settings

KINDS = ("plain", "sealed")
_SEALED = {"FHIRSERVER_ENCRYPTION": "on", "FHIRSERVER_ENCRYPTION_KEY": "env:BENCHMARK_KEY"}
_AUDITED = {"FHIRSERVER_AUDIT": "on"}
READERS: dict[str, dict[str, str]] = {
    "plain": {},
    "sealed": _SEALED,
    "audited": _AUDITED,
    "both": _SEALED | _AUDITED,
}
GROUP = 100

SEARCHES: dict[str, Callable[[int], str]] = {
    "by family name": lambda n: f"Patient?family={population.family(n % 40)}",
    "by start of a name": lambda n: f"Patient?name={population.family(n % 40)[:3]}&_count=10",
    "by identifier": lambda n: f"Patient?identifier={population.MRN}|mrn{n % 100}",
    "by code and date": lambda n: (
        f"Observation?code={population.VITALS[n % 12][0]}&date=ge{population.day(n)}&_count=20"
    ),
    "by a chain": lambda n: (
        f"Observation?code={population.VITALS[n % 12][0]}&_count=20"
        f"&patient.family={population.family(n % 20)}"
    ),
    "by words": lambda n: f"Observation?_content={('heart', 'weight', 'glucose')[n % 3]}&_count=10",
}


def main() -> None:
    options = _options()
    os.environ["BENCHMARK_KEY"] = b64encode(bytes(range(32))).decode()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _reads(options, place)
        resources = [
            one for n in range(options.patients) for one in population.records(n, options.patients)
        ]
        asyncio.run(_stores(options, place, resources))


def _settings(kind: str, data: Path) -> dict[str, Any]:
    sealed = {"encryption": "on", "encryption_key": "env:BENCHMARK_KEY"}
    return {"data": data, "auth": "none", **(sealed if kind == "sealed" else {})}


@contextmanager
def _environment(kind: str) -> Iterator[None]:
    """The settings of servers that are started inside."""
    names = READERS[kind]
    os.environ.update(names)
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]


def _reads(options: argparse.Namespace, place: Path) -> None:
    path = f"/fhir/Patient/{PATIENT['id']}"
    with ExitStack() as stack:
        servers: dict[str, ServerProcess] = {}
        for kind in READERS:
            with _environment(kind):
                servers[kind] = stack.enter_context(fhirserver(place / f"read-{kind}"))
            status, text = servers[kind].request(
                "PUT", path, encode(PATIENT), "application/fhir+json"
            )
            assert status == 201, text
        taken: dict[str, list[float]] = {kind: [] for kind in READERS}
        for n in range(options.rounds + 1):
            for kind, server in servers.items():
                seconds = _read(server, path, options)
                if n:  # the first warms up
                    taken[kind].append(seconds)
        plain = taken["plain"]
        for kind, floor in (("sealed", 0.8), ("audited", 0.6), ("both", 0.5)):
            ratios = [one / other for one, other in zip(plain, taken[kind], strict=True)]
            print(
                f"read, {kind:<8} {statistics.median(plain) * 1e6:6.1f} us without, "
                f"{statistics.median(taken[kind]) * 1e6:6.1f} with, "
                f"median ratio {statistics.median(ratios):.2f} (floor {floor})"
            )


def _read(server: ServerProcess, path: str, options: argparse.Namespace) -> float:
    """Processor seconds of one read."""
    before = server.cpu_seconds()
    rate = requests_per_second(server.port, path, 32, options.seconds)
    return (server.cpu_seconds() - before) / (rate * options.seconds)


async def _stores(options: argparse.Namespace, place: Path, resources: list[Resource]) -> None:
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for n in range(options.rounds):
        for kind in KINDS:
            taken[kind].append(await _load(kind, place / f"{kind}-{n}", resources))
    print(f"{len(resources)} resources")
    _tell("load, a resource", {kind: min(taken[kind]) for kind in KINDS})
    for kind in KINDS:
        size = sum(file.stat().st_size for file in (place / f"{kind}-0").iterdir())
        print(f"{kind}: {size / 1e6:.1f} MB")
    async with AsyncExitStack() as stack:
        gates = {
            kind: await stack.enter_async_context(
                open_gate(Settings(**_settings(kind, place / f"{kind}-0")))
            )
            for kind in KINDS
        }
        for name, url in SEARCHES.items():
            spent: dict[str, list[float]] = {kind: [] for kind in KINDS}
            found = dict.fromkeys(KINDS, 0)
            for n in range(options.searches):
                for kind in KINDS:
                    before = time.process_time()
                    answer = await gates[kind](request(url(n)))
                    spent[kind].append(time.process_time() - before)
                    found[kind] += len(decode(answer.body or b"{}").get("entry", ()))
            assert len(set(found.values())) == 1, found
            name = f"{name} ({found['plain'] / options.searches:.1f} found)"
            _tell(name, {kind: statistics.median(spent[kind]) for kind in KINDS})


async def _load(kind: str, data: Path, resources: list[Resource]) -> float:
    """Processor seconds of a resource."""
    settings = Settings(**_settings(kind, data))
    async with whole_store(settings) as store:
        await without_custom(store, store.records, settings.full_text)  # marks it as indexed
        before = time.process_time()
        for start in range(0, len(resources), GROUP):
            await store.commit(_changes(resources[start : start + GROUP]))
        return (time.process_time() - before) / len(resources)


def _tell(name: str, seconds: dict[str, float]) -> None:
    plain, sealed = (seconds[kind] * 1e6 for kind in KINDS)
    print(f"{name:<34} {plain:8.1f} us without, {sealed:8.1f} with, ratio {plain / sealed:.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--searches", type=int, default=200)
    return parser.parse_args()


if __name__ == "__main__":
    main()
