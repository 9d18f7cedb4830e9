"""What is sealed opens at its place only, unaltered, under its key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.store.sealed.cipher import OVERHEAD, Altered, Cipher, UnknownKey, key_number

KEYS = {1: bytes(range(32)), 2: bytes(range(1, 33))}
CIPHER = Cipher("north", KEYS, 2)
PLACE = "version|Patient|1|1"


@given(st.binary(max_size=300), st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_it_opens_again(content: bytes, place: str) -> None:
    sealed = CIPHER.seal(content, place)
    assert len(sealed) == len(content) + OVERHEAD
    assert key_number(sealed) == 2
    assert CIPHER.open(sealed, place) == content


@pytest.mark.check("OPS-5")
@given(content=st.binary(max_size=40), data=st.data())
def test_no_bit_can_be_changed(content: bytes, data: st.DataObject) -> None:
    sealed = bytearray(CIPHER.seal(content, PLACE))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((Altered, UnknownKey)):
        CIPHER.open(bytes(sealed), PLACE)


@pytest.mark.check("OPS-5")
@given(st.binary(max_size=40), st.integers(0, 72))
def test_no_end_can_be_cut_off(content: bytes, kept: int) -> None:
    sealed = CIPHER.seal(content, PLACE)
    if kept < len(sealed):
        with pytest.raises(Altered):
            CIPHER.open(sealed[:kept], PLACE)


@pytest.mark.check("OPS-5")
@pytest.mark.parametrize(
    "place",
    [
        "version|Patient|1|2",
        "version|Patient|2|1",
        "version|Group|1|1",
        "record|Patient|1|1",
        "version|Patient|1|1|",
        "",
    ],
)
def test_it_opens_nowhere_else(place: str) -> None:
    with pytest.raises(Altered):
        CIPHER.open(CIPHER.seal(b"content", PLACE), place)


@pytest.mark.check("OPS-5")
def test_it_opens_for_no_other_tenant_and_under_no_other_key() -> None:
    sealed = CIPHER.seal(b"content", PLACE)
    with pytest.raises(Altered):
        Cipher("south", KEYS, 2).open(sealed, PLACE)
    with pytest.raises(Altered):
        Cipher("north", {2: KEYS[1]}, 2).open(sealed, PLACE)
    with pytest.raises(UnknownKey):
        Cipher("north", {1: KEYS[1]}, 1).open(sealed, PLACE)
    as_if_first = sealed[:1] + (1).to_bytes(4, "big") + sealed[5:]
    with pytest.raises(Altered):  # the number is bound as well, were the keys the same
        Cipher("north", {1: KEYS[2], 2: KEYS[2]}, 2).open(as_if_first, PLACE)


@pytest.mark.check("OPS-5")
def test_the_same_content_is_never_sealed_the_same() -> None:
    sealed = {CIPHER.seal(b"content", PLACE) for _ in range(1000)}
    assert len({one[5:17] for one in sealed}) == 1000


def test_what_is_not_sealed_is_not_taken_for_it() -> None:
    for content in (b"", b'{"resourceType":"Patient","id":"a-long-enough-text"}', b"\x01\0\0\0"):
        with pytest.raises(Altered):
            CIPHER.open(content, PLACE)
