"""ImagingStudy from the facts of a study (https://hl7.org/fhir/R4/imagingstudy.html).

What it refers to is found by the caller and given as `Links`; docs/imaging.md has the table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from fhirserver.dicom.mapping.attributes import Attributes, is_uid, items, text
from fhirserver.dicom.mapping.coded import coding, concepts, modality, modality_coding
from fhirserver.dicom.mapping.facts import SeriesFacts, StudyFacts
from fhirserver.dicom.mapping.issuers import Issuers, study_identifier
from fhirserver.dicom.mapping.moment import moment
from fhirserver.dicom.mapping.person_name import shown_name
from fhirserver.dicom.mapping.series import series
from fhirserver.errors import Unprocessable
from fhirserver.model.json import Resource

MOST_LISTED: Final = 10_000
"""The most instances that an ImagingStudy lists; its counts tell of all."""

_DERIVED: Final = frozenset({"SR", "PR", "KO", "SEG", "REG", "AU", "DOC", "PLAN", "FID", "RWV"})
"""Modalities of what is made from images; they count for a study that has nothing else."""


@dataclass(frozen=True, slots=True)
class Links:
    """What a study refers to, as References: the patient, the orders, the visit, the service."""

    subject: Resource
    based_on: Sequence[Resource] = ()
    encounter: Resource | None = None
    endpoints: Sequence[Resource] = ()


def study_status(instances: int, steps: Collection[str] = (), *, was_deleted: bool = False) -> str:
    """ImagingStudy.status (https://hl7.org/fhir/R4/valueset-imagingstudy-status.html).

    `steps` are the statuses of the Tasks of its performed procedure steps. `available`: there is
    an instance. Without any it is `registered` as long as some may come, and `cancelled` where
    all steps were discontinued, or where its instances were deleted and no step goes on.
    """
    if instances:
        return "available"
    if "in-progress" in steps:
        return "registered"
    return "registered" if "completed" in steps and not was_deleted else "cancelled"


def imaging_study(facts: StudyFacts, links: Links, issuers: Issuers, zone: str = "") -> Resource:
    """The ImagingStudy, without id and meta. A study without instances is cancelled.

    Raises `Unprocessable` where the study has no UID, which is all that it must have.
    """
    if not is_uid(facts.uid):
        raise Unprocessable("A study without a Study Instance UID has no ImagingStudy.")
    data = facts.attributes
    found: Resource = {
        "resourceType": "ImagingStudy",
        "identifier": _identifiers(facts, issuers),
        "status": study_status(facts.number_of_instances),
    }
    if modalities := _modalities(facts.series):
        found["modality"] = [modality_coding(code) for code in modalities]
    found["subject"] = links.subject
    if links.encounter:
        found["encounter"] = links.encounter
    if started := moment(data, "00080020", "00080030", zone):
        found["started"] = started
    if links.based_on:
        found["basedOn"] = list(links.based_on)
    if referrer := _person(data, "00080090", "00080096"):
        found["referrer"] = referrer
    if interpreter := _person(data, "00081060", "00081062"):
        found["interpreter"] = [interpreter]
    if links.endpoints:
        found["endpoint"] = list(links.endpoints)
    found["numberOfSeries"] = len(facts.series)
    found["numberOfInstances"] = facts.number_of_instances
    found |= _said(facts)
    if listed := _series(facts, zone):
        found["series"] = listed
    return found


def _identifiers(facts: StudyFacts, issuers: Issuers) -> list[Resource]:
    found = [study_identifier(facts.uid), *issuers.accessions(facts.attributes)]
    if number := text(facts.attributes, "00200010"):
        found.append({"use": "secondary", "value": number})
    return found


def _modalities(found: Sequence[SeriesFacts]) -> list[str]:
    """The modalities of acquisition; those of derived objects where there are no others."""
    codes = {modality(one.attributes) for one in found}
    return sorted(codes - _DERIVED) or sorted(codes)


def _said(facts: StudyFacts) -> Resource:
    """Procedure, place, reasons and description."""
    data = facts.attributes
    found: Resource = {}
    if procedures := concepts(data, "00081032"):
        found["procedureCode"] = procedures
    places = (
        text(one.attributes, "00081040") or text(one.attributes, "00400243") for one in facts.series
    )
    if place := next(filter(None, places), ""):
        found["location"] = {"display": place}
    if reasons := _reasons(data):
        found["reasonCode"] = reasons
    if description := text(data, "00081030"):
        found["description"] = description
    return found


def _reasons(data: Attributes) -> list[Resource]:
    """Reasons of the requests (0040,100A, 0040,1002) and of the procedure (0040,1012)."""
    found: list[Resource] = []
    for source in (data, *items(data, "00400275")):
        found += concepts(source, "0040100A")
        if said := text(source, "00401002"):
            found.append({"text": said})
    found += concepts(data, "00401012")
    return [concept for index, concept in enumerate(found) if concept not in found[:index]]


def _person(data: Attributes, name_tag: str, identity_tag: str) -> Resource | None:
    """A reference to a person by name, with the first code that identifies it (PS3.3 10.1)."""
    shown = shown_name(data, name_tag)
    found: Resource = {}
    for item in items(data, identity_tag):
        for identity in filter(None, map(coding, items(item, "00401101"))):
            found["identifier"] = {
                key: identity[name]
                for key, name in (("system", "system"), ("value", "code"))
                if name in identity
            }
            break
        if found:
            break
    if shown:
        found["display"] = shown
    return found or None


def _series(facts: StudyFacts, zone: str) -> list[Resource]:
    room = MOST_LISTED
    found = []
    for one in facts.series:
        made = series(one, zone, room)
        room -= len(made.get("instance", ()))
        found.append(made)
    return sorted(found, key=lambda item: (item.get("number", 2**31), item["uid"]))
