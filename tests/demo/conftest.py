from collections.abc import Iterator
from datetime import date

import pytest

from fhirserver.demo.population import patients
from fhirserver.model.json import Resource

TODAY = date(2026, 11, 20)


@pytest.fixture(scope="session")
def bundles() -> list[Resource]:
    """A hospital with 120 patients."""
    return list(patients(120, 7, TODAY))


@pytest.fixture(scope="session")
def resources(bundles: list[Resource]) -> list[Resource]:
    return [entry["resource"] for bundle in bundles for entry in bundle["entry"]]


@pytest.fixture(scope="session")
def codings(resources: list[Resource]) -> list[Resource]:
    """Every Coding and Quantity of the data, each once."""
    found = {}
    for resource in resources:
        for node in nodes(resource):
            if "system" in node and "code" in node:
                found[node["system"], node["code"], node.get("display")] = node
    return list(found.values())


def nodes(value: object) -> Iterator[Resource]:
    if isinstance(value, dict):
        yield value
        for child in value.values():
            yield from nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from nodes(child)
