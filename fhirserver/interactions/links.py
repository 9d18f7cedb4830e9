"""Links between the entries of a transaction, turned into links to what is stored.

https://hl7.org/fhir/R4/http.html#trules: replaced are references, elements of type uri, url,
oid and uuid, and the addresses of `<a>` and `<img>` in narratives, but not canonicals. A
fragment stays, and a version-specific link stays one, to the version that the transaction
makes. How a reference is resolved: https://hl7.org/fhir/R4/bundle.html#references.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape, unescape
from typing import Final, NamedTuple, TypeAlias

from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Invalid
from fhirserver.model.json import Json, Resource
from fhirserver.model.reference import literal
from fhirserver.store.port import Key

CONDITIONAL: Final = re.compile(r"[A-Z][A-Za-z]+\?.", re.ASCII | re.DOTALL)
"""How a conditional reference begins: `Patient?identifier=...`."""

_URI_TYPES = frozenset({"uri", "url", "oid", "uuid"})
_VERSION = "/_history/"
_PLACEHOLDER = "urn:uuid:"  # names an entry of its own bundle, and nothing outside
_HEAD = 9  # so many characters tell most texts from links: `urn:uuid:`
_LINKED = frozenset({"reference", "div"})  # properties that may hold links of other forms
_LONGEST = 4096  # no link is longer
_ADDRESS = re.compile(
    r"""(<(?:a|img)\s[^<>]*?\b(?:href|src)\s*=\s*)(?:"([^"<>]*)"|'([^'<>]*)')""", re.IGNORECASE
)


class Linked(NamedTuple):
    """What a full URL of the bundle leads to."""

    type: str
    id: str
    version: int


class Links:
    """The full URLs of a bundle and its conditional references, and where they lead.

    `base` is the service base URL.
    """

    def __init__(
        self,
        definitions: Definitions,
        base: str,
        targets: Mapping[str, Linked],
        conditional: Mapping[str, Key],
    ) -> None:
        self.definitions = definitions
        self.base = base
        self.targets = targets
        self.heads = frozenset(url[:_HEAD] for url in targets)
        self.conditional = conditional

    def rewrite(self, resource: Resource, full_url: str | None) -> Rewritten:
        """The resource with its links replaced; what does not change is shared with it.

        `full_url` is that of its own entry, against which its relative references resolve.
        Raises `Invalid` for a reference to an entry that is not there: once stored, it could
        never be resolved.
        """
        work = _Rewriting(self, resource, full_url)
        return Rewritten(work.value(resource, None), frozenset(work.conditions), work.versioned)

    def find(self, url: str) -> tuple[str, bool] | None:
        """What replaces a link, and whether it names a version; None for one to elsewhere."""
        found = self.targets.get(url)
        if found is not None:
            return f"{found.type}/{found.id}", False
        if len(url) > _LONGEST:
            return None
        address, hash_, fragment = url.partition("#")
        address, version_, _ = address.partition(_VERSION)
        if not hash_ and not version_:
            return None
        found = self.targets.get(address)
        if found is None:
            return None
        version = f"{_VERSION}{found.version}" if version_ else ""
        return f"{found.type}/{found.id}{version}{hash_}{fragment}", bool(version_)


class Rewritten(NamedTuple):
    """`conditions` are the conditional references that are still to be resolved.

    `versioned`: a link names the version that the transaction makes of its target.
    """

    resource: Resource
    conditions: frozenset[str]
    versioned: bool


_Place: TypeAlias = tuple["_Place | None", str, Resource]
"""An object in the resource: where its holder is, its property there, and itself."""


class _Rewriting:
    """The walk through one resource."""

    def __init__(self, links: Links, resource: Resource, full_url: str | None) -> None:
        self._links = links
        self._find = links.find
        self._heads = links.heads
        self._root = _root(full_url)
        self._is_bundle = resource["resourceType"] == "Bundle"  # whose entries link each other
        self.conditions: set[str] = set()
        self.versioned = False

    def value(self, node: Resource, outer: _Place | None, name: str = "") -> Resource:
        """The object with links replaced, or the very same one if there is nothing to replace."""
        # The types are those of decoded JSON: asking for them is faster than isinstance.
        place = (outer, name, node)
        changed: Resource = {}
        heads = self._heads
        new: Json
        for key, child in node.items():
            kind = child.__class__
            if kind is str:
                if child[:_HEAD] not in heads and key not in _LINKED:
                    continue  # most of all texts
                new = self._text(child, place, key)
            elif kind is dict:
                new = self.value(child, place, key)
            elif kind is list:
                new = self._items(child, place, key)
            else:
                continue
            if new is not child:
                changed[key] = new
        return {**node, **changed} if changed else node

    def _items(self, items: list[Json], place: _Place, name: str) -> list[Json]:
        changed: dict[int, Json] = {}
        new: Json
        for index, child in enumerate(items):
            kind = child.__class__
            if kind is dict:
                new = self.value(child, place, name)
            elif kind is str:
                if child[:_HEAD] not in self._heads and name not in _LINKED:
                    continue
                new = self._text(child, place, name)
            elif kind is list:
                new = self._items(child, place, name)
            else:
                continue
            if new is not child:
                changed[index] = new
        if not changed:
            return items
        return [changed.get(index, child) for index, child in enumerate(items)]

    def _text(self, text: str, place: _Place | None, name: str) -> str:
        if name == "reference":
            return self._reference(text)
        if name == "div":
            new = _ADDRESS.sub(self._address, text)
            return text if new == text else new
        found = self._find(text)
        if found is None or self._type(place, name) not in _URI_TYPES:
            return text
        return self._taken(found)

    def _reference(self, text: str) -> str:
        found = self._find(text)
        if found is None:
            if CONDITIONAL.match(text):
                return self._conditional(text)
            if text.startswith(_PLACEHOLDER) and not self._is_bundle:
                raise Invalid(f"No entry of the transaction has the fullUrl '{text[:100]}'.")
            found = self._relative(text)
        return text if found is None else self._taken(found)

    def _relative(self, text: str) -> tuple[str, bool] | None:
        url = text.partition("#")[0]
        parts = literal(url)
        if parts is None or parts.base:
            return None
        return self._find(f"{self._root}/{text}") or self._find(f"{self._links.base}/{text}")

    def _conditional(self, text: str) -> str:
        key = self._links.conditional.get(text)
        if key is None:
            self.conditions.add(text)
            return text
        return f"{key.type}/{key.id}"

    def _address(self, found: re.Match[str]) -> str:
        before, double, single = found.groups()
        url = double if double is not None else single
        target = self._find(unescape(url))
        if target is None:
            return found[0]
        return f'{before}"{escape(self._taken(target))}"'

    def _taken(self, found: tuple[str, bool]) -> str:
        self.versioned |= found[1]
        return found[0]

    def _type(self, place: _Place | None, name: str) -> str:
        child = self._links.definitions.children(self._path(place)).get(name)
        return child.type if child is not None else ""

    def _path(self, place: _Place | None) -> str:
        if place is None:
            return ""
        outer, name, node = place
        own = node.get("resourceType")
        if isinstance(own, str):
            return own
        child = self._links.definitions.children(self._path(outer)).get(name)
        return child.path if child is not None else ""


def _root(full_url: str | None) -> str:
    """The base URL of the server that a full URL is of; '' for a URN or none."""
    parts = literal(full_url) if full_url else None
    return parts.base if parts is not None else ""
