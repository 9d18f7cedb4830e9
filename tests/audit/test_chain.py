"""Ids and links of events."""

import hmac

from hypothesis import given
from hypothesis import strategies as st

from fhirserver.audit.chain import KEY_BYTES, Place, link, links, place_of

lanes = st.integers(1, 0xFFFFFF)
numbers = st.integers(1, 0xFFFFFFFFFF)


@given(lane=lanes, number=numbers)
def test_an_id_is_a_place(lane: int, number: int) -> None:
    assert place_of(Place(lane, number).id) == (lane, number)


@given(
    key=st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
    before=st.binary(min_size=32, max_size=32),
    content=st.binary(max_size=2000),
)
def test_a_link_is_an_hmac(key: bytes, before: bytes, content: bytes) -> None:
    id = "000001-0000000001"
    expected = hmac.digest(key, before + id.encode() + content, "sha256")
    assert link(key, before, id, content) == expected


@given(
    key=st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
    lane=lanes,
    first=st.integers(1, 0xFFFFFFFFF0),
    contents=st.lists(st.binary(max_size=200), max_size=5),
)
def test_links_of_many_are_those_of_each(
    key: bytes, lane: int, first: int, contents: list[bytes]
) -> None:
    before, expected = b"\0" * 32, []
    for number, content in enumerate(contents, first):
        before = link(key, before, Place(lane, number).id, content)
        expected.append(before)
    assert links(key, b"\0" * 32, Place(lane, first), contents) == expected
