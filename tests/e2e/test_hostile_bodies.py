"""Bodies that cannot be taken: the right 4xx, and nothing written."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from e2e.hostile import GOOD, post, refused
from e2e.server import Server, serving


def nested(levels: int, **innermost: Any) -> bytes:
    """A Patient with extensions in extensions: twice as many levels of JSON, and one."""
    value: dict[str, Any] = {"url": "urn:x"} | innermost
    out = json.dumps({"resourceType": "Patient", "extension": ["?"]}).encode()
    head = b'{"url":"urn:x","extension":[' * (levels - 1)
    return out.replace(b'"?"', head + json.dumps(value).encode() + b"]}" * (levels - 1))


MALFORMED = {
    "nothing": b"",
    "white space": b" \n ",
    "a word": b"Patient",
    "cut off": b'{"resourceType":"Patient","active":tr',
    "a comma too many": b'{"resourceType":"Patient",}',
    "two values": b'{"resourceType":"Patient"}{}',
    "single quotes": b"{'resourceType':'Patient'}",
    "a comment": b'{"resourceType":"Patient"/*x*/}',
    "a duplicate key": b'{"resourceType":"Patient","active":true,"active":false}',
    "NaN": b'{"resourceType":"Observation","valueQuantity":{"value":NaN}}',
    "infinity": b'{"resourceType":"Observation","valueQuantity":{"value":-Infinity}}',
    "a leading zero": b'{"resourceType":"Patient","multipleBirthInteger":01}',
    "an unpaired surrogate": b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}',
    "a control character": b'{"resourceType":"Patient","name":[{"family":"a\x00b"}]}',
    "a byte order mark of UTF-16": '{"resourceType":"Patient"}'.encode("utf-16"),
    "Latin-1": '{"resourceType":"Patient","name":[{"family":"Müller"}]}'.encode("latin-1"),
    "overlong UTF-8": b'{"resourceType":"Patient","name":[{"family":"\xc0\xaf"}]}',
    "an array": b'[{"resourceType":"Patient"}]',
    "a string": b'"Patient"',
    "null": b"null",
    "a number": b"1e999999",
    "XML": b'<Patient xmlns="http://hl7.org/fhir"/>',
    "thousands of brackets": b"[" * 100_000,
    "thousands of objects": b'{"a":' * 100_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bodies_are_400(victim: Server, name: str) -> None:
    refused(post(victim, MALFORMED[name]), 400)


INVALID = {
    "no type": b'{"active":true}',
    "another type": b'{"resourceType":"Observation"}',
    "an unknown type": b'{"resourceType":"Pateint"}',
    "a type that is a number": b'{"resourceType":1}',
    "an unknown element": b'{"resourceType":"Patient","aktive":true}',
    "a string for a boolean": b'{"resourceType":"Patient","active":"true"}',
    "an object for an array": b'{"resourceType":"Patient","name":{"family":"x"}}',
    "an empty array": b'{"resourceType":"Patient","name":[]}',
    "an empty object": b'{"resourceType":"Patient","name":[{}]}',
    "an empty string": b'{"resourceType":"Patient","birthDate":""}',
    "null for an element": b'{"resourceType":"Patient","active":null}',
    "no such day": b'{"resourceType":"Patient","birthDate":"2023-02-30"}',
    "two choices": b'{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2020"}',
    "a negative position": b'{"resourceType":"Patient","telecom":[{"rank":-1}]}',
    "a huge integer": b'{"resourceType":"Patient","multipleBirthInteger":99999999999999999999}',
    "an integer with a fraction": b'{"resourceType":"Patient","multipleBirthInteger":1.5}',
    "an integer of a million digits": b'{"resourceType":"Patient","multipleBirthInteger":'
    + b"9" * 1_000_000
    + b"}",
    "a wrong id": b'{"resourceType":"Patient","contained":[{"resourceType":"Patient","id":"a b"}]}',
    "a contained reference to nothing": b'{"resourceType":"Patient","managingOrganization":'
    b'{"reference":"#nobody"}}',
}


@pytest.mark.parametrize("name", INVALID)
def test_bodies_against_the_rules_are_400_or_422(victim: Server, name: str) -> None:
    refused(post(victim, INVALID[name]), 400, 422)


@pytest.mark.parametrize("levels", [50, 90, 110, 1000, 20_000])
def test_deep_nesting_with_a_fault_inside_is_refused(victim: Server, levels: int) -> None:
    refused(post(victim, nested(levels, valueBoolean="yes")), 400, 422)


@pytest.mark.parametrize("levels", [100, 1000, 20_000])
def test_nesting_beyond_the_limit_is_refused(victim: Server, levels: int) -> None:
    refused(post(victim, nested(levels, valueBoolean=True)), 400, 422)


def test_a_hundred_levels_are_read_back_as_they_were_sent(folder: Path) -> None:
    with serving(folder / "deep") as server:
        body = nested(50, valueBoolean=True)
        answer = post(server, body)
        assert answer.status_code == 201, answer.text[:300]
        read = httpx2.get(f"{server.base}/Patient/{answer.json()['id']}").json()
        assert read["extension"] == json.loads(body)["extension"]


@pytest.mark.parametrize("size", [17, 50])
def test_bodies_of_many_megabytes_are_413(victim: Server, size: int) -> None:
    body = b'{"resourceType":"Patient","name":[{"family":"' + b"x" * (size << 20) + b'"}]}'
    refused(post(victim, body), 413)
    refused(post(victim, gzip.compress(body), **{"Content-Encoding": "gzip"}), 413)


def test_a_body_that_claims_less_than_it_unpacks_to_is_413(victim: Server) -> None:
    bomb = gzip.compress(b" " * (300 << 20), 9)
    assert len(bomb) < 400_000
    refused(post(victim, bomb, **{"Content-Encoding": "gzip"}), 413)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/fhir+xml"}, 415),
        ({"Content-Type": "nonsense"}, 415),
        ({"Content-Type": "application/fhir+json; charset=latin-1"}, 415),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Encoding": "gzip"}, 400),
        ({"Accept": "image/png"}, 406),
        ({"If-None-Exist": "no-such-parameter=1"}, 400),
        ({"If-None-Exist": "%%%"}, 400),
        ({"If-None-Exist": ""}, 400),
    ],
)
def test_headers_that_cannot_be_met(victim: Server, headers: dict[str, str], status: int) -> None:
    body = (
        b'{"resourceType":"Patient","active":maybe}' if status == 400 else json.dumps(GOOD).encode()
    )
    refused(post(victim, body, **headers), status)
