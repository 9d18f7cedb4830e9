from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath.errors import FhirPathSyntaxError
from fhirserver.fhirpath.lexer import MAX_LENGTH, Kind, tokens, unescape


def test_tokens_know_their_kind_text_and_offset() -> None:
    found = tokens("Patient.name[0] // rest")
    assert [(token.kind, token.text, token.at) for token in found] == [
        (Kind.WORD, "Patient", 0),
        (Kind.SYMBOL, ".", 7),
        (Kind.WORD, "name", 8),
        (Kind.SYMBOL, "[", 12),
        (Kind.NUMBER, "0", 13),
        (Kind.SYMBOL, "]", 14),
        (Kind.END, "", 23),
    ]


@pytest.mark.parametrize(
    ("text", "kind", "content"),
    [
        ("@2015", Kind.DATE, "2015"),
        ("@2015T", Kind.DATETIME, "2015T"),
        ("@2015-02-04T14:34:28.123+10:00", Kind.DATETIME, "2015-02-04T14:34:28.123+10:00"),
        ("@T14:34", Kind.TIME, "14:34"),
        ("1.50", Kind.NUMBER, "1.50"),
        ("`a b`", Kind.DELIMITED, "a b"),
        ("'it\\'s'", Kind.STRING, "it's"),
        ("$this", Kind.SPECIAL, "$this"),
    ],
)
def test_literals(text: str, kind: Kind, content: str) -> None:
    assert tokens(text)[0][:2] == (kind, content)


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        (r"\p", "p"),
        (r"\\p", r"\p"),
        (r"\u005", "u005"),
        (r"\u00e9", "é"),
        (r"\uD83D\uDD25", "\U0001f525"),
        (r"\r\n\t\f\"\`", '\r\n\t\f"`'),
    ],
)
def test_escapes(escaped: str, plain: str) -> None:
    assert unescape(escaped) == plain


@pytest.mark.parametrize(
    ("text", "words", "line", "column"),
    [
        ("name = 'x", "string has no end", 1, 8),
        ("2 + /* x", "comment has no end", 1, 5),
        ("a\n  #", "means nothing", 2, 3),
        ("$that", "$this", 1, 1),
        ("@20", "not a date", 1, 1),
    ],
)
def test_what_is_no_token_is_refused_with_its_place(
    text: str, words: str, line: int, column: int
) -> None:
    with pytest.raises(FhirPathSyntaxError, match="(?s)" + words.replace("$", r"\$")) as refused:
        tokens(text)
    assert (refused.value.line, refused.value.column) == (line, column)


def test_a_long_expression_is_refused() -> None:
    with pytest.raises(FhirPathSyntaxError, match="at most"):
        tokens("a" * (MAX_LENGTH + 1))


@given(st.text(max_size=60))
def test_any_text_gives_tokens_or_a_refusal(text: str) -> None:
    try:
        assert tokens(text)[-1].kind is Kind.END
    except FhirPathSyntaxError as error:
        assert error.line is not None
