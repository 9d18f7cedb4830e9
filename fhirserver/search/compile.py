"""From the parameters of a search to what it means.

https://hl7.org/fhir/R4/search.html. Strict handling refuses what is not understood, lenient
handling leaves it out and tells so; a value that does not fit its parameter is refused by
both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Invalid, TooCostly
from fhirserver.model.outcome import Issue
from fhirserver.search.codes import Codes
from fhirserver.search.compartment import compartment_of_types, compartment_types
from fhirserver.search.condition import Conditions
from fhirserver.search.contained import CONTAINED_TYPE, CONTAINER, contained_types
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    And,
    Expression,
    Has,
    Or,
    Query,
    TextIs,
    TokenIs,
    TokenValue,
    TypeIs,
)
from fhirserver.search.parameter import Knowledge
from fhirserver.search.refusal import Unsupported
from fhirserver.search.request import LIMITS, Handling, Limits, Pairs, SearchRequest
from fhirserver.search.result import (
    INCLUDES,
    REPEATED,
    SINGLE,
    Containing,
    Form,
    Reader,
    Returned,
    left_out,
    sort_value,
)
from fhirserver.search.score import SCORE, asked_words, texts_of
from fhirserver.search.text import MAX_WORDS
from fhirserver.terminology import Terminology

Types: TypeAlias = tuple[str, ...]

NEUTRAL = frozenset({"_format", "_pretty"})
"""Parameters that say how an answer is written; they are the edge's."""


def compile_search(
    definitions: Definitions,
    types: Sequence[str],
    parameters: Pairs,
    *,
    handling: Handling = "strict",
    now: int,
    base_url: str = "",
    compartment: tuple[str, str] | None = None,
    limits: Limits = LIMITS,
    codes: Codes | None = None,
) -> SearchRequest:
    """What a search of `types` (none: of the whole system) asks for.

    `parameters` are decoded pairs; `now` is in microseconds since 1970; `compartment` is the
    code and id of a compartment search; `codes` are those that a store has told, None where
    there is none to ask (`fhirserver.search.codes`). Raises `Unsupported` (strict handling only),
    `Invalid`, `TooCostly`, `Unanswered`, and `NotFound` for a compartment that R4 does not have.
    """
    if len(parameters) > limits.parameters:
        raise Invalid(f"Give at most {limits.parameters} parameters.")
    knowledge = Knowledge(definitions, _terminology(definitions), base_url, now, codes)
    search = _Search(knowledge, tuple(types), handling, compartment, limits)
    return search.compile(parameters)


def compile_criteria(
    definitions: Definitions,
    type: str,
    parameters: Pairs,
    *,
    now: int,
    base_url: str = "",
    limits: Limits = LIMITS,
    codes: Codes | None = None,
) -> Expression:
    """The resources of a type that a conditional interaction means.

    Raises `Invalid` where there is nothing to select by, and for what is not understood or
    says how to answer. `codes` as for `compile_search`.
    """
    knowledge = Knowledge(definitions, _terminology(definitions), base_url, now, codes)
    conditions = Conditions(knowledge, limits)
    parts: list[Expression] = []
    for name, value in parameters:
        if name in NEUTRAL:
            continue
        if name in SINGLE or name in REPEATED or name.partition(":")[0] in INCLUDES:
            raise Invalid(f"A condition cannot have {name}: it only says what is meant.")
        try:
            parts.append(conditions.condition((type,), name, value))
        except (Invalid, TooCostly) as error:
            raise named(name, error) from None
    if not parts:
        raise Invalid("A condition needs at least one search parameter.")
    return _all(parts)


class _Search:
    def __init__(
        self,
        knowledge: Knowledge,
        types: tuple[str, ...],
        handling: Handling,
        compartment: tuple[str, str] | None,
        limits: Limits,
    ) -> None:
        self._knowledge = knowledge
        self._types = types
        self._lenient = handling == "lenient"
        self._compartment = compartment
        self._limits = limits
        self._conditions = Conditions(knowledge, limits)

        self._inside = False
        self._form = Form(limits.count)
        self._parts: list[Expression] = []
        self._applied: list[tuple[str, str]] = []

    def compile(self, parameters: Pairs) -> SearchRequest:
        self._restrict_types(parameters)
        self._inside = self._looks_inside(parameters)
        reader = Reader(
            self._returned(parameters),
            self._conditions,
            self._knowledge,
            self._limits,
            self._lenient,
            self._compartment is not None,
        )
        for name, value in parameters:
            if name in NEUTRAL:
                continue
            try:
                self._take(reader, name, value)
            except Unsupported as error:
                if not self._lenient:
                    raise named(name, error) from None
                reader.ignored.append(left_out(name, error))
            except (Invalid, TooCostly) as error:
                raise named(name, error) from None
        texts = self._scored(reader)
        return self._request(tuple(reader.ignored), texts)

    def _restrict_types(self, parameters: Pairs) -> None:
        """Narrows the types by the compartment and by `_type`."""
        if self._compartment and not self._types:
            self._types = compartment_types(self._knowledge.definitions, self._compartment[0])
        for name, value in parameters:
            if name == "_type":
                asked = [item for item in value.split(",") if item]
                unknown = [
                    item for item in asked if item not in self._knowledge.definitions.resource_types
                ]
                if unknown or not asked:
                    raise Invalid(f"_type: '{','.join(unknown)}' is not a resource type of R4.")
                both = [item for item in dict.fromkeys(asked) if item in (self._types or asked)]
                if not both:
                    self._parts.append(NOTHING)
                self._types = tuple(both) or self._types

    def _looks_inside(self, parameters: Pairs) -> bool:
        """Whether contained resources are looked for, which decides what other values mean."""
        asked = dict(parameters).get("_contained", "false")
        return not self._compartment and asked != "false"

    def _returned(self, parameters: Pairs) -> Types:
        """The types of what is found; () where contained resources bring their containers."""
        is_part = dict(parameters).get("_containedType") == "contained"
        return self._types if is_part or not self._inside else ()

    def _take(self, reader: Reader, name: str, value: str) -> None:
        taken = value
        if name in SINGLE:
            if any(name == other for other, _ in self._applied):
                raise Invalid("Give this parameter once.")
            self._form, taken = SINGLE[name](reader, self._form, value)
        elif name in REPEATED:
            self._form, taken = REPEATED[name](reader, self._form, value)
        elif name.partition(":")[0] in INCLUDES:
            self._form, taken = reader.include(self._form, name, value)
        elif name != "_type":
            condition = self._conditions.condition(self._types, name, value, inside=self._inside)
            self._parts.append(condition)
        self._applied.append((name, taken))

    def _scored(self, reader: Reader) -> tuple[TextIs, ...]:
        """The texts that matches are scored by; settles what it means to sort by the score."""
        is_found_itself = not self._inside or self._form.returned == "contained"
        texts = texts_of(_all(self._parts)) if is_found_itself else ()
        keys = self._form.sort
        if any(key.param == SCORE for key in keys):
            if sum(len(asked_words(text)) for text in texts) > MAX_WORDS:
                raise TooCostly(f"_sort: Sort by _score with at most {MAX_WORDS} words.")
            if not texts:
                error = Unsupported("Only what is searched by _text or _content has a _score.")
                if not self._lenient:
                    raise named("_sort", error)
                reader.ignored.append(left_out("_sort", error))
                keys = tuple(key for key in keys if key.param != SCORE)
            keys = tuple(replace(key, texts=texts) if key.param == SCORE else key for key in keys)
            self._form = replace(self._form, sort=keys)
            self._applied = [
                (name, sort_value(keys) if name == "_sort" else value)
                for name, value in self._applied
                if name != "_sort" or keys
            ]
        return texts

    def _request(self, ignored: tuple[Issue, ...], texts: tuple[TextIs, ...]) -> SearchRequest:
        form = self._form
        if form.summary == "text" and form.includes:
            raise Invalid("_summary=text cannot be combined with _include or _revinclude.")
        if form.summary not in (None, "count") and form.elements:
            raise Invalid("Give either _summary or _elements.")
        if self._compartment:
            member = compartment_of_types(
                self._knowledge.definitions, *self._compartment, self._types
            )
            self._parts.insert(0, member)
        only_count = form.summary == "count" or form.count == 0
        types, where = self._contained(form.contained, form.returned)
        return SearchRequest(
            Query(
                types=types,
                where=where,
                sort=form.sort,
                count=0 if only_count else form.count,
                total=form.total or only_count,
                estimate=form.estimate,
            ),
            form.includes,
            "count" if only_count else form.summary,
            form.elements,
            tuple(self._applied),
            ignored,
            texts,
        )

    def _contained(self, which: Containing, returned: Returned) -> tuple[Types, Expression]:
        """The types to search and the condition, where contained resources are looked for."""
        types, where = self._types, _all(self._parts)
        if which == "false":
            return types, where
        asked = types or tuple(sorted(self._knowledge.definitions.resource_types))
        inside = contained_types(asked)
        if returned == "contained":
            return (*asked, *inside) if which == "both" else inside, where
        is_held = TokenIs(CONTAINED_TYPE, tuple(TokenValue(None, type_) for type_ in asked))
        matches = tuple(Has(type_, CONTAINER, where) for type_ in inside)
        holding = And((is_held, matches[0] if len(matches) == 1 else Or(matches)))
        if which == "true":
            return (), holding
        return (), Or((And((TypeIs(types), where)) if types else where, holding))


def named(name: str, error: Invalid | TooCostly) -> Invalid | TooCostly:
    """The same refusal, telling which parameter it is about."""
    return type(error)(f"{name}: {error.text}")


def _all(parts: list[Expression]) -> Expression:
    if len(parts) == 1:
        return parts[0]
    return And(tuple(parts)) if parts else EVERYTHING


@lru_cache(maxsize=4)
def _terminology(definitions: Definitions) -> Terminology:
    return Terminology(definitions)
