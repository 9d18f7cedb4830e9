"""Index entries of a resource: what it can be found by.

https://hl7.org/fhir/R4/search.html, https://hl7.org/fhir/R4/searchparameter-registry.html.
Beside the parameters of its type, a resource has entries under derived names:

- `code:text` (string): the texts and displays of what `code` selects, for `:text`;
- `identifier:of-type` (token): the type's system, and `code|value`, for `:of-type`;
- `subject:identifier` (token): the identifiers of logical references, for `:identifier`;
- `value-quantity:canonical` (quantity): quantities with units of UCUM, in base units;
- `code-value-quantity:canonical` (composite): tuples with such quantities;
- `code:present` (an empty token): `code` selects something of which no entry comes;
- `_text` and `_content` (words): those of the narrative, and of all texts, if wanted;
- `_reference` (reference): what no reference parameter covers, for referential integrity.

`_id` and `_lastUpdated` are not entries but known of every resource. A composite parameter that
has no whole tuple is missing. Contained resources have entries of their own, which stand in
those of their container: see `fhirserver.search.contained`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from copy import copy
from typing import Any

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.search_parameter import SearchParameter
from fhirserver.fhirpath.references import Scope
from fhirserver.fhirpath.shapes import Shapes
from fhirserver.model.json import Resource
from fhirserver.search.contained import (
    CONTAINED,
    CONTAINED_TYPE,
    CONTAINER,
    LOCAL_ID,
    MARK,
    Part,
    parts,
)
from fhirserver.search.entry import Contained, Entries, Entry, Reference, Token
from fhirserver.search.parameter import kind_of
from fhirserver.search.params.reference import Home, at_home, references
from fhirserver.search.plan import Plan
from fhirserver.search.request import ANY
from fhirserver.search.text import TEXT_PARAMETERS, FullText, words_of

UNCOVERED = "_reference"
"""The pseudo parameter of references that no search parameter covers."""

_PRESENT: tuple[Entry, ...] = (Token("", ""),)


class Indexer:
    """Finds the entries of resources, by plans that are made once for each type."""

    def __init__(self, definitions: Definitions, full_text: FullText = "none") -> None:
        self._definitions = definitions
        self._shapes = Shapes(definitions)
        self._texts = TEXT_PARAMETERS[full_text]
        self._plans: dict[str, Plan] = {}

    def by(self, definitions: Definitions) -> Indexer:
        """The indexer by other definitions of these same types; plans that stay are kept."""
        made = copy(self)
        made._definitions = definitions
        made._plans = {
            type_: plan
            for type_, plan in self._plans.items()
            if definitions.search_parameters(type_) is self._definitions.search_parameters(type_)
        }
        return made

    def parameters(self, type: str) -> Mapping[str, SearchParameter]:
        """The parameters that a type can be searched by, by code."""
        return {
            code: found
            for code, found in self._definitions.search_parameters(type).items()
            if kind_of(found)
        }

    def entries(
        self,
        resource: Resource,
        base_url: str = "",
        id: str | None = None,
        encoded: bytes | None = None,
        over: set[str] | None = None,
    ) -> Entries:
        """The entries of a resource, by parameter or derived name.

        References below `base_url` count as references to this server. `id` is the resource's,
        where it does not have it yet. `encoded` is the resource as compact JSON, if there is
        one: it is searched faster. Odd data gives no entries, never an error.

        Raises `TooCostly` for a parameter that has too much to do on the resource. With `over`,
        its URL is added there instead, and it has no entries.
        """
        if not resource.get("contained"):
            return self._entries(Scope(resource), Home(base_url), encoded, over)
        type_ = resource.get("resourceType", "")
        container = Reference(type_, id or resource.get("id", ""))
        inside = parts(resource, f"{container.type}/{container.id}")
        local = {MARK + item.resource["id"]: item.reference for item in inside}
        out = self._entries(Scope(resource), Home(base_url, local), over=over)
        if inside:
            home = Home(base_url, local | {MARK: container})
            out[CONTAINED] = tuple(
                self._part(item, Scope(item.resource, container=resource), container, home, over)
                for item in inside
            )
            types = dict.fromkeys(item.reference.type.removeprefix(MARK) for item in inside)
            out[CONTAINED_TYPE] = tuple(Token("", name) for name in types)
        return out

    def _part(
        self, item: Part, scope: Scope, container: Reference, home: Home, over: set[str] | None
    ) -> Contained:
        out = self._entries(scope, home, over=over)
        out[CONTAINER] = (container,)
        out[LOCAL_ID] = (Token("", item.resource["id"]), Token("", item.reference.id))
        return Contained(*item.reference, out)

    def _entries(
        self,
        scope: Scope,
        home: Home,
        encoded: bytes | None = None,
        over: set[str] | None = None,
    ) -> dict[str, tuple[Entry, ...]]:
        resource = scope.root
        plan = self._plan(resource)
        out: dict[str, tuple[Entry, ...]] = {}
        for name, found in plan.entries(scope, home, over).items():
            if not found:
                out[f"{name}:present"] = _PRESENT
            elif len(found) == 1:
                out[name] = (found[0],)
            else:
                out[name] = tuple(dict.fromkeys(found))
        urls = _urls(resource) if encoded is None else _urls_in(resource, encoded)
        if urls:
            covered = {entry for code in plan.reference_codes & out.keys() for entry in out[code]}
            uncovered = _uncovered(urls, home, covered)
            if uncovered:
                out[UNCOVERED] = uncovered
        if self._texts and not self._definitions.is_narrowed(resource.get("resourceType", "")):
            out |= words_of(resource, self._texts)
        return out

    def references(
        self, resource: Resource, param: str, base_url: str = ""
    ) -> tuple[Reference, ...]:
        """What a resource refers to by a reference parameter, or by all of them (`*`).

        What it contains is not among that.
        """
        found = self._plan(resource).references(Scope(resource), Home(base_url))
        codes = found if param == ANY else (param,)
        entries = dict.fromkeys(entry for code in codes for entry in found.get(code, ()))
        return tuple(entry for entry in entries if isinstance(entry, Reference))

    def referred(
        self, resource: Resource, params: Iterable[str], base_url: str = ""
    ) -> tuple[Reference, ...]:
        """What a resource refers to by any of those reference parameters, as `references` does."""
        found = self._plan(resource).references(Scope(resource), Home(base_url))
        entries = dict.fromkeys(entry for param in params for entry in found.get(param, ()))
        return tuple(entry for entry in entries if isinstance(entry, Reference))

    def reference_entries(
        self, resource: Resource, base_url: str = ""
    ) -> Mapping[str, tuple[Entry, ...]]:
        """The entries of all reference parameters, as `entries` gives them, and of no others.

        References within the resource are not among them.
        """
        found = self._plan(resource).references(Scope(resource), Home(base_url))
        return {code: tuple(dict.fromkeys(entries)) for code, entries in found.items()}

    def _plan(self, resource: Resource) -> Plan:
        type_ = resource.get("resourceType", "")
        plan = self._plans.get(type_)
        if plan is None:
            plan = Plan(self._definitions, self._shapes, type_)
            if type_ in self._definitions.resource_types:
                self._plans[type_] = plan
        return plan


def _uncovered(urls: Iterable[str], home: Home, covered: Collection[Entry]) -> tuple[Entry, ...]:
    """The references by the URLs that are not among the covered ones."""
    found: dict[Entry, None] = {}
    for url in dict.fromkeys(urls):
        if url[:1] != MARK:
            for reference in references(url):
                if there := at_home(reference, home):
                    found[there] = None
    return tuple(entry for entry in found if entry not in covered)


def _urls_in(resource: Resource, encoded: bytes) -> list[str]:
    """As `_urls`, read from the JSON where that is plain: no other resource, no escapes."""
    _, *found = encoded.split(b'"reference":"')
    if not found:
        return []
    urls = [text[: text.index(b'"')].decode() for text in found]
    if b'"resource":{' in encoded or "\\" in "".join(urls):
        return _urls(resource)
    return urls


def _urls(resource: Resource) -> list[str]:
    """The text of every literal reference; what a Bundle or Parameters carries has its own."""
    urls: list[str] = []
    stack: list[Any] = [resource]
    while stack:
        node = stack.pop()
        url = node.get("reference")
        if url.__class__ is str:
            urls.append(url)
        for value in node.values():
            if value.__class__ is dict:
                if "resourceType" in value and value is node.get("resource"):
                    continue
                stack.append(value)
            elif value.__class__ is list:
                for item in value:
                    if item.__class__ is dict:
                        stack.append(item)  # noqa: PERF401 - faster than extend here
    return urls
