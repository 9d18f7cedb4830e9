"""Validation against base R4 of usual resources, beside what fhir.resources takes to parse them.

    python benchmarks/validation.py [folder of Synthea bundles, default ../shared/data/synthea]

CPU time of one core, the best of some rounds, on decoded JSON. `base` is every rule of R4, as a
write is held against; `advice` adds what `$validate` and the library tell beside (displays of
codes, vital signs). The peer
(R4B models; there is no R4 4.0.1 set) checks structure and types only, and no codes, invariants
or references; what it refuses is left out for both. Official examples come in where
FHIRSERVER_DEFINITIONS_PACKAGE names their folder, US Core profiles where the package is.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from fhirserver.access.grant import OPEN
from fhirserver.app import open_gate
from fhirserver.definitions import packaged
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, decode, encode
from fhirserver.settings import Settings
from fhirserver.validation.validate import examine

TYPES = ("Patient", "Observation", "MedicationRequest")
PER_TYPE = 200
ROUNDS = 15
SHARED = Path(__file__).resolve().parents[1] / "../shared"
US_CORE = SHARED / "suites/us-core/us_core_610.tgz"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED / "data/synthea"
    heading = f"{'microseconds per resource':<34}{'count':>6}{'base':>9}{'peer':>9}{'ratio':>8}"
    print(f"{heading}{'advice':>9}")
    for name, resources in {**official(), **synthetic(folder)}.items():
        row(name, resources)
    if US_CORE.exists():
        us_core()
    creating([resource for some in synthetic(folder).values() for resource in some])


def row(name: str, resources: Sequence[Resource]) -> None:
    parse = peer(resources[0]["resourceType"])
    both = [resource for resource in resources if parse is None or takes(parse, resource)]
    if not both:
        return
    ours = measure(as_written, both)
    advised = measure(examine, both)
    theirs = measure(parse, both) if parse is not None else 0.0
    print(f"{name:<34}{len(both):>6}{ours:>9.1f}{theirs:>9.1f}{theirs / ours:>8.1f}{advised:>9.1f}")


def as_written(resource: Resource) -> Any:
    return examine(resource, advice=False)


def us_core() -> None:
    """US Core's own examples against base R4 alone, and with the profiles that they claim."""
    with tarfile.open(US_CORE) as package:
        found = [
            decode(file.read())
            for member in package.getmembers()
            if member.name.endswith(".json")
            and (file := package.extractfile(member)) is not None
            and member.name.startswith(
                (
                    "package/example/",
                    "package/StructureDefinition-",
                    "package/ValueSet-",
                    "package/CodeSystem-",
                )
            )
        ]
    definitions = [item for item in found if item.get("resourceType") == "StructureDefinition"]
    terms = [item for item in found if item.get("resourceType") in ("ValueSet", "CodeSystem")]
    known = packaged().extended([*definitions, *terms])
    print(f"\n{'with US Core profiles':<34}{'count':>6}{'base':>9}{'profile':>9}{'ratio':>8}")
    for type in TYPES:
        claimed = [item for item in found if item.get("resourceType") == type]
        plain = [without_profiles(item) for item in claimed]
        if claimed:
            base = measure(lambda item: examine(item, (), known, advice=False), plain)
            full = measure(lambda item: examine(item, (), known, advice=False), claimed)
            print(f"{type:<34}{len(claimed):>6}{base:>9.1f}{full:>9.1f}{full / base:>8.1f}")


def creating(resources: Sequence[Resource]) -> None:
    """CPU of creates through the gate into a SQLite file, with validation on and off."""
    print(f"\n{'microseconds per create':<34}{'count':>6}{'off':>9}{'reject':>9}{'ratio':>8}")
    spent = {"off": float("inf"), "reject": float("inf")}
    for _ in range(ROUNDS):
        for mode in spent:
            spent[mode] = min(spent[mode], asyncio.run(created(mode, resources)))
    off, on = spent["off"] / len(resources) * 1e6, spent["reject"] / len(resources) * 1e6
    print(f"{'Synthea':<34}{len(resources):>6}{off:>9.1f}{on:>9.1f}{on / off:>8.2f}")


async def created(mode: Any, resources: Sequence[Resource]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), auth="none", validation=mode)
        async with open_gate(settings) as dispatch:
            await dispatch_all(dispatch, resources)  # what the start costs is not told
            start = time.process_time()
            await dispatch_all(dispatch, resources)
            return time.process_time() - start


async def dispatch_all(
    dispatch: Callable[[Request], Awaitable[Answer]], resources: Sequence[Resource]
) -> None:
    """Creates the resources, sixteen under way at a time."""
    for first in range(0, len(resources), 16):
        some = resources[first : first + 16]
        await asyncio.gather(
            *(
                dispatch(
                    Request("create", "http://h", item["resourceType"], resource=item, grant=OPEN)
                )
                for item in some
            )
        )


def without_profiles(resource: Resource) -> Resource:
    meta = {name: value for name, value in resource["meta"].items() if name != "profile"}
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return rest | ({"meta": meta} if meta else {})


def official() -> dict[str, list[Resource]]:
    folder = os.environ.get("FHIRSERVER_DEFINITIONS_PACKAGE")
    if folder is None:
        return {}
    return {
        f"{type}, official examples": [
            decode(path.read_bytes()) for path in sorted(Path(folder).glob(f"{type}-*.json"))
        ]
        for type in TYPES
    }


def synthetic(folder: Path) -> dict[str, list[Resource]]:
    """Some resources of each type, in the order of the files."""
    found: dict[str, list[Resource]] = {f"{type}, Synthea": [] for type in TYPES}
    for path in sorted(folder.glob("*.json.gz")):
        for entry in decode(gzip.decompress(path.read_bytes()))["entry"]:
            kept = found.get(f"{entry['resource']['resourceType']}, Synthea")
            if kept is not None and len(kept) < PER_TYPE:
                kept.append(entry["resource"])
    return found


def peer(type: str) -> Callable[[Resource], Any] | None:
    """The parser of fhir.resources, if it is installed."""
    try:
        from fhir.resources.R4B import get_fhir_model_class
    except ImportError:
        return None
    model = get_fhir_model_class(type)
    texts: dict[int, Any] = {}

    def parse(resource: Resource) -> Any:
        key = id(resource)
        if key not in texts:
            texts[key] = __import__("json").loads(encode(resource))
        return model.model_validate(texts[key])

    return parse


def takes(parse: Callable[[Resource], Any], resource: Resource) -> bool:
    try:
        parse(resource)
    except Exception:  # noqa: BLE001 - whatever it raises, it does not take it
        return False
    return True


def measure(function: Callable[[Resource], Any], resources: Sequence[Resource]) -> float:
    """Microseconds of CPU for one resource, of the best round."""
    for resource in resources:
        function(resource)
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for resource in resources:
            function(resource)
        best = min(best, time.process_time() - start)
    return best / len(resources) * 1e6


if __name__ == "__main__":
    main()
