"""Whether a version is what an expression means, told from the version itself.

For what no search finds: versions out of the past, deletions, and what is read by its key. The
entries are made anew from the body; only those that the expression looks at, where these are
references, which is much cheaper.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from fhirserver.errors import FhirError
from fhirserver.model.json import Resource, decode
from fhirserver.model.reference import literal
from fhirserver.search.entry import Entries, Entry
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Expression,
    Has,
    IdIs,
    Not,
    Or,
    ReferenceIs,
    TokenIs,
    TypeIs,
)
from fhirserver.search.index import Indexer
from fhirserver.search.match import Document, match
from fhirserver.store.port import Key, Version

LABELS: Final = "_security"
_ALL: Final = "*"
_LABELS_ONLY: Final = frozenset({("label", LABELS)})


class Judge:
    """Judges by the parameters of `indexer`; `base_url` is the service base URL."""

    def __init__(self, indexer: Indexer, base_url: str) -> None:
        self._indexer = indexer
        self._base_url = base_url

    def fits(self, version: Version, expression: Expression) -> bool:
        """Whether a version with a body does; False where that cannot be told."""
        if expression == EVERYTHING:
            return True
        if expression == NOTHING or version.body is None:
            return False
        params = _params(expression)
        if not params:
            return match(expression, Document(version.type, version.id, version.last_updated))
        if params == _LABELS_ONLY and not _may_be_labelled(version.body):
            return match(expression, Document(version.type, version.id, version.last_updated))
        try:
            entries = self._entries(decode(version.body), params)
        except FhirError:
            return False
        document = Document(version.type, version.id, version.last_updated, entries)
        return match(expression, document)

    def labels(self, resource: Resource) -> frozenset[Entry]:
        """The security labels of a resource."""
        if not resource.get("meta", {}).get("security"):
            return frozenset()
        return frozenset(self._indexer.entries(resource, self._base_url).get(LABELS, ()))

    def security_context(self, version: Version) -> Key | None:
        """The resource here that a Binary's securityContext names, if it names one.

        https://hl7.org/fhir/R4/binary.html: who may access that one may access the Binary.
        """
        context = decode(version.body or b"{}").get("securityContext")
        text = context.get("reference") if isinstance(context, dict) else None
        found = literal(text) if isinstance(text, str) else None
        if found is None or found.base not in ("", self._base_url):
            return None
        return Key(found.type, found.id)

    def _entries(self, resource: Resource, params: frozenset[tuple[str, str]]) -> Entries:
        asked = params
        if ("label", LABELS) in asked and not resource.get("meta", {}).get("security"):
            asked = asked - {("label", LABELS)}
        if not asked:
            return {}
        if all(kind == "reference" for kind, _ in asked):
            return self._indexer.reference_entries(resource, self._base_url)
        return self._indexer.entries(resource, self._base_url)


def _may_be_labelled(body: bytes) -> bool:
    """Whether the bytes may have a member `security`; without, no label is there to be read.

    Its name stands in JSON as it is, or with letters as escapes, which begin with `\\u00`.
    """
    return b'"security"' in body or b"\\u00" in body


@lru_cache(maxsize=4096)
def _params(expression: Expression) -> frozenset[tuple[str, str]]:
    """The parameters that are looked at, with what is known of their kind."""
    return frozenset(_looked_at(expression))


def _looked_at(expression: Expression) -> Iterable[tuple[str, str]]:
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _looked_at(part)
        case Not(part):
            yield from _looked_at(part)
        case IdIs() | TypeIs():
            return
        case ReferenceIs(str(param), _):
            yield "reference", param
        case TokenIs(param, _) if param == LABELS:
            yield "label", param
        case Chain() | Has():
            raise AssertionError("a restriction looks at one resource")
        case _:
            yield "any", _ALL
