"""A code system of many concepts: how long it takes to load, and how long its answers take.

    python benchmarks/terminology.py [--concepts 1000000] [--folder DIR]

The process is made ready as a server's is when it starts. Prints CPU time of this process (the
machine may be busy), the middle and the worst of 200 calls through the gate, each for another
code, and what they may take by the target.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from fhirserver.access.grant import OPEN
from fhirserver.app import new_id, now
from fhirserver.app.warm import collect_garbage_seldom, warm_up
from fhirserver.definitions.packaged import packaged
from fhirserver.interactions.context import Context, Policy
from fhirserver.interactions.dispatch import Gate
from fhirserver.interactions.request import Request
from fhirserver.interactions.seal import AesSealer
from fhirserver.operations.table import OPERATIONS
from fhirserver.search.index import Indexer
from fhirserver.store.sqlite import SqliteStore
from fhirserver.terminology.concept import Concept

URL = "http://example.org/large"
BASE = "http://example.org/fhir"
PARTS = [
    "heart",
    "lung",
    "liver",
    "kidney",
    "stomach",
    "femur",
    "tibia",
    "humerus",
    "skull",
    "spine",
    "hand",
    "foot",
    "knee",
]
KINDS = [
    "fracture",
    "infection",
    "tumour",
    "ulcer",
    "stenosis",
    "injury",
    "inflammation",
    "necrosis",
    "failure",
]
MANNERS = [
    "acute",
    "chronic",
    "recurrent",
    "primary",
    "secondary",
    "congenital",
    "malignant",
    "benign",
    "open",
]
SIDES = ["left", "right", "bilateral", "unspecified"]


def concepts(count: int) -> Iterator[Concept]:
    """A tree of ten below each, named from a few words and a number word of its own."""
    dice = random.Random(7)
    for n in range(count):
        words = [
            dice.choice(MANNERS),
            dice.choice(KINDS),
            "of",
            dice.choice(SIDES),
            dice.choice(PARTS),
        ]
        name = f"{' '.join(words)} {n % 997:x}q"
        parents = (f"C{(n - 1) // 10}",) if n else ()
        data = {
            "code": f"C{n}",
            "designation": [{"language": "en", "value": f"{words[4]} {words[1]} {n % 997:x}q"}],
            "property": [{"code": "chapter", "valueCode": f"ch{n % 20}"}],
        }
        yield Concept(f"C{n}", name.capitalize(), parents, data)


async def main(count: int, folder: Path) -> None:
    store = SqliteStore.open(folder / "fhir.db", clock=now)
    context = Context(
        store=store,
        concepts=store,
        definitions=packaged(),
        indexer=Indexer(packaged(), "all"),
        policy=Policy(),
        sealer=AesSealer(bytes(32), now=now, random=random.randbytes),
        now=now,
        new_id=new_id,
    )
    gate = Gate(context, OPERATIONS)
    began, cpu = time.perf_counter(), time.process_time()
    loaded = await store.stage(URL, "1", concepts(count), lambda number: None)
    system = {
        "resourceType": "CodeSystem",
        "id": "large",
        "url": URL,
        "version": "1",
        "status": "active",
        "content": "not-present",
        "property": [{"code": "chapter", "type": "code"}],
    }
    await gate.dispatch(Request("update", BASE, "CodeSystem", "large", resource=system, grant=OPEN))
    size = (folder / "fhir.db").stat().st_size / 1e6
    print(
        f"load {loaded} concepts: {time.process_time() - cpu:.1f} s CPU, "
        f"{time.perf_counter() - began:.1f} s in all, {size:.0f} MB"
    )
    warm_up(packaged())
    collect_garbage_seldom()
    await _answers(gate.dispatch, count)
    await store.close()


async def _answers(dispatch: Callable[[Request], Awaitable[object]], count: int) -> None:
    dice = random.Random(3)

    def code() -> str:
        return f"C{dice.randrange(count)}"

    def ask(type: str, name: str, *pairs: tuple[str, str]) -> Request:
        return Request(f"${name}", BASE, type, parameters=pairs, grant=OPEN)

    everything = ("url", f"{URL}?fhir_vs")
    rows: list[tuple[str, float, Callable[[], Request]]] = [
        ("$lookup", 5, lambda: ask("CodeSystem", "lookup", ("system", URL), ("code", code()))),
        (
            "$validate-code",
            5,
            lambda: ask("ValueSet", "validate-code", everything, ("system", URL), ("code", code())),
        ),
        (
            "$subsumes",
            5,
            lambda: ask(
                "CodeSystem", "subsumes", ("system", URL), ("codeA", "C3"), ("codeB", code())
            ),
        ),
    ]
    for words in ("fract femur", "acute", "of", "ulcer left hand", "fractuer of femur", "C12345"):
        pairs = (everything, ("filter", words), ("count", "20"))
        rows.append(
            (f"$expand filter={words}", 50, lambda pairs=pairs: ask("ValueSet", "expand", *pairs))
        )
    for name, target, make in rows:
        times = []
        for _ in range(200 if target < 50 else 30):
            request = make()
            began = time.process_time()
            await dispatch(request)
            times.append((time.process_time() - began) * 1000)
        print(
            f"{name:32} middle {statistics.median(times):7.2f} ms  worst {max(times):7.2f} ms  "
            f"target {target} ms"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concepts", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(given.concepts, given.folder or Path(temporary)))
