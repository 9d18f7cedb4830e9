from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import Invalid
from fhirserver.xml.tree import Element, Text, ancestors, copied, height, parse, serialised

XHTML = "http://www.w3.org/1999/xhtml"


def canonical(text):
    return ElementTree.canonicalize(text, with_comments=True, rewrite_prefixes=True)


@pytest.mark.parametrize(
    "document",
    [
        "<a/>",
        "<a b='1'>c</a>",
        "<a><!-- x --><?y z?>t<b/>u</a>",
        "<a xmlns='u'><b xmlns='v'/><b xmlns=''/><b/></a>",
        "<p:a xmlns:p='u' p:b='1' c='2'><p:d/><e/></p:a>",
        "<a xml:lang='hu' xml:space='preserve'> </a>",
        "<a xmlns:p='u'><b p:c='&lt;&quot;&#10;' d='é'/></a>",
        "<a>&lt;&amp;&gt;&#13;</a>",
        "<a xmlns:p='u' xmlns:q='v'><b p:x='1' q:x='2'/></a>",
        "<a xmlns:p='u' xmlns:q='u' p:x='1' q:y='2'/>",
    ],
)
def test_a_document_is_written_as_it_was_meant(document):
    assert canonical(serialised(parse(document.encode()))) == canonical(document)


def test_the_namespace_of_the_place_is_not_repeated():
    element = parse(b"<a xmlns='u'><b/></a>")
    assert serialised(element, "u") == "<a><b/></a>"
    assert serialised(element, "v") == '<a xmlns="u"><b/></a>'


DIV = f"<div  xmlns='{XHTML}'><p >a</p ></div>"


def test_a_narrative_is_verbatim_until_it_changes():
    root = parse(f"<text xmlns='http://hl7.org/fhir'>{DIV}</text>".encode())
    (div,) = root.children
    assert serialised(root) == f'<text xmlns="http://hl7.org/fhir">{DIV}</text>'
    (paragraph,) = div.children
    paragraph.insert(1, [Text("b")])
    assert serialised(div) == f'<div xmlns="{XHTML}"><p>ab</p></div>'


def test_texts_that_meet_become_one():
    root = parse(b"<a>1<b/>2<c/>3</a>")
    root.remove(root.children[1])
    assert [type(node) for node in root.children] == [Text, Element, Text]
    root.insert(2, [Text("x"), Text("y")])
    assert serialised(root) == "<a>12<c/>xy3</a>"
    assert len(root.children) == 3


def test_a_copy_is_apart():
    root = parse(b"<a b='1'><c>d</c><!--e--></a>")
    made = copied(root)
    assert serialised(made) == serialised(root)
    made.children[0].children[0].text = "x"
    made.attributes["b"] = "2"
    made.children[0].insert(0, [Text("y")])
    assert serialised(root) == '<a b="1"><c>d</c><!--e--></a>'
    assert list(ancestors(made.children[0].children[0])) == [made.children[0], made]


def test_height():
    assert height(parse(b"<a/>")) == 1
    assert height(parse(b"<a>x<b><c/></b><d/></a>")) == 3


def test_what_is_not_well_formed_is_refused():
    for document in (b"", b"<a>", b"<!DOCTYPE a><a/>", b"<a>" * 1000):
        with pytest.raises(Invalid):
            parse(document)


ELEMENTS = st.recursive(
    st.sampled_from(["", "t", "&amp;", "<!--c-->", "<?p i?>", "<e a='1'/>", DIV]),
    lambda inner: st.lists(inner, max_size=3).map(
        lambda parts: f"<x xmlns:p='urn:p' p:y='2'>{''.join(parts)}</x>"
    ),
    max_leaves=8,
)


@given(ELEMENTS)
def test_any_document(content):
    document = f"<root xmlns='urn:r'>{content}</root>"
    root = parse(document.encode())
    assert canonical(serialised(root)) == canonical(document)
    assert canonical(serialised(copied(root))) == canonical(document)
