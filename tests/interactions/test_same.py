"""Whether a write changes anything."""

from hypothesis import given
from hypothesis import strategies as st

from fhirserver.interactions.same import same, same_content
from fhirserver.model.json import Resource, decode
from fhirserver.model.resource import draft

STORED = decode(
    b'{"resourceType":"Basic","meta":{"tag":[{"code":"a"}]},"a":1.50,"b":[1,{"c":"d"}]}'
)


def _is_same(other: bytes) -> bool:
    stored = draft(STORED, "x", 9).stamped(0)
    return same_content(stored, draft(decode(other), "x", 10))


def test_versions_and_instants_do_not_count() -> None:
    assert _is_same(
        b'{"resourceType":"Basic","id":"x","meta":{"versionId":"3","lastUpdated":"2020",'
        b'"tag":[{"code":"a"}]},"a":1.50,"b":[1,{"c":"d"}]}'
    )


def test_the_order_of_properties_does_not_count() -> None:
    assert _is_same(
        b'{"b":[1,{"c":"d"}],"a":1.50,"resourceType":"Basic","meta":{"tag":[{"code":"a"}]}}'
    )


def test_the_digits_of_a_decimal_count() -> None:
    assert not _is_same(
        b'{"resourceType":"Basic","meta":{"tag":[{"code":"a"}]},"a":1.5,"b":[1,{"c":"d"}]}'
    )
    assert not same(decode(b"[1.50]"), decode(b"[1.5]"))
    assert not same(decode(b"[1]"), decode(b"[1.0]"))
    assert not same(decode(b"[0.0]"), decode(b"[-0.0]"))
    assert same(decode(b"[1.0e-3]"), decode(b"[0.0010]"))


def test_tags_and_the_order_of_items_count() -> None:
    assert not _is_same(b'{"resourceType":"Basic","a":1.50,"b":[1,{"c":"d"}]}')
    assert not same([1, 2], [2, 1])


def test_a_number_is_not_a_truth_value() -> None:
    assert not same([1], [True])
    assert not same({"a": 0}, {"a": False})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


@given(JSON, JSON)
def test_same_is_what_equal_texts_say(one: object, other: object) -> None:
    import json

    equal = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert same(one, other) is equal


@given(st.dictionaries(st.sampled_from(["a", "b", "cc"]), JSON))
def test_a_stored_version_is_the_same_as_its_own_draft(more: Resource) -> None:
    resource = {"resourceType": "Basic"} | more
    shuffled = dict(reversed(list(resource.items())))
    stored = draft(resource, "id", 1).stamped(1_700_000_000_000_000)
    assert same_content(stored, draft(shuffled, "id", 22))
