"""Whether a data set matches: the meaning that every archive is held to (PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from fhirserver.dicom.matching.condition import (
    AnyOf,
    Item,
    Key,
    Person,
    Range,
    Wildcard,
)
from fhirserver.dicom.matching.moments import bounds, ends_of, is_within
from fhirserver.dicom.matching.names import folded_group, words_of

DataSet: TypeAlias = Mapping[str, Any]
"""A DICOM JSON object: `{"00100020": {"vr": "LO", "Value": ["1"]}}`."""

PAIRS: Final = (("00080020", "00080030"), ("00080021", "00080031"), ("00400244", "00400245"))
"""Dates and the times that belong to them."""

NUMBERS: Final = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def matches(keys: Iterable[Key], data_set: DataSet, *, combined: bool = False) -> bool:
    """Whether the data set has what all keys ask for.

    `combined`: a date and its time that both are ranges are one range (C.2.2.2.5.4).
    """
    listed = list(keys)
    if combined:
        for date, time in _pairs(listed):
            if not _is_within_both(date, time, data_set):
                return False
            listed.remove(date)
            listed.remove(time)
    return all(_matches(key, data_set) for key in listed)


def _matches(key: Key, data_set: DataSet) -> bool:
    element = data_set.get(key.tag)
    values = element.get("Value") if element else None
    if not values:
        return False
    condition = key.condition
    if isinstance(condition, Item):
        return any(
            isinstance(item, Mapping) and all(_matches(inner, item) for inner in condition.keys)
            for item in values
        )
    if isinstance(condition, Person):
        return any(is_person(condition, groups_of(value)) for value in values)
    texts = [text_of(value) for value in values if value is not None]
    if isinstance(condition, Range):
        return any(is_within(key.vr, text, condition.low, condition.high) for text in texts)
    if isinstance(condition, Wildcard):
        fits = pattern_of(condition.pattern).fullmatch
        return any(fits(text) is not None for text in texts)
    wanted = condition.values if isinstance(condition, AnyOf) else (condition.value,)
    return any(_equal(key.vr, text, one) for text in texts for one in wanted)


def is_person(condition: Person, groups: tuple[str, ...]) -> bool:
    """Whether a name, by its component groups, is what is asked for."""
    if condition.fuzzy:
        words = words_of(groups)
        return all(
            any(word.startswith(asked) for word in words) for asked in asked_words(condition)
        )
    asked = condition.text.split("=")
    if len(asked) == 1:
        fits = pattern_of(folded_group(asked[0])).fullmatch
        return any(fits(folded_group(group)) is not None for group in groups if group)
    pairs = zip(asked, (*groups, "", "", ""), strict=False)
    return all(
        pattern_of(folded_group(one)).fullmatch(folded_group(group)) is not None
        for one, group in pairs
        if one.strip("*^ ")
    )


def asked_words(condition: Person) -> list[str]:
    """The words of a fuzzy search."""
    return words_of((condition.text,))


def groups_of(value: object) -> tuple[str, ...]:
    """The component groups of a value of PN, empty ones as well."""
    if isinstance(value, Mapping):
        return tuple(str(value.get(group) or "") for group in _GROUPS)
    return tuple(text_of(value).split("="))  # as some write it


def text_of(value: object) -> str:
    """A value as a text, without blanks around it."""
    return value.strip(" \0") if isinstance(value, str) else str(value)


@lru_cache(4096)
def pattern_of(text: str) -> re.Pattern[str]:
    """What a text with wild cards stands for.

    Each part between two stars is taken where it comes first and never gone back over, which is
    right for such texts, and costs no more than both lengths.
    """
    first, *more = (
        "".join("." if c == "?" else re.escape(c) for c in part) for part in text.split("*")
    )
    if more:
        *middle, last = more
        first += "".join(f"(?>.*?{part})" for part in middle if part) + ".*" + last
    return re.compile(first, re.DOTALL)


def _equal(vr: str, text: str, asked: str) -> bool:
    if text == asked or vr not in NUMBERS:
        return text == asked
    if not _NUMBER.fullmatch(text) or not _NUMBER.fullmatch(asked):
        return False
    return float(text) == float(asked)


_NUMBER: Final = re.compile(r"[+\-]?\d{1,15}(\.\d*)?([eE][+\-]?\d{1,2})?", re.ASCII)


def _pairs(keys: list[Key]) -> list[tuple[Key, Key]]:
    by_tag = {key.tag: key for key in keys if isinstance(key.condition, Range)}
    return [
        (by_tag[date], by_tag[time]) for date, time in PAIRS if date in by_tag and time in by_tag
    ]


def _is_within_both(date: Key, time: Key, data_set: DataSet) -> bool:
    """Whether day and time of the data set lie between those of the two ranges."""
    day, hour = _first(data_set, date.tag), _first(data_set, time.tag)
    days, hours = bounds("DA", day), bounds("TM", hour)
    if days is None or hours is None:
        return False
    assert isinstance(date.condition, Range)
    assert isinstance(time.condition, Range)
    first_day, last_day = ends_of("DA", *date.condition)
    first_hour, last_hour = ends_of("TM", *time.condition)
    if first_day and days[0] + hours[1] < first_day + (first_hour or "0"):
        return False
    return not last_day or days[0] + hours[0] <= last_day + (last_hour or "9")


def _first(data_set: DataSet, tag: str) -> str:
    values = (data_set.get(tag) or {}).get("Value") or [""]
    return text_of(values[0])
