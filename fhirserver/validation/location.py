"""From the FHIRPath place of a finding to where that is in the JSON of the resource."""

from __future__ import annotations

import re
from typing import Final

from fhirserver.model.json import Json
from fhirserver.model.json_position import Steps

_STEP: Final = re.compile(r"\.(`[^`]*`|[A-Za-z_]\w*)(?:\.ofType\((\w+)\))?((?:\[\d+\])*)")


def steps_to(value: Json, place: str) -> Steps:
    """The way to the element of a place such as `.name[0].given[1]`, as far as it is there.

    `.birthDate.extension[0]` leads by way of `_birthDate`.
    """
    way: Steps = ()
    hidden: Steps = ()  # the same by the underscore property
    for name, chosen, numbers in _split(place):
        property = f"{name}{chosen[:1].upper()}{chosen[1:]}"
        for one in dict.fromkeys((way, hidden)):
            here = found_at(value, one)
            if isinstance(here, dict) and (property in here or f"_{property}" in here):
                way, hidden = (*one, property), (*one, f"_{property}")
                break
        else:
            break
        for number in numbers:
            further = (*way, number), (*hidden, number)
            if all(found_at(value, one) is None for one in further):
                break
            way, hidden = further
    return hidden if way and found_at(value, way) is None else way


def found_at(value: Json, steps: Steps) -> Json:
    """What the steps lead to; None where that is nothing."""
    for step in steps:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        else:
            value = _item(value, step)
    return value


def _split(place: str) -> list[tuple[str, str, list[int]]]:
    found = []
    for name, chosen, numbers in _STEP.findall(place):
        found.append((name.strip("`"), chosen, [int(n) for n in re.findall(r"\d+", numbers)]))
    return found


def _item(value: Json, number: str | int) -> Json:
    there = isinstance(value, list) and isinstance(number, int) and number < len(value)
    return value[number] if there else None
