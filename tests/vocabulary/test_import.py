"""Imports of made-up releases in the formats of LOINC, SNOMED CT and RxNorm."""

import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from interactions.client import Client, open_context

from fhirserver.operations.table import OPERATIONS
from fhirserver.vocabulary.loinc import loinc
from fhirserver.vocabulary.rxnorm import rxnorm
from fhirserver.vocabulary.snomed import snomed
from fhirserver.vocabulary.vocabulary import NotReadable, Vocabulary, import_

SCT = "http://snomed.info/sct"


@pytest.fixture
async def client(each_store: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with open_context(tmp_path / "fhir.db") as context:
        yield Client(context, OPERATIONS)


async def imported(client: Client, vocabulary: Vocabulary) -> int:
    return await import_(
        client.context.concepts, client.gate.dispatch, vocabulary, "2026-01-01", print
    )


async def expanded(client: Client, url: str, query: str = "") -> dict[str, str]:
    found = await client.get(f"ValueSet/$expand?url={quote(url, safe='')}{query}")
    return {
        item["code"]: item.get("display", "") for item in found["expansion"].get("contains", ())
    }


def table(*rows: str, separator: str = "\t") -> str:
    return "".join(separator.join(row.split("|")) + "\r\n" for row in rows)


def rf2(folder: Path) -> Path:
    core, fsn, syn = "900000000000207008", "900000000000003001", "900000000000013009"
    snapshot = folder / "Snapshot/Terminology"
    snapshot.mkdir(parents=True)
    concepts = [
        f"{code}|20260101|{active}|{core}|900000000000074008"
        for code, active in (
            ("138875005", 1), ("404684003", 1), ("22298006", 1), ("57809008", 1), ("1000004", 0),
            ("116676008", 1), ("74281007", 1), ("363698007", 1),
        )
    ]  # fmt: skip
    (snapshot / "sct2_Concept_Snapshot_INT_20260101.txt").write_text(
        table("id|effectiveTime|active|moduleId|definitionStatusId", *concepts)
    )
    names = [
        ("1", "22298006", fsn, "Myocardial infarction (disorder)"),
        ("2", "22298006", syn, "Myocardial infarction"),
        ("3", "22298006", syn, 'Heart attack "MI"'),
        ("4", "57809008", syn, "Myocardial disease"),
        ("5", "404684003", syn, "Clinical finding"),
        ("6", "138875005", syn, "SNOMED CT Concept"),
        ("7", "74281007", syn, "Myocardium structure"),
    ]
    (snapshot / "sct2_Description_Snapshot-en_INT_20260101.txt").write_text(
        table(
            "id|effectiveTime|active|moduleId|conceptId|languageCode|typeId|term|caseSignificanceId",
            *(
                f"{id}|20260101|1|{core}|{code}|en|{type}|{term}|x"
                for id, code, type, term in names
            ),
        )
    )
    links = [
        ("404684003", "138875005", "116680003"),
        ("57809008", "404684003", "116680003"),
        ("22298006", "57809008", "116680003"),
        ("22298006", "74281007", "363698007"),
    ]
    (snapshot / "sct2_Relationship_Snapshot_INT_20260101.txt").write_text(
        table(
            "id|effectiveTime|active|moduleId|sourceId|destinationId|relationshipGroup|typeId|a|b",
            *(f"9|20260101|1|{core}|{one}|{other}|0|{type}|x|y" for one, other, type in links),
            f"9|20260101|0|{core}|22298006|138875005|0|116680003|x|y",
        )
    )
    (snapshot / "der2_cRefset_LanguageSnapshot-en_INT_20260101.txt").write_text(
        table(
            "id|effectiveTime|active|moduleId|refsetId|referencedComponentId|acceptabilityId",
            f"u|20260101|1|{core}|900000000000509007|2|900000000000548007",
        )
    )
    (snapshot / "der2_Refset_SimpleSnapshot_INT_20260101.txt").write_text(
        table(
            "id|effectiveTime|active|moduleId|refsetId|referencedComponentId",
            f"u|20260101|1|{core}|723264001|22298006",
        )
    )
    return folder


async def test_snomed(client: Client, tmp_path: Path) -> None:
    assert await imported(client, snomed(rf2(tmp_path / "release"), "20260101")) == 8
    isa = await expanded(client, f"{SCT}?fhir_vs=isa/404684003")
    assert isa == {
        "404684003": "Clinical finding",
        "57809008": "Myocardial disease",
        "22298006": "Myocardial infarction",
    }
    assert await expanded(client, f"{SCT}?fhir_vs=refset/723264001") == {
        "22298006": "Myocardial infarction"
    }
    ecl = f"{SCT}?fhir_vs=ecl/{quote('<< 404684003 : 363698007 = << 74281007 |Heart|')}"
    assert list(await expanded(client, ecl)) == ["22298006"]
    assert list(await expanded(client, f"{SCT}?fhir_vs", "&filter=heart%20att")) == ["22298006"]
    edition = f"{SCT}/900000000000207008/version/20260101"
    assert len(await expanded(client, f"{edition}?fhir_vs")) == 8
    found = await client.get(f"CodeSystem/$lookup?system={SCT}&code=1000004&property=inactive")
    assert b"true" in str(found).lower().encode()
    subsumed = f"CodeSystem/$subsumes?system={SCT}&codeA=404684003&codeB=22298006"
    assert (await client.get(subsumed))["parameter"][0]["valueCode"] == "subsumes"


async def test_a_release_in_an_archive(client: Client, tmp_path: Path) -> None:
    folder = rf2(tmp_path / "release")
    path = tmp_path / "release.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for item in folder.rglob("*.txt"):
            archive.write(item, item.relative_to(folder))
    assert await imported(client, snomed(path, "20260101")) == 8


async def test_loinc(client: Client, tmp_path: Path) -> None:
    columns = (
        "LOINC_NUM,COMPONENT,PROPERTY,TIME_ASPCT,SYSTEM,SCALE_TYP,METHOD_TYP,CLASS,CLASSTYPE,"
        "LONG_COMMON_NAME,SHORTNAME,STATUS,DisplayName,ORDER_OBS,EXAMPLE_UCUM_UNITS"
    )
    (tmp_path / "Loinc.csv").write_text(
        f"{columns}\n"
        '"2345-7","Glucose","MCnc","Pt","Ser/Plas","Qn","","CHEM","1",'
        '"Glucose [Mass/volume] in Serum or Plasma","Glucose SerPl-mCnc","ACTIVE","Glucose",'
        '"Both","mg/dL"\n'
        '"1-8","Acyclovir","Susc","Pt","Isolate","OrdQn","","ABXBACT","1",'
        '"Acyclovir ""x"" [Susceptibility]","Acyclovir Susc","DEPRECATED","","Both",""\n'
    )
    (tmp_path / "ComponentHierarchyBySystem.csv").write_text(
        "PATH_TO_ROOT,SEQUENCE,IMMEDIATE_PARENT,CODE,CODE_TEXT\n"
        ",1,,LP1-1,Laboratory\nLP1-1,2,LP1-1,2345-7,Glucose\n"
    )
    (tmp_path / "deDE15LinguisticVariant.csv").write_text(
        "LOINC_NUM,LONG_COMMON_NAME\n2345-7,Glukose im Serum\n"
    )
    assert await imported(client, loinc(tmp_path, "2.78")) == 3
    url = "http://loinc.org"
    assert list(await expanded(client, f"{url}/vs", "&filter=glucose")) == ["2345-7"]
    assert list(await expanded(client, f"{url}/vs", "&filter=glukose&displayLanguage=de")) == [
        "2345-7"
    ]
    assert set(await expanded(client, f"{url}/vs/LP1-1")) == {"LP1-1", "2345-7"}
    assert set(await expanded(client, f"{url}/vs", "&activeOnly=true")) == {"LP1-1", "2345-7"}
    by_system: dict[str, Any] = {
        "resourceType": "ValueSet",
        "url": "http://example.org/serum",
        "status": "active",
        "compose": {
            "include": [
                {"system": url, "filter": [{"property": "SYSTEM", "op": "=", "value": "Ser/Plas"}]}
            ]
        },
    }
    await client.ask("POST", "ValueSet", resource=by_system)
    assert list(await expanded(client, "http://example.org/serum")) == ["2345-7"]


async def test_rxnorm(client: Client, tmp_path: Path) -> None:
    def conso(code: str, type: str, text: str, source: str = "RXNORM") -> str:
        return f"{code}|ENG||||||a|a||x|{source}|{type}|{code}|{text}||N|4096|\n"

    (tmp_path / "RXNCONSO.RRF").write_text(
        conso("161", "IN", "acetaminophen")
        + conso("198440", "PSN", "Acetaminophen 500 MG Tablet")
        + conso("198440", "SCD", "acetaminophen 500 MG Oral Tablet")
        + conso("161", "IN", "other source", "MSH")
    )
    relation = "161||CUI|RO|198440||CUI|has_ingredient|1||RXNORM|RXNORM||||"
    (tmp_path / "RXNREL.RRF").write_text(f"{relation}\n")
    assert await imported(client, rxnorm(tmp_path, "2026-01")) == 2
    system = "http://www.nlm.nih.gov/research/umls/rxnorm"
    assert await expanded(client, f"{system}?fhir_vs", "&filter=tablet%20500") == {
        "198440": "acetaminophen 500 MG Oral Tablet"
    }
    found = str(
        await client.get(f"CodeSystem/$lookup?system={quote(system)}&code=198440&property=*")
    )
    assert "has_ingredient" in found
    assert "'161'" in found


@pytest.mark.parametrize("read", [loinc, snomed, rxnorm])
def test_other_files_are_refused(tmp_path: Path, read: Any) -> None:
    with pytest.raises(NotReadable):
        read(tmp_path / "nothing", "1")
    with pytest.raises(NotReadable):
        read(tmp_path, "1")
    (tmp_path / "x.zip").write_text("no archive")
    with pytest.raises(NotReadable):
        read(tmp_path / "x.zip", "1")


def test_a_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Loinc.csv").write_text("A,B\n1,2\n")
    with pytest.raises(NotReadable, match="LOINC_NUM"):
        list(loinc(tmp_path, "1").concepts)


def test_icd10cm_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from fhirserver.vocabulary.icd10 import icd10cm

    monkeypatch.setitem(sys.modules, "simple_icd_10_cm", None)
    with pytest.raises(NotReadable, match="simple-icd-10-cm"):
        icd10cm()


@pytest.mark.slow
async def test_icd10cm(client: Client) -> None:
    pytest.importorskip("simple_icd_10_cm")
    from fhirserver.vocabulary.icd10 import icd10cm

    assert await imported(client, icd10cm()) > 90_000
    url = "http://hl7.org/fhir/sid/icd-10-cm?fhir_vs"
    expected = {
        "hypertension": "I10",
        "hypertention": "I10",
        "chest pain": "R07.9",
        "I20.9": "I20.9",
        "diabtes type 2": "E11",
        "asthma": "J45",
        "high blood pressure": "I10",
    }
    for typed, code in expected.items():
        assert next(iter(await expanded(client, url, f"&count=5&filter={quote(typed)}"))) == code
