"""Finding, on every archive, held to `dicom.matching.matches`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from archive.conftest import KINDS, ON_MONGODB, opened
from archive.making import CT, instance
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhirserver.archive.port import Archive, Instance
from fhirserver.archive.query import Found, Level, Question
from fhirserver.dicom.matching import Key, key, matches, sequence_key
from fhirserver.errors import Invalid, TooCostly

SLOWER = (
    *KINDS,
    *(pytest.param(kind, marks=(pytest.mark.mongodb, pytest.mark.slow)) for kind in ON_MONGODB),
)
FEW = settings(
    max_examples=max(10, settings().max_examples // 3),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
"""Each example makes a file or two."""

VRS = {
    "00080020": "DA", "00080030": "TM", "00080050": "SH", "00080060": "CS", "00080061": "CS",
    "00080090": "PN", "00081030": "LO", "0008103E": "LO", "00100010": "PN", "00100020": "LO",
    "00100021": "LO", "00100030": "DA", "00100040": "CS", "0020000D": "UI", "0020000E": "UI",
    "00080018": "UI", "00080016": "UI", "00200010": "SH", "00200011": "IS", "00200013": "IS",
    "00201206": "IS", "00201208": "IS", "00201209": "IS", "00080080": "LO",
}  # fmt: skip


def asked(tag: str, text: str, *, fuzzy: bool = False) -> tuple[Key, ...]:
    found = key(tag, VRS[tag], text, fuzzy=fuzzy)
    return () if found is None else (found,)


def told(row: Any) -> Any:
    return msgspec.json.decode(row.joined())


async def studies(archive: Archive, *keys: Key, **more: Any) -> list[str]:
    return [row.study_uid for row in (await archive.find(Question("study", keys, **more))).rows]


async def test_studies_come_newest_first(archive: Archive) -> None:
    for uid, day, hour in [
        ("1", "20240101", "10"), ("2", "20240301", ""), ("3", "20240301", "0900"),
        ("4", "", ""), ("5", "20240101", "10"),
    ]:  # fmt: skip
        await archive.add([instance(uid, f"{uid}.1", f"{uid}.1.1", t00080020=day, t00080030=hour)])
    assert await studies(archive) == ["3", "2", "5", "1", "4"]
    assert await studies(archive, limit=2, offset=1) == ["2", "5"]
    first = await archive.find(Question("study", limit=2))
    assert first.next is not None
    assert await studies(archive, after=first.next, limit=9) == ["5", "1", "4"]
    assert (await archive.find(Question("study", limit=5))).next is None
    for bad in ("x", "eA==", "W10="):
        with pytest.raises(Invalid):
            await archive.find(Question("study", after=bad))


async def test_rows_have_the_attributes_of_their_levels(archive: Archive) -> None:
    await archive.add(
        [
            instance(
                uid=f"1.1.1.{number}",
                t00100010="Doe^John",
                t00100030="19530201",
                t00100040="M",
                t00080020="20240101",
                t00080050="A1",
                t00081030="Thorax",
                t00200011=3,
                t00200013=number,
                t00280010=512,
                t00280011=512,
                t0008103E="axial",
                t00080080="Hospital",
            )
            for number in (1, 2)
        ]
    )
    (row,) = (await archive.find(Question("study"))).rows
    assert told(row) == {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]},
        "00100020": {"vr": "LO", "Value": ["P1"]},
        "00100030": {"vr": "DA", "Value": ["19530201"]},
        "00100040": {"vr": "CS", "Value": ["M"]},
        "0020000D": {"vr": "UI", "Value": ["1.1"]},
        "00080020": {"vr": "DA", "Value": ["20240101"]},
        "00080050": {"vr": "SH", "Value": ["A1"]},
        "00081030": {"vr": "LO", "Value": ["Thorax"]},
        "00080061": {"vr": "CS", "Value": ["CT"]},
        "00201206": {"vr": "IS", "Value": [1]},
        "00201208": {"vr": "IS", "Value": [2]},
    }
    (series,) = (await archive.find(Question("series", asked("0020000D", "1.1")))).rows
    assert msgspec.json.decode(series.joined(whole=False)) == {
        "0020000E": {"vr": "UI", "Value": ["1.1.1"]},
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "0008103E": {"vr": "LO", "Value": ["axial"]},
        "00200011": {"vr": "IS", "Value": [3]},
        "00201209": {"vr": "IS", "Value": [2]},
    }
    first, _ = (await archive.find(Question("instance", headers=True))).rows
    assert msgspec.json.decode(first.joined(whole=False)) == {
        "00080016": {"vr": "UI", "Value": [CT]},
        "00080018": {"vr": "UI", "Value": ["1.1.1.1"]},
        "00200013": {"vr": "IS", "Value": [1]},
        "00280010": {"vr": "US", "Value": [512]},
        "00280011": {"vr": "US", "Value": [512]},
    }
    assert first.header is not None
    assert told(first) | msgspec.json.decode(first.header) == told(first) | {
        "00080080": {"vr": "LO", "Value": ["Hospital"]}
    }
    (patient,) = (await archive.find(Question("patient"))).rows
    assert set(told(patient)) == {"00100010", "00100020", "00100030", "00100040"}


async def test_patients_come_once(archive: Archive) -> None:
    for uid, patient, issuer in [
        ("1", "B", ""), ("2", "A", "X"), ("3", "A", "Y"), ("4", "A", "X"), ("5", "", ""),
        ("6", "", ""),
    ]:  # fmt: skip
        await archive.add(
            [instance(uid, f"{uid}.1", f"{uid}.1.1", t00100020=patient, t00100021=issuer)]
        )
    rows = (await archive.find(Question("patient"))).rows
    assert len(rows) == 5
    found: list[Any] = []
    after = None
    while True:
        page = await archive.find(Question("patient", limit=1, after=after))
        found += page.rows
        after = page.next
        if after is None:
            break
    assert found == list(rows)
    (one,) = (await archive.find(Question("patient", asked("00100021", "Y")))).rows
    assert one.study_uid == "3"


async def test_only_studies_among_those_named(archive: Archive) -> None:
    for uid in ("1", "2", "3"):
        await archive.add([instance(uid, f"{uid}.1", f"{uid}.1.1")])
    await archive.projected("1", 1, "s1", "Patient/1")
    await archive.projected("3", 1, "s3", "Patient/1")
    assert (await archive.find(Question("study"), [])).rows == ()
    (row,) = (await archive.find(Question("study"), ["s3", "s4"])).rows
    assert (row.study_uid, row.imaging_study, row.subject) == ("3", "s3", "Patient/1")


async def test_what_rows_do_not_tell_is_looked_for_in_headers(archive: Archive) -> None:
    await archive.add([instance("1", "1.1", "1.1.1", t00080080="North")])
    await archive.add([instance("2", "2.1", "2.1.1", t00080080="South")])
    assert await studies(archive, *asked("00080080", "S*")) == ["2"]
    assert await studies(archive, *asked("00080060", "CT"), *asked("00080080", "North")) == ["1"]
    assert await studies(archive, *asked("00080060", "MR")) == []


async def test_items_of_sequences(archive: Archive) -> None:
    request = {"00401001": {"vr": "SH", "Value": ["RP1"]}}
    await archive.add([instance("1", "1.1", "1.1.1", t00400275=request)])
    await archive.add([instance("2", "2.1", "2.1.1")])
    found = sequence_key([("00400275", "SQ"), ("00401001", "SH")], "RP*")
    assert found is not None
    (row,) = (await archive.find(Question("series", (found,)))).rows
    assert row.series_uid == "1.1"


async def test_a_search_that_takes_too_long_is_refused(tmp_path: Any) -> None:
    async with opened("sqlite", tmp_path, patience=0.0) as archive:
        await archive.add([instance("1", "1.1", f"1.{number}") for number in range(3000)])
        with pytest.raises(TooCostly):
            await archive.find(Question("instance", asked("00080080", "nowhere"), limit=9000))


def needs_server(request: pytest.FixtureRequest, kind: str) -> None:
    if kind in ON_MONGODB:
        request.getfixturevalue("on_wire")


# --- by the reference -----------------------------------------------------------------------------

NAMES = ["Doe^John", "DOE^JANE", "Müller^Jörg", "Muller^Jo", "", "O'Brien^Pat", "Doe-Ray^J",
         {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]  # fmt: skip
DAYS = ["20240101", "20240102", "20240215", "20231231", "", "2024.01.01", "odd"]
TIMES = ["10", "1030", "103000.5", "235959", "", "x"]
IDS = ["P1", "P2", "p1", "P*", "P[1]", "007", "7", ""]
MODALITIES = ["CT", "MR", "SR", ""]
TEXTS = ["Thorax", "Thorax axial", "", "T_o%"]

instances_ = st.builds(
    lambda place, name, patient, day, hour, birth, modality, number, accession, text, sender: (
        instance(
            f"1.{place[0]}", f"1.{place[0]}.{place[1]}", f"1.{place[0]}.{place[1]}.{place[2]}",
            t00100010=name, t00100020=patient, t00080020=day, t00080030=hour, t00100030=birth,
            t00080060=modality, t00200011=number, t00200013=number, t00080050=accession,
            t00081030=text, t00080090=sender, t00080080=text,
        )
    ),
    st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from(NAMES), st.sampled_from(IDS), st.sampled_from(DAYS), st.sampled_from(TIMES),
    st.sampled_from(DAYS), st.sampled_from(MODALITIES), st.integers(-1, 3),
    st.sampled_from(IDS), st.sampled_from(TEXTS), st.sampled_from(NAMES[:4]),
)  # fmt: skip

_text = {
    "PN": st.sampled_from(
        ["doe*", "Doe^John", "mull*", "müller^jörg", "*jo*", "doe", "d?e^j*", "山*", "=山田*",
         "yam*=山*", "jo", "o'brien*", "ray"]
    ),
    "LO": st.sampled_from(["P1", "P*", "P?", "p1", "P[1]*", "7", "*1", "Thorax*", "T_o%", "*a*"]),
    "DA": st.sampled_from(
        ["20240101", "20240101-20240131", "-20240101", "20240102-", "20230101-20241231"]
    ),
    "TM": st.sampled_from(["10", "1030", "1000-1031", "-1030", "1031-"]),
    "CS": st.sampled_from(["CT", "CT\\MR", "M*", "SR", "X"]),
    "UI": st.sampled_from(["1.1", "1.1,1.2", "1.1.1", "1.2.1.1\\1.3.1.1", "9"]),
    "IS": st.sampled_from(["1", "2", "-1", "01"]),
}  # fmt: skip
_text["SH"] = _text["LO"]

_keys = st.sampled_from(sorted(VRS)).flatmap(
    lambda tag: st.tuples(st.just(tag), _text[VRS[tag]], st.booleans())
)


def expected(
    instances: list[Instance], level: Level, keys: list[Key], combined: bool
) -> set[tuple[str, ...]]:
    """The UIDs of what matches, by the pure function and from all instances."""
    held: dict[str, Instance] = {}
    for one in instances:
        held.setdefault(one.instance, one)
    by_place = sorted(held.values(), key=lambda one: (one.study, one.series, one.instance))
    found = set()
    for one in by_place:
        of_study = [other for other in by_place if other.study == one.study]
        of_series = [other for other in of_study if other.series == one.series]
        study, series = decoded(of_study[0]), decoded(of_series[0])
        leads: dict[str, Instance] = {}
        for other in of_study:
            leads.setdefault(other.series, other)
        modalities = {
            (decoded(other).get("00080060") or {"Value": [""]})["Value"][0]
            for other in leads.values()
        } - {""}
        data = {"study": study, "series": series, "instance": decoded(one)}[level]
        data = {
            tag: element
            for tag, element in data.items()
            if tag not in STUDY_TAGS and (level != "instance" or tag not in SERIES_TAGS)
        }
        data |= {tag: study[tag] for tag in STUDY_TAGS if tag in study}
        if level == "instance":
            data |= {tag: series[tag] for tag in SERIES_TAGS if tag in series}
        data |= {
            "00080061": {"vr": "CS", "Value": sorted(modalities)},
            "00201206": {"vr": "IS", "Value": [len(leads)]},
            "00201208": {"vr": "IS", "Value": [len(of_study)]},
        }
        if level != "study":
            data["00201209"] = {"vr": "IS", "Value": [len(of_series)]}
        if matches(keys, data, combined=combined):
            places = (one.study, one.series, one.instance)
            found.add(places[: {"study": 1, "series": 2, "instance": 3}[level]])
    return found


STUDY_TAGS = {
    "00080020", "00080030", "00080050", "00080090", "00081030", "00100010", "00100020",
    "00100030", "0020000D",
}  # fmt: skip
SERIES_TAGS = {"00080060", "0020000E", "00200011"}


def decoded(one: Instance) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(one.header)
    return found


def places(found: Found) -> set[tuple[str, ...]]:
    return {
        tuple(uid for uid in (row.study_uid, row.series_uid, row.instance_uid) if uid)
        for row in found.rows
    }


@pytest.mark.parametrize("kind", SLOWER)
@given(
    instances=st.lists(instances_, min_size=1, max_size=12),
    questions=st.lists(
        st.tuples(
            st.sampled_from(["study", "series", "instance"]),
            st.lists(_keys, min_size=1, max_size=3, unique_by=lambda one: one[0]),
            st.booleans(),
        ),
        min_size=5,
        max_size=15,
    ),
)
@FEW
async def test_what_is_found_is_what_matches(
    request: pytest.FixtureRequest,
    kind: str,
    tmp_path_factory: pytest.TempPathFactory,
    instances: list[Instance],
    questions: list[tuple[Level, list[tuple[str, str, bool]], bool]],
) -> None:
    needs_server(request, kind)
    async with opened(kind, tmp_path_factory.mktemp("find")) as archive:
        await archive.add(instances)
        for level, texts, combined in questions:
            keys = [one for tag, text, fuzzy in texts for one in asked(tag, text, fuzzy=fuzzy)]
            question = Question(level, tuple(keys), limit=1000, combined=combined)
            wanted = expected(instances, level, keys, combined)
            assert places(await archive.find(question)) == wanted, question


@pytest.mark.parametrize("kind", SLOWER)
@given(
    instances=st.lists(instances_, min_size=1, max_size=12, unique_by=lambda one: one.instance),
    order=st.randoms(use_true_random=False),
    taken=st.integers(0, 6),
)
@FEW
async def test_the_order_of_arrival_does_not_matter(
    request: pytest.FixtureRequest,
    kind: str,
    tmp_path_factory: pytest.TempPathFactory,
    instances: list[Instance],
    order: Any,
    taken: int,
) -> None:
    """All that is told of what is left, whatever came first, came together, or was deleted."""
    needs_server(request, kind)
    kept = instances[taken:]

    async def state(archive: Archive) -> Any:
        found = []
        for level in ("patient", "study", "series", "instance"):
            page = await archive.find(Question(level, limit=1000, headers=True))  # type: ignore[arg-type]
            found.append(list(page.rows))
        uids = sorted({one.study for one in instances})
        return found, [(await archive.series(uid)) for uid in uids], await archive.count()

    async with opened(kind, tmp_path_factory.mktemp("order")) as archive:
        for one in kept:
            await archive.add([one])
        plain = await state(archive)
    async with opened(kind, tmp_path_factory.mktemp("order")) as archive:
        shuffled = list(instances)
        order.shuffle(shuffled)
        while shuffled:
            size = order.randint(1, len(shuffled))
            await archive.add(shuffled[:size])
            del shuffled[:size]
        for one in instances[:taken]:
            await archive.delete(one.study, one.series, one.instance)
        assert await state(archive) == plain
