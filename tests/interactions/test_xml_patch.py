"""XML Patch (RFC 5261) on resources, and what hostile patches meet."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError, Invalid, TooCostly, Unprocessable
from fhirserver.interactions.same import same
from fhirserver.interactions.xml_patch import MAX_OPERATIONS, MAX_SIZE, XmlPatch
from fhirserver.model.json import Resource, decode, encode

DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p >Nagy  &#160;</p ><br></br></div>'
PATIENT: Resource = {
    "resourceType": "Patient",
    "id": "a",
    "text": {"status": "generated", "div": DIV},
    "contained": [{"resourceType": "Basic", "id": "b"}, {"resourceType": "Basic"}],
    "active": True,
    "name": [
        {"id": "n", "family": "Nagy", "given": ["Ilona", None], "_given": [None, {"id": "g"}]},
        {"text": "Ili"},
    ],
    "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "a@b"}],
    "birthDate": "1961-04",
}


def patch(operations: str, namespaces: str = 'xmlns="http://hl7.org/fhir"') -> XmlPatch:
    return XmlPatch(f"<diff {namespaces}>{operations}</diff>".encode(), packaged())


def patched(operations: str, **more: Any) -> Resource:
    found: Resource = patch(operations, **more).apply(copy.deepcopy(PATIENT))
    return found


def changed(**elements: Any) -> Resource:
    return {name: value for name, value in (PATIENT | elements).items() if value is not None}


ONE, OTHER = PATIENT["name"]
PHONE, EMAIL = PATIENT["telecom"]
FAX = {"system": "fax", "value": "2"}
FAX_XML = '<telecom><system value="fax"/><value value="2"/></telecom>'
CASES: dict[str, tuple[str, Resource]] = {
    "replace a value": (
        '<replace sel="f:Patient/f:active/@value">false</replace>',
        changed(active=False),
    ),
    "replace a value found by another": (
        "<replace sel=\"f:Patient/f:telecom[f:system/@value='email']/f:value/@value\">"
        "c@d</replace>",
        changed(telecom=[PHONE, EMAIL | {"value": "c@d"}]),
    ),
    "replace an element": (
        '<replace sel="f:Patient/f:telecom[1]">\n  ' + FAX_XML + "\n</replace>",
        changed(telecom=[FAX, EMAIL]),
    ),
    "add a first element, wherever": (
        '<add sel="f:Patient"><gender value="female"/></add>',
        changed(gender="female"),
    ),
    "append": (f'<add sel="f:Patient">{FAX_XML}</add>', changed(telecom=[PHONE, EMAIL, FAX])),
    "prepend": (
        f'<add sel="f:Patient" pos="prepend">{FAX_XML}</add>',
        changed(telecom=[FAX, PHONE, EMAIL]),
    ),
    "before": (
        f'<add sel="f:Patient/f:telecom[2]" pos="before">{FAX_XML}</add>',
        changed(telecom=[PHONE, FAX, EMAIL]),
    ),
    "after": (
        f'<add sel="f:Patient/f:telecom[1]" pos="after">{FAX_XML}{FAX_XML}</add>',
        changed(telecom=[PHONE, FAX, FAX, EMAIL]),
    ),
    "add an attribute": (
        '<add sel="f:Patient/f:birthDate" type="@id">x</add>',
        changed(_birthDate={"id": "x"}),
    ),
    "add an extension to a primitive": (
        '<add sel="f:Patient/f:birthDate"><extension url="u"><valueCode value="c"/></extension>'
        "</add>",
        changed(_birthDate={"extension": [{"url": "u", "valueCode": "c"}]}),
    ),
    "remove an element": ('<remove sel="f:Patient/f:birthDate"/>', changed(birthDate=None)),
    "remove one of several": (
        "<remove sel=\"f:Patient/f:name[@id='n']\"/>",
        changed(name=[OTHER]),
    ),
    "remove a primitive that has an id only": (
        "<remove sel=\"f:Patient/f:name/f:given[@id='g']\"/>",
        changed(name=[{"id": "n", "family": "Nagy", "given": ["Ilona"]}, OTHER]),
    ),
    "remove a value": (
        '<remove sel="f:Patient/f:birthDate/@value"/>',
        changed(birthDate=None),
    ),
    "remove all that an element holds": (
        '<remove sel="f:Patient/f:name[2]/f:text"/>',
        changed(name=[ONE]),
    ),
    "change a contained resource": (
        '<add sel="//f:Basic[1][not(f:id)]"><id value="c"/></add>',
        changed(contained=[PATIENT["contained"][0], {"resourceType": "Basic", "id": "c"}]),
    ),
    "add a contained resource": (
        '<add sel="f:Patient"><contained><Basic><id value="c"/></Basic></contained></add>',
        changed(contained=[*PATIENT["contained"], {"resourceType": "Basic", "id": "c"}]),
    ),
    "remove a contained resource": (
        "<remove sel=\"f:Patient/f:contained/f:Basic[f:id/@value='b']\"/>",
        changed(contained=[{"resourceType": "Basic"}]),
    ),
    "add nothing that counts": (
        '<add sel="f:Patient" type="namespace::x">urn:x</add>'
        '<add sel="f:Patient"><!-- c --> <?p i?></add>',
        PATIENT,
    ),
    "one after the other": (
        '<remove sel="f:Patient/f:telecom[1]"/><remove sel="f:Patient/f:telecom[1]"/>',
        changed(telecom=None),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_operations(name: str) -> None:
    operations, expected = CASES[name]
    assert same(patched(operations), expected)


def test_a_narrative_can_be_changed() -> None:
    div = '<replace sel="f:Patient/f:text/h:div/h:p/text()">a&lt;b</replace>'
    assert patched(div)["text"]["div"] == (
        '<div xmlns="http://www.w3.org/1999/xhtml"><p>a&lt;b</p><br/></div>'
    )
    new = '<div  xmlns="http://www.w3.org/1999/xhtml" ><b >new</b ></div>'
    assert patched(f'<replace sel="//h:div">{new}</replace>')["text"]["div"] == new


def test_decimals_keep_their_digits() -> None:
    resource = decode(
        b'{"resourceType":"Observation","status":"final","valueQuantity":{"value":1.50},'
        b'"referenceRange":[{"low":{"value":1.0e-3}}]}'
    )
    status = '<replace sel="Observation/status/@value">amended</replace>'
    found = patch(status).apply(resource)
    assert b'"value":1.50' in encode(found)
    assert b'"value":1.0e-3' in encode(found)


@pytest.mark.parametrize(
    "document",
    [
        '<diff xmlns="http://hl7.org/fhir"><remove sel="f:Patient/f:active"/></diff>',
        '<patch xmlns="http://hl7.org/fhir"><remove sel="Patient/active"/></patch>',
        '<diff><remove sel="/Patient/active"/></diff>',
        '<diff xmlns:x="http://hl7.org/fhir"><remove sel="/x:Patient/x:active"/></diff>',
        '<diff><remove xmlns:x="http://hl7.org/fhir" sel="x:Patient/fhir:active"/></diff>',
        '<p:patch xmlns:p="urn:ietf:rfc:7351"><!-- a --><p:remove sel="*/f:active"/></p:patch>',
        '<?xml version="1.0"?>\n<diff xmlns="urn:ietf:params:xml:schema:patch-ops">\n'
        '<remove sel="f:Patient/active"/>\n</diff>\n',
    ],
)
def test_ways_to_write_a_patch(document: str) -> None:
    found = XmlPatch(document.encode(), packaged()).apply(copy.deepcopy(PATIENT))
    assert same(found, changed(active=None))


def test_declared_prefixes_go_before_the_usual_ones() -> None:
    with pytest.raises(Unprocessable):
        patched('<remove sel="f:Patient/f:active"/>', namespaces='xmlns:f="urn:x"')


def test_a_patch_can_be_applied_again() -> None:
    again = patch(f'<add sel="f:Patient">{FAX_XML}</add><remove sel="//f:name[1]/f:family"/>')
    first = again.apply(copy.deepcopy(PATIENT))
    assert same(first, again.apply(copy.deepcopy(PATIENT)))


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        "",
        "x",
        "<diff>",
        '<!DOCTYPE d [<!ENTITY x "y">]><diff/>',
        "<diff/>",
        '<diff xmlns="urn:x"><remove sel="f:a"/></diff>',
        '<delta><remove sel="f:a"/></delta>',
        "<diff>text</diff>",
        "<diff><move sel='f:a'/></diff>",
        "<diff><remove xmlns='urn:x' sel='f:a'/></diff>",
        "<diff><remove/></diff>",
        "<diff><remove sel=''/></diff>",
        "<diff><remove sel='f:a['/></diff>",
        "<diff><remove sel='g:a'/></diff>",
        "<diff><remove sel='f:a' pos='before'/></diff>",
        "<diff><remove sel='f:a' ws='all'/></diff>",
        "<diff><remove sel='f:a' msel='x'/></diff>",
        "<diff><add sel='f:a'/></diff>",
        "<diff><add sel='f:a' pos='last'><b/></add></diff>",
        "<diff><add sel='f:a' type='b'>x</add></diff>",
        "<diff><add sel='f:a' type='@g:b'>x</add></diff>",
        "<diff><add sel='f:a' type='@b'><c/></add></diff>",
        "<diff><add sel='f:a' type='namespace::'>x</add></diff>",
        "<diff><replace sel='f:a' type='@b'>x</replace></diff>",
    ],
)
def test_what_is_no_patch_is_invalid(document: str) -> None:
    with pytest.raises(Invalid):
        XmlPatch(document.encode(), packaged())


@pytest.mark.parametrize(
    "operation",
    [
        '<remove sel="f:Patient/f:gender"/>',
        '<remove sel="f:Patient/f:name"/>',
        '<remove sel="f:patient/f:name[1]"/>',
        '<remove sel="f:Patient"/>',
        '<remove sel="."/>',
        '<remove sel="f:Patient/f:active" ws="both"/>',
        '<add sel="f:Patient/f:name"><family value="x"/></add>',
        '<add sel="f:Patient" pos="before"><Patient/></add>',
        '<add sel="f:Patient/f:active/@value">x</add>',
        '<add sel="f:Patient/f:active/@value" pos="after">x</add>',
        '<add sel="f:Patient/f:active/@value" type="@x">x</add>',
        '<add sel="f:Patient/f:active" type="@value">false</add>',
        '<add sel="//h:p/text()"><b/></add>',
        '<replace sel="f:Patient"><Patient/></replace>',
        '<replace sel="f:Patient/f:gender/@value">female</replace>',
    ],
)
def test_a_patch_that_does_not_fit_is_unprocessable(operation: str) -> None:
    with pytest.raises(Unprocessable) as error:
        patched(f'<add sel="f:Patient"><!-- a --></add>{operation}')
    assert error.value.text.startswith("Operation 1 of the patch: ")


@pytest.mark.parametrize(
    "operation",
    [
        '<replace sel="f:Patient/f:active"/>',
        '<replace sel="f:Patient/f:active">false</replace>',
        '<replace sel="f:Patient/f:active"><active/><active/></replace>',
        '<replace sel="f:Patient/f:active/@value"><x/></replace>',
        '<replace sel="//h:p/text()"><x/></replace>',
    ],
)
def test_content_that_does_not_fit_is_invalid(operation: str) -> None:
    with pytest.raises(Invalid, match="Operation 0 of the patch"):
        patched(operation)


@pytest.mark.parametrize(
    ("operation", "text", "expression"),
    [
        (
            '<add sel="f:Patient"><x value="y"/></add>',
            "'x' is not an element of Patient",
            "Patient",
        ),
        ('<add sel="f:Patient">x</add>', "text is not allowed", "Patient"),
        ('<add sel="f:Patient"><active value="true"/></add>', "only once", "Patient"),
        (
            '<add sel="f:Patient/f:name[2]" type="@x">y</add>',
            "no attribute 'x'",
            "Patient.name[1]",
        ),
        (
            '<add sel="f:Patient/f:contained[1]"><Basic/></add>',
            "a resource can be given",
            "Patient.contained[0]",
        ),
        ('<add sel="f:Patient"><gender xmlns="" value="x"/></add>', "namespace", "Patient"),
    ],
)
def test_what_a_patch_leaves_is_fhir(operation: str, text: str, expression: str | None) -> None:
    with pytest.raises(Unprocessable, match=f"leaves what is no resource: .*{text}") as error:
        patched(operation)
    assert error.value.expression == expression
    assert "Line" not in error.value.text


def test_what_xml_cannot_say_is_not_lost() -> None:
    with pytest.raises(Unprocessable, match="JSON Patch"):
        patch('<remove sel="f:Patient/f:active"/>').apply(changed(gender="\uffff"))
    kept = patch('<remove sel="f:Patient/f:active"/>').apply(changed(gender="\ufffd"))
    assert kept["gender"] == "\ufffd"


def test_patches_are_bounded() -> None:
    with pytest.raises(TooCostly):
        patch((MAX_OPERATIONS + 1) * "<remove sel='f:Patient/f:name[1]'/>")
    many = changed(name=[{"given": ["a"] * 100}] * 20)
    with pytest.raises(TooCostly, match="Operation 0"):
        patch("<remove sel='//*[//*[//*]]'/>").apply(many)


def test_sizes_are_bounded() -> None:
    large = "x" * MAX_SIZE
    with pytest.raises(TooCostly):
        patch(f"<add sel='f:Patient'><gender value='{large}'/></add>")
    with pytest.raises(TooCostly, match="JSON Patch"):
        patch("<remove sel='f:Patient/f:active'/>").apply(changed(gender=large))
    deep = DIV.replace("<br></br>", "<b>" * 300 + "</b>" * 300)
    with pytest.raises(TooCostly, match="JSON Patch"):
        patch("<remove sel='f:Patient/f:active'/>").apply(changed(text={"div": deep}))


def test_a_patch_cannot_nest_without_end() -> None:
    deep = '<extension url="x">' * 90 + "</extension>" * 90
    nested = "//f:extension[not(f:extension)]"
    with pytest.raises(Unprocessable, match="nested over 200"):
        patched(f'<add sel="f:Patient">{deep}</add>' + f'<add sel="{nested}">{deep}</add>' * 5)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    *("f:Patient", "f:Patient/f:name[1]", "//f:name[2]/f:text", "//h:p", "//h:div"),
                    *("//h:p/text()", "f:Patient/f:active/@value", "//@id", "//f:contained[1]"),
                    *("//f:given[2]", "f:Patient/f:contained/f:Basic[1]", "//f:nothing"),
                ]
            ),
            st.sampled_from(
                [
                    *("remove", "replace", "add", 'add pos="before"', 'add pos="after"'),
                    *('add pos="prepend"', 'add type="@value"', 'add type="@id"', 'add type="@x"'),
                    *('add type="namespace::f"', 'add type="@xml:lang"'),
                ]
            ),
            st.sampled_from(
                [
                    *("", "x", " ", "<x/>", '<name id="y"/>', "<!-- c -->", "<text/>", "<?p i?>"),
                    *('<family value="f"/>', DIV, "<contained><Basic/></contained>", "&lt;"),
                ]
            ),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_patch_is_applied_or_refused(operations: list[tuple[str, str, str]]) -> None:
    text = ""
    for sel, operation, content in operations:
        name = operation.partition(" ")[0]
        text += f"<{operation} sel='{sel}'>{content}</{name}>"
    try:
        found = patched(text)
    except FhirError as error:
        assert error.text
        return
    assert same(decode(encode(found)), found)
