"""Whatever is sent, the answer is one of ours, and never a failure of the server."""

import json
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest.exchange import call
from serving import started

from fhirserver import Settings, create_app
from fhirserver.model.json import decode

FHIR = "application/fhir+json"

WORDS = st.one_of(
    st.sampled_from(
        [
            *("", "a", "1", "-1", "0.0", "1e999", "9" * 40, "NaN", "é", "\U0001f600", "\x00", "%"),
            *("Patient/a", "Patient/a/_history/1", "http://x/y|1", "|", "||", "a|b|c", "$", "a$b"),
            *("2020", "2020-13-01", "0000", "9999-12-31", "gt2020", "sa", "eb1900-01-01T00:00"),
            *("true", "null", ",", "\\", "\\,", "*", "Patient:subject", "urn:uuid:1", "a" * 300),
        ]
    ),
    st.text(max_size=8),
)
NAMES = st.one_of(
    st.sampled_from(
        [
            *("name", "family", "birthdate", "identifier", "active", "general-practitioner"),
            *("subject", "code", "value-quantity", "date", "component-code-value-quantity"),
            *("_id", "_lastUpdated", "_tag", "_profile", "_type", "_list", "_has", "_filter"),
            *("_count", "_sort", "_total", "_summary", "_elements", "_include", "_revinclude"),
            *("_since", "_at", "_cursor", "_format", "_pretty", "mode", "_text", "_contained"),
            "_has:Observation:patient:code",
            "subject:Patient.name",
            "subject.subject.subject",
        ]
    ),
    WORDS,
)
MODIFIERS = st.sampled_from(
    ["", "", "", ":missing", ":exact", ":not", ":in", ":below", ":of-type", ":Patient", ":x", ":"]
)
PAIRS = st.just([]) | st.lists(st.tuples(NAMES, MODIFIERS, WORDS), max_size=3)
SEGMENTS = st.sampled_from(
    [
        *("Patient", "Observation", "Binary", "Bundle", "Nonsense", "metadata", "_history"),
        *("_search", "a", "new", "1", "99999999999999999999", "$validate", "*", "", "a" * 65),
    ]
)
ADDRESSES = st.one_of(
    st.sampled_from(
        [
            *(("GET", path) for path in ("Patient", "Observation", "Patient/a", "Binary/a", "")),
            *(("GET", path) for path in ("Patient/a/_history", "Patient/_history", "_history")),
            *(("GET", path) for path in ("Patient/a/Observation", "Patient/a/*", "metadata")),
            *(("GET", path) for path in ("Patient/a/_history/1", "Observation/a/_history/x")),
            *(("POST", path) for path in ("", "", "", "Patient", "Observation", "Binary")),
            *(("POST", path) for path in ("Patient/_search", "_search")),
            *(("PUT", path) for path in ("Patient/a", "Observation/a", "Binary/a", "Patient")),
            *(("PATCH", path) for path in ("Patient/a", "Observation/a", "Patient")),
            *(("DELETE", path) for path in ("Patient/a", "Observation/a", "Patient")),
        ]
    ),
    st.tuples(
        st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
        st.lists(SEGMENTS, max_size=4).map("/".join),
    ),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        WORDS,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["id", "value", "reference", "extension", "url", "_id", "op", "path"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)
GOOD = st.sampled_from(
    [
        {"resourceType": "Patient", "id": "a", "name": [{"family": "a"}]},
        {"resourceType": "Patient", "id": "a", "active": True},
        {"resourceType": "Patient", "multipleBirthInteger": 2**31 - 1, "birthDate": "0001-01-01"},
        {
            "resourceType": "Observation",
            "id": "a",
            "status": "final",
            "code": {"coding": [{"code": "a"}]},
            "subject": {"reference": "Patient/a"},
            "valueQuantity": {"value": 10**400},
            "effectivePeriod": {"start": "9999-12-31", "end": "0001"},
        },
        {"resourceType": "Binary", "id": "a", "contentType": "a/b", "data": "YQ=="},
        [{"op": "replace", "path": "/active", "value": False}],
        [{"op": "add", "path": "/name/-", "value": {"family": "\x01"}}],
        [
            {"op": "move", "from": "/name", "path": "/name/0"},
            {"op": "test", "path": "", "value": 1},
        ],
        {
            "resourceType": "Parameters",
            "parameter": [
                {
                    "name": "operation",
                    "part": [
                        {"name": "type", "valueCode": "delete"},
                        {"name": "path", "valueString": "Patient.name"},
                    ],
                }
            ],
        },
    ]
)
RESOURCES = GOOD | st.builds(
    lambda kind, more: {"resourceType": kind} | more,
    st.sampled_from(["Patient", "Observation", "Binary", "Bundle", "Parameters", "Nonsense"]),
    st.dictionaries(
        st.sampled_from(
            [
                *("id", "meta", "name", "birthDate", "active", "text", "contained", "extension"),
                *("status", "code", "subject", "valueQuantity", "type", "entry", "parameter"),
                *("_active", "data", "contentType", "implicitRules", "language", "total"),
            ]
        ),
        VALUES,
        max_size=4,
    ),
)
ENTRIES = st.builds(
    lambda kind, entries: {"resourceType": "Bundle", "type": kind, "entry": entries},
    st.sampled_from(["batch", "transaction"]),
    st.lists(
        st.fixed_dictionaries(
            {
                "request": st.fixed_dictionaries(
                    {
                        "method": st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "X"]),
                        "url": st.sampled_from(
                            ["Patient", "Patient/a", "Patient/b", "Patient?name=a", "", "//", "a b"]
                        ),
                    },
                    optional={"ifMatch": WORDS, "ifNoneExist": WORDS, "ifNoneMatch": WORDS},
                )
            },
            optional={
                "resource": RESOURCES,
                "fullUrl": st.sampled_from(["urn:uuid:1", "http://x/Patient/a", "", 5]),
            },
        )
        | VALUES,
        max_size=3,
    ),
)
BODIES = st.one_of(
    GOOD.map(lambda value: json.dumps(value).encode()),
    RESOURCES.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    ENTRIES.map(lambda value: json.dumps(value).encode()),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"",
            b'{"resourceType":"Patient","x":' + b"[" * 5000,
            b'{"resourceType":"Patient","extension":'
            + b'[{"extension":' * 120
            + b"[]"
            + b"}]" * 120
            + b"}",
            b'{"resourceType":"Patient","multipleBirthInteger":%s}' % (b"9" * 5000),
            b'{"resourceType":"Observation","status":"final","code":{"text":"x"},'
            b'"valueQuantity":{"value":1e400000}}',
            b'{"resourceType":"Patient","name":"\\ud800"}',
        ]
    ),
)
HEADERS = st.just({"Content-Type": FHIR}) | st.fixed_dictionaries(
    {
        "Content-Type": st.sampled_from(
            [*[FHIR] * 5, "application/json-patch+json", "application/x-www-form-urlencoded", "a/b"]
        )
    },
    optional={
        name: st.sampled_from(values)
        for name, values in {
            "If-Match": ['W/"1"', "*", "", "x", 'W/"' + "9" * 30 + '"'],
            "If-None-Match": ['W/"1"', "*", "", "x"],
            "If-Modified-Since": [
                "Fri, 01 Jan 1999 00:00:00 GMT",
                "Mon, 01 Jan 0001 00:00:00",
                "x",
                "",
            ],
            "If-None-Exist": ["name=a", "", "nonsense=1", "_has", "name:x=%", "_id=a&_id=b"],
            "Prefer": ["return=minimal", "return=OperationOutcome", "handling=lenient", "x"],
            "Accept": ["*/*", FHIR, "application/fhir+xml", ""],
            "X-Security-Context": ["Patient/a", ""],
        }.items()
    },
)


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            ADDRESSES,
            PAIRS,
            HEADERS,
            BODIES,
        ),
        min_size=1,
        max_size=20,
    )
)
async def test_no_request_makes_the_server_fail(folder, caplog, requests):
    app = create_app(Settings(data=folder, auth="none", conditional_delete="multiple"))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(started(app))
        for (method, path), pairs, headers, body in requests:
            query = "&".join(f"{quoted(a)}{b}={quoted(c)}" for a, b, c in pairs)
            response = await call(app, method, f"/fhir/{path}?{query}", headers, body)
            assert 200 <= response.status < 500, (method, path, query, body, response.body)
            if response.status >= 400 and method != "HEAD":
                outcome = decode(response.body)
                assert outcome["resourceType"] == "OperationOutcome"
                assert all(issue["diagnostics"] for issue in outcome["issue"])
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
