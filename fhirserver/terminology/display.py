"""Names in the languages that are asked for, and whether a name is one of a concept's.

https://hl7.org/fhir/R4/languages.html. Languages are tags of BCP 47; `de` is met by `de-CH`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fhirserver.model.json import Resource
from fhirserver.terminology.composition import Member


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a code; `language` None where none is told."""

    text: str
    language: str | None


def languages_of(text: str | None) -> tuple[str, ...]:
    """The languages of an Accept-Language or displayLanguage, the dearest first."""
    weighed = []
    for place, item in enumerate((text or "").split(",")):
        tag, _, rest = item.strip().partition(";")
        weight = re.search(r"q\s*=\s*([01](?:\.\d{0,3})?)", rest)
        value = float(weight.group(1)) if weight else 1.0
        if tag and tag != "*" and value > 0:
            weighed.append((-value, place, tag.strip()))
    return tuple(tag for _, _, tag in sorted(weighed))


def names(member: Member) -> list[Name]:
    """All names of a code: those of the value set, then those of the code system."""
    listed = member.listed or {}
    info = member.system.info if member.system else None
    own = info.language if info else None
    found: list[Name] = []
    if listed.get("display"):
        found.append(Name(listed["display"], own))
    found += [Name(item["value"], item.get("language")) for item in listed.get("designation", ())]
    if member.concept is not None:
        if member.concept.display:
            found.append(Name(member.concept.display, own))
        found += [
            Name(item["value"], item.get("language"))
            for item in member.concept.designations
            if not _is_withdrawn(item)
        ]
    return list(dict.fromkeys(found))


def display(member: Member, languages: Sequence[str]) -> str | None:
    """The name to show: the best in the languages asked for, else the default one."""
    default = (member.listed or {}).get("display") or (
        member.concept.display if member.concept else None
    )
    if not languages:
        return default
    known = names(member)
    for wanted in languages:
        for name in known:
            if in_language(name.language, wanted):
                return name.text
    return default


def in_language(given: str | None, wanted: str) -> bool:
    """Whether a name in the language `given` serves who wants `wanted`."""
    if given is None:
        return False
    have, want = given.casefold(), wanted.casefold()
    return have == want or have.startswith(f"{want}-") or want.startswith(f"{have}-")


def same_text(one: str, other: str) -> bool:
    """Whether two names are the same but for case."""
    return one.casefold() == other.casefold()


def _is_withdrawn(designation: Resource) -> bool:
    return any(item.get("valueCode") == "withdrawn" for item in designation.get("extension", ()))
