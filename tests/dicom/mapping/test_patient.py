"""What a patient module is as a Patient, and when it speaks of somebody else."""

from __future__ import annotations

from typing import Any

import pytest
from dicom.mapping.data_sets import element, header

from fhirserver.dicom.mapping.issuers import Issuers
from fhirserver.dicom.mapping.patient import conflicts, patient
from fhirserver.model.json import Resource
from fhirserver.validation import validate

_REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"


def test_names_of_three_groups() -> None:
    name = {
        "Alphabetic": "Yamada^Tarou",
        "Ideographic": "山田^太郎",
        "Phonetic": "やまだ^たろう",
    }
    found = patient(header(t00100010=element("PN", name)), Issuers())
    assert found["name"] == [
        {
            "extension": [{"url": _REPRESENTATION, "valueCode": code}],
            "use": "usual",
            "family": family,
            "given": [given],
        }
        for code, family, given in (
            ("ABC", "Yamada", "Tarou"),
            ("IDE", "山田", "太郎"),
            ("SYL", "やまだ", "たろう"),
        )
    ]
    assert not [issue for issue in validate(found) if issue.is_error]


def test_a_plain_name() -> None:
    name = element("PN", {"Alphabetic": "Adams^John Robert^Quincy^Rev.^B.A. M.Div."})
    found = patient(header(t00100010=name), Issuers())
    assert found["name"] == [
        {
            "use": "usual",
            "family": "Adams",
            "given": ["John", "Robert", "Quincy"],
            "prefix": ["Rev."],
            "suffix": ["B.A. M.Div."],
        }
    ]


@pytest.mark.parametrize(
    ("sex", "gender"), [("M", "male"), ("f", "female"), ("O", "other"), ("X", "unknown")]
)
def test_gender(sex: str, gender: str) -> None:
    assert patient(header(t00100040=element("CS", sex)), Issuers())["gender"] == gender


def test_no_sex_is_no_gender() -> None:
    found = patient(header(t00100040={"vr": "CS"}), Issuers())
    assert "gender" not in found


@pytest.mark.parametrize(
    ("more", "system"),
    [
        ({}, "https://example.org/mrn"),
        ({"t00100021": element("LO", "HOSP A")}, "urn:dicom:issuer:HOSP%20A"),
        ({"t00100021": element("LO", "KNOWN")}, "urn:oid:1.2.3"),
        (
            {
                "t00100024": element(
                    "SQ", {"00400032": element("UT", "2.16.1"), "00400033": element("CS", "ISO")}
                )
            },
            "urn:oid:2.16.1",
        ),
    ],
)
def test_the_system_is_that_of_the_issuer(more: dict[str, Any], system: str) -> None:
    issuers = Issuers(known={"KNOWN": "urn:oid:1.2.3"}, patient="https://example.org/mrn")
    found = patient(header(**more), issuers)
    assert found["identifier"][0]["system"] == system


def test_an_assumed_issuer_is_for_those_who_name_none() -> None:
    issuers = Issuers(known={"A": "urn:oid:1.1", "B": "urn:oid:1.2"}, assumed="A")
    bare = issuers.patient_identifier(header())
    named = issuers.patient_identifier(header(t00100021=element("LO", "B")))
    assert bare and named
    assert (bare["system"], named["system"]) == ("urn:oid:1.1", "urn:oid:1.2")


JANE: Resource = {
    "name": [{"family": "Smith", "given": ["Jane", "Ann"]}],
    "gender": "female",
    "birthDate": "1970-02-03",
}


@pytest.mark.parametrize(
    ("known", "found"),
    [
        (JANE, []),
        ({}, []),
        (JANE | {"birthDate": "1970"}, []),
        (JANE | {"birthDate": "1971-02-03"}, ["birthDate"]),
        (JANE | {"gender": "male"}, ["gender"]),
        (JANE | {"gender": "other"}, []),
        (JANE | {"name": [{"family": "Doe", "given": ["J."]}]}, []),
        (JANE | {"name": [{"family": "Roe", "given": ["Richard"]}]}, ["name"]),
    ],
)
def test_conflicts(known: Resource, found: list[str]) -> None:
    assert conflicts(header(), known) == found
