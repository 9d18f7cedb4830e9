"""Patient from the patient module (PS3.3 C.7.1.1)."""

from __future__ import annotations

from typing import Final

from fhirserver.dicom.mapping.attributes import Attributes, code, text
from fhirserver.dicom.mapping.issuers import Issuers
from fhirserver.dicom.mapping.moment import day
from fhirserver.dicom.mapping.person_name import alphabetic, human_names
from fhirserver.model.json import Resource

_GENDERS: Final = {"M": "male", "F": "female", "O": "other"}


def patient(data: Attributes, issuers: Issuers) -> Resource:
    """The Patient that a header tells of: identifiers, names, gender, birth date; no id."""
    found: Resource = {"resourceType": "Patient"}
    first = issuers.patient_identifier(data)
    identifiers = [*([first] if first else []), *issuers.other_patient_identifiers(data)]
    if identifiers:
        found["identifier"] = identifiers
    if names := human_names(data, "00100010", "usual"):
        found["name"] = names
    if sex := code(data, "00100040"):
        found["gender"] = _GENDERS.get(sex, "unknown")
    if born := day(text(data, "00100030")):
        found["birthDate"] = born
    return found


def conflicts(data: Attributes, known: Resource) -> list[str]:
    """What a header says otherwise than a Patient of the same identifier: `name`, `birthDate`,
    `gender`.

    What one of them leaves open is no conflict. Names agree where family or first given name
    of any alphabetic name of the Patient is that of the header: people marry, and are known by
    several names.
    """
    found = []
    born, on = day(text(data, "00100030")), str(known.get("birthDate") or "")
    if born and on and not born.startswith(on):
        found.append("birthDate")
    sexes = {_GENDERS.get(code(data, "00100040"), ""), known.get("gender", "")}
    if sexes == {"male", "female"}:
        found.append("gender")
    if not _names_agree(alphabetic(data, "00100010"), known):
        found.append("name")
    return found


def _names_agree(told: tuple[str, str], known: Resource) -> bool:
    family, given = told
    if not (family or given):
        return True
    compared = False
    for name in known.get("name", ()):
        families = str(name.get("family", "")).casefold()
        givens = [str(item).casefold() for item in name.get("given", ()) if item]
        if not (families or givens):
            continue
        compared = True
        if (family and family == families) or (given and given in givens):
            return True
    return not compared
