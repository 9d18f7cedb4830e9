from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions.packaged import packaged
from fhirserver.model.json import decode
from fhirserver.xml import from_xml, to_xml
from fhirserver.xml.shape import shapes_of

XHTML = "http://www.w3.org/1999/xhtml"


def write(resource, **options):
    return to_xml(resource, packaged(), **options).decode()


def contents(**elements):
    """What is between the tags of a Patient."""
    text = write({"resourceType": "Patient"} | elements)
    head = '<?xml version="1.0" encoding="UTF-8"?><Patient xmlns="http://hl7.org/fhir"'
    assert text.startswith(head)
    ElementTree.fromstring(text)
    return text.removeprefix(head).removeprefix(">").removesuffix("</Patient>")


def test_elements_come_in_the_order_of_the_definitions():
    resource = decode(b'{"birthDate":"2020","name":[{"given":["b"],"family":"a"}],"id":"x"}')
    assert contents(**resource) == (
        '<id value="x"/><name><family value="a"/><given value="b"/></name><birthDate value="2020"/>'
    )


def test_inherited_elements_come_first():
    extension = [{"valueString": "s", "url": "u", "id": "i"}]
    assert contents(active=True, extension=extension, language="hu") == (
        '<language value="hu"/><extension id="i" url="u"><valueString value="s"/></extension>'
        '<active value="true"/>'
    )


def test_a_resource_with_nothing_in_it():
    assert contents() == "/>"


def test_numbers_and_booleans():
    text = '{"resourceType":"Observation","valueQuantity":{"value":%s}}'
    for number in ("1.50", "1E+3", "1.0e-3", "-0", "12345678901234567890.10", "0"):
        value = "0" if number == "-0" else number
        assert f'<value value="{value}"/>' in write(decode((text % number).encode()))
    assert contents(multipleBirthInteger=-3, active=False) == (
        '<active value="false"/><multipleBirthInteger value="-3"/>'
    )


def test_primitives_with_extensions():
    extra = {"id": "i", "extension": [{"url": "u"}]}
    assert contents(birthDate="2020", _birthDate=extra) == (
        '<birthDate id="i" value="2020"><extension url="u"/></birthDate>'
    )
    assert contents(_birthDate={"id": "i"}) == '<birthDate id="i"/>'
    assert contents(name=[{"given": ["a", None, "c"], "_given": [None, {"id": "b"}]}]) == (
        '<name><given value="a"/><given id="b"/><given value="c"/></name>'
    )
    assert contents(name=[{"_given": [None, {"id": "b"}]}]) == '<name><given id="b"/></name>'


def test_white_space_in_values_survives():
    assert contents(gender="a\n\t\r b") == '<gender value="a&#10;&#9;&#13; b"/>'


def test_what_xml_does_not_have_is_replaced():
    assert contents(gender="a\x00\x0b\uffff") == '<gender value="a\ufffd\ufffd\ufffd"/>'


def test_indented():
    div = f'<div xmlns="{XHTML}"><p>a</p>\n</div>'
    resource = {
        "resourceType": "Patient",
        "text": {"status": "empty", "div": div},
        "contained": [{"resourceType": "Basic", "id": "b"}],
        "name": [{"given": ["a"], "_given": [{"extension": [{"url": "u"}]}]}],
    }
    assert write(resource, indent=True) == (
        f"""<?xml version="1.0" encoding="UTF-8"?>
<Patient xmlns="http://hl7.org/fhir">
  <text>
    <status value="empty"/>
    {div}
  </text>
  <contained>
    <Basic>
      <id value="b"/>
    </Basic>
  </contained>
  <name>
    <given value="a">
      <extension url="u"/>
    </given>
  </name>
</Patient>"""
    )


# --- what validation would refuse -----------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "written"),
    [
        ({"x": "a", "gender": "b"}, '<gender value="b"/><x value="a"/>'),
        ({"x": {"y": [1, {"z": True}]}}, '<x><y value="1"/><y><z value="true"/></y></x>'),
        ({"x": None, "y": [], "z": {}}, "<z/>"),
        ({"": 1, "a b": 1, "<x>": 1, "1a": 1, "é": 1, "a:b": 1}, ""),
        ({"x": {"resourceType": "Basic", "id": "b"}}, '<x><Basic><id value="b"/></Basic></x>'),
        ({"gender": {"a": 1}}, '<gender><a value="1"/></gender>'),
        ({"gender": ["a", "b"]}, '<gender value="a"/><gender value="b"/>'),
        ({"name": "a"}, '<name value="a"/>'),
        ({"name": {"family": "a"}}, '<name><family value="a"/></name>'),
        (
            {"name": [[{"family": ["a", ["b"]]}]]},
            '<name><family value="a"/><family value="b"/></name>',
        ),
        ({"gender": None, "_gender": "a"}, ""),
        ({"gender": "a", "_gender": ["a", {"id": "b"}]}, '<gender value="a"/><gender id="b"/>'),
        ({"_name": {"id": "x"}}, '<_name><id value="x"/></_name>'),
        (
            {"contained": [{"resourceType": "X-1", "id": "a"}]},
            '<contained><X-1><id value="a"/></X-1></contained>',
        ),
        ({"contained": [{"resourceType": "<", "id": "a"}]}, "<contained></contained>"),
        (
            {"contained": [{"id": "a"}, "b", None]},
            '<contained><id value="a"/></contained><contained value="b"/>',
        ),
        ({"name": [{"id": 5}]}, '<name id="5"/>'),
        ({"extension": [{"url": {"a": "b"}}]}, "<extension url=\"{'a': 'b'}\"/>"),
        ({"text": {"div": 5}}, '<text><div value="5"/></text>'),
        ({"text": {"div": ""}}, f'<text><div xmlns="{XHTML}"></div></text>'),
        ({"fhir_comments": ["a"]}, '<fhir_comments value="a"/>'),
    ],
)
def test_whatever_is_stored_is_shown(elements, written):
    assert contents(**elements) == written


NAMES = st.sampled_from(
    [
        *("id", "_id", "url", "value", "name", "_name", "given", "_given", "text", "div", "_div"),
        *("contained", "resource", "resourceType", "extension", "valueString", "_valueString"),
        *("", "<", "a b", "x", "_", "__x", "_active", "active", "xmlns", "deceasedBoolean"),
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=4)
    | st.sampled_from(["Patient", "Basic", "<div>", "&nbsp;", "<div xmlns='x'/>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, JSON), st.booleans())
def test_any_object_makes_a_document(content, indent):
    document = to_xml(content | {"resourceType": "Patient"}, packaged(), indent=indent)
    assert ElementTree.fromstring(document).tag == "{http://hl7.org/fhir}Patient"


def test_as_deep_as_json_may_be():
    extension = {"url": "x"}
    for _ in range(98):
        extension = {"url": "x", "extension": [extension]}
    deep = {"resourceType": "Patient", "extension": [extension]}
    assert from_xml(to_xml(deep, packaged(), indent=True), packaged()) == deep
    unknown = {"x": 1}
    for _ in range(198):
        unknown = {"x": unknown}
    assert contents(x=unknown).count("<x>") == 199


def test_paths_that_are_none_are_not_kept():
    before = len(shapes_of(packaged()))
    for number in range(100):
        contents(contained=[{"resourceType": f"X{number}"}])
    assert len(shapes_of(packaged())) == before
