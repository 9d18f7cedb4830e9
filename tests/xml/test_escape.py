from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.xml.escape import content, value

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text("&<>\"'\t\r\n\x00 a]")
NOT_XML = [*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF]


def read(text):
    """What a parser of XML makes of the texts that XML has."""
    return "".join("\ufffd" if ord(character) in NOT_XML else character for character in text)


@given(TEXTS)
def test_a_value_is_read_as_it_was(text):
    assert ElementTree.fromstring(f'<a v="{value(text)}"/>').get("v") == read(text)


@given(TEXTS)
def test_content_is_read_as_it_was(text):
    assert (ElementTree.fromstring(f"<a>{content(text)}</a>").text or "") == read(text)


@pytest.mark.parametrize("text", ["", "Ilona", "Á 中 \U0001f600", "it's"])
def test_plain_text_stays(text):
    assert value(text) == content(text) == text


def test_surrogates_cannot_be_written():
    assert value("a\ud800b") == content("a\ud800b") == "a\ufffdb"
