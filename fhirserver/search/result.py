"""The parameters that say how a search is answered, not what it finds.

https://hl7.org/fhir/R4/search.html#return
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from fhirserver.errors import Invalid
from fhirserver.model.outcome import Issue
from fhirserver.search.condition import Conditions
from fhirserver.search.expression import SortKey
from fhirserver.search.parameter import Knowledge
from fhirserver.search.refusal import Unsupported, choice
from fhirserver.search.request import ANY, Include, Limits, Summary
from fhirserver.search.score import SCORE

Containing: TypeAlias = Literal["false", "true", "both"]
Returned: TypeAlias = Literal["container", "contained"]

_CONTAINED: dict[str, Containing] = {"false": "false", "true": "true", "both": "both"}
_RETURNED: dict[str, Returned] = {"container": "container", "contained": "contained"}
_COUNT = re.compile(r"\d{1,9}", re.ASCII)
_TOTALS = ("none", "estimate", "accurate")
_SUMMARIES: dict[str, Summary | None] = {
    "true": "true",
    "text": "text",
    "data": "data",
    "count": "count",
    "false": None,
}


@dataclass(frozen=True, slots=True)
class Form:
    """How a search is to be answered, as far as its parameters have been read."""

    count: int
    sort: tuple[SortKey, ...] = ()
    total: bool = False
    estimate: bool = False
    summary: Summary | None = None
    elements: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    contained: Containing = "false"
    returned: Returned = "container"


@dataclass(slots=True)
class Reader:
    """Reads result parameters of a search that returns `types` (() for all).

    `in_compartment`: it is one of a compartment. `ignored` collects what is left out when the
    handling is lenient.
    """

    types: tuple[str, ...]
    conditions: Conditions
    knowledge: Knowledge
    limits: Limits
    lenient: bool
    in_compartment: bool = False
    ignored: list[Issue] = field(default_factory=list)

    def sort(self, form: Form, value: str) -> tuple[Form, str]:
        """`_sort=-date,name`; `_score` is the order of relevance, so it puts the best first."""
        keys: dict[str, SortKey] = {}
        for item in self.conditions.values(value):
            try:
                key = self._sort_key(item)
            except Unsupported as error:
                if not self.lenient:
                    raise
                self.ignored.append(left_out("_sort", error))
            else:
                keys.setdefault(key.param, key)
        return replace(form, sort=tuple(keys.values())), sort_value(keys.values())

    def _sort_key(self, item: str) -> SortKey:
        code = item.removeprefix("-")
        descending = code != item
        if code == "_id":
            return SortKey(code, "token", descending)
        if code == "_lastUpdated":
            return SortKey(code, "date", descending)
        if code == SCORE:
            return SortKey(code, "number", not descending)
        kinds = {
            self.conditions.parameter(type_, code).kind for type_ in self.types or ("Resource",)
        }
        if kinds & {"composite", "position"} or len(kinds) > 1:
            raise Unsupported(f"'{code}' has no order to sort by.")
        return SortKey(code, kinds.pop(), descending)

    def count(self, form: Form, value: str) -> tuple[Form, str]:
        """`_count=20`; more than the limit is cut to it."""
        if not _COUNT.fullmatch(value):
            raise Invalid(f"'{value}' is not a page size: write a number of 0 or more.")
        count = min(int(value), self.limits.max_count)
        return replace(form, count=count), str(count)

    def total(self, form: Form, value: str) -> tuple[Form, str]:
        """`_total=accurate`"""
        if value not in _TOTALS:
            raise Invalid(f"'{value}' is not a kind of total: use {choice(_TOTALS)}.")
        return replace(form, total=value != "none", estimate=value == "estimate"), value

    def summary(self, form: Form, value: str) -> tuple[Form, str]:
        """`_summary=true`"""
        if value not in _SUMMARIES:
            raise Invalid(f"'{value}' is not a kind of summary: use {choice(_SUMMARIES)}.")
        return replace(form, summary=_SUMMARIES[value]), value

    def elements(self, form: Form, value: str) -> tuple[Form, str]:
        """`_elements=name,birthDate`"""
        names = self.conditions.values(value)
        children = self.knowledge.definitions.children
        for name in names:
            for type_ in self.types:
                known = children(type_)
                if name not in known and all(
                    child.element.name != name for child in known.values()
                ):
                    raise Unsupported(f"'{name}' is not an element of {type_}.")
        return replace(form, elements=tuple(dict.fromkeys((*form.elements, *names)))), value

    def include(self, form: Form, name: str, value: str) -> tuple[Form, str]:
        """`_include=Observation:subject:Patient`, `_revinclude:iterate=...`"""
        kind, _, modifier = name.partition(":")
        if modifier not in ("", "iterate"):
            raise Unsupported(f"{kind} does not take ':{modifier}': use :iterate.")
        reverse, iterate = kind == "_revinclude", bool(modifier)
        if value == ANY:
            made = Include(ANY, ANY, None, iterate, reverse)
        else:
            made = self._include(kind, value, reverse=reverse, iterate=iterate)
        return replace(form, includes=tuple(dict.fromkeys((*form.includes, made)))), value

    def _include(self, kind: str, value: str, *, reverse: bool, iterate: bool) -> Include:
        source, *rest = value.split(":")
        types = self.knowledge.definitions.resource_types
        if not rest or len(rest) > 2 or not all((source, *rest)):
            raise Invalid(f"Write {kind} as Type:parameter or Type:parameter:Type, or as *.")
        for type_ in (source, *rest[1:]):
            if type_ not in types:
                raise Unsupported(f"'{type_}' is not a resource type of R4.")
        param, target = rest[0], rest[1] if len(rest) > 1 else None
        if param != ANY:
            found = self.conditions.parameter(source, param)
            if found.kind != "reference":
                raise Unsupported(f"'{param}' of {source} is not a reference.")
            if target and found.targets and target not in found.targets:
                raise Unsupported(f"'{param}' of {source} refers to {choice(found.targets)}.")
        return Include(source, param, target, iterate, reverse)

    def contained(self, form: Form, value: str) -> tuple[Form, str]:
        """`_contained=true`: https://hl7.org/fhir/R4/search.html#contained"""
        if value not in _CONTAINED:
            raise Invalid(f"'{value}' is not a way to search: use {choice(_CONTAINED)}.")
        if self.in_compartment and value != "false":
            raise Unsupported("A compartment is searched for whole resources only.")
        return replace(form, contained=_CONTAINED[value]), value

    def contained_type(self, form: Form, value: str) -> tuple[Form, str]:
        """`_containedType=contained`"""
        if value not in _RETURNED:
            raise Invalid(f"'{value}' is not what can be returned: use {choice(_RETURNED)}.")
        return replace(form, returned=_RETURNED[value]), value

    def named_query(self, form: Form, value: str) -> tuple[Form, str]:
        """`_query=name`, which no handling may pass over; none is defined here."""
        raise Invalid(f"There is no named query '{value}': this server has none.")


def sort_value(keys: Iterable[SortKey]) -> str:
    """The value of `_sort` that asks for the keys."""
    return ",".join(
        f"-{key.param}" if key.descending is not (key.param == SCORE) else key.param for key in keys
    )


Read = Callable[[Reader, Form, str], tuple[Form, str]]

SINGLE: dict[str, Read] = {
    "_sort": Reader.sort,
    "_count": Reader.count,
    "_total": Reader.total,
    "_summary": Reader.summary,
    "_contained": Reader.contained,
    "_containedType": Reader.contained_type,
    "_query": Reader.named_query,
}
"""Result parameters that may be given once."""

REPEATED: dict[str, Read] = {"_elements": Reader.elements}

INCLUDES = frozenset({"_include", "_revinclude"})


def left_out(name: str, error: Unsupported) -> Issue:
    """What is told of a parameter that lenient handling left out."""
    return Issue("warning", error.code, "", f"{name} was left out. {error.text}")
