"""How far a store is indexed: one record, which says by what all its resources can be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from fhirserver.search.rules import REVISION
from fhirserver.search.text import TEXT_PARAMETERS, FullText
from fhirserver.store.port import Stale, Store
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "index"
KEY: Final = "marks"


class Marks(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`rules`: the revision of the index rules; `full_text`: the words that are all there.

    `parameters`: the stamp of each custom parameter, by the id of its resource. `base` is the
    service base URL by which references to this server are known. `leftover` are types of which
    resources may still have references by a parameter that is no longer in effect.
    """

    rules: int = 0
    full_text: FullText = "none"
    parameters: dict[str, str] = {}
    base: str = ""
    leftover: tuple[str, ...] = ()


class Marked(NamedTuple):
    marks: Marks
    revision: int


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Marks).decode


async def read_marks(records: Records) -> Marked | None:
    """The marks of a store; None if it has none yet."""
    record = await records.get(COLLECTION, KEY)
    return None if record is None else Marked(_decode(record.body), record.revision)


async def marks_of(store: Store, records: Records, full_text: FullText) -> Marked:
    """The marks of a store, made when missing: an empty one is wholly indexed.

    What `full_text` no longer keeps is taken from them: new versions will not have it.
    """
    while True:
        found = await read_marks(records)
        try:
            if found is None:
                is_empty = not any((await store.counts()).values())
                marks = Marks(rules=REVISION, full_text=full_text) if is_empty else Marks()
                return await _put(records, marks, ABSENT)
            kept = _both(found.marks.full_text, full_text)
            if kept == found.marks.full_text:
                return found
            marks = msgspec.structs.replace(found.marks, full_text=kept)
            return await _put(records, marks, found.revision)
        except Stale:
            continue


async def without_custom(store: Store, records: Records, full_text: FullText) -> None:
    """Marks that what is to be written has no entries by custom parameters."""
    await marks_of(store, records, full_text)
    await change_marks(records, lambda marks: msgspec.structs.replace(marks, parameters={}))


async def change_marks(records: Records, change: Callable[[Marks], Marks]) -> Marked:
    """The marks as `change` makes them of those there are, whoever else changes them."""
    while True:
        found = await read_marks(records) or Marked(Marks(), ABSENT)
        marks = change(found.marks)
        if marks == found.marks:
            return found
        try:
            return await _put(records, marks, found.revision)
        except Stale:
            continue


async def _put(records: Records, marks: Marks, expected: int) -> Marked:
    revision = await records.put(COLLECTION, KEY, _encode(marks), expected=expected)
    return Marked(marks, revision)


def _both(one: FullText, other: FullText) -> FullText:
    """The words that both keep."""
    return min(one, other, key=lambda kept: len(TEXT_PARAMETERS[kept]))
