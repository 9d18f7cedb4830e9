"""What authorization costs: the same requests at the gate, open and under grants, in one run.

    python -m benchmarks.access [--patients N] [--rounds N]

Prints CPU microseconds of each request and its ratio to the open gate's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from itertools import count
from pathlib import Path

from fhirserver.access.authority import Authority
from fhirserver.access.grant import OPEN, Grant
from fhirserver.access.principal import Principal
from fhirserver.definitions.packaged import packaged
from fhirserver.interactions.context import Context, Policy
from fhirserver.interactions.dispatch import Gate
from fhirserver.interactions.request import Request
from fhirserver.interactions.seal import AesSealer
from fhirserver.model.json import Resource
from fhirserver.operations.table import offered
from fhirserver.search.index import Indexer
from fhirserver.store.sqlite import SqliteStore

BASE = "http://localhost/fhir"


def now() -> int:
    return time.time_ns() // 1000


def observation(number: int, patient: int) -> Resource:
    code = {"coding": [{"system": "http://loinc.org", "code": f"{number % 7}-1"}]}
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "category": [{"coding": [{"code": "laboratory"}]}],
        "code": code,
        "subject": {"reference": f"Patient/p{patient}"},
        "effectiveDateTime": f"2024-01-{number % 28 + 1:02}",
        "valueQuantity": {"value": number % 50, "unit": "mg"},
    }


async def fill(gate: Gate, patients: int, consents: int) -> None:
    """Patients with 10 observations each; and the further ones, with none, who opt out."""
    for number in range(max(patients, consents + 1)):
        person: Resource = {"resourceType": "Patient", "id": f"p{number}", "gender": "female"}
        entries = [person]
        if number < patients:
            entries += [observation(number * 10 + n, number) for n in range(10)]
        if 0 < number <= consents:
            entries.append(
                {
                    "resourceType": "Consent",
                    "id": f"c{number}",
                    "status": "active",
                    "scope": {"coding": [{"code": "patient-privacy"}]},
                    "patient": {"reference": f"Patient/p{number}"},
                    "policyRule": {"coding": [{"code": "OPTOUT"}]},
                }
            )
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "resource": item,
                    "request": {"method": "PUT", "url": f"{item['resourceType']}/{item['id']}"},
                }
                for item in entries
            ],
        }
        await gate.dispatch(Request("transaction", BASE, resource=bundle, grant=OPEN))


def requests(grant: Grant) -> dict[str, Request]:
    def ask(interaction: str, *pairs: tuple[str, str], id: str | None = None) -> Request:
        return Request(interaction, BASE, "Observation", id, parameters=pairs, grant=grant)

    return {
        "read": ask("read", id="o5"),
        "vread": Request("vread", BASE, "Observation", "o5", "1", grant=grant),
        "history": ask("history-instance", id="o5"),
        "search by code": ask("search-type", ("code", "3-1"), ("_count", "10")),
        "search by patient": ask("search-type", ("subject", "Patient/p0")),
        "chain": ask("search-type", ("subject:Patient.gender", "female"), ("_count", "10")),
        "directory read": Request("read", BASE, "Practitioner", "doc", grant=grant),
    }


async def measure(gate: Gate, request: Request, rounds: int) -> float:
    """CPU microseconds of one request, the best of five."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for _ in range(rounds):
            await gate.dispatch(request)
        best = min(best, (time.process_time() - start) / rounds * 1e6)
    return best


async def run(patients: int, rounds: int, consents: int) -> None:
    numbers = count()
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore.open(Path(folder) / "fhir.db", clock=now, patience=10)
        access = Authority(store, store.records, now)
        context = Context(
            store=store,
            definitions=packaged(),
            indexer=Indexer(packaged()),
            policy=Policy(validation="off"),
            sealer=AesSealer(bytes(32), now=now, random=os.urandom),
            now=now,
            new_id=lambda: f"n{next(numbers)}",
            access=access,
        )
        gate = Gate(context, offered(expunges=False))
        await fill(gate, patients, consents)
        doctor = {"resourceType": "Practitioner", "id": "doc"}
        await gate.dispatch(
            Request("update", BASE, "Practitioner", "doc", resource=doctor, grant=OPEN)
        )
        app = ("fhirUser", "patient/*.rs", "user/Practitioner.rs")
        grants = {
            "open": OPEN,
            "admin": access.grant_of(Principal("a", "t", ("admin",))),
            "doctor": access.grant_of(
                Principal("d", "t", ("doctor",), fhir_user="Practitioner/doc")
            ),
            "patient": access.grant_of(Principal("p", "t", ("patient",), fhir_user="Patient/p0")),
            "app": access.grant_of(
                Principal(
                    "d",
                    "t",
                    ("doctor",),
                    fhir_user="Practitioner/doc",
                    client="app",
                    scopes=app,
                    patient="p0",
                )
            ),
        }
        print(f"{patients} patients, {patients * 10} observations, {consents} opt-outs")
        floor: dict[str, float] = {}
        for name, grant in grants.items():
            for what, request in requests(grant).items():
                cost = await measure(gate, request, rounds)
                floor.setdefault(what, cost)
                print(f"{name:8} {what:18} {cost:9.1f} us  x {cost / floor[what]:.2f}")
        await store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--consents", type=int, default=0)
    given = parser.parse_args()
    asyncio.run(run(given.patients, given.rounds, given.consents))
