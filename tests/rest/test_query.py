import contextlib
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import Invalid
from fhirserver.rest.query import path_text, query_pairs

TEXT = st.text(
    alphabet=st.one_of(st.sampled_from("a+&=%/?# é|$,\\😀\n"), st.characters(codec="utf-8")),
    max_size=20,
)


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        (b"", ()),
        (b"a=1&b=2&a=3", (("a", "1"), ("b", "2"), ("a", "3"))),
        (b"a", (("a", ""),)),
        (b"&&a=1&", (("a", "1"),)),
        (b"a=b=c", (("a", "b=c"),)),
        (b"n=John+Doe", (("n", "John Doe"),)),
        (b"n=1%2B2", (("n", "1+2"),)),
        (b"a=%26%3D", (("a", "&="),)),
        ("name=Åse".encode(), (("name", "Åse"),)),
        (b"name=%C3%85se", (("name", "Åse"),)),
    ],
)
def test_pairs(query, pairs):
    assert query_pairs(query) == pairs


@pytest.mark.parametrize("query", [b"a=%", b"a=%2", b"a=%zz", b"%g0=1", b"a=%C3", b"a=\xff"])
def test_broken_encoding_is_refused(query):
    with pytest.raises(Invalid):
        query_pairs(query)


def test_too_many_pairs_are_refused():
    with pytest.raises(Invalid):
        query_pairs(b"a&" * 6000)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=6))
def test_what_is_encoded_comes_back(pairs):
    assert query_pairs(urlencode(pairs).encode()) == tuple(pairs)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"/fhir/Patient/1", "/fhir/Patient/1"),
        (b"/fhir/Patient/%31", "/fhir/Patient/1"),
        (b"/fhir/%24meta", "/fhir/$meta"),
        (b"/a+b", "/a+b"),
        ("/fhir/é".encode(), "/fhir/é"),
    ],
)
def test_path(raw, text):
    assert path_text(raw) == text


@pytest.mark.parametrize(
    "raw", [b"/fhir/Patient/a%2Fb", b"/fhir/%00", b"/fhir/a%0Ab", b"/fhir/%ff", b"/%", b"/\xff"]
)
def test_path_that_is_no_fhir_address(raw):
    with pytest.raises(Invalid):
        path_text(raw)


@given(st.binary(max_size=40))
def test_any_bytes_are_text_or_refused(data):
    for read in (query_pairs, path_text):
        with contextlib.suppress(Invalid):
            read(data)


@given(st.text(alphabet="abcXYZ019-._~!$'()*,:@", max_size=30))
def test_a_path_means_the_same_encoded_or_not(segment):
    assert path_text(quote(segment, safe="").encode()) == segment
