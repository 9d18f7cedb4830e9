"""Resources of any type with any of its elements, as FHIR's JSON allows them to look.

Values are awkward ones of their types; they need not mean anything.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from fhirserver.definitions.element import Child
from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Json, Resource, decode

_XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
TEXTS = st.sampled_from(
    [
        *("a", " ", "  a  ", "a\nb", "\r\n", "\t", "\r", "<", "&", "&amp;", "]]>", "-->", '"', "'"),
        *(
            "á",
            "中",
            "\U0001f600",
            "e\u0301",
            "\x7f",
            "\x85",
            "\u2028",
            "\ufeff",
            "\ufffd",
            "a" * 99,
        ),
    ]
) | st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1
)
NUMBERS = st.sampled_from(
    ["0", "1.50", "-0.0", "0.0000001", "1e-7", "1E+3", "-1.0e2", "9" * 26, "0." + "0" * 20 + "1"]
).map(lambda text: decode(f"[{text}]".encode())[0]) | st.decimals(
    allow_nan=False, allow_infinity=False
).map(
    lambda number: decode(f"[{number:f}]".encode())[0] if abs(number) < 10**30 else Decimal("1.5")
)
INTEGERS = st.integers(-(2**31), 2**31 - 1)
DIVS = st.sampled_from(
    [
        f"<div {_XHTML}/>",
        f"<div {_XHTML}>a &amp; b &#160; \r\n<p >x</p><br/><!-- c --></div>",
        f"<div\n{_XHTML} class='a>b' >á<x:y xmlns:x=\"urn:x\" x:z='1'/></div >",
        f"<div {_XHTML}><![CDATA[<p>]]></div>",
    ]
)
_VALUES: dict[str, st.SearchStrategy[Json]] = {
    "boolean": st.booleans(),
    "decimal": NUMBERS,
    "integer": INTEGERS,
    "positiveInt": INTEGERS,
    "unsignedInt": INTEGERS,
    "xhtml": DIVS,
}


@st.composite
def resources(draw: st.DrawFn, definitions: Definitions, levels: int = 3) -> Resource:
    """A resource of any type; objects in it are as deep as `levels`."""
    type = draw(st.sampled_from(sorted(definitions.resource_types)))
    return {"resourceType": type} | draw(_objects(definitions, type, levels, least=0))


@st.composite
def _objects(
    draw: st.DrawFn, definitions: Definitions, path: str, levels: int, *, least: int = 1
) -> Resource:
    children = definitions.children(path)
    names = [
        name
        for name, child in children.items()
        if levels > 0 or definitions.types[child.type].kind == "primitive-type"
    ]
    out: Resource = {}
    for name in draw(st.lists(st.sampled_from(names), min_size=least, max_size=4, unique=True)):
        child = children[name]
        header = definitions.types.get(child.type)
        if header is not None and header.kind == "primitive-type":
            is_attribute = name == "url" or (name == "id" and child.type == "string")
            _put_primitive(draw, definitions, out, child, name, levels, plain=is_attribute)
        else:
            inner = _complex(definitions, child, levels - 1)
            out[name] = draw(inner if child.element.max == 1 else _few(inner))
    return out or {"id": "a"}


def _complex(definitions: Definitions, child: Child, levels: int) -> st.SearchStrategy[Json]:
    if child.type == "Resource":
        return resources(definitions, levels)
    return _objects(definitions, child.path, levels)


def _few(one: st.SearchStrategy[Json]) -> st.SearchStrategy[list[Json]]:
    return st.lists(one, min_size=1, max_size=3)


def _put_primitive(
    draw: st.DrawFn,
    definitions: Definitions,
    out: Resource,
    child: Child,
    name: str,
    levels: int,
    *,
    plain: bool,
) -> None:
    value = _VALUES.get(child.type, TEXTS)
    if plain or child.type == "xhtml" or levels <= 0:
        out[name] = draw(value if child.element.max == 1 else _few(value))
        return
    extra = _objects(definitions, "Element", levels - 1)
    both = st.tuples(value, st.none()) | st.tuples(value, extra) | st.tuples(st.none(), extra)
    if child.element.max == 1:
        values, extras = draw(both)
        given = {name: values, f"_{name}": extras}
    else:
        slots = draw(_few(both))
        given = {
            key: None if all(item is None for item in items) else items
            for key, items in (
                (name, [slot[0] for slot in slots]),
                (f"_{name}", [slot[1] for slot in slots]),
            )
        }
    out.update((key, item) for key, item in given.items() if item is not None)
