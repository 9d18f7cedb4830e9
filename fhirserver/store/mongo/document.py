"""The documents that a resource is kept as.

`resource` has one for each resource: what it is found and sorted by. `version` has one for
each version, with the bytes to be served, which are written once and never moved.

    both      t tenant, k type, i id, v version, u instant (microseconds)
    resource  n number of its first version, m of its current one, l true unless deleted,
              q texts and w words (see `keys`), r ranges {p,v,w,s,c,u} and places {p,v,w}
              (latitude, longitude), x tuples {p,a,b,d}, o order {a,d}, z how many words,
              p what it contains {k,i,n}; that has documents of its own, with the v, m and u
              of its container; g, where the entries were made anew, the number of the last
              SearchParameter by which they were
    version   n number in the tenant's total order, h method, b body unless a deletion,
              w the group of commits that wrote it, and once superseded: e instant and
              x number of the version that followed

Numbers are 64-bit. Values of one parameter are of one BSON type, so that comparisons hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, assert_never

from bson import Int64
from bson.binary import Binary
from pymongo import UpdateOne

from fhirserver.search.contained import MARK, is_contained
from fhirserver.search.entry import (
    Composite,
    Contained,
    Date,
    Entries,
    Entry,
    Number,
    Position,
    Quantity,
    Reference,
    Simple,
    String,
    Token,
    Uri,
    Words,
)
from fhirserver.store.mongo.keys import keys, words
from fhirserver.store.port import Change, Entered, Key, Method, Rewritten, Version

Json: TypeAlias = dict[str, Any]

_INDEXED: Final = ("q", "w", "z", "r", "x", "o")

SHOWN: Final = {"_id": 0, "e": 0, "x": 0, "w": 0}
"""The projection that leaves of a version what `version_of` reads."""

COMPONENTS: Final = ("a", "b", "d")
"""Where the components of a tuple stand."""


def reentered(
    tenant: str, entered: Entered, number: int, part: Contained | None = None
) -> UpdateOne:
    """The write that gives a version other entries, if it is current and none were made later;
    or those of a part that it contains.

    `number` is that of the last SearchParameter by which they are made.
    """
    key = Key(part.type, part.id) if part else Key(entered.type, entered.id)
    which: Json = {"t": tenant, "k": key.type, "i": key.id, "v": Int64(entered.version)}
    which |= {"l": True, **entered_before(number)}
    fields = indexed(part.entries if part else entered.entries)
    gone = {name: "" for name in _INDEXED if name not in fields}
    write: Json = {"$set": {**fields, "g": Int64(number)}}
    return UpdateOne(which, write | ({"$unset": gone} if gone else {}))


def entered_before(number: int) -> Json:
    """That the entries of a document were not made by a later SearchParameter."""
    return {"$or": [{"g": {"$exists": False}}, {"g": {"$lte": Int64(number)}}]}


def keyed(tenant: str, keys: Iterable[Key]) -> list[Json]:
    """Filters that each find the documents of some keys of one type."""
    by_type: dict[str, list[str]] = {}
    for key in keys:
        by_type.setdefault(key.type, []).append(key.id)
    return [{"t": tenant, "k": type_, "i": {"$in": ids}} for type_, ids in by_type.items()]


class Stamp(NamedTuple):
    """The version, number and instant of a change."""

    version: int
    number: int
    instant: int


def resource_document(
    tenant: str, key: Key, created: int, stamp: Stamp, entries: Entries | None
) -> Json:
    """What a change makes of a resource; of a deleted one (None) only that it was there."""
    out: Json = {
        "t": tenant,
        "k": key.type,
        "i": key.id,
        "v": Int64(stamp.version),
        "n": Int64(created),
        "m": Int64(stamp.number),
        "u": Int64(stamp.instant),
    }
    if entries is not None:
        out["l"] = True
        out |= indexed(entries)
    return out


def contained_field(parts: Mapping[Key, int]) -> Json:
    """The field that lists what a resource contains, with the numbers of that."""
    listed = [{"k": k, "i": i, "n": Int64(number)} for (k, i), number in parts.items()]
    return {"p": listed} if listed else {}


def container_of(found: Json) -> Key:
    """The resource whose versions are those of a document: itself, or what contains it."""
    if not is_contained(found["k"]):
        return Key(found["k"], found["i"])
    return Key(*found["i"].partition(MARK)[0].split("/", 1))


def version_document(tenant: str, change: Change, number: int, at: int, group: str) -> Json:
    """The version that a change makes."""
    out: Json = {
        "t": tenant,
        "k": change.type,
        "i": change.id,
        "v": Int64(change.version),
        "n": Int64(number),
        "u": Int64(at),
        "h": change.method,
        "w": group,
    }
    if change.body is not None:
        out["b"] = Binary(change.body.stamped(at))
    return out


def rewriting(tenant: str, one: Rewritten) -> UpdateOne:
    """The write that gives a version other bytes, if it has those that were before."""
    which: Json = {"t": tenant, "k": one.type, "i": one.id, "v": Int64(one.version)}
    return UpdateOne(which | {"b": Binary(one.before)}, {"$set": {"b": Binary(one.after)}})


def version_of(found: Json) -> Version:
    """The version that a document of `version` holds."""
    method: Method = found["h"]
    body = found.get("b")
    return Version(
        found["k"],
        found["i"],
        int(found["v"]),
        int(found["u"]),
        method,
        None if body is None else bytes(body),
    )


def indexed(entries: Entries) -> Json:
    """The fields by which a resource with these entries is found and sorted."""
    ranges, tuples = [], []
    order: Json = {}
    for param, found in entries.items():
        ranks = [rank for entry in found if (rank := _rank(entry)) is not None]
        if ranks:
            order[field(param)] = {"a": min(ranks), "d": max(ranks)}
        for entry in found:
            if isinstance(entry, Composite):
                parts = map(_component, entry.components)
                tuples.append({"p": param, **dict(zip(COMPONENTS, parts, strict=False))})
            elif isinstance(entry, Date | Number | Quantity | Position):
                ranges.append({"p": param, **_component(entry)})
    told = words(entries)
    counts = Counter(word[0] for word in told)
    out: Json = {"q": keys(entries), "w": told, "z": dict(counts), "r": ranges}
    out |= {"x": tuples, "o": order}
    return {name: value for name, value in out.items() if value}


def field(param: str) -> str:
    """The name of a parameter as the name of a field, which has no dots and no leading dollar."""
    return param.replace(".", "\uff0e").replace("$", "\uff04")


def _component(entry: Simple) -> Json:
    match entry:
        case Token(system, code):
            return {"s": system, "c": code}
        case String(folded, exact):
            return {"f": folded, "x": exact}
        case Date(start, end):
            return {"v": Int64(start), "w": Int64(end)}
        case Number(low, high):
            return {"v": float(low), "w": float(high)}
        case Quantity(low, high, system, code, unit):
            return {"v": float(low), "w": float(high), "s": system, "c": code, "u": unit}
        case Reference(type_, id_):
            return {"k": type_, "i": id_}
        case Uri(value):
            return {"v": value}
        case Position(latitude, longitude):
            return {"v": float(latitude), "w": float(longitude)}
        case _:
            assert_never(entry)


def _rank(entry: Entry) -> int | float | str | None:
    """What a value is sorted by; pairs as one text whose order is that of the pairs."""
    match entry:
        case Token(system, code):
            return f"{code}\x00{system}"
        case Reference(type_, id_):
            return f"{type_}\x00{id_}"
        case String(folded, exact):
            return folded if exact else None
        case Date(start):
            return Int64(start)
        case Number(low) | Quantity(low):
            return float(low)
        case Uri(value):
            return value
        case Composite() | Position() | Words() | Contained():
            return None
        case _:
            assert_never(entry)
