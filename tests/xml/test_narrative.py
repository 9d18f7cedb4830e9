from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.xml.narrative import embedded

XHTML = "http://www.w3.org/1999/xhtml"
NAMESPACE = f'xmlns="{XHTML}"'


@pytest.mark.parametrize(
    "div",
    [
        f"<div {NAMESPACE}>a</div>",
        f"<div {NAMESPACE}/>",
        f"<div\n class='a' {NAMESPACE} ><p>&amp;&#160;</p>\r\n<br /></div >",
        f"<div {NAMESPACE}><!-- a --><![CDATA[<]]><?b c?></div>",
        f"<div {NAMESPACE}>a</div><!-- b -->",
        f'<div {NAMESPACE} xmlns:x="urn:x"><x:a/></div>',
    ],
)
def test_what_is_well_formed_stays(div):
    assert embedded(div) == div
    assert embedded(f"\n {div} ") == div


@pytest.mark.parametrize(
    ("div", "written"),
    [
        ("<div>a</div>", f"<div {NAMESPACE}>a</div>"),
        ("<div/>", f"<div {NAMESPACE}/>"),
        ("<div class='a'>b</div>", f"<div {NAMESPACE} class='a'>b</div>"),
        (f"<div {NAMESPACE}>&nbsp;&copy;&lt;&#1;</div>", None),
        (f"<div {NAMESPACE}>&nbsp;&copy;&lt;</div>", f"<div {NAMESPACE}>\xa0©&lt;</div>"),
        (f"<div {NAMESPACE}>&LT;&nonsense;</div>", None),
        (f"<div {NAMESPACE} title='&quot;&QUOT;'/>", None),
        ("", None),
        ("text", None),
        ("<div", None),
        ("<div>a", None),
        ("<p>a</p>", None),
        ("<div xmlns='urn:x'>a</div>", None),
        ("<divx/>", None),
        ("<div>a</div><div>b</div>", None),
        (f"<!DOCTYPE div><div {NAMESPACE}/>", None),
        (f'<?xml version="1.0"?><div {NAMESPACE}/>', None),
        (f"<div {NAMESPACE}>\x00\ud800\uffff</div>", None),
        ("</div></text><active value='false'/><text><div>", None),
    ],
)
def test_what_is_not_is_mended_or_shown_as_text(div, written):
    found = embedded(div)
    root = ElementTree.fromstring(found)
    assert root.tag == f"{{{XHTML}}}div"
    if written is None:
        assert len(root) == 0
    else:
        assert found == written


@given(
    st.lists(
        st.sampled_from(
            [
                "<div",
                ">",
                "</div>",
                "/>",
                " ",
                "<",
                "&",
                "amp;",
                "lt;",
                NAMESPACE,
                "'",
                "]]>",
                "a",
                "<!--",
                "<p>",
                "</p>",
            ]
        )
    ).map("".join)
)
def test_whatever_it_says_it_stays_within(div):
    root = ElementTree.fromstring(f'<text xmlns="http://hl7.org/fhir">{embedded(div)}</text>')
    assert [child.tag for child in root] == [f"{{{XHTML}}}div"]
    assert not root.text
