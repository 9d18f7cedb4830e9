import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from fhirserver.load.finding import Refusal
from fhirserver.load.reading import units
from fhirserver.load.source import sources
from fhirserver.load.unit import Unit

PATIENT = {"resourceType": "Patient", "id": "p1", "active": True}
NAMELESS = {"resourceType": "Patient", "active": True}


def read(path: Path) -> list[Unit | Refusal]:
    (source,), _ = sources([path])
    return list(units(source, source.content()))


def write(folder: Path, value: Any, name: str = "a.json") -> Path:
    path = folder / name
    lines = value if isinstance(value, list) else [value]
    data = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def requests(unit: Unit | Refusal) -> list[tuple[str, str]]:
    assert isinstance(unit, Unit)
    return [(entry["request"]["method"], entry["request"]["url"]) for entry in unit.bundle["entry"]]


def bundle(type: str, *entries: Any) -> Any:
    return {"resourceType": "Bundle", "type": type, "entry": list(entries)}


def test_a_resource_is_put_under_its_id(tmp_path: Path) -> None:
    (unit,) = read(write(tmp_path, PATIENT))
    assert requests(unit) == [("PUT", "Patient/p1")]
    assert isinstance(unit, Unit) and unit.bundle["type"] == "transaction"


def test_a_resource_without_id_gets_one_that_follows_from_the_file(tmp_path: Path) -> None:
    (once,), (twice,) = (read(write(tmp_path, NAMELESS)) for _ in range(2))
    (other,) = read(write(tmp_path, NAMELESS | {"active": False}))
    assert requests(once) == requests(twice) != requests(other)
    assert isinstance(once, Unit)
    resource = once.bundle["entry"][0]["resource"]
    assert requests(once) == [("PUT", f"Patient/{resource['id']}")]


def test_plain_creates_of_a_transaction_become_puts_and_nothing_else_changes(
    tmp_path: Path,
) -> None:
    post = {"method": "POST", "url": "Patient"}
    entries = [
        {"fullUrl": "urn:uuid:1", "resource": NAMELESS, "request": post},
        {"resource": NAMELESS, "request": post | {"ifNoneExist": "identifier=x"}},
        {"resource": PATIENT, "request": {"method": "PUT", "url": "Patient/p1", "ifMatch": "W/1"}},
        {"request": {"method": "DELETE", "url": "Patient/p2"}},
        {"resource": {"resourceType": "Binary"}, "request": post},
        "nonsense",
    ]
    (unit,) = read(write(tmp_path, bundle("transaction", *entries)))
    assert isinstance(unit, Unit) and unit.is_whole
    sent = unit.bundle["entry"]
    assert sent[1:] == entries[1:]
    assert sent[0]["fullUrl"] == "urn:uuid:1"
    assert sent[0]["request"]["method"] == "PUT"
    assert sent[0]["request"]["url"] == f"Patient/{sent[0]['resource']['id']}"


def test_the_id_that_a_create_carries_is_not_its_id(tmp_path: Path) -> None:
    entry = {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}
    (unit,) = read(write(tmp_path, bundle("transaction", entry)))
    assert isinstance(unit, Unit)
    assert unit.bundle["entry"][0]["resource"]["id"] != "p1"


def test_a_batch_stays_a_batch(tmp_path: Path) -> None:
    entry = {"resource": PATIENT, "request": {"method": "PUT", "url": "Patient/p1"}}
    (unit,) = read(write(tmp_path, bundle("batch", entry)))
    assert isinstance(unit, Unit) and unit.bundle["type"] == "batch"


def test_a_searchset_is_opened_without_its_outcomes(tmp_path: Path) -> None:
    outcome = {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}}
    found = {"fullUrl": "http://other/Patient/p1", "resource": PATIENT, "search": {"mode": "match"}}
    (unit,) = read(write(tmp_path, bundle("searchset", outcome, found)))
    assert requests(unit) == [("PUT", "Patient/p1")]
    assert isinstance(unit, Unit) and not unit.is_whole and unit.start == 1


def test_a_collection_with_links_by_urn_is_sent_whole(tmp_path: Path) -> None:
    entries = [
        {"fullUrl": f"urn:uuid:{number}", "resource": NAMELESS | {"active": number % 2 == 0}}
        for number in range(450)
    ]
    (unit,) = read(write(tmp_path, bundle("collection", *entries)))
    assert isinstance(unit, Unit) and unit.is_whole and len(unit.pieces) == 450


def test_a_large_collection_is_sent_in_groups(tmp_path: Path) -> None:
    entries = [{"resource": PATIENT | {"id": f"p{number}"}} for number in range(450)]
    found = read(write(tmp_path, bundle("collection", *entries)))
    spans = [(unit.start, unit.end) for unit in found if isinstance(unit, Unit)]
    assert spans == [(0, 200), (200, 400), (400, 450)]


@pytest.mark.parametrize("kind", ["document", "message"])
def test_a_document_is_stored_as_it_is(tmp_path: Path, kind: str) -> None:
    (unit,) = read(write(tmp_path, bundle(kind, {"resource": PATIENT}) | {"id": "d1"}))
    assert requests(unit) == [("PUT", "Bundle/d1")]


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz"])
def test_lines_are_sent_in_groups_and_bad_ones_are_told(tmp_path: Path, name: str) -> None:
    lines: list[Any] = [PATIENT | {"id": f"p{number}"} for number in range(250)]
    lines[3], lines[4], lines[5] = '{"resourceType":', "", {"no": "type"}
    found = read(write(tmp_path, lines, name))
    told = [(one.position, bool(one.text)) for one in found if isinstance(one, Refusal)]
    assert told == [(3, True), (5, True)]
    sent = [one for one in found if isinstance(one, Unit)]
    assert [len(unit.pieces) for unit in sent] == [200, 47]
    assert sent[0].start == 0 and sent[1].end == 250
    assert sum(unit.size for unit in sent) == (tmp_path / name).stat().st_size


def test_a_line_may_hold_a_transaction(tmp_path: Path) -> None:
    entry = {"resource": NAMELESS, "request": {"method": "POST", "url": "Patient"}}
    lines = [bundle("transaction", entry), bundle("transaction", entry, entry)]
    first, second = read(write(tmp_path, lines, "a.ndjson"))
    assert isinstance(first, Unit) and isinstance(second, Unit)
    assert (second.start, second.end, len(second.pieces)) == (1, 2, 2)
    assert len({url for unit in (first, second) for _, url in requests(unit)}) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '"x"',
        '{"resourceType": 1}',
        '{"resourceType": "Patient", "resourceType": "Patient"}',
        '{"resourceType": "Bundle", "type": "collection"}',
        '{"resourceType": "Bundle", "type": "transaction", "entry": {}}',
        '{"resourceType": "Bundle", "type": "history", "entry": [{}]}',
        '{"resourceType": "Bundle", "type": "transaction-response", "entry": [{}]}',
    ],
)
def test_what_holds_no_data_is_told(tmp_path: Path, text: str) -> None:
    (found,) = read(write(tmp_path, text))
    assert isinstance(found, Refusal) and found.text


def test_a_unit_falls_into_halves_that_meet(tmp_path: Path) -> None:
    lines = [PATIENT | {"id": f"p{number}"} for number in range(5)]
    lines.insert(2, "")  # type: ignore[arg-type]
    (unit,) = read(write(tmp_path, lines, "a.ndjson"))
    assert isinstance(unit, Unit)
    first, second = unit.halves()
    assert first.start == unit.start and first.end == second.start and second.end == unit.end
    assert first.pieces + second.pieces == unit.pieces
    assert first.keys | second.keys == unit.keys and len(unit.keys) == 5


def test_a_large_batch_is_sent_in_parts_and_a_large_transaction_is_not(tmp_path: Path) -> None:
    entries = [
        {"resource": NAMELESS, "request": {"method": "POST", "url": "Patient"}} for _ in range(450)
    ]
    batches = read(write(tmp_path, bundle("batch", *entries)))
    assert [len(unit.pieces) for unit in batches if isinstance(unit, Unit)] == [200, 200, 50]
    assert {unit.type for unit in batches if isinstance(unit, Unit)} == {"batch"}
    (whole,) = read(write(tmp_path, bundle("transaction", *entries)))
    assert isinstance(whole, Unit) and whole.is_whole and len(whole.pieces) == 450
