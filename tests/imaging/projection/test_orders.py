"""Orders by accession number, also those that come after their study; one timeline."""

from __future__ import annotations

from imaging.projection.place import ACCESSION, JANE, STUDY, Place, element, instance

from fhirserver.model.json import Resource


def order(id: str, patient: str = "jane") -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "id": id,
        "status": "active",
        "intent": "order",
        "identifier": [{"system": ACCESSION, "value": "A1"}],
        "subject": {"reference": f"Patient/{patient}"},
    }


A1 = {"t00080050": element("SH", "A1")}
LOGICAL = {
    "type": "ServiceRequest",
    "identifier": {
        "type": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]
        },
        "system": ACCESSION,
        "value": "A1",
    },
}


async def test_the_one_order_of_the_accession_number(place: Place) -> None:
    await place.client.put(JANE, order("o1"))
    await place.add(instance(1, 1, **A1))
    await place.project()
    assert (await place.study())["basedOn"] == [{"reference": "ServiceRequest/o1"}]


async def test_no_order_or_several_are_named_only(place: Place) -> None:
    await place.client.put(JANE)
    await place.add(instance(1, 1, **A1))
    await place.project()
    assert (await place.study())["basedOn"] == [LOGICAL]
    await place.client.put(order("o1"), order("o2"))
    await place.add(instance(1, 2, **A1))
    await place.project()
    assert (await place.study())["basedOn"] == [LOGICAL]


async def test_an_order_of_another_patient_is_not_linked(place: Place) -> None:
    await place.client.put(JANE, {"resourceType": "Patient", "id": "john"}, order("o1", "john"))
    await place.add(instance(1, 1, **A1))
    await place.project()
    assert (await place.study())["basedOn"] == [LOGICAL]


async def test_an_order_that_comes_later_is_linked(place: Place) -> None:
    await place.client.put(JANE)
    await place.add(instance(1, 1, **A1))
    projector = place.projector()
    await projector.settle()
    await projector._turn()
    await place.client.put(order("o1"))
    await projector._turn()
    assert (await place.study())["basedOn"] == [{"reference": "ServiceRequest/o1"}]


async def test_the_visit(place: Place) -> None:
    visit = {
        "resourceType": "Encounter",
        "id": "v1",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "identifier": [{"system": "https://example.org/visit", "value": "V1"}],
        "subject": {"reference": "Patient/jane"},
    }
    await place.client.put(JANE, visit)
    await place.add(instance(1, 1, t00380010=element("LO", "V1")))
    await place.project()
    assert (await place.study())["encounter"] == {"reference": "Encounter/v1"}


async def test_one_timeline_by_accession_number(place: Place) -> None:
    """The query of docs/imaging.md: the order, its tasks, the study and the report."""
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "code": {"text": "CT"},
        "basedOn": [{"reference": "ServiceRequest/o1"}],
    }
    task = {
        "resourceType": "Task",
        "id": "t1",
        "status": "completed",
        "intent": "order",
        "basedOn": [{"reference": "ServiceRequest/o1"}],
    }
    await place.client.put(JANE, order("o1"), report, task)
    await place.add(instance(1, 1, **A1))
    await place.project()
    found = await place.found(
        f"ServiceRequest?identifier={ACCESSION}|A1&_revinclude=ImagingStudy:basedon"
        "&_revinclude=Task:based-on&_revinclude=Procedure:based-on"
        "&_revinclude=DiagnosticReport:based-on"
    )
    assert {f"{one['resourceType']}/{one['id']}" for one in found} == {
        "ServiceRequest/o1",
        "Task/t1",
        f"ImagingStudy/{STUDY}",
        "DiagnosticReport/r1",
    }
