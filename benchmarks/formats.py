"""XML against JSON: reading and writing of resources, a mean over many.

    FHIRSERVER_DEFINITIONS_PACKAGE=... python benchmarks/formats.py [--rounds 5]

Reads the examples of that package up to 100 KB. Reading is bytes to resource; writing is stored
bytes to what is sent, which for JSON is nothing, so that XML is held against decoding and
encoding.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fhirserver.definitions.packaged import packaged
from fhirserver.model.json import decode, encode
from fhirserver.xml import from_xml, to_xml

_LARGEST = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    bodies = _bodies(Path(os.environ["FHIRSERVER_DEFINITIONS_PACKAGE"]))
    documents = [to_xml(decode(body), packaged()) for body in bodies]
    json_size, xml_size = _mean(bodies), _mean(documents)
    print(f"{len(bodies)} resources, mean {json_size:.0f} bytes of JSON, {xml_size:.0f} of XML")
    rows: dict[str, tuple[Callable[[bytes], Any], Sequence[bytes]]] = {
        "JSON read (decode)": (decode, bodies),
        "JSON decode and encode": (lambda body: encode(decode(body)), bodies),
        "XML read (from_xml)": (lambda data: from_xml(data, packaged()), documents),
        "XML write (decode, to_xml)": (lambda body: to_xml(decode(body), packaged()), bodies),
    }
    best = {
        name: min(_microseconds(*row) for _ in range(options.rounds)) for name, row in rows.items()
    }
    floor = best["JSON read (decode)"]
    for name, microseconds in best.items():
        print(f"{name:28}{microseconds:8.1f} us each  {microseconds / floor:5.1f} times")


def _bodies(package: Path) -> list[bytes]:
    paths = [path for path in sorted(package.glob("*.json")) if path.name != "package.json"]
    small = [path for path in paths if path.stat().st_size <= _LARGEST]
    return [encode(decode(path.read_bytes())) for path in small[::5]]


def _microseconds(work: Callable[[bytes], Any], items: Sequence[bytes]) -> float:
    started = time.process_time()
    for item in items:
        work(item)
    return (time.process_time() - started) / len(items) * 1e6


def _mean(items: Sequence[bytes]) -> float:
    return sum(map(len, items)) / len(items)


if __name__ == "__main__":
    main()
