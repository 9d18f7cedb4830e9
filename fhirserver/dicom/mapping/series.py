"""ImagingStudy.series and its instances, from the facts of a series."""

from __future__ import annotations

from typing import Final

from fhirserver.dicom.mapping.attributes import Attributes, items, text, texts, uid, unsigned
from fhirserver.dicom.mapping.coded import body_site, laterality, modality, modality_coding
from fhirserver.dicom.mapping.facts import CLASS_UID, INSTANCE_UID, SeriesFacts
from fhirserver.dicom.mapping.moment import moment
from fhirserver.dicom.mapping.person_name import shown_name
from fhirserver.model.json import Resource

_FUNCTIONS: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_PERFORMERS: Final = (("00081050", "PRF"), ("00081070", "PRF"))
"""Performing physicians and operators."""


def series(facts: SeriesFacts, zone: str, room: int) -> Resource:
    """The element of a series, with at most `room` instances, by their numbers and UIDs.

    `numberOfInstances` counts all of them, as R4 allows it to be greater than what is listed.
    """
    data = facts.attributes
    found: Resource = {"uid": facts.uid}
    if (number := unsigned(data, "00200011")) is not None:
        found["number"] = number
    found["modality"] = modality_coding(modality(data))
    if description := text(data, "0008103E"):
        found["description"] = description
    found["numberOfInstances"] = len(facts.instances)
    if specimens := _specimens(data):
        found["specimen"] = specimens
    if site := body_site(data):
        found["bodySite"] = site
    if side := laterality(data):
        found["laterality"] = side
    if started := moment(data, "00080021", "00080031", zone):
        found["started"] = started
    if performers := _performers(data):
        found["performer"] = performers
    if listed := sorted(map(_instance, facts.instances), key=_place)[:room]:
        found["instance"] = listed
    return found


def _instance(data: Attributes) -> Resource:
    found: Resource = {
        "uid": uid(data, INSTANCE_UID),
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{uid(data, CLASS_UID)}"},
    }
    if (number := unsigned(data, "00200013")) is not None:
        found["number"] = number
    if title := _title(data):
        found["title"] = title
    return found


def _place(instance: Resource) -> tuple[int, str]:
    return instance.get("number", 2**31), instance["uid"]


def _title(data: Attributes) -> str:
    """Label or title of the content; of plain images R4's choice, the image type."""
    for item in items(data, "0040A043"):
        if meaning := text(item, "00080104"):
            return meaning
    return text(data, "00700080") or text(data, "00420010") or "\\".join(texts(data, "00080008"))


def _specimens(data: Attributes) -> list[Resource]:
    identified = (text(item, "00400551") for item in items(data, "00400560"))
    return [{"identifier": {"value": value}} for value in dict.fromkeys(identified) if value]


def _performers(data: Attributes) -> list[Resource]:
    found = []
    for tag, function in _PERFORMERS:
        if name := shown_name(data, tag):
            coding = {"system": _FUNCTIONS, "code": function}
            found.append({"function": {"coding": [coding]}, "actor": {"display": name}})
    return found
