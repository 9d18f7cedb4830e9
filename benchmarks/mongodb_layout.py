"""What four layouts of search entries cost in MongoDB: documents, index keys and their bytes.

    python benchmarks/mongodb_layout.py FOLDER_OF_BUNDLES [COUNT]

Nothing is sent to a server: the keys that each index would hold are made, sorted, and counted with
the prefix compression that WiredTiger uses, so that the figures do not depend on a machine. See
docs/adr/0010-mongodb-layout.md.
"""

from __future__ import annotations

import gzip
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import bson

from fhirserver.definitions.packaged import packaged
from fhirserver.model.json import decode
from fhirserver.search.entry import Composite, Date, Entries, Entry, Number, Quantity
from fhirserver.search.index import Indexer
from fhirserver.store.mongo.document import indexed
from fhirserver.store.mongo.indexes import INDEXES, RESOURCE

RECORD = 5  # bytes of a record's number in an index key


class Made(NamedTuple):
    """The documents of a resource, and its keys by index."""

    documents: list[dict[str, Any]]
    keys: list[tuple[str, tuple[Any, ...]]]


def resources(folder: Path, count: int) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.json.gz"))[:count]:
        for entry in decode(gzip.decompress(path.read_bytes()))["entry"]:
            yield entry["resource"]


def head(resource: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "_id": bson.ObjectId(),
        "t": "default",
        "k": resource["resourceType"],
        "i": f"{number:08x}-0000-7000-8000-{number:012x}",
        "v": bson.Int64(1),
        "n": bson.Int64(number),
        "m": bson.Int64(number),
        "u": bson.Int64(1_700_000_000_000_000 + number * 1000),
        "l": True,
    }


def fixed(document: dict[str, Any]) -> list[tuple[str, tuple[Any, ...]]]:
    """The keys that every layout has."""
    scope = document["t"], document["k"]
    return [
        ("_id", (str(document["_id"]),)),
        ("by_id", (*scope, document["i"])),
        ("by_number", (*scope, True, document["n"])),
        ("by_instant", (*scope, True, document["u"], document["n"])),
    ]


def keys_and_ranges(entries: Entries, base: dict[str, Any]) -> Made:
    """Chosen: one array of texts, one of ranges, and orders of a few parameters."""
    document = base | indexed(entries)
    scope, number = (base["t"], base["k"]), base["n"]
    keys = fixed(document)
    keys += [("by_key", (*scope, key, number)) for key in document.get("q", [None])]
    for one in document.get("r", [{}]):
        bounds = one.get("v"), one.get("w")
        keys.append(("by_low", (*scope, one.get("p"), *bounds)))
        keys.append(("by_high", (*scope, one.get("p"), *bounds[::-1])))
    for index in INDEXES:
        if index.partial and index.collection == RESOURCE:
            _, param, letter = index.keys[2][0].split(".")
            if found := document.get("o", {}).get(param):
                keys.append((index.name, (*scope, found[letter], number)))
    return Made([document], keys)


def one_array(entries: Entries, base: dict[str, Any]) -> Made:
    """One array {p, v, w}, two indexes."""
    document = base | {"e": []}
    scope = base["t"], base["k"]
    keys = fixed(document)
    for param, entry in flat(entries):
        first, second, *more = (*parts(entry), None)
        document["e"].append({"p": param, "v": first, "w": second, "u": [m for m in more if m]})
        keys.append(("by_value", (*scope, param, first, second, base["n"])))
        keys.append(("by_second", (*scope, param, second, first, base["n"])))
    return Made([document], keys)


def arrays_by_type(entries: Entries, base: dict[str, Any]) -> Made:
    """An array for each kind, each with an index; two for those with bounds. An index has a key
    also for a resource that has none of the kind."""
    kinds = ("Token", "String", "Date", "Number", "Quantity", "Reference", "Uri")
    document = base | {kind: [] for kind in kinds}
    scope = base["t"], base["k"]
    keys = fixed(document)
    for param, entry in flat(entries):
        values = parts(entry)
        document[type(entry).__name__].append(
            {"p": param, **dict(zip("vwabc", values, strict=False))}
        )
    for kind in kinds:
        for one in document[kind] or [{}]:
            bounds = one.get("v"), one.get("w")
            keys.append((kind, (*scope, one.get("p"), *bounds, base["n"])))
            if kind in ("Date", "Number", "Quantity", "String"):
                keys.append((f"{kind}_high", (*scope, one.get("p"), *bounds[::-1], base["n"])))
    document = {name: value for name, value in document.items() if value != []}
    return Made([document], keys)


def row_per_value(entries: Entries, base: dict[str, Any]) -> Made:
    """A document for each value, partial indexes by kind, and one by resource to delete by."""
    scope = base["t"], base["k"]
    documents, keys = [base], fixed(base)
    for param, entry in flat(entries):
        values = parts(entry)
        kind = type(entry).__name__
        row = {"_id": bson.ObjectId(), "t": base["t"], "k": base["k"], "i": base["i"], "p": param}
        documents.append(row | {kind: dict(zip("vwabc", values, strict=False)), "n": base["n"]})
        first, second = (*values, None)[:2]
        keys.append(("row_id", (str(row["_id"]),)))
        keys.append(("row_by_resource", (*scope, base["i"])))
        keys.append((kind, (*scope, param, first, second, base["n"])))
        if kind in ("Date", "Number", "Quantity", "String"):
            keys.append((f"{kind}_high", (*scope, param, second, first, base["n"])))
    return Made(documents, keys)


def flat(entries: Entries) -> Iterator[tuple[str, Entry]]:
    """Single values; a tuple counts as its first component."""
    for param, found in entries.items():
        for entry in found:
            yield param, entry.components[0] if isinstance(entry, Composite) else entry


def parts(entry: Entry) -> tuple[Any, ...]:
    if isinstance(entry, Date):
        return bson.Int64(entry.start), bson.Int64(entry.end)
    if isinstance(entry, Number | Quantity):
        return tuple(entry)
    return tuple(reversed(entry))


LAYOUTS = {
    "texts and ranges (chosen)": keys_and_ranges,
    "one array {p,v,w}": one_array,
    "arrays by type": arrays_by_type,
    "a row per value": row_per_value,
}


def encoded(key: tuple[Any, ...]) -> bytes:
    """Near to MongoDB's KeyString: a type byte, then text with an end or a number."""
    out = bytearray()
    for value in key:
        match value:
            case str():
                out += b"\x3c" + value.encode() + b"\0"
            case None:
                out += b"\x0a"
            case bool():
                out += b"\x6f"
            case int() | float():
                out += b"\x33" + struct.pack(">d", value)
    return bytes(out)


def compressed(keys: list[bytes]) -> int:
    """The bytes of sorted keys, each without what it begins like the one before."""
    keys.sort()
    total, before = 0, b""
    for key in keys:
        same = 0
        for one, other in zip(before, key, strict=False):
            if one != other:
                break
            same += 1
        total += len(key) - same + 2 + RECORD
        before = key
    return total


def main() -> None:
    folder, count = Path(sys.argv[1]), int((*sys.argv, 5)[2])
    indexer = Indexer(packaged())
    indexer_entries = [(one, indexer.entries(one)) for one in resources(folder, count)]
    total = len(indexer_entries)
    print(f"{total} resources of {count} bundles; per resource:")
    print(f"{'layout':<28}{'documents':>10}{'BSON':>8}{'keys':>7}{'key bytes':>11}{'us':>6}")
    for name, make in LAYOUTS.items():
        by_index: dict[str, list[bytes]] = defaultdict(list)
        documents = size = 0
        start = time.perf_counter()
        made = [make(found, head(one, n)) for n, (one, found) in enumerate(indexer_entries, 1)]
        duration = time.perf_counter() - start
        for one in made:
            documents += len(one.documents)
            size += sum(len(bson.encode(document)) for document in one.documents)
            for index, key in set(one.keys):
                by_index[index].append(encoded(key))
        number = sum(map(len, by_index.values()))
        stored = sum(map(compressed, by_index.values()))
        print(
            f"{name:<28}{documents / total:>10.1f}{size / total:>8.0f}{number / total:>7.1f}"
            f"{stored / total:>11.0f}{duration / total * 1e6:>6.0f}"
        )


if __name__ == "__main__":
    main()
