"""From one parameter of a query, with its value, to what it means.

https://hl7.org/fhir/R4/search.html#chaining and #has. A name is `code[:modifier]`, behind
any number of hops `code[:Type].` along a reference and `_has:Type:code:` against one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Never, TypeAlias

from fhirserver.definitions.search_parameter import SearchParameter
from fhirserver.errors import Incomplete, Invalid, TooCostly
from fhirserver.search.contained import contained_types
from fhirserver.search.escape import split, unescape
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Expression,
    Has,
    IdIs,
    Missing,
    Not,
    Or,
    TypeIs,
)
from fhirserver.search.filter.lower import filter_search
from fhirserver.search.parameter import ANY_TYPE, Knowledge, Parameter, Values, parameter
from fhirserver.search.params import PARAMETER_TYPES
from fhirserver.search.params.date import date_search
from fhirserver.search.refusal import Unsupported, choice
from fhirserver.search.request import Limits
from fhirserver.search.restriction import check_chain, check_restrictions
from fhirserver.search.text import CONTENT, NARRATIVE, TEXT_PARAMETERS, text_is

LAST_UPDATED = Parameter(
    "_lastUpdated", "date", SearchParameter("_lastUpdated", "", (), "date", None), ()
)

Ask: TypeAlias = Callable[[str, str, int], Expression]
"""What the end of a path means: from the type that has it, its name, and the hops behind it."""


class Conditions:
    """Compiles the conditions of one search, and counts what they cost."""

    def __init__(self, knowledge: Knowledge, limits: Limits) -> None:
        self._knowledge = knowledge
        self._limits = limits
        self._cost = 0
        self._asked_before: set[str] = set()
        self._is_repeated = False

    def condition(
        self, types: tuple[str, ...], name: str, value: str, *, inside: bool = False
    ) -> Expression:
        """What `name=value` means for resources of one of `types`; () are all types.

        `inside`: it must mean the same for contained resources of these types.
        Raises `Unsupported` for what is not understood, `Invalid` for a value that does not
        fit, `TooCostly` beyond the limits.
        """

        def ask(type_: str, last: str, depth: int) -> Expression:
            return self._asked(type_, last, value, depth)

        plain = name.partition(":")[0] if "." not in name and name[:5] != "_has:" else name
        self._is_repeated = plain in self._asked_before
        self._asked_before.add(plain)
        by_meaning: dict[Expression, list[str]] = {}
        for type_ in types or ("Resource",):
            meaning = self.reached(type_, name, ask, 0)
            by_meaning.setdefault(meaning, []).append(type_)
        if len(by_meaning) == 1:
            return next(iter(by_meaning))
        return Or(
            tuple(
                And((TypeIs((*some, *(contained_types(some) if inside else ()))), meaning))
                for meaning, some in by_meaning.items()
            )
        )

    def parameter(self, type_: str, code: str) -> Parameter:
        """The parameter of a type. Raises `Unsupported` where it cannot be searched by.

        Raises `Incomplete` while not all resources can be found by it.
        """
        found = parameter(self._knowledge.definitions, type_, code)
        if found is None:
            self._refuse_parameter(type_, code)
        self._check_indexed(type_, code)
        return found

    def _check_indexed(self, type_: str, code: str) -> None:
        if (type_, code) in self._knowledge.definitions.unindexed:
            raise Incomplete(
                f"{type_} is still being indexed by '{code}': what can be found by it now is not "
                "all there is. Ask again later.",
                headers={"Retry-After": "10"},
            )

    def _refuse_parameter(self, type_: str, code: str) -> Never:
        known = self._knowledge.definitions.search_parameters(type_)
        if code in known:
            raise Unsupported(f"This server does not search {type_} by '{code}' yet.")
        where = "all types" if type_ == "Resource" else type_
        usable = (item.code for item in known.values() if item.expression)
        raise Unsupported(f"'{code}' is not a search parameter of {where}: use {choice(usable)}.")

    # --- names -----------------------------------------------------------------------------

    def reached(self, type_: str, name: str, ask: Ask, depth: int) -> Expression:
        """What is asked at the end of a path, seen from the type where it begins."""
        self._cost += 1
        if self._cost > self._limits.conditions or depth > self._limits.depth:
            raise TooCostly(
                f"Search by chains of at most {self._limits.depth} hops, and name their types "
                "(subject:Patient.name) where a reference may point to many."
            )
        if name.startswith("_has:"):
            return self._has(type_, name, ask, depth)
        head, dot, rest = name.partition(".")
        if not dot:
            return ask(type_, name, depth)

        def of_target(candidate: str) -> Expression:
            return self.reached(candidate, rest, ask, depth + 1)

        return self.chain(type_, head, rest, of_target)

    def _asked(self, type_: str, name: str, value: str, depth: int) -> Expression:
        code, colon, modifier = name.partition(":")
        if colon and not modifier:
            raise Unsupported("Write a modifier behind the colon, or leave the colon out.")
        if code == "_filter" and not modifier:
            return filter_search(self, type_, value, depth)
        special = _SPECIAL.get(code)
        if special is not None:
            return special(self, modifier, value)
        found = self.parameter(type_, code)
        values = self.values(value)
        if found.definition.custom:
            check_restrictions(found.definition, modifier, values, again=self._is_repeated)
        if modifier == "missing":
            return Missing(code, found.kind, _truth(value))
        return self.lowered(found, modifier, values)

    def lowered(self, found: Parameter, modifier: str, values: Values) -> Expression:
        """What a parameter with a modifier ('' for none) and alternatives means."""
        modifiers = PARAMETER_TYPES[found.kind].modifiers
        lower = modifiers.get(modifier)
        if lower is None and modifier in self._knowledge.definitions.resource_types:
            if found.targets and modifier not in found.targets:
                raise Unsupported(
                    f"'{found.code}' refers to {choice(found.targets)}, not to {modifier}."
                )
            lower = modifiers.get(ANY_TYPE)
        if lower is None or modifier == ANY_TYPE:
            allowed = choice(f":{item}" for item in (*modifiers, "missing") if item)
            raise Unsupported(f"'{found.code}' does not take ':{modifier}': use {allowed}.")
        return lower(found, modifier, values, self._knowledge)

    def chain(
        self, type_: str, head: str, rest: str, of_target: Callable[[str], Expression]
    ) -> Expression:
        """What is asked of the targets of `head`, which is `code` or `code:Type`.

        Types that cannot be asked are left out; `rest` names what is asked, for the refusal
        when none can.
        """
        code, _, target = head.partition(":")
        found = self._reference(type_, code)
        check_chain(found.definition, rest)
        types = self._targets(found, target)
        by_meaning: dict[Expression, list[str]] = {}
        refusals: list[Invalid] = []
        for candidate in types:
            try:
                meaning = of_target(candidate)
            except Invalid as error:
                refusals.append(error)
            else:
                by_meaning.setdefault(meaning, []).append(candidate)
        if not by_meaning:
            raise _foremost(refusals, code, rest)
        parts = tuple(
            Chain(code, (*some, *contained_types(some)), meaning)
            for meaning, some in by_meaning.items()
        )
        return parts[0] if len(parts) == 1 else Or(parts)

    def _targets(self, found: Parameter, target: str) -> tuple[str, ...]:
        every = self._knowledge.definitions.resource_types
        if not target:
            return found.targets or tuple(sorted(every))
        if target not in (found.targets or every):
            allowed = choice(found.targets) if found.targets else "resources of R4"
            raise Unsupported(f"'{found.code}' refers to {allowed}, not to '{target}'.")
        return (target,)

    def _has(self, type_: str, name: str, ask: Ask, depth: int) -> Expression:
        parts = name.split(":", 3)
        if len(parts) < 4 or not all(parts):
            raise Unsupported("Write _has as _has:Type:reference:parameter.")
        _, source, code, rest = parts
        if source not in self._knowledge.definitions.resource_types:
            raise Unsupported(f"'{source}' is not a resource type of R4.")
        found = self._reference(source, code)
        if found.targets and type_ not in ("Resource", *found.targets):
            raise Unsupported(f"'{code}' of {source} refers to {choice(found.targets)}.")
        return Has(source, code, self.reached(source, rest, ask, depth + 1))

    def _reference(self, type_: str, code: str) -> Parameter:
        found = self.parameter(type_, code)
        if found.kind != "reference":
            raise Unsupported(f"'{code}' of {type_} is not a reference.")
        return found

    # --- values ----------------------------------------------------------------------------

    def values(self, value: str) -> Values:
        """The alternatives of a value, still escaped.

        Raises `Unsupported` for an empty one, `TooCostly` for too many.
        """
        values = tuple(split(value, ","))
        if not all(values):
            raise Unsupported("Give a value, or leave the parameter out.")
        if len(values) > self._limits.values:
            raise TooCostly(f"Give at most {self._limits.values} values.")
        return values

    def id_is(self, modifier: str, value: str) -> Expression:
        """`_id=a,b`"""
        if modifier == "missing":
            return NOTHING if _truth(value) else EVERYTHING
        found = IdIs(tuple(map(unescape, self.values(value))))
        if modifier not in ("", "not"):
            raise Unsupported(f"'_id' does not take ':{modifier}': use :missing or :not.")
        return Not(found) if modifier else found

    def last_updated(self, modifier: str, value: str) -> Expression:
        """`_lastUpdated=ge2020`"""
        if modifier == "missing":
            return NOTHING if _truth(value) else EVERYTHING
        if modifier:
            raise Unsupported(f"'_lastUpdated' does not take ':{modifier}': use :missing.")
        return date_search(LAST_UPDATED, "", self.values(value), self._knowledge)

    def in_list(self, modifier: str, value: str) -> Expression:
        """`_list=42`: https://hl7.org/fhir/R4/search.html#list"""
        ids = tuple(unescape(item).removeprefix("List/") for item in self.values(value))
        if modifier or any(item.startswith("$") for item in ids):
            raise Unsupported("Search by _list with the id of a List; named lists are not kept.")
        return Has("List", "item", IdIs(ids))

    def text(self, param: str, modifier: str, value: str) -> Expression:
        """`_text=fever cough`, `_content=...`"""
        if modifier:
            raise Unsupported(f"'{param}' does not take ':{modifier}'.")
        if param not in TEXT_PARAMETERS[self._limits.full_text]:
            raise Unsupported("This server keeps no words of that, to search by.")
        self._check_indexed("Resource", param)
        return text_is(param, self.values(value))

    def narrative(self, modifier: str, value: str) -> Expression:
        """`_text=fever cough`"""
        return self.text(NARRATIVE, modifier, value)

    def content(self, modifier: str, value: str) -> Expression:
        """`_content=fever cough`"""
        return self.text(CONTENT, modifier, value)


def _foremost(refusals: Iterable[Invalid], code: str, rest: str) -> Invalid:
    """The refusal to tell when no type that a chain may reach takes the rest of it."""
    refusals = list(refusals)
    for error in refusals:
        if not isinstance(error, Unsupported):
            return error
    if len(refusals) == 1:
        return refusals[0]
    return Unsupported(f"Nothing that '{code}' may refer to can be searched by '{rest}'.")


def _truth(value: str) -> bool:
    if value not in ("true", "false"):
        raise Invalid("Write :missing with true or false.")
    return value == "true"


_SPECIAL: dict[str, Callable[[Conditions, str, str], Expression]] = {
    "_id": Conditions.id_is,
    "_lastUpdated": Conditions.last_updated,
    "_list": Conditions.in_list,
    NARRATIVE: Conditions.narrative,
    CONTENT: Conditions.content,
}
"""Parameters of every type that are not in the index."""
