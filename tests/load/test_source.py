import gzip
from pathlib import Path

from fhirserver.load.source import sources


def test_folders_are_searched_for_known_endings(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("b.json", "a.ndjson", "deep/c.JSON", "deep/er/d.ndjson.gz", "e.txt", ".f.json"):
        (tmp_path / name).write_bytes(b"{}")
    found, refused = sources([tmp_path])
    names = [str(source.path.relative_to(tmp_path)) for source in found]
    assert names == ["a.ndjson", "b.json", "deep/c.JSON", "deep/er/d.ndjson.gz"]
    assert [source.format for source in found] == ["ndjson", "json", "json", "ndjson"]
    assert refused == []


def test_what_is_no_source_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"{}")
    found, refused = sources([tmp_path / "a.txt", tmp_path / "none.json"])
    assert found == []
    assert ["is not a" in refused[0].text, "does not exist" in refused[1].text] == [True, True]


def test_a_file_named_twice_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    found, _ = sources([tmp_path, tmp_path / "a.json"])
    assert len(found) == 1


def test_synthea_hospitals_come_before_the_patients_that_refer_to_them(tmp_path: Path) -> None:
    for name in ("Adams.json", "practitionerInformation1.json", "hospitalInformation1.json"):
        (tmp_path / name).write_bytes(b"{}")
    found, _ = sources([tmp_path])
    assert [source.path.name for source in found] == [
        "hospitalInformation1.json",
        "practitionerInformation1.json",
        "Adams.json",
    ]


def test_a_packed_file_has_the_digest_of_its_content(tmp_path: Path) -> None:
    data = b'{"resourceType":"Patient"}' * 1000
    (tmp_path / "a.json").write_bytes(data)
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(data))
    plain, packed = sources([tmp_path])[0]
    assert plain.content() == packed.content()
    assert packed.size < plain.size
