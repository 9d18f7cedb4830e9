import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import Invalid
from fhirserver.rest.media_type import MediaType, media_type, ranges


@pytest.mark.parametrize(
    ("text", "essence", "parameters"),
    [
        ("application/fhir+json", "application/fhir+json", {}),
        ("Application/FHIR+JSON", "application/fhir+json", {}),
        ("text/plain;charset=UTF-8", "text/plain", {"charset": "UTF-8"}),
        ('text/plain ; Charset="utf-8" ;', "text/plain", {"charset": "utf-8"}),
        (r'a/b;c="x\"y;,z"', "a/b", {"c": 'x"y;,z'}),
        ("a/b;q=1;q=2", "a/b", {"q": "1"}),
        ("*/*", "*/*", {}),
    ],
)
def test_parts(text, essence, parameters):
    assert media_type(text) == MediaType(essence, parameters)


@pytest.mark.parametrize("text", ["", "json", "a/", "/b", "a/b/c", "a b/c", 'a/b;c="', "a/b;c d"])
def test_text_that_is_no_media_type(text):
    assert media_type(text) is None


def test_ranges_with_weights():
    found = list(ranges('a/b, c/d;q=0.5, nonsense, e/f;x="1,2";q=0, g/h;q=7'))
    assert [(item.media_type.essence, item.weight) for item in found] == [
        ("a/b", 1.0),
        ("c/d", 0.5),
        ("e/f", 0.0),
    ]


def test_an_endless_accept_header_is_refused():
    with pytest.raises(Invalid):
        list(ranges('"' * 3000))


@given(st.text(alphabet='ab/;,="\\ q01.*+', max_size=60))
def test_any_text_is_read_without_failing(text):
    media_type(text)
    list(ranges(text))
