import pytest

from fhirserver.errors import Invalid
from fhirserver.rest.headers import header_map, header_text


def test_lists_over_several_lines_are_joined():
    headers = header_map([(b"accept", b"a/b"), (b"prefer", b"x"), (b"accept", b"c/d;q=0")])
    assert headers == {b"accept": b"a/b, c/d;q=0", b"prefer": b"x"}


def test_a_repeated_line_that_says_the_same_is_one():
    assert header_map([(b"host", b"a"), (b"host", b"a")]) == {b"host": b"a"}


@pytest.mark.parametrize("name", [b"content-type", b"host", b"if-none-exist", b"authorization"])
def test_lines_that_contradict_each_other_are_refused(name):
    with pytest.raises(Invalid, match=name.decode()):
        header_map([(name, b"a"), (name, b"b")])


def test_repeated_lines_that_do_not_concern_us_are_left_alone():
    assert header_map([(b"x-trace", b"a"), (b"x-trace", b"b")]) == {b"x-trace": b"a"}


def test_text():
    headers = {b"if-none-exist": "name=Åse".encode(), b"if-match": b"\xff"}
    assert header_text(headers, b"if-none-exist") == "name=Åse"
    assert header_text(headers, b"etag") is None
    with pytest.raises(Invalid, match="if-match"):
        header_text(headers, b"if-match")
