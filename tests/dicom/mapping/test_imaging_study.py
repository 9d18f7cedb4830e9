"""What a study is as an ImagingStudy, and that every header gives a valid one."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from dicom.mapping.data_sets import CT, HOSTILE, STUDY, element, header, instance
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.dicom.mapping.facts import study_facts
from fhirserver.dicom.mapping.imaging_study import Links, imaging_study
from fhirserver.dicom.mapping.issuers import Issuers
from fhirserver.dicom.mapping.patient import patient
from fhirserver.errors import Unprocessable
from fhirserver.model.json import Resource
from fhirserver.validation import validate

LINKS = Links({"reference": "Patient/1"})


def made(*headers: dict[str, Any], issuers: Issuers | None = None, zone: str = "") -> Resource:
    facts = study_facts(STUDY, headers)
    return imaging_study(facts, LINKS, issuers or Issuers(), zone)


def errors(resource: Resource) -> list[Any]:
    return [issue for issue in validate(resource) if issue.is_error]


def test_a_slice() -> None:
    study = made(
        instance(2, 7, t0008103E=element("LO", "Thorax 1.0"), t00180015=element("CS", "CHEST"))
    )
    assert study == {
        "resourceType": "ImagingStudy",
        "identifier": [{"use": "official", "system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}],
        "status": "available",
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}],
        "subject": {"reference": "Patient/1"},
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "series": [
            {
                "uid": f"{STUDY}.2",
                "number": 2,
                "modality": {
                    "system": "http://dicom.nema.org/resources/ontology/DCM",
                    "code": "CT",
                },
                "description": "Thorax 1.0",
                "numberOfInstances": 1,
                "bodySite": {
                    "system": "http://snomed.info/sct",
                    "code": "816094009",
                    "display": "Chest",
                },
                "instance": [
                    {
                        "uid": f"{STUDY}.2.7",
                        "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{CT}"},
                        "number": 7,
                    }
                ],
            }
        ],
    }
    assert not errors(study)


def test_the_order_of_arrival_makes_no_difference() -> None:
    headers = [
        instance(1, 1, t00081030=element("LO", "first")),
        instance(1, 2, t00081030=element("LO", "second")),
        instance(2, 1, t00080060=element("CS", "MR")),
        instance(2, 2, t00080090=element("PN", {"Alphabetic": "House^Gregory"})),
    ]
    studies = [made(*order) for order in permutations(headers)]
    assert all(study == studies[0] for study in studies)
    assert studies[0]["description"] == "first"
    assert studies[0]["referrer"] == {"display": "Gregory House"}


def test_an_instance_counts_once() -> None:
    study = made(instance(1, 1), instance(1, 1), instance(1, 2))
    assert study["numberOfInstances"] == 2


def test_a_study_without_instances_is_cancelled() -> None:
    study = made()
    assert (study["status"], study["numberOfSeries"]) == ("cancelled", 0)
    assert not errors(study)


def test_derived_objects_are_modalities_of_their_series_only() -> None:
    study = made(instance(1, 1), instance(2, 1, t00080060=element("CS", "SR")))
    assert [coding["code"] for coding in study["modality"]] == ["CT"]
    assert [one["modality"]["code"] for one in study["series"]] == ["CT", "SR"]


@pytest.mark.parametrize("value", [-1, "-3", "", None, 2**31, 2.5, "x"])
def test_numbers_that_fhir_has_not_are_left_out(value: Any) -> None:
    study = made(instance(1, 1, t00200011=element("IS", value), t00200013=element("IS", value)))
    assert "number" not in study["series"][0]
    assert "number" not in study["series"][0]["instance"][0]


def test_accession_with_and_without_issuer() -> None:
    issuers = Issuers(known={"RIS": "urn:oid:1.2.3"}, accession="https://example.org/acc")
    bare = made(header(t00080050=element("SH", "A1")), issuers=issuers)
    issuer = element("SQ", {"00400031": element("UT", "RIS")})
    named = made(header(t00080050=element("SH", "A1"), t00080051=issuer), issuers=issuers)
    systems = [study["identifier"][1]["system"] for study in (bare, named)]
    assert systems == ["https://example.org/acc", "urn:oid:1.2.3"]
    assert named["identifier"][1]["type"]["coding"][0]["code"] == "ACSN"


@pytest.mark.parametrize(
    ("more", "zone", "started"),
    [
        ({}, "", "2026-07-01"),
        ({"t00080030": element("TM", "101112")}, "", "2026-07-01"),
        ({"t00080030": element("TM", "1011")}, "Europe/Berlin", "2026-07-01"),
        (
            {"t00080030": element("TM", "101112.5"), "t00080201": element("SH", "-0330")},
            "Europe/Berlin",
            "2026-07-01T10:11:12.5-03:30",
        ),
        ({"t00080030": element("TM", "101112")}, "Europe/Berlin", "2026-07-01T10:11:12+02:00"),
        ({"t00080030": element("TM", "101112")}, "Nowhere/Land", "2026-07-01"),
        (
            {"t00080030": element("TM", "101112"), "t00080201": element("SH", "+2500")},
            "",
            "2026-07-01",
        ),
    ],
)
def test_no_offset_is_made_up(more: dict[str, Any], zone: str, started: str) -> None:
    study = made(header(t00080020=element("DA", "20260701"), **more), zone=zone)
    assert study["started"] == started
    assert not errors(study)


def test_the_zone_is_that_of_the_day() -> None:
    winter = {"t00080020": element("DA", "20260101"), "t00080030": element("TM", "101112")}
    assert made(header(**winter), zone="Europe/Berlin")["started"].endswith("+01:00")


def test_a_study_needs_a_uid() -> None:
    with pytest.raises(Unprocessable):
        imaging_study(study_facts("1.2\n", [header()]), LINKS, Issuers())


def test_procedures_and_reasons() -> None:
    code = {
        "00080100": element("SH", "24627-2"),
        "00080102": element("SH", "LN"),
        "00080104": element("LO", "CT Chest"),
    }
    own = {
        "00080100": element("SH", "X1"),
        "00080102": element("SH", "99 ACME"),
        "00080104": element("LO", "Thing"),
    }
    request = {"00401002": element("LO", "cough"), "0040100A": element("SQ", own)}
    study = made(header(t00081032=element("SQ", code), t00400275=element("SQ", request)))
    assert study["procedureCode"][0]["coding"][0]["system"] == "http://loinc.org"
    own_system = study["reasonCode"][0]["coding"][0]["system"]
    assert own_system == "urn:dicom:coding-scheme:99%20ACME"
    assert study["reasonCode"][1] == {"text": "cough"}
    assert not errors(study)


@given(st.lists(HOSTILE, max_size=3), st.sampled_from(["", "Asia/Tokyo", "../etc/passwd"]))
def test_any_header_gives_valid_resources(headers: list[dict[str, Any]], zone: str) -> None:
    whole = [header() | hostile for hostile in headers]
    facts = study_facts(STUDY, [*headers, *whole])
    issuers = Issuers(known={"CT": "urn:oid:1.2"}, assumed="L")
    for resource in (
        imaging_study(facts, LINKS, issuers, zone),
        patient(facts.attributes, issuers),
    ):
        assert not errors(resource)
