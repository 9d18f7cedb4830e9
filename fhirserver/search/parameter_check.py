"""Whether a SearchParameter that is to be searched by can work.

https://hl7.org/fhir/R4/searchparameter.html. What is active takes effect when it is stored, so
what is wrong with it is told before. One that is not active may be anything that is valid.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.search_parameter import SearchParameter, search_parameter
from fhirserver.errors import Invalid
from fhirserver.fhirpath.check import check
from fhirserver.model.json import Resource
from fhirserver.model.outcome import Issue
from fhirserver.search.parameter import KINDS
from fhirserver.search.params import PARAMETER_TYPES
from fhirserver.search.refusal import choice
from fhirserver.search.restated import restated
from fhirserver.search.selection import Selected, branches, parsed, selection

TYPE: Final = "SearchParameter"

_CODE = re.compile(r"-?[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_LONGEST = 5000  # characters of an expression
_COMPONENTS = range(2, 4)
_ANY_VALUE = frozenset({"Extension"})
_ODD = (AttributeError, KeyError, TypeError, ValueError)


def is_active(resource: Resource) -> bool:
    """Whether the resource is a SearchParameter that says it is in use."""
    return resource.get("resourceType") == TYPE and resource.get("status") == "active"


def concrete(definitions: Definitions, base: Collection[str]) -> list[str]:
    """The resource types that a base stands for: `Resource` for all of them."""
    named = definitions.resource_types.intersection(base)
    if len(named) == len(base):
        return sorted(named)
    return sorted(
        type_
        for type_ in definitions.resource_types
        if not set(definitions.bases(type_)).isdisjoint(base)
    )


def is_standard(definitions: Definitions, resource: Resource) -> bool:
    """Whether it states a parameter of the standard again, which answers for it.

    By its URL it must be that as a whole; by another it may be of some of the types.
    """
    known = definitions.search_parameter(str(resource.get("url")))
    if known is None or known.custom:
        try:
            return restated(definitions, search_parameter(resource, custom=True))
        except _ODD:
            return False
    return (
        known.code == resource.get("code")
        and known.type == resource.get("type")
        and known.expression == resource.get("expression")
        and known.base == tuple(resource.get("base", ()))
    )


def check_parameter(definitions: Definitions, resource: Resource, place: str = TYPE) -> list[Issue]:
    """What is wrong with an active SearchParameter that is among the definitions, if it can be.

    Those of `definitions` are all that will be in effect, this one included. `place` is where
    the resource stands.
    """
    try:
        found = search_parameter(resource, custom=True)
        return list(_Check(definitions, found, resource, place).issues())
    except _ODD:
        text = "The SearchParameter is malformed: see the rules of its elements."
        return [Issue("error", "structure", place, text)]


class _Check:
    def __init__(
        self, definitions: Definitions, found: SearchParameter, resource: Resource, place: str
    ) -> None:
        self._definitions = definitions
        self._found = found
        self._resource = resource
        self._place = place
        self._types = concrete(definitions, found.base)

    def issues(self) -> Iterator[Issue]:
        found = self._found
        named = [*self._of_name(), *self._of_kind()]
        yield from named
        yield from self._of_restrictions()
        if named:
            return
        if not found.expression:
            yield self._issue("required", "expression", "Give the FHIRPath expression to index by.")
        elif len(found.expression) > _LONGEST:
            yield self._issue("too-long", "expression", f"Write at most {_LONGEST} characters.")
        else:
            for type_ in self._types:
                issue = self._of_type(type_, found.expression)
                if issue is not None:
                    yield issue
                    return  # that of the other types is much the same

    def _issue(self, code: str, element: str, text: str) -> Issue:
        return Issue("error", code, f"{self._place}.{element}", text)

    # --- names -----------------------------------------------------------------------------

    def _of_name(self) -> Iterator[Issue]:
        found = self._found
        if not _CODE.fullmatch(found.code):
            text = "Give a code of letters, digits, '-' and '_' that does not begin with '_'."
            yield self._issue("value", "code", text)
        abstract = {"Resource", "DomainResource"}
        known_types = self._definitions.resource_types | abstract
        unknown = [item for item in found.base if item not in known_types]
        if unknown or not found.base:
            text = f"Say of what resource types of R4 it is, not of '{', '.join(unknown)}'."
            yield self._issue("code-invalid", "base", text)
        known = self._definitions.search_parameter(found.url)
        if known is not None and not known.custom:
            text = f"{found.url} is a parameter of the standard, and it is different there."
            yield self._issue("duplicate", "url", text)
        same = self._definitions.custom_search_parameters
        if sum(other.url == found.url for other in same) > 1:
            text = f"Another active SearchParameter has the URL {found.url}."
            yield self._issue("duplicate", "url", text)
        for type_ in self._types:
            other = self._other(type_)
            if other is not None:
                text = f"{type_} has a search parameter '{found.code}' already: {other.url}."
                yield self._issue("duplicate", "code", text)
                return

    def _other(self, type_: str) -> SearchParameter | None:
        """Another parameter of the same code on a type."""
        code, url = self._found.code, self._found.url
        standard = self._definitions.standard.search_parameters(type_).get(code)
        if standard is not None and standard.url != url:
            return standard
        bases = self._definitions.bases(type_)
        for item in self._definitions.custom_search_parameters:
            if item.code == code and item.url != url and not set(bases).isdisjoint(item.base):
                return item
        return None

    # --- what it says ----------------------------------------------------------------------

    def _of_kind(self) -> Iterator[Issue]:
        if self._found.type not in KINDS:
            text = f"This server indexes parameters of the types {choice(KINDS)}."
            yield self._issue("not-supported", "type", text)
        usage = self._resource.get("xpathUsage", "normal")
        if usage != "normal":
            text = f"This server indexes what is there (normal), and knows no '{usage}' search."
            yield self._issue("not-supported", "xpathUsage", text)

    def _of_restrictions(self) -> Iterator[Issue]:
        found = self._found
        row = PARAMETER_TYPES.get(found.type)  # type: ignore[call-overload]
        if row is None:
            return
        unfit = [item for item in found.comparators if item not in row.comparators]
        if unfit:
            text = f"A {found.type} is not compared by {choice(unfit)}."
            yield self._issue("business-rule", "comparator", text)
        takes = {"missing", *(_SPELLED.get(item, item) for item in row.modifiers)}
        unfit = [item for item in found.modifiers if item not in takes]
        if unfit:
            text = f"This server has no {choice(f':{item}' for item in unfit)} for a {found.type}."
            yield self._issue("not-supported", "modifier", text)
        if found.target and found.type != "reference":
            text = "Only a reference has targets."
            yield self._issue("business-rule", "target", text)
        if found.chains and found.type != "reference":
            yield self._issue("business-rule", "chain", "Only a reference is chained.")
        if found.components and found.type != "composite":
            yield self._issue("business-rule", "component", "Only a composite has components.")

    # --- what it selects -------------------------------------------------------------------

    def _of_type(self, type_: str, expression: str) -> Issue | None:
        """What is wrong with the expression on one type."""
        try:
            part = parsed(expression)
            own = branches(self._definitions, type_, part)
            bases = {*self._found.base, *self._types}
            given = check(expression, type_, bases, part).types
        except Invalid as error:
            return self._issue("invalid", "expression", f"On {type_}: {error.text}")
        elements = selection(self._definitions, type_, expression) if own else ()
        if not elements:
            text = f"It selects nothing of a {type_}: begin a branch with {type_}."
            return self._issue("business-rule", "expression", text)
        if self._found.type == "composite":
            return self._of_components(type_, elements)
        return self._of_elements(self._found.type, elements, given, "expression", type_)

    def _of_elements(
        self,
        kind: str,
        elements: Iterable[Selected],
        given: Collection[str] | None,
        element: str,
        type_: str,
    ) -> Issue | None:
        """An issue unless some of what is selected can be searched by as the kind."""
        convert = PARAMETER_TYPES[kind].convert  # type: ignore[index]
        types = {item.type for item in elements}
        if given is not None and "System.Boolean" in given:
            given = {*given, "boolean"}
        able = {*convert, *_ANY_VALUE} & types
        if given is not None:
            able &= {item.rpartition(".")[2] if item in _SYSTEM else item for item in given}
        if able:
            return None
        text = f"On {type_} it selects {choice(types)}, which is not searched as a {kind}."
        return self._issue("business-rule", element, text)

    def _of_components(self, type_: str, within: Collection[Selected]) -> Issue | None:
        components = self._found.components
        if len(components) not in _COMPONENTS:
            text = "A composite has two or three components here."
            return self._issue("not-supported", "component", text)
        for index, component in enumerate(components):
            place = f"component[{index}]"
            part = self._definitions.search_parameter(component.definition)
            if part is None or part.type not in KINDS or part.type == "composite":
                text = f"{component.definition} is no search parameter that this server has."
                return self._issue("not-found", f"{place}.definition", text)
            try:
                elements = {
                    item: None
                    for here in within
                    for item in selection(self._definitions, type_, component.expression, here.path)
                }
            except Invalid as error:
                return self._issue("invalid", f"{place}.expression", error.text)
            issue = (
                self._of_elements(part.type, elements, None, f"{place}.expression", type_)
                if elements
                else self._issue(
                    "business-rule", f"{place}.expression", f"It selects nothing on {type_}."
                )
            )
            if issue is not None:
                return issue
        return None


_SYSTEM: Final = frozenset({"System.Boolean"})
_SPELLED: Final = {"of-type": "ofType", "[type]": "type"}
