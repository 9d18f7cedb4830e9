"""The transaction that the specification shows: https://hl7.org/fhir/R4/bundle-transaction.html."""

from pathlib import Path

import pytest
from interactions.bundles import send, statuses
from interactions.client import Client, open_context

from fhirserver.errors import FhirError
from fhirserver.model.json import Resource, decode

pytestmark = pytest.mark.conformance


def patient(id: str, **more: object) -> Resource:
    return {"resourceType": "Patient", "id": id} | more


async def test_the_example_is_done_as_it_says(
    definitions_package: Path, tmp_path: Path, each_store: str
) -> None:
    bundle = decode((definitions_package / "Bundle-bundle-transaction.json").read_bytes())
    async with open_context(tmp_path / "fhir.db") as context:
        client = Client(context)
        # It calls an operation that is not there, expects version 2 of one patient, and reads
        # another one.
        with pytest.raises(FhirError):
            await send(client, bundle)
        bundle["entry"] = [item for item in bundle["entry"] if "$" not in item["request"]["url"]]
        await client.put(patient("123a"), patient("123a", active=True), patient("12334"))
        await client.put(patient("234"))
        answers = await send(client, bundle)
        expected = ["201", "201", "201", "201", "200", "204", "204", "200", "200"]
        assert statuses(answers) == expected
        assert answers[4]["response"]["etag"] == 'W/"3"'
