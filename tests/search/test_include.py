"""What `_include` and `_revinclude` ask for."""

from __future__ import annotations

from fhirserver.definitions.registry import Definitions
from fhirserver.search.expression import (
    And,
    Or,
    Query,
    ReferenceIs,
    Target,
    TokenIs,
    TokenValue,
    UriIs,
    UriMode,
)
from fhirserver.search.include import Wanted, canonical_query, included, including_query
from fhirserver.search.index import Indexer
from fhirserver.search.request import ANY, Include

BASE = "http://here/fhir"
OBSERVATION = {
    "resourceType": "Observation",
    "id": "o",
    "subject": {"reference": f"{BASE}/Patient/p"},
    "performer": [
        {"reference": "Practitioner/d"},
        {"reference": "Practitioner/e/_history/3"},
        {"reference": "Organization/g"},
        {"reference": "http://there/fhir/Practitioner/x"},
        {"reference": "#c"},
        {"reference": "urn:uuid:1"},
        {"display": "somebody"},
    ],
}
ANSWERS = {
    "resourceType": "QuestionnaireResponse",
    "id": "r",
    "questionnaire": "http://a/Questionnaire/q|1.0",
    "subject": {"reference": "Patient/p"},
}


def test_the_targets_of_a_parameter(indexer: Indexer) -> None:
    wanted = included(Include("Observation", "performer"), [OBSERVATION], indexer, BASE)
    assert wanted.keys == (("Practitioner", "d"), ("Organization", "g"))
    assert wanted.versions == (("Practitioner", "e", 3),)
    assert wanted.canonicals == ("http://there/fhir/Practitioner/x",)


def test_the_targets_of_one_type(indexer: Indexer) -> None:
    only = Include("Observation", "performer", "Organization")
    assert included(only, [OBSERVATION], indexer, BASE).keys == (("Organization", "g"),)


def test_the_targets_of_all_parameters(indexer: Indexer) -> None:
    resources = [OBSERVATION, ANSWERS]
    of_one = included(Include("Observation", ANY), resources, indexer, BASE)
    assert set(of_one.keys) == {("Patient", "p"), ("Practitioner", "d"), ("Organization", "g")}
    every = included(Include(ANY, ANY), resources, indexer, BASE)
    assert set(every.keys) == set(of_one.keys)
    assert "http://a/Questionnaire/q|1.0" in every.canonicals


def test_resources_of_other_types_ask_for_nothing(indexer: Indexer) -> None:
    assert included(Include("Encounter", "subject"), [OBSERVATION], indexer) == Wanted((), (), ())


def test_canonical_urls_are_searched_for(definitions: Definitions, indexer: Indexer) -> None:
    include = Include("QuestionnaireResponse", "questionnaire", "Questionnaire")
    wanted = included(include, [ANSWERS], indexer, BASE)
    query = canonical_query(definitions, include, wanted.canonicals, 10)
    exact = UriIs("url", UriMode.EQUALS, ("http://a/Questionnaire/q",))
    version = TokenIs("version", (TokenValue(None, "1.0"),))
    assert query == Query(("Questionnaire",), Or((exact, And((exact, version)))), count=10)


def test_types_without_a_canonical_url_are_not_searched(definitions: Definitions) -> None:
    include = Include("Observation", "subject", "Patient")
    assert canonical_query(definitions, include, ("http://a",), 10) is None
    assert canonical_query(definitions, Include(ANY, ANY), (), 10) is None


def test_who_refers_to_the_resources() -> None:
    include = Include("Provenance", "target", reverse=True)
    assert including_query(include, [OBSERVATION, ANSWERS], 5) == Query(
        ("Provenance",),
        ReferenceIs("target", (Target("Observation", "o"), Target("QuestionnaireResponse", "r"))),
        count=5,
    )


def test_who_refers_to_resources_of_one_type() -> None:
    include = Include("Provenance", ANY, "Observation", reverse=True)
    query = including_query(include, [OBSERVATION, ANSWERS], 5)
    assert query is not None
    assert query.where == ReferenceIs(None, (Target("Observation", "o"),))
    assert including_query(include, [ANSWERS], 5) is None


def test_a_canonical_resource_is_also_referred_to_by_its_url() -> None:
    questionnaire = {
        "resourceType": "Questionnaire",
        "id": "q",
        "url": "http://a/Questionnaire/q",
        "version": "1.0",
    }
    query = including_query(Include(ANY, ANY, reverse=True), [questionnaire], 5)
    assert query is not None
    assert query.types == ()
    assert query.where == ReferenceIs(
        None,
        (
            Target("Questionnaire", "q"),
            Target("", "http://a/Questionnaire/q"),
            Target("", "http://a/Questionnaire/q|1.0"),
        ),
    )
