"""Conditions of conditional interactions and references, decided by search.

https://hl7.org/fhir/R4/http.html#ccreate, #cond-update, #3.1.0.7.1 (conditional delete). A
condition must select: one without criteria, which would select everything, is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from fhirserver.errors import Invalid, MultipleMatches, TooCostly
from fhirserver.interactions.codes import with_codes
from fhirserver.interactions.context import Context
from fhirserver.interactions.integrity import selection
from fhirserver.interactions.page import query_string
from fhirserver.interactions.request import Pairs, Request
from fhirserver.search.codes import Codes
from fhirserver.search.compile import compile_criteria
from fhirserver.search.expression import EVERYTHING, And, Expression, Not, Query
from fhirserver.search.request import Limits
from fhirserver.store.port import Expectation, Key, Version


class Condition(NamedTuple):
    """A compiled condition on resources of `type`; `text` is how a caller would write it."""

    type: str
    where: Expression
    text: str

    def without(self, keys: Collection[Key]) -> Condition:
        """The same condition on all resources but those."""
        others = [key for key in keys if key.type == self.type]
        if not others:
            return self
        return self._replace(where=And((self.where, Not(selection(others)))))


class Match(NamedTuple):
    """The one resource that a condition selects, if any, and what that relies on."""

    version: Version | None
    expectation: Expectation


async def condition(context: Context, request: Request, type: str, pairs: Pairs) -> Condition:
    """The condition that a query states; unknown parameters are refused whatever the handling.

    Raises `Invalid` for one that selects nothing in particular or asks for more than that.
    """
    now = context.now()

    def compile(codes: Codes) -> Expression:
        return compile_criteria(
            context.definitions,
            type,
            pairs,
            now=now,
            base_url=request.base,
            limits=Limits(full_text=context.policy.full_text),
            codes=codes,
        )

    where = await with_codes(context, compile)
    if where == EVERYTHING:
        raise Invalid("The condition selects every resource: say which one is meant.")
    return Condition(type, where, f"{type}{query_string(pairs)}")


async def one_match(
    context: Context, when: Condition, ignoring: frozenset[Key] = frozenset()
) -> Match:
    """The match of a condition, if there is any, among all resources but some.

    Raises `MultipleMatches` for several.
    """
    excluded: list[Key] = []
    while True:
        where = when.without(excluded).where
        page = await context.store.search(Query((when.type,), where, count=2 + len(excluded)))
        found = [Key(version.type, version.id) for version in page.versions]
        hits = [key for key in found if key in ignoring]
        if not hits:
            break
        excluded += hits  # only those, as there may be thousands to ignore
    if len(found) > 1:
        raise MultipleMatches(
            f"Several resources match {when.text}: make the condition more selective."
        )
    version = page.versions[0] if found else None
    return Match(version, Expectation((when.type,), where, tuple(found)))


async def all_matches(context: Context, when: Condition, most: int) -> list[Version]:
    """All matches of a condition. Raises `TooCostly` for more than `most`."""
    page = await context.store.search(Query((when.type,), when.where, count=most + 1))
    if len(page.versions) > most:
        raise TooCostly(
            f"More than {most} resources match {when.text}: make the condition more selective."
        )
    return list(page.versions)
