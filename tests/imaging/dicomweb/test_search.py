"""QIDO-RS on the real archive."""

from __future__ import annotations

from typing import Any

import pytest
from imaging.dicomweb.house import House, instance

JSON = {"Accept": "application/dicom+json"}


@pytest.fixture
async def filled(web: House) -> House:
    """Two studies: one of two series with three instances, one of an instance."""
    first = {"StudyInstanceUID": "1.2.1", "PatientName": "Bench^Ada", "PatientID": "A"}
    second = {"StudyInstanceUID": "1.2.2", "PatientName": "Müller^Bo", "PatientID": "B"}
    response = await web.store(
        instance(
            **first, SeriesInstanceUID="1.2.1.1", SOPInstanceUID="1.2.1.1.1", StudyDate="20240101"
        ),
        instance(
            **first, SeriesInstanceUID="1.2.1.1", SOPInstanceUID="1.2.1.1.2", StudyDate="20240101"
        ),
        instance(
            **first,
            SeriesInstanceUID="1.2.1.2",
            SOPInstanceUID="1.2.1.2.1",
            StudyDate="20240101",
            Modality="MR",
        ),
        instance(
            **second,
            SpecificCharacterSet="ISO_IR 100",
            SeriesInstanceUID="1.2.2.1",
            SOPInstanceUID="1.2.2.1.1",
            StudyDate="20240301",
        ),
    )
    assert response.status == 200
    return web


async def found(web: House, path: str, tag: str) -> list[Any]:
    response = await web("GET", path, JSON)
    assert response.status == 200, response.body
    return sorted(match[tag]["Value"][0] for match in response.json)


STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"


@pytest.mark.parametrize(
    ("path", "tag", "expected"),
    [
        ("/studies", STUDY, ["1.2.1", "1.2.2"]),
        ("/series", SERIES, ["1.2.1.1", "1.2.1.2", "1.2.2.1"]),
        ("/instances", INSTANCE, ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1", "1.2.2.1.1"]),
        ("/studies/1.2.1/series", SERIES, ["1.2.1.1", "1.2.1.2"]),
        ("/studies/1.2.1/instances", INSTANCE, ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1"]),
        ("/studies/1.2.1/series/1.2.1.1/instances", INSTANCE, ["1.2.1.1.1", "1.2.1.1.2"]),
        ("/studies/9.9/series", SERIES, []),
        ("/studies?PatientID=A", STUDY, ["1.2.1"]),
        ("/studies?00100020=A", STUDY, ["1.2.1"]),
        ("/studies?PatientName=bench*", STUDY, ["1.2.1"]),
        ("/studies?PatientName=ada&fuzzymatching=true", STUDY, ["1.2.1"]),
        ("/studies?PatientName=muller*", STUDY, ["1.2.2"]),
        ("/studies?StudyDate=20240201-", STUDY, ["1.2.2"]),
        ("/studies?StudyDate=20240101-20240102", STUDY, ["1.2.1"]),
        ("/studies?StudyInstanceUID=1.2.1,1.2.2,9", STUDY, ["1.2.1", "1.2.2"]),
        ("/studies?StudyInstanceUID=1.2.1%5C9", STUDY, ["1.2.1"]),
        ("/studies?ModalitiesInStudy=MR", STUDY, ["1.2.1"]),
        ("/series?Modality=MR", SERIES, ["1.2.1.2"]),
        ("/instances?PatientID=A&Modality=CT", INSTANCE, ["1.2.1.1.1", "1.2.1.1.2"]),
        ("/studies?PatientID=", STUDY, ["1.2.1", "1.2.2"]),
        ("/instances?SOPInstanceUID=1.2.1.2.1", INSTANCE, ["1.2.1.2.1"]),
        ("/studies?PatientID=nobody", STUDY, []),
        ("/instances?ProcedureCodeSequence.CodeValue=x", INSTANCE, []),
    ],
)
async def test_matches(filled: House, path: str, tag: str, expected: list[str]) -> None:
    assert await found(filled, path, tag) == expected


async def test_what_a_study_tells(filled: House) -> None:
    study = (await filled("GET", "/studies?PatientID=A", JSON)).json[0]
    assert list(study) == sorted(study)
    assert study["00081190"] == {"vr": "UR", "Value": ["http://localhost/dicom-web/studies/1.2.1"]}
    assert sorted(study["00080061"]["Value"]) == ["CT", "MR"]
    assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([2], [3])
    assert study["00100010"]["Value"] == [{"Alphabetic": "Bench^Ada"}]
    assert study["00080056"]["Value"] == ["ONLINE"]
    assert "00080060" not in study


async def test_text_is_utf_8_whatever_the_character_set(filled: House) -> None:
    study = (await filled("GET", "/studies?PatientID=B", JSON)).json[0]
    assert study["00100010"]["Value"] == [{"Alphabetic": "Müller^Bo"}]
    assert study["00080005"]["Value"] == ["ISO_IR 192"]


async def test_included_attributes(filled: House) -> None:
    path = "/instances?SOPInstanceUID=1.2.1.1.1"
    usual = (await filled("GET", path, JSON)).json[0]
    assert "00080070" not in usual
    for field in ("Manufacturer", "00080070", "all"):
        match = (await filled("GET", f"{path}&includefield={field}", JSON)).json[0]
        assert match["00080070"]["Value"] == ["GE MEDICAL SYSTEMS"]
        assert usual.items() <= match.items()


async def test_what_is_asked_for_is_told(filled: House) -> None:
    match = (await filled("GET", "/instances?Manufacturer=GE*&limit=1", JSON)).json[0]
    assert match["00080070"]["Value"] == ["GE MEDICAL SYSTEMS"]


async def test_pages(filled: House) -> None:
    seen = []
    for offset in range(4):
        response = await filled("GET", f"/instances?limit=1&offset={offset}", JSON)
        seen += [match[INSTANCE]["Value"][0] for match in response.json]
        assert ("warning" in response.headers) == (offset < 3)
    assert sorted(seen) == ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1", "1.2.2.1.1"]
    response = await filled("GET", "/instances?offset=4", JSON)
    assert (response.status, response.body) == (200, b"[]")


async def test_limit_0(filled: House) -> None:
    response = await filled("GET", "/instances?limit=0", JSON)
    assert (response.status, response.body) == (200, b"[]")


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "offset=-1",
        "fuzzymatching=1",
        "StudyDate=yesterday",
        "StudyDate=20241301",
    ],
)
async def test_values_that_are_none(filled: House, query: str) -> None:
    assert (await filled("GET", f"/studies?{query}", JSON)).status == 400


async def test_unknown_parameters_are_ignored_and_told(filled: House) -> None:
    response = await filled("GET", "/studies?Foo=bar&PatientID=A&includefield=Baz", JSON)
    assert len(response.json) == 1
    warning = response.headers["warning"]
    assert warning.startswith("299 ")
    assert "Foo" in warning
    assert "bar" not in warning


async def test_xml(filled: House) -> None:
    response = await filled(
        "GET", "/studies", {"Accept": "multipart/related; type=application/dicom+xml"}
    )
    assert response.status == 200
    assert response.body.count(b"<NativeDicomModel") == 2


async def test_other_forms_are_not_acceptable(filled: House) -> None:
    assert (await filled("GET", "/studies", {"Accept": "text/html"})).status == 406
    browser = "text/html,application/xhtml+xml,*/*;q=0.8"
    assert (await filled("GET", "/studies", {"Accept": browser})).status == 200


async def test_long_answers_are_compressed(filled: House) -> None:
    import zlib

    packed = await filled("GET", "/instances", JSON | {"Accept-Encoding": "gzip"})
    plain = await filled("GET", "/instances", JSON)
    assert packed.headers["content-encoding"] == "gzip"
    assert zlib.decompress(packed.body, 31) == plain.body


async def test_an_empty_archive(web: House) -> None:
    for path in ("/studies", "/series", "/instances"):
        response = await web("GET", path, JSON)
        assert (response.status, response.body) == (200, b"[]")
