"""Decoded resources are kept within a number of bytes."""

from __future__ import annotations

from fhirserver.model.json import encode
from fhirserver.store.sqlite.decoded import Decoded


def body(size: int, url: str = "u") -> bytes:
    empty = len(encode({"url": url, "text": ""}))
    return encode({"url": url, "text": "x" * (size - empty)})


def test_what_is_asked_again_is_the_same() -> None:
    decoded = Decoded(1000)
    first = decoded.of(1, body(100))
    assert decoded.of(1, body(100)) is first
    assert first["url"] == "u"


def test_those_used_last_stay() -> None:
    decoded = Decoded(1000)
    kept = [decoded.of(vid, body(400)) for vid in (1, 2)]
    decoded.of(1, body(400))
    decoded.of(3, body(400))
    assert len(decoded) == 2
    assert decoded.of(1, body(400)) is kept[0]
    assert decoded.of(2, body(400)) is not kept[1]


def test_what_is_larger_than_all_is_not_kept() -> None:
    decoded = Decoded(1000)
    first = decoded.of(1, body(500))
    assert decoded.of(2, body(1001)) is not decoded.of(2, body(1001))
    assert decoded.of(1, body(500)) is first


def test_a_number_that_came_again_is_another_version() -> None:
    decoded = Decoded(1000)
    decoded.of(1, body(700, "a"))
    assert decoded.of(1, body(600, "b"))["url"] == "b"
    assert decoded.of(1, body(700, "a"))["url"] == "a"
    assert len(decoded) == 1
