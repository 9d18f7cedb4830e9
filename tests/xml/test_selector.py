import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import Invalid, TooCostly
from fhirserver.xml.parser import FHIR
from fhirserver.xml.selector import Attribute, Budget, Namespace
from fhirserver.xml.selector_text import MAX_LENGTH, path
from fhirserver.xml.tree import Element, parse, serialised

NAMESPACES = {"": FHIR, "f": FHIR, "h": "http://www.w3.org/1999/xhtml", "x": "urn:x"}
DOCUMENT = b"""<Patient xmlns="http://hl7.org/fhir" xmlns:x="urn:x"><!-- one --><?two three?>
<text><div xmlns="http://www.w3.org/1999/xhtml" title="T">a<p>b</p>c</div></text>
<telecom><system value="phone"/><value value="1"/><rank value="2"/></telecom>
<telecom id="t2"><system value="email"/><value value="a@b"/></telecom>
<telecom><system value="phone"/><use value="home"/><value value="3"/></telecom>
<contact><telecom><value value="4"/></telecom><x:y/></contact>
<z xmlns="" a="it's" b="&quot;"/></Patient>"""


def select(selector, nodes=10_000):
    """What is selected, in short."""
    found = path(selector, NAMESPACES).select(parse(DOCUMENT), Budget(nodes))
    return [short(node) for node in found]


def short(node):
    match node:
        case Attribute(owner, name):
            return f"@{name}={owner.attributes[name]}"
        case Namespace(owner, prefix):
            return f"{prefix}:{owner.prefixes[prefix]}"
        case Element():
            values = [child for child in node.children if isinstance(child, Element)]
            texts = [x.attributes["value"] for x in values if x.name == f"{FHIR}|value"]
            return "".join([node.name.rpartition("|")[2], *texts])
        case _:
            return node.text.strip()


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("f:Patient", ["Patient"]),
        ("/f:Patient", ["Patient"]),
        ("Patient", ["Patient"]),
        ("*", ["Patient"]),
        ("f:*", ["Patient"]),
        ("x:*", []),
        ("f:patient", []),
        ("f:telecom", []),
        ("f:Patient/f:telecom", ["telecom1", "telecoma@b", "telecom3"]),
        (" f:Patient / telecom [ 2 ] ", ["telecoma@b"]),
        ("f:Patient/f:telecom[last()]", ["telecom3"]),
        ("f:Patient/f:telecom[position()=2]", ["telecoma@b"]),
        ("f:Patient/f:telecom[position() != last()]", ["telecom1", "telecoma@b"]),
        ("f:Patient/f:telecom[4]", []),
        ("f:Patient/*[2]", ["telecom1"]),
        ("f:Patient/f:telecom[@id='t2']", ["telecoma@b"]),
        ("f:Patient/f:telecom[@id]", ["telecoma@b"]),
        ("f:Patient/f:telecom[not(@id)]", ["telecom1", "telecom3"]),
        ("f:Patient/f:telecom[@id!='t2']", []),
        ('f:Patient/f:telecom[f:system/@value="phone"]', ["telecom1", "telecom3"]),
        ("f:Patient/f:telecom['phone' = f:system/@value][2]", ["telecom3"]),
        ("f:Patient/f:telecom[2][f:system/@value='phone']", []),
        ("f:Patient/f:telecom[f:system[@value='phone'] and f:use]", ["telecom3"]),
        ("f:Patient/f:telecom[(f:use or @id) and not(f:rank)]", ["telecoma@b", "telecom3"]),
        ("f:Patient/f:telecom[f:rank/@value = 2.0]", ["telecom1"]),
        ("f:Patient/f:telecom[f:use/@value != 1]", ["telecom3"]),
        ("f:Patient/f:telecom[f:use = true]", []),
        ("f:Patient/f:telecom/f:value/@value", ["@value=1", "@value=a@b", "@value=3"]),
        ("f:Patient/f:telecom/f:value[1]/@*", ["@value=1", "@value=a@b", "@value=3"]),
        ("f:Patient/f:telecom/@id", ["@id=t2"]),
        ("//f:telecom[f:value/@value='4']", ["telecom4"]),
        ("//f:telecom[1]", ["telecom1", "telecom4"]),
        ("f:Patient//f:value/@value", ["@value=1", "@value=a@b", "@value=3", "@value=4"]),
        ("//f:contact//f:value/@value", ["@value=4"]),
        ("//*[@value='a@b']", ["value"]),
        ("f:Patient/comment()", ["one"]),
        ("f:Patient/comment()[1]", ["one"]),
        ("f:Patient/processing-instruction()", ["three"]),
        ("f:Patient/processing-instruction('two')", ["three"]),
        ("f:Patient/processing-instruction('no')", []),
        ("f:Patient/f:text/h:div/text()", ["a", "c"]),
        ("f:Patient/f:text/h:div/text()[2]", ["c"]),
        ("f:Patient/f:text/h:div/node()[2]", ["p"]),
        ("f:Patient/f:text/h:div[.='abc']/h:p", ["p"]),
        ("f:Patient/f:text/h:div[h:p='b']/@title", ["@title=T"]),
        ("f:Patient/f:text/h:div[text()='c']/@title", ["@title=T"]),
        ("f:Patient/f:contact/x:y", ["y"]),
        ("f:Patient/namespace::x", ["x:urn:x"]),
        ("f:Patient/namespace::*", ["x:urn:x"]),
        ("f:Patient/namespace::f", []),
        ('//*[@a="it\'s"]/@b', ['@b="']),
        ("f:Patient[/f:Patient/f:contact]/f:contact", ["contact"]),
        ("f:Patient[f:telecom/f:rank/@value = f:telecom/f:value/@value]", []),
        ("f:Patient/./f:contact", ["contact"]),
        ("f:Patient/comment()/f:x", []),
        ("f:Patient/@id/f:x", []),
    ],
)
def test_selectors(selector, found):
    assert select(selector) == found


@pytest.mark.parametrize(
    "selector",
    [
        *("", " ", "/", "//", "f:", ":f", "f:a/", "f:a//", "/f:a/", "f:a[", "f:a]", "f:a[]"),
        *("f:a[1", "f:a['x]", "f:a[@]", "f:a[=1]", "f:a[1=]", "f:a b", "f:a[1 2]", "@", "f:a/@"),
        *("..", "f:a/..", "parent::f:a", "ancestor::*", "following-sibling::*", "attribute::a"),
        *("f:a|f:b", "f:a[1 + 1]", "f:a[last() - 1]", "f:a[@b > 1]", "f:a[count(*) = 1]"),
        *(
            "f:a[contains(@b, 'c')]",
            "f:a[string-length(@x)=1]",
            "id('x')",
            "concat('a')",
            "f:a[$x]",
        ),
        *("document('x')", "f:a[position()", "f:a[last(1)]", "not(f:a)", "namespace::", "text("),
        *("f:a" + "[f:a" * 30 + "]" * 30, "f:a[" + "(" * 30 + "1" + ")" * 30 + "]"),
        "f:a[" + "not(" * 30 + "1" + ")" * 30 + "]",
        "f:" + "a" * MAX_LENGTH,
    ],
)
def test_what_is_not_understood_is_refused(selector):
    with pytest.raises(Invalid, match="selector"):
        select(selector)


def test_prefixes_are_declared():
    with pytest.raises(Invalid, match="prefix 'g' of the selector 'f:a/g:b' is not declared"):
        select("f:a/g:b")
    with pytest.raises(Invalid, match="prefix 'g'"):
        select("f:a/@g:b")


def test_work_is_bounded():
    many = parse(b"<a>" + b"<b><c/></b>" * 1000 + b"</a>")
    selector = path("//*[//*[//*[//*]]]", {})
    with pytest.raises(TooCostly):
        selector.select(many, Budget(100_000))
    for text in ("//*[//*=//*]", "//a[//b='x']", "a/b[//c]", "//node()[//node()]"):
        with pytest.raises(TooCostly):
            path(text, {}).select(many, Budget(5000))


@given(
    st.lists(
        st.sampled_from(
            [
                *("f:Patient", "/", "//", "*", "@", "id", "[", "]", "(", ")", "not", "last", "."),
                *("1", "'x'", "=", "!=", "and", "or", "text", "position", "::", "namespace", " "),
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_any_text_is_a_selector_or_refused(text):
    try:
        found = path(text, NAMESPACES)
    except Invalid:
        return
    try:
        found.select(parse(DOCUMENT), Budget(10_000))
    except TooCostly:
        return


def test_selecting_changes_nothing():
    root = parse(DOCUMENT)
    before = serialised(root)
    path("//*[//@*]//text()", NAMESPACES).select(root, Budget(10**6))
    assert serialised(root) == before
