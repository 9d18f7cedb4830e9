"""A patient's resources as they are written, each with an id that does not change."""

from __future__ import annotations

from collections import Counter

from fhirserver.demo.datatypes import coding, reference
from fhirserver.demo.person import Person
from fhirserver.demo.systems import HL7
from fhirserver.model.json import Resource

# https://hl7.org/fhir/R4/security-labels.html#test: nobody shall take these for real data.
_TEST_DATA = {"tag": [coding(HL7 + "v3-ActReason", "HTEST", "test health data")]}


def marked(resource: Resource, id: str) -> Resource:
    """The resource with its id and the mark of test data, in the usual order of elements."""
    return {"resourceType": resource["resourceType"], "id": id, "meta": _TEST_DATA} | resource


class Chart:
    """Collects the resources about one person."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.resources: list[Resource] = []
        self._numbers: Counter[str] = Counter()

    def add(self, resource: Resource) -> Resource:
        """Files a resource under the next id of its type; gives a reference to it."""
        type_ = resource["resourceType"]
        if type_ == "Patient":
            id_ = self.person.id
        else:
            self._numbers[type_] += 1
            id_ = f"{self.person.id}-{type_.lower()}-{self._numbers[type_]}"
        self.resources.append(marked(resource, id_))
        return reference(type_, id_)
