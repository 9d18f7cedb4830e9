"""Which links of a transaction are replaced: https://hl7.org/fhir/R4/http.html#trules."""

import copy
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import Invalid
from fhirserver.interactions.links import Linked, Links
from fhirserver.interactions.same import same
from fhirserver.model.json import Json, Resource
from fhirserver.store.port import Key

BASE = "http://here.org/fhir"
THERE = "http://there.org/fhir"
P, O = "urn:uuid:p", "urn:oid:1.2"  # noqa: E741
TARGETS = {
    P: Linked("Patient", "1", 3),
    O: Linked("Organization", "2", 1),
    f"{THERE}/Patient/x": Linked("Patient", "4", 1),
    f"{BASE}/Group/g": Linked("Group", "5", 2),
    "Device/sent": Linked("Device", "6", 1),
}


def links(**conditional: Key) -> Links:
    return Links(packaged(), BASE, TARGETS, conditional)


def rewritten(resource: Json, full_url: str | None = None) -> Json:
    return links().rewrite(resource, full_url).resource


def reference(text: str, full_url: str | None = None) -> str:
    """What becomes of a reference."""
    resource = {"resourceType": "Basic", "subject": {"reference": text}}
    found: str = rewritten(resource, full_url)["subject"]["reference"]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (P, "Patient/1"),
        (f"{P}#part", "Patient/1#part"),
        (f"{P}/_history/9", "Patient/1/_history/3"),
        (f"{P}/_history/9#part", "Patient/1/_history/3#part"),
        (f"{THERE}/Patient/x", "Patient/4"),
        (f"{THERE}/Patient/x/_history/7", "Patient/4/_history/1"),
        ("Group/g", "Group/5"),
        ("Device/sent", "Device/6"),
        ("#p", "#p"),
        ("#", "#"),
        ("", ""),
        ("Patient/x", "Patient/x"),
        (f"{THERE}/Patient/y", f"{THERE}/Patient/y"),
        (P.upper(), P.upper()),
        (f"x{P}", f"x{P}"),
    ],
)
def test_a_reference(text: str, expected: str) -> None:
    assert reference(text) == expected


@pytest.mark.parametrize("text", ["urn:uuid:other", f"{P}x"])
def test_a_reference_to_an_entry_that_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=text):
        reference(text)


def test_a_relative_reference_is_below_the_server_of_its_own_entry() -> None:
    there = f"{THERE}/Observation/o"
    assert reference("Patient/x", there) == "Patient/4"
    assert reference("Patient/x/_history/2", there) == "Patient/4/_history/1"
    assert reference("Patient/x#part", there) == "Patient/4#part"
    assert reference("Patient/x", P) == "Patient/x"
    assert reference("Patient/x", "http://elsewhere.org/fhir/Observation/o") == "Patient/x"


def test_elements_of_the_types_of_addresses_are_replaced_and_no_others() -> None:
    resource = {
        "resourceType": "Questionnaire",
        "url": O,
        "title": P,
        "derivedFrom": [P],
        "meta": {"source": P, "profile": [P]},
        "extension": [
            {"url": "http://x", "valueUri": P},
            {"url": "http://x", "valueUrl": P},
            {"url": "http://x", "valueOid": O},
            {"url": "http://x", "valueUuid": P},
            {"url": "http://x", "valueCanonical": P},
            {"url": "http://x", "valueString": P},
            {"url": "http://x", "valueAttachment": {"url": f"{P}#page"}},
            {"url": "http://x", "valueIdentifier": {"system": O, "value": P}},
        ],
    }
    found = rewritten(resource)
    assert found["url"] == "Organization/2"
    assert found["title"] == P
    assert found["derivedFrom"] == [P]
    assert found["meta"] == {"source": "Patient/1", "profile": [P]}
    values = [
        next(value for name, value in item.items() if name != "url") for item in found["extension"]
    ]
    assert values == [
        "Patient/1",
        "Patient/1",
        "Organization/2",
        "Patient/1",
        P,
        P,
        {"url": "Patient/1#page"},
        {"system": "Organization/2", "value": P},
    ]


def test_lists_of_addresses_and_contained_resources_are_replaced() -> None:
    resource = {
        "resourceType": "ActivityDefinition",
        "contained": [{"resourceType": "Basic", "id": "b", "subject": {"reference": P}}],
        "relatedArtifact": [{"type": "citation", "url": P, "resource": P}],
    }
    found = rewritten(resource)
    assert found["contained"][0]["subject"] == {"reference": "Patient/1"}
    assert found["relatedArtifact"] == [{"type": "citation", "url": "Patient/1", "resource": P}]
    communication = {"resourceType": "Communication", "instantiatesUri": [P, "x"]}
    assert rewritten(communication)["instantiatesUri"] == ["Patient/1", "x"]


def test_resources_within_resources_are_replaced() -> None:
    inside = {"resourceType": "Basic", "subject": {"reference": P}, "id": P}
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "x", "resource": inside}]}
    assert rewritten(parameters)["parameter"][0]["resource"]["subject"] == {
        "reference": "Patient/1"
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f'<a href="{P}">{P}</a>', f'<a href="Patient/1">{P}</a>'),
        (f"<img alt='x' src='{O}'/>", "<img alt='x' src=\"Organization/2\"/>"),
        (f'<A HREF = "{P}#x">', '<A HREF = "Patient/1#x">'),
        (f'<a href="{P}"/><a href="{O}"/>', '<a href="Patient/1"/><a href="Organization/2"/>'),
        (f'<a title="{P}">', f'<a title="{P}">'),
        (f'<b href="{P}">', f'<b href="{P}">'),
        (f'<a href="x{P}">', f'<a href="x{P}">'),
        (f'<p>href="{P}"</p>', f'<p>href="{P}"</p>'),
        ('<a href="#here">', '<a href="#here">'),
    ],
)
def test_narratives(before: str, after: str) -> None:
    resource = {
        "resourceType": "Basic",
        "text": {"status": "generated", "div": f"<div>{before}</div>"},
    }
    assert rewritten(resource)["text"]["div"] == f"<div>{after}</div>"


def test_addresses_in_narratives_are_escaped() -> None:
    odd = Links(packaged(), BASE, {"http://x?a&b": Linked("Basic", "1", 1)}, {})
    text = {"status": "generated", "div": '<div><a href="http://x?a&amp;b"/></div>'}
    found = odd.rewrite({"resourceType": "Basic", "text": text}, None).resource
    assert found["text"]["div"] == '<div><a href="Basic/1"/></div>'


def test_a_hostile_narrative_takes_no_time() -> None:
    for piece in ("<a ", "<a href=", '<a href="', "<a href='x", "<img src"):
        text = {"status": "generated", "div": piece * 100_000}
        rewritten({"resourceType": "Basic", "text": text})


def test_conditional_references_are_told_until_they_are_known() -> None:
    resource = {"resourceType": "Basic", "subject": {"reference": "Patient?name=a"}}
    open_ = links().rewrite(resource, None)
    assert open_.conditions == {"Patient?name=a"}
    assert open_.resource is resource
    known = Links(packaged(), BASE, TARGETS, {"Patient?name=a": Key("Patient", "7")})
    closed = known.rewrite(resource, None)
    assert closed.conditions == frozenset()
    assert closed.resource["subject"] == {"reference": "Patient/7"}


def test_a_link_to_a_version_is_told() -> None:
    def versioned(text: str) -> bool:
        resource = {"resourceType": "Basic", "subject": {"reference": text}}
        return links().rewrite(resource, None).versioned

    assert versioned(f"{P}/_history/1")
    assert not versioned(P)
    assert not versioned("Patient/9/_history/1")


def test_what_does_not_change_is_the_same_object() -> None:
    resource = {
        "resourceType": "Patient",
        "name": [{"family": "A"}],
        "link": [{"other": {"reference": P}}],
        "managingOrganization": {"reference": "Organization/9"},
    }
    assert rewritten(resource)["name"] is resource["name"]
    plain = {"resourceType": "Patient", "name": [{"family": "A"}]}
    assert rewritten(plain) is plain


# --- any resource ---------------------------------------------------------------------------------

PLACES = st.sampled_from(
    [
        lambda url: {"subject": {"reference": url}},
        lambda url: {"author": {"reference": url, "display": "x"}},
        lambda url: {"meta": {"source": url}},
        lambda url: {"extension": [{"url": "http://x", "valueReference": {"reference": url}}]},
        lambda url: {"extension": [{"url": "http://x", "valueUri": url}]},
        lambda url: {"contained": [{"resourceType": "Basic", "subject": {"reference": url}}]},
        lambda url: {"text": {"status": "generated", "div": f'<div><a href="{url}">x</a></div>'}},
        lambda url: {"identifier": [{"system": url}]},
    ]
)


@st.composite
def linked_resources(draw: st.DrawFn) -> tuple[Resource, list[str]]:
    """A Basic with links, and the full URLs that they name."""
    resource: Resource = {"resourceType": "Basic", "code": {"text": "x"}}
    urls = draw(st.lists(st.sampled_from([f"urn:uuid:{letter}" for letter in "abcd"]), max_size=6))
    for url in urls:
        suffix = draw(st.sampled_from(["", "#f", "/_history/1"]))
        resource |= draw(PLACES)(url + suffix)
    return resource, urls


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


@given(linked_resources())
def test_no_link_to_an_entry_is_left(made: tuple[Resource, list[str]]) -> None:
    resource, urls = made
    before = copy.deepcopy(resource)
    targets = {url: Linked("Patient", str(number), 1) for number, url in enumerate(urls)}
    found = Links(packaged(), BASE, targets, {}).rewrite(resource, None).resource
    assert not any("urn:uuid:" in text for text in _texts(found))
    assert same(resource, before)  # the sent resource itself is not changed
    again = Links(packaged(), BASE, targets, {}).rewrite(found, None).resource
    assert again is found


@given(linked_resources())
def test_without_entries_a_bundle_is_left(made: tuple[Resource, list[str]]) -> None:
    resource = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": made[0]}]}
    assert Links(packaged(), BASE, {}, {}).rewrite(resource, None).resource is resource
