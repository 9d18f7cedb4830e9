"""A hospital with so many patients, as transaction bundles that can be loaded again and again.

Resources have fixed ids and are put, so that loading them twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from fhirserver.demo.chart import marked
from fhirserver.demo.dice import Dice
from fhirserver.demo.hospital import hospital
from fhirserver.demo.record import record
from fhirserver.model.json import Resource


def patients(count: int, seed: int, today: date) -> Iterator[Resource]:
    """Transaction bundles: the hospital, then one for each patient.

    The same arguments give the same bundles; the first patients of a larger population are
    those of a smaller one. Dates lie before and after `today`.
    """
    yield _transaction(
        [marked(resource, resource["id"]) for resource in hospital(Dice(seed, "hospital"), today)]
    )
    for index in range(1, count + 1):
        yield _transaction(record(index, seed, today))


def _transaction(resources: list[Resource]) -> Resource:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": resource,
                "request": {
                    "method": "PUT",
                    "url": f"{resource['resourceType']}/{resource['id']}",
                },
            }
            for resource in resources
        ],
    }
