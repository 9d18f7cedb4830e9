"""$stats, and the statistics themselves."""

import statistics
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interactions.client import Client

from fhirserver.errors import FhirError, Unprocessable
from fhirserver.model.json import Resource
from fhirserver.operations.statistics import STATISTICS, compute
from fhirserver.validation import validate

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"


def quantity(value: str, unit: str = "kg") -> Resource:
    return {"value": Decimal(value), "unit": unit, "system": UCUM, "code": unit}


def observation(id: str, code: str, date: str, **more: Any) -> Resource:
    out: Resource = {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": "Patient/a"},
        "effectiveDateTime": date,
    }
    return out | more


@pytest.fixture
async def record(client: Client) -> Client:
    systolic = {
        "code": {"coding": [{"system": LOINC, "code": "sys"}]},
        "valueQuantity": quantity("120", "mm[Hg]"),
    }
    await client.put(
        {"resourceType": "Patient", "id": "a"},
        observation("w1", "weight", "2020-01-01", valueQuantity=quantity("70.5")),
        observation("w2", "weight", "2020-01-02", valueQuantity=quantity("72.5")),
        observation("w3", "weight", "2021-01-01", valueQuantity=quantity("80")),
        observation("w4", "weight", "2020-01-03", valueString="heavy"),
        observation("w5", "weight", "2020-01-03", valueQuantity=quantity("1"))
        | {"status": "entered-in-error"},
        observation("bp", "panel", "2020-01-01", component=[systolic]),
        observation("m1", "mixed", "2020-01-01", valueQuantity=quantity("1")),
        observation("m2", "mixed", "2020-01-01", valueQuantity=quantity("1", "g")),
    )
    return client


ASK = f"Observation/$stats?subject=Patient/a&system={LOINC}"


def told(observation: Resource) -> dict[str, Decimal | None]:
    return {
        item["code"]["coding"][0]["code"]: item.get("valueQuantity", {}).get("value")
        for item in observation["component"]
    }


def statistics_of(found: Resource) -> list[Resource]:
    return [item["resource"] for item in found["parameter"] if item["name"] == "statistics"]


async def test_statistics_of_a_code(record: Client) -> None:
    query = "&code=weight&statistic=average&statistic=count&statistic=total-count,maximum"
    found = await record.get(ASK + query)
    (weight,) = statistics_of(found)
    assert told(weight) == {
        "average": Decimal("74.3333333333"),
        "count": 3,
        "total-count": 4,
        "maximum": 80,
    }
    assert weight["subject"] == {"reference": "Patient/a"}
    assert weight["component"][0]["valueQuantity"]["code"] == "kg"
    assert [issue for issue in validate(found) if issue.is_error] == []


async def test_components_count_and_each_code_is_told_by_itself(record: Client) -> None:
    found = await record.get(f"{ASK}&code=sys&code=weight&code=none&statistic=average,count")
    assert [told(item)["count"] for item in statistics_of(found)] == [1, 3, 0]
    assert told(statistics_of(found)[2])["average"] is None


async def test_a_panel_is_told_by_its_measurements(record: Client) -> None:
    pulse = observation("pulse", "pulse", "2020-01-01", valueQuantity=quantity("60", "/min"))
    wrong = observation("wrong", "pulse", "2020-01-01", valueQuantity=quantity("99", "/min"))
    members = [{"reference": "Observation/pulse"}, {"reference": "Observation/wrong"}]
    await record.put(
        pulse,
        wrong | {"status": "entered-in-error"},
        observation("vitals", "vitals", "2020-01-01", hasMember=members),
    )
    found = await record.get(f"{ASK}&code=panel&code=vitals,sys&statistic=average,count")
    codes = [item["code"]["coding"][0]["code"] for item in statistics_of(found)]
    assert codes == ["sys", "pulse"]
    assert [told(item)["average"] for item in statistics_of(found)] == [120, 60]
    assert [told(item)["count"] for item in statistics_of(found)] == [1, 1]


async def test_a_period_and_the_sources(record: Client) -> None:
    parameters = [
        {"name": "subject", "valueUri": "Patient/a"},
        {"name": "coding", "valueCoding": {"system": LOINC, "code": "weight"}},
        {"name": "statistic", "valueCode": "count"},
        {"name": "period", "valuePeriod": {"start": "2020", "end": "2020"}},
        {"name": "include", "valueBoolean": True},
        {"name": "limit", "valuePositiveInt": 1},
    ]
    found = await record.call("Observation/$stats", *parameters)
    (weight,) = statistics_of(found)
    assert told(weight) == {"count": 2}
    assert set(weight["effectivePeriod"]) == {"start", "end"}
    assert len([item for item in found["parameter"] if item["name"] == "source"]) == 1


async def test_a_duration_ends_now(record: Client) -> None:
    found = await record.get(f"{ASK}&code=weight&statistic=count&duration=24")
    assert told(statistics_of(found)[0]) == {"count": 0}


async def test_units_are_not_mixed(record: Client) -> None:
    with pytest.raises(Unprocessable):
        await record.get(f"{ASK}&code=mixed&statistic=count")


@pytest.mark.parametrize(
    "query",
    ["&statistic=count", "&code=weight", "&code=weight&statistic=regression",
     "&code=weight&statistic=count&duration=-1", "&code=weight&statistic=count&limit=0",
     "&code=weight&statistic=count&duration=1&subject=b"],
)  # fmt: skip
async def test_odd_requests_are_refused(record: Client, query: str) -> None:
    with pytest.raises(FhirError):
        await record.get(ASK + query)


VALUES = st.lists(st.decimals(-1000, 1000, places=2), min_size=2, max_size=30)


@given(VALUES)
def test_they_are_those_of_python(values: list[Decimal]) -> None:
    def found(code: str) -> float:
        value = compute(STATISTICS[code], values)
        assert value is not None
        return float(value)

    floats = [float(value) for value in values]
    quartiles = statistics.quantiles(floats, n=4, method="inclusive")
    fifths = statistics.quantiles(floats, n=5, method="inclusive")
    expected = {
        "average": statistics.fmean(floats),
        "median": statistics.median(floats),
        "std-dev": statistics.stdev(floats),
        "variance": statistics.variance(floats),
        "sum": sum(floats),
        "4-lower": quartiles[0],
        "4-upper": quartiles[2],
        "4-dev": (quartiles[2] - quartiles[0]) / 2,
        "5-1": fifths[0],
        "5-4": fifths[3],
        "20-percent": fifths[0],
    }
    for code, value in expected.items():
        assert found(code) == pytest.approx(value, rel=1e-6, abs=1e-6), code


@given(st.lists(st.decimals(-1000, 1000, places=2), max_size=5))
def test_every_statistic_is_a_number_or_nothing(values: list[Decimal]) -> None:
    for statistic in STATISTICS.values():
        found = compute(statistic, values)
        assert found is None or found.is_finite()
