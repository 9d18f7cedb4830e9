"""The kinds of matching (PS3.4 C.2.2.2). Universal matching is no condition: leave the key out."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Exactly(NamedTuple):
    """Single value matching (C.2.2.2.1): the value itself, case as it is."""

    value: str


class AnyOf(NamedTuple):
    """List of UID matching (C.2.2.2.2), and several values (C.2.2.2.6)."""

    values: tuple[str, ...]


class Wildcard(NamedTuple):
    """Wild card matching (C.2.2.2.4): `*` any characters, `?` one."""

    pattern: str


class Range(NamedTuple):
    """Range matching of DA, TM and DT (C.2.2.2.5): from `low` to `high`, both included; empty:
    open. In the form of DICOM, as precise as they were written; a single value is the range of
    all moments that it names (`202401`)."""

    low: str
    high: str


class Person(NamedTuple):
    """A person's name, without case and accents, in any of its component groups.

    With wild cards as in `Wildcard`; `fuzzy`: each word of it begins a word of the name, in any
    order and component (C.2.2.2.1.1; PS3.18 8.3.4.2).
    """

    text: str
    fuzzy: bool = False


class Item(NamedTuple):
    """Sequence matching (C.2.2.2.6): an item of the sequence matches all of these keys."""

    keys: tuple[Key, ...]


Condition: TypeAlias = Exactly | AnyOf | Wildcard | Range | Person | Item


class Key(NamedTuple):
    """An attribute (`00100010`, upper case), its value representation and the condition.

    The VR is that of the dictionary; `UN` where it is not known.
    """

    tag: str
    vr: str
    condition: Condition
