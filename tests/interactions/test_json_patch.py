"""JSON Patch (RFC 6902) beyond the official cases, and what hostile patches meet."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import FhirError, Invalid, TooCostly, Unprocessable
from fhirserver.interactions.json_patch import MAX_OPERATIONS, JsonPatch
from fhirserver.interactions.same import same
from fhirserver.model.json import Json, decode


@pytest.mark.parametrize(
    "operations",
    [
        {},
        None,
        "x",
        [1],
        [{}],
        [{"op": "add"}],
        [{"op": "add", "path": "/a"}],
        [{"op": "add", "path": 1, "value": 1}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "add", "path": "/~2", "value": 1}],
        [{"op": "move", "path": "/a"}],
        [{"op": "move", "path": "/a", "from": "b"}],
        [{"op": "grow", "path": "/a", "value": 1}],
        [{"op": 1, "path": "/a", "value": 1}],
        [{"op": "test", "path": "/a"}],
        [{"path": "/a", "value": 1}],
    ],
)
def test_what_is_no_patch_is_invalid(operations: Json) -> None:
    with pytest.raises(Invalid):
        JsonPatch(operations)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nothing"},
        {"op": "remove", "path": "/list/2"},
        {"op": "remove", "path": "/list/-"},
        {"op": "remove", "path": "/list/01"},
        {"op": "remove", "path": "/list/-1"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/nothing", "value": 1},
        {"op": "replace", "path": "/text/0", "value": 1},
        {"op": "add", "path": "/list/3", "value": 1},
        {"op": "add", "path": "/list/x", "value": 1},
        {"op": "add", "path": "/text/x", "value": 1},
        {"op": "add", "path": "/none/x", "value": 1},
        {"op": "copy", "from": "/nothing", "path": "/x"},
        {"op": "copy", "from": "/list/-", "path": "/x"},
        {"op": "move", "from": "/list", "path": "/list/0"},
        {"op": "move", "from": "/list/-", "path": "/x"},
        {"op": "test", "path": "/list/-", "value": 1},
        {"op": "test", "path": "/list/0", "value": True},
        {"op": "test", "path": "/nothing", "value": None},
        {"op": "remove", "path": f"/list/{'9' * 5000}"},
    ],
)
def test_a_patch_that_does_not_fit_is_unprocessable(operation: Json) -> None:
    document = {"list": [1, 2], "text": "abc", "none": None}
    with pytest.raises(Unprocessable) as error:
        JsonPatch([operation]).apply(document)
    assert error.value.text.startswith("Operation 0 of the patch")


def test_a_failed_test_does_not_tell_the_stored_value() -> None:
    with pytest.raises(Unprocessable) as error:
        JsonPatch([{"op": "test", "path": "/a", "value": "b"}]).apply({"a": "secret"})
    assert "secret" not in error.value.text


def test_decimals_keep_their_digits() -> None:
    patch = decode(
        b'[{"op":"add","path":"/b","value":[1.50,1.0e-3]},{"op":"copy","from":"/a","path":"/c"}]'
    )
    result = JsonPatch(patch).apply(decode(b'{"a":2.00}'))
    assert same(result, decode(b'{"a":2.00,"b":[1.50,1.0e-3],"c":2.00}'))


def test_numbers_are_tested_by_value() -> None:
    JsonPatch(decode(b'[{"op":"test","path":"/a","value":1.5}]')).apply(decode(b'{"a":1.50}'))


def test_copies_of_copies_do_not_grow_without_bound() -> None:
    double = {"op": "copy", "from": "", "path": "/x"}
    spread = [{"op": "add", "path": "/a", "value": ["x" * 1000]}]
    spread += [{"op": "copy", "from": "/a", "path": "/a/-"}] * 40
    for operations in ([double] * 5000, spread):
        with pytest.raises(TooCostly):
            JsonPatch(operations).apply({"a": []})


def test_too_many_operations_are_refused() -> None:
    with pytest.raises(TooCostly):
        JsonPatch([{"op": "test", "path": "", "value": 1}] * (MAX_OPERATIONS + 1))


POINTERS = st.lists(
    st.sampled_from(["a", "b", "0", "1", "-", "01", "", "~0", "~1"]), max_size=3
).map(lambda parts: "".join(f"/{part}" for part in parts))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": POINTERS},
    optional={"value": VALUES, "from": POINTERS},
)
DOCUMENTS = st.dictionaries(st.sampled_from("ab"), VALUES)


@given(DOCUMENTS, st.lists(OPERATIONS, max_size=4))
def test_a_patch_is_applied_or_refused_and_never_changed(document: Json, patch: Json) -> None:
    before = copy.deepcopy(patch)
    try:
        JsonPatch(patch).apply(document)
    except FhirError as error:
        assert error.status in (400, 403, 422)
    assert patch == before


@given(DOCUMENTS, VALUES)
def test_what_is_added_is_there_and_removing_it_restores(document: Json, value: Json) -> None:
    before = copy.deepcopy(document)
    added = JsonPatch([{"op": "add", "path": "/new", "value": value}]).apply(document)
    assert same(added, before | {"new": value})
    checked = JsonPatch([{"op": "test", "path": "/new", "value": value}]).apply(added)
    assert same(JsonPatch([{"op": "remove", "path": "/new"}]).apply(checked), before)
