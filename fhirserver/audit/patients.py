"""Whose record a resource is part of: the patients in whose compartment it stands.

https://hl7.org/fhir/R4/compartmentdefinition-patient.html: a Patient itself, and what refers to
a patient by one of the parameters that the definition names for its type.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import decode
from fhirserver.search.contained import container_key, is_contained
from fhirserver.search.entry import Entries, Reference
from fhirserver.search.index import Indexer
from fhirserver.store.port import Version

PATIENT = "Patient"

_REMEMBERED = 50_000  # versions of which it is known
_NOBODY: tuple[str, ...] = ()


class Patients:
    """`indexer` finds the references; a version never changes, so what was found is kept."""

    def __init__(self, definitions: Definitions, indexer: Indexer) -> None:
        compartment = definitions.compartment(PATIENT)
        self._members = compartment.members if compartment else {}
        self._indexer = indexer
        self._known: OrderedDict[tuple[str, str, int], tuple[str, ...]] = OrderedDict()

    def of(self, version: Version, base: str) -> tuple[str, ...]:
        """The ids of the patients of a version. Absolute references below `base` count."""
        type, id, number = version.type, version.id, version.version
        body = version.body
        if is_contained(type):
            type, id = container_key(id)
        return self.known(type, id, number, base, lambda: body)

    def known(
        self, type: str, id: str, version: int, base: str, body: Callable[[], bytes | None]
    ) -> tuple[str, ...]:
        """The same, of a version whose bytes are asked for only if they are needed."""
        if type == PATIENT:
            return (id,)
        if type not in self._members:
            return _NOBODY
        key = (type, id, version)
        found = self._known.get(key)
        if found is not None:
            return found
        data = body()
        if data is None:
            return _NOBODY
        targets = self._indexer.referred(decode(data), self._members[type], base)
        found = _ids(targets)
        self._known[key] = found
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def of_body(self, version: Version, base: str) -> tuple[str, ...]:
        """The ids of the patients of what may be no version yet: nothing of it is kept."""
        if version.type == PATIENT:
            return (version.id,)
        if version.type not in self._members or version.body is None:
            return _NOBODY
        body = decode(version.body)
        return _ids(self._indexer.referred(body, self._members[version.type], base))

    def of_entries(self, type: str, id: str, entries: Entries) -> tuple[str, ...]:
        """The ids of the patients of a resource, by its index entries."""
        if type == PATIENT:
            return (id,)
        found = (item for code in self._members.get(type, ()) for item in entries.get(code, ()))
        return _ids(item for item in found if isinstance(item, Reference))


def _ids(targets: Iterable[Reference]) -> tuple[str, ...]:
    ids = (item.id.partition("/")[0] for item in targets if item.type == PATIENT)
    return tuple(dict.fromkeys(ids))
