"""Lines of an export, and what is read from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.export.layout import current_line, history_line, versions_of
from fhirserver.load.reading import _kind
from fhirserver.model.json import Resource, decode
from fhirserver.model.resource import draft
from fhirserver.store.port import Method, Version

AT = 1_700_000_000_123_000


def kept(number: int, resource: Resource, method: Method = "PUT", instant: int = AT) -> Version:
    body = draft(resource, resource["id"], number).stamped(instant)
    return Version(resource["resourceType"], resource["id"], number, instant, method, body)


def patient(**more: object) -> Resource:
    return {"resourceType": "Patient", "id": "p", **more}


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH"])
def test_a_history_tells_all_of_a_version(method: Method) -> None:
    told = [
        kept(7, patient(text="\u2028 \u00e4", multipleBirthInteger=1), method),
        Version("Group", "g", 2, AT + 1000, "DELETE", None),
        kept(1, {"resourceType": "Bundle", "id": "b", "type": "history", "entry": []}, method),
    ]
    assert list(versions_of(history_line(told))) == told


@pytest.mark.parametrize(
    "kind", ["document", "message", "transaction", "batch", "collection", "searchset", "history"]
)
def test_a_stored_bundle_is_told_so_that_a_load_stores_it(kind: str) -> None:
    bundle = {"resourceType": "Bundle", "id": "b", "type": kind, "entry": [{"resource": patient()}]}
    version = kept(3, bundle)
    line = current_line(version)
    assert list(versions_of(line)) == [version]
    assert _kind(decode(line)) in ("resource", "transaction")
    if _kind(decode(line)) == "transaction":
        (entry,) = decode(line)["entry"]
        assert entry["request"] == {"method": "PUT", "url": "Bundle/b"}
        assert entry["resource"]["type"] == kind


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(min_size=1, max_size=5), VALUES, max_size=4),
    st.integers(1, 10**9),
    st.integers(0, 4_000_000_000_000),
)
def test_bytes_version_and_instant_come_back(
    more: dict[str, object], number: int, milliseconds: int
) -> None:
    resource = more | {"resourceType": "Patient", "id": "p", "meta": {"tag": []}}
    version = kept(number, resource, instant=milliseconds * 1000)
    assert list(versions_of(current_line(version))) == [version]
    assert list(versions_of(history_line([version, version]))) == [version, version]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'{"resourceType":"Patient","id":"p"}',
        b'{"resourceType":"Patient","id":"p","meta":{"versionId":"x","lastUpdated":"2020"}}',
        b'{"resourceType":"Bundle","type":"history","entry":[{}]}',
        b'{"resourceType":"Bundle","type":"history","entry":[{"request":{"method":"PUT","url":"P/1"}}]}',
        b'{"resourceType":"Bundle","type":"history"',
    ],
)
def test_another_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(versions_of(line))
