"""Lines and columns of JSON: every value of any text is found where it stands."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.json_position import Position, Steps, json_positions

TEXT = b"""{
  "resourceType": "Patient",
  "name": [
    {"given": ["\xc3\x84nne", "B\\"{,b"], "x\\u0079": 1},
    { "family" : null }
  ], "active":true
}"""


@pytest.mark.parametrize(
    ("way", "position"),
    [
        ((), (1, 1)),
        (("resourceType",), (2, 19)),
        (("name",), (3, 11)),
        (("name", 0), (4, 5)),
        (("name", 0, "given", 0), (4, 16)),
        (("name", 0, "given", 1), (4, 24)),
        (("name", 0, "xy"), (4, 46)),
        (("name", 1, "family"), (5, 18)),
        (("active",), (6, 15)),
        (("name", 1, "given", 0), (5, 5)),  # what is not there: the last that is
        (("birthDate",), (1, 1)),
    ],
)
def test_positions(way: Steps, position: tuple[int, int]) -> None:
    assert json_positions(TEXT, [way]) == {way: Position(*position)}


TEXTS = st.text(st.sampled_from('aä"\\{}[]:,\n \U0001f600'), max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_every_value_is_found_where_it_begins(value: Any, indented: bool) -> None:
    text = msgspec.json.encode(value)
    if indented:
        text = msgspec.json.format(text, indent=2)
    ways = dict(_ways(value, ()))
    lines = text.decode().split("\n")
    for way, position in json_positions(text, ways).items():
        rest = "\n".join([lines[position.line - 1][position.column - 1 :], *lines[position.line :]])
        assert _begins(rest, ways[way])


def _ways(value: Any, way: Steps) -> Any:
    yield way, value
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for step, inner in items:
        yield from _ways(inner, (*way, step))


def _begins(text: str, value: Any) -> bool:
    if isinstance(value, dict | list):
        return text.startswith("{" if isinstance(value, dict) else "[")
    return text.startswith(msgspec.json.encode(value).decode())
