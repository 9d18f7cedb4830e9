import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from fhirserver.access.grant import OPEN
from fhirserver.app import open_gate
from fhirserver.cli.load import load
from fhirserver.errors import FhirError
from fhirserver.interactions.request import Request
from fhirserver.model.json import decode
from fhirserver.settings import Settings

PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1970-01-01"}
BAD = {"resourceType": "Patient", "id": "bad", "birthDate": "1970-13-01"}


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(load)
    return CliRunner().invoke(app, ["in", "--data", "data", *arguments])


def write(name: str, *values: Any) -> None:
    text = "\n".join(json.dumps(value) for value in values).encode()
    path = Path("in", name)
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)


def ask(interaction: str, type: str, **more: Any) -> Any:
    """What the gate over the data folder answers."""

    async def asked() -> Any:
        async with open_gate(Settings(data=Path("data"))) as dispatch:
            answer = await dispatch(
                Request(interaction, "http://x/fhir", type, **{"grant": OPEN} | more)
            )
            return decode(answer.body or b"null")

    return asyncio.run(asked())


def total(type: str, interaction: str = "search-type") -> int:
    parameters = (("_summary", "count"),) if interaction == "search-type" else ()
    return int(ask(interaction, type, parameters=parameters)["total"])


def bundle(type: str, *resources: Any, method: str = "") -> Any:
    entries: list[Any] = [{"resource": one} for one in resources]
    for entry in entries:
        one = entry["resource"]
        if method:
            url = one["resourceType"] + (f"/{one['id']}" if method == "PUT" else "")
            entry["request"] = {"method": method, "url": url}
    return {"resourceType": "Bundle", "type": type, "entry": entries}


def test_every_form_of_file_is_loaded() -> None:
    write("a.json", PATIENT)
    write("b.json.gz", bundle("transaction", PATIENT | {"id": "p2"}, method="PUT"))
    write("c.ndjson", *(PATIENT | {"id": f"q{number}"} for number in range(250)))
    write("d.ndjson.gz", {"resourceType": "Patient"}, {"resourceType": "Patient"})
    write("e.json", bundle("batch", PATIENT | {"id": "p3"}, method="POST"))
    write("f.json", bundle("collection", PATIENT | {"id": "p4"}))
    write("g.json", bundle("searchset", PATIENT | {"id": "p5"}))
    write("h.json", bundle("document", PATIENT | {"id": "in a document"}) | {"id": "d"})
    result = run()
    assert result.exit_code == 1, result.output
    assert "h.json" in result.output, "the document is against the rules, all else is not"
    assert total("Patient") == 257
    assert ask("read", "Patient", id="q17")["birthDate"] == "1970-01-01"
    assert ask("read", "Patient", id="p5")


def test_links_within_a_bundle_lead_to_what_was_made() -> None:
    mother = {"resourceType": "Patient", "active": True}
    child = {"resourceType": "RelatedPerson", "patient": {"reference": "urn:uuid:1"}}
    linked = bundle("transaction", mother, child, method="POST")
    linked["entry"][0]["fullUrl"] = "urn:uuid:1"
    write("a.json", linked)
    assert run().exit_code == 0
    (found,) = ask("search-type", "RelatedPerson")["entry"]
    type_, id_ = found["resource"]["patient"]["reference"].split("/")
    assert ask("read", type_, id=id_)["active"] is True


def test_loading_twice_changes_nothing_with_or_without_the_journal() -> None:
    write("a.json", bundle("transaction", {"resourceType": "Patient"}, PATIENT, method="POST"))
    write("b.ndjson", {"resourceType": "Basic", "code": {"text": "x"}}, PATIENT)
    assert run().exit_code == 0
    second = run()
    assert "before" in second.output and "0 resources loaded" in second.output
    assert run("--again").exit_code == 0
    assert total("Patient", "history-type") == 3
    assert total("Basic", "history-type") == 1


def test_what_is_refused_is_told_with_its_place_and_reason_and_the_rest_is_loaded() -> None:
    write("a.json", bundle("transaction", PATIENT, BAD, method="PUT"))
    write("b.ndjson", PATIENT | {"id": "p2"}, BAD, PATIENT | {"id": "p3"})
    write("c.json", {"no": "resource"})
    Path("in", "d.json").write_bytes(b'{"resourceType": "Patient"')
    write("e.json", bundle("batch", BAD, PATIENT | {"id": "p4"}, method="PUT"))
    result = run("--report", "report.ndjson")
    assert result.exit_code == 1
    assert "5 refused: see report.ndjson" in result.output
    report = [json.loads(line) for line in Path("report.ndjson").read_text().splitlines()]
    told = {(Path(one["file"]).name, one.get("position"), one.get("resource")) for one in report}
    assert told == {
        ("a.json", None, "Bundle"),
        ("b.ndjson", 1, "Patient/bad"),
        ("c.json", None, None),
        ("d.json", None, None),
        ("e.json", 0, "Patient/bad"),
    }
    line = next(one for one in report if one["file"].endswith("b.ndjson"))
    assert line["status"] == 422
    assert line["issue"][0]["expression"].endswith("birthDate")
    assert total("Patient") == 3
    with pytest.raises(FhirError):
        ask("read", "Patient", id="p1")


def test_many_refusals_are_not_all_shown() -> None:
    write("a.ndjson", *(BAD | {"id": f"bad{number}"} for number in range(40)))
    result = run()
    assert result.output.count("birthDate") == 20
    assert "40 refused (--report lists them)" in result.output


def test_what_a_condition_refers_to_may_come_later() -> None:
    encounter = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": "Patient?identifier=urn:x|1"},
    }
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "1"}]}
    write("a.json", bundle("transaction", encounter, method="POST"))
    write("b.json", bundle("transaction", patient, method="POST"))
    result = run()
    assert result.exit_code == 0, result.output
    assert total("Encounter") == 1


def test_references_to_what_is_not_there_are_taken() -> None:
    write("a.json", {"resourceType": "RelatedPerson", "patient": {"reference": "Patient/later"}})
    result = CliRunner(env={"FHIRSERVER_INTEGRITY_ON_WRITE": "true"})
    app = typer.Typer()
    app.command()(load)
    assert result.invoke(app, ["in", "--data", "data"]).exit_code == 0
    assert total("RelatedPerson") == 1


def test_a_path_that_is_not_there_is_told_and_others_are_loaded() -> None:
    write("a.json", PATIENT)
    result = run("missing.json")
    assert result.exit_code == 1
    assert "missing.json: It does not exist." in result.output
    assert total("Patient") == 1


def test_a_store_and_a_server_cannot_both_be_meant() -> None:
    assert run("--url", "http://127.0.0.1:1/fhir").exit_code == 2


def test_a_file_of_another_program_is_no_store() -> None:
    write("a.json", PATIENT)
    Path("data").mkdir()
    Path("data", "fhir.db").write_bytes(b"not a database" * 1000)
    result = run()
    assert result.exit_code == 2
    assert "not a SQLite file" in result.output


def test_a_report_that_cannot_be_written_is_told_before_anything_is_loaded() -> None:
    write("a.json", PATIENT)
    assert run("--report", "no/such/folder/report").exit_code == 2
    assert not Path("data").exists()
