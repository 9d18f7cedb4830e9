"""Addresses of https://hl7.org/fhir/R4/http.html#summary, and what is none."""

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError, Invalid, MethodNotAllowed, NotFound
from fhirserver.interactions.dispatch import INTERACTIONS
from fhirserver.interactions.route import BUNDLE, Route, bundle_interaction, route
from fhirserver.model.json import Json

ADDRESSES = [
    ("GET", "Patient/1", Route("read", "Patient", "1")),
    ("HEAD", "Patient/1", Route("read", "Patient", "1")),
    ("GET", "/Patient/1/", Route("read", "Patient", "1")),
    ("GET", "Patient/1/_history/2", Route("vread", "Patient", "1", "2")),
    ("PUT", "Patient/1", Route("update", "Patient", "1")),
    ("PATCH", "Patient/1", Route("patch", "Patient", "1")),
    ("DELETE", "Patient/1", Route("delete", "Patient", "1")),
    ("GET", "Patient/1/_history", Route("history-instance", "Patient", "1")),
    ("GET", "Patient/_history", Route("history-type", "Patient")),
    ("GET", "Patient/__explain", Route("explain", "Patient")),
    ("GET", "_history", Route("history-system")),
    ("POST", "Patient", Route("create", "Patient")),
    ("PUT", "Patient", Route("conditional-update", "Patient")),
    ("PATCH", "Patient", Route("conditional-patch", "Patient")),
    ("DELETE", "Patient", Route("conditional-delete", "Patient")),
    ("GET", "Patient", Route("search-type", "Patient")),
    ("POST", "Patient/_search", Route("search-type", "Patient")),
    ("GET", "", Route("search-system")),
    ("POST", "_search", Route("search-system")),
    (
        "GET",
        "Patient/1/Observation",
        Route("search-compartment", "Observation", compartment=("Patient", "1")),
    ),
    ("GET", "Patient/1/*", Route("search-compartment", compartment=("Patient", "1"))),
    ("POST", "Patient/1/_search", Route("search-compartment", compartment=("Patient", "1"))),
    (
        "POST",
        "Patient/1/Observation/_search",
        Route("search-compartment", "Observation", compartment=("Patient", "1")),
    ),
    ("POST", "", Route(BUNDLE)),
    ("GET", "metadata", Route("capabilities")),
    ("GET", "__async-status/1", Route("async-status", id="1")),
    ("DELETE", "__async-status/1", Route("async-cancel", id="1")),
]


@pytest.mark.parametrize(("method", "path", "expected"), ADDRESSES)
def test_an_address_means_an_interaction(method: str, path: str, expected: Route) -> None:
    assert route(method, path, packaged()) == expected


def test_every_interaction_of_the_gate_has_an_address() -> None:
    reached = {expected.interaction for _, _, expected in ADDRESSES} - {BUNDLE}
    assert reached | {"batch", "transaction"} == set(INTERACTIONS)


@pytest.mark.parametrize(
    "path",
    [
        "Nothing",
        "Nothing/1",
        "patient/1",
        "Resource/1",
        "DomainResource",
        "Patient/1/Nothing",
        "Patient/1/_history/2/3",
        "Patient/1/Observation/2",
        "Observation/1/Patient",
        "Patient/$nonsense",
        "Patient/1/$lastn",
        "$export",
        "nothing/at/all",
    ],
)
def test_an_address_that_is_none_of_ours_is_not_found(path: str) -> None:
    with pytest.raises(NotFound) as error:
        route("GET", path, packaged())
    assert error.value.issues[0].code == "not-supported"


@pytest.mark.parametrize(
    "path", ["Patient/a_b", "Patient/" + "a" * 65, "Patient/é", "Patient/a b/_history"]
)
def test_an_id_that_cannot_be_one_is_invalid(path: str) -> None:
    with pytest.raises(Invalid):
        route("GET", path, packaged())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "Patient/1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("DELETE", "Patient/1/_history", "GET, HEAD"),
        ("DELETE", "", "GET, HEAD, POST"),
        ("GET", "Patient/_search", "POST"),
        ("POST", "metadata", "GET, HEAD"),
        ("PUT", "Patient/1/Observation", "GET, HEAD"),
        ("OPTIONS", "Patient", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("HEAD", "_search", "POST"),
    ],
)
def test_another_method_is_told_which_ones_are_allowed(
    method: str, path: str, allowed: str
) -> None:
    with pytest.raises(MethodNotAllowed) as error:
        route(method, path, packaged())
    assert error.value.headers == {"Allow": allowed}


def test_the_type_of_a_bundle_says_what_becomes_of_it() -> None:
    assert bundle_interaction({"resourceType": "Bundle", "type": "batch"}) == "batch"
    assert bundle_interaction({"resourceType": "Bundle", "type": "transaction"}) == "transaction"


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "x",
        {},
        {"resourceType": "Patient"},
        {"resourceType": "Bundle", "type": "searchset"},
    ],
)
def test_other_bodies_are_not_for_the_service_base(body: Json) -> None:
    with pytest.raises(FhirError):
        bundle_interaction(body)
