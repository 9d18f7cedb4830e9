from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath import FhirPathExecutionError, evaluate

TEXTS = st.text("abAB ,.'\\\n\u00e9\U0001f525", max_size=12)
NUMBERS = st.integers(-3, 15)


def run(expression: str, **variables: object) -> list[object]:
    return evaluate({}, expression, variables)


@given(TEXTS, TEXTS)
def test_searching_is_that_of_python(text: str, part: str) -> None:
    assert run("%t.indexOf(%p)", t=text, p=part) == [text.find(part)]
    assert run("%t.lastIndexOf(%p)", t=text, p=part) == [text.rfind(part)]
    assert run("%t.contains(%p)", t=text, p=part) == [part in text]
    assert run("%t.startsWith(%p)", t=text, p=part) == [text.startswith(part)]
    assert run("%t.endsWith(%p)", t=text, p=part) == [text.endswith(part)]


@given(TEXTS, NUMBERS, NUMBERS)
def test_substring(text: str, start: int, length: int) -> None:
    inside = 0 <= start < len(text)
    assert run("%t.substring(%s)", t=text, s=start) == ([text[start:]] if inside else [])
    expected = text[start : start + max(0, length)] if inside else None
    found = run("%t.substring(%s, %l)", t=text, s=start, l=length)
    assert found == ([] if expected is None else [expected])


@given(TEXTS, TEXTS, TEXTS)
def test_replace(text: str, pattern: str, substitution: str) -> None:
    values = {"t": text, "p": pattern, "s": substitution}
    assert run("%t.replace(%p, %s)", **values) == [text.replace(pattern, substitution)]


@given(st.lists(st.text("abc", max_size=3), min_size=1, max_size=5))
def test_split_undoes_join(parts: list[str]) -> None:
    assert run("%p.join(',').split(',')", p=parts) == parts


@given(TEXTS, st.sampled_from(["hex", "base64", "urlbase64"]))
def test_decode_undoes_encode(text: str, target: str) -> None:
    assert run(f"%t.encode('{target}').decode('{target}')", t=text) == [text]


@given(TEXTS, st.sampled_from(["html", "json"]))
def test_unescape_undoes_escape(text: str, target: str) -> None:
    assert run(f"%t.escape('{target}').unescape('{target}')", t=text) == [text]


@given(TEXTS)
def test_characters(text: str) -> None:
    assert run("%t.length()", t=text) == [len(text)]
    assert run("%t.toChars()", t=text) == list(text)
    assert run("%t.upper()", t=text) == [text.upper()]
    assert run("%t.trim()", t=text) == [text.strip(" \t\r\n")]


@pytest.mark.parametrize(
    "expression",
    ["{}.length()", "'a'.indexOf({})", "'a'.replace('a', {})", "'a'.substring({})", "{}.join(',')",
     "'zz'.decode('hex')", "'a'.encode('rot13')", "'/w=='.decode('base64')",
     "'\\\\x'.unescape('json')"],
)  # fmt: skip
def test_what_gives_nothing(expression: str) -> None:
    assert evaluate({}, expression) == []


@pytest.mark.parametrize(
    "expression",
    ["1.length()", "('a' | 'b').upper()", "'a'.indexOf(1)", "@2012.startsWith('2')",
     "('a' | 1).join()", "'a'.substring('b')"],
)  # fmt: skip
def test_wrong_types_are_refused(expression: str) -> None:
    with pytest.raises(FhirPathExecutionError, match="line 1"):
        evaluate({}, expression)


def test_an_element_without_a_value_is_an_empty_string_function_input() -> None:
    patient = {"resourceType": "Patient", "_gender": {"extension": [{"url": "http://e.org/x"}]}}
    assert evaluate(patient, "gender.length()") == []


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("'abc'.matches('B', 'i')", True),
        ("'a\nb'.matches('^b')", False),
        ("'a\nb'.matches('^b', 'm')", True),
        ("'abc'.matchesFull('b')", False),
        ("'abc'.matchesFull('a.c')", True),
        ("'A\n B'.matches('A.*B')", True),
        ("'aaabaa'.replaceMatches('aa', '\"aa\"')", '"aa"ab"aa"'),
        (
            "'11/30/1972'.replaceMatches('\\\\b(?<month>\\\\d{1,2})/(?<day>\\\\d{1,2})/"
            "(?<year>\\\\d{2,4})\\\\b', '${day}-${month}-${year}')",
            "30-11-1972",
        ),
        ("'ab'.replaceMatches('(a)(b)', '$2$1')", "ba"),
        ("'ab'.replaceMatches('a', '$5\\\\1')", "$5\\1b"),
    ],
)
def test_patterns(expression: str, result: object) -> None:
    assert evaluate({}, expression) == [result]


@pytest.mark.parametrize("expression", ["'a'.matches('(')", "'a'.matches('a', 'x')"])
def test_what_is_no_pattern_is_refused(expression: str) -> None:
    with pytest.raises(FhirPathExecutionError):
        evaluate({}, expression)
