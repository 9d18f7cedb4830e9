"""The official terminology suite, with its resources sent along and with them in the store."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conformance.terminology_suite import Case, cases, difference, load, to_r4, to_r5
from interactions.client import Client, open_context

from fhirserver.errors import FhirError
from fhirserver.interactions.context import Policy
from fhirserver.model.json import decode, encode
from fhirserver.model.outcome import issues_of, operation_outcome
from fhirserver.operations.table import OPERATIONS

pytestmark = [pytest.mark.conformance, pytest.mark.slow_on_mongodb]

HERE = Path(__file__).resolve()
LEDGER = yaml.safe_load((HERE.parent / "terminology_ledger.yaml").read_text()) or {}
POLICY = Policy(validation="off", integrity_on_delete=False)
ADDRESSES = {
    "expand": "ValueSet/$expand",
    "validate-code": "ValueSet/$validate-code",
    "cs-validate-code": "CodeSystem/$validate-code",
    "lookup": "CodeSystem/$lookup",
    "translate": "ConceptMap/$translate",
}


@pytest.fixture
async def client(each_store: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with open_context(tmp_path / "fhir.db", POLICY) as context:
        yield Client(context, OPERATIONS)


@pytest.mark.parametrize("where", ["sent", "stored"])
@pytest.mark.parametrize("case", list(cases()), ids=lambda case: f"{case.suite}.{case.name}")
async def test_case(client: Client, case: Case, where: str) -> None:
    reason = await _judge(client, case, where)
    known = LEDGER.get(f"{case.suite}.{case.name}")
    if known is None:
        assert reason is None, reason
    else:
        assert reason is not None, "passes, though it is in the ledger"


async def _judge(client: Client, case: Case, where: str) -> str | None:
    """Why the answer is not as expected."""
    expected = load(case.response)
    if case.request is None:
        mode = "terminology" if case.operation == "term-caps" else "full"
        answer = await client.ask("GET", f"metadata?mode={mode}")
        return difference(expected, _plain(answer.body), pattern=True)
    resources = [to_r4(load(name)) for name in case.setup]
    parameters = to_r4(load(case.request))
    if where == "sent":
        parameters["parameter"] += [{"name": "tx-resource", "resource": r} for r in resources]
    else:
        for resource in resources:
            made = {name: value for name, value in resource.items() if name != "id"}
            await client.ask("POST", resource["resourceType"], resource=made)
    try:
        answer = await client.ask(
            "POST",
            ADDRESSES[case.operation],
            resource=decode(encode(parameters)),
            languages=case.language,
        )
        status, body = answer.status, _plain(answer.body)
    except FhirError as error:
        status, body = error.status, operation_outcome(issues_of(error))
    if not (400 <= status < 500 if case.http_code == "4xx" else str(status) == case.http_code):
        return f"status {status}: {body}"
    return difference(expected, to_r5(body))


def _plain(body: bytes | None) -> Any:
    import json

    return json.loads(body or b"{}")
