"""What is written in XML and read again is the same, to the last digit and byte."""

from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies.resources import resources
from strategies.smallest import smallest

from fhirserver.definitions.packaged import packaged
from fhirserver.model.json import decode, encode
from fhirserver.xml import from_xml, to_xml

FHIR = "{http://hl7.org/fhir}"


def written(value):
    """The JSON with its properties in one order: equal to the last digit."""
    return encode(ordered(value))


def ordered(value):
    if isinstance(value, dict):
        return {name: ordered(value[name]) for name in sorted(value)}
    return [ordered(item) for item in value] if isinstance(value, list) else value


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(resources(packaged()), st.booleans())
def test_any_resource(resource, indent):
    document = to_xml(resource, packaged(), indent=indent)
    assert ElementTree.fromstring(document).tag == FHIR + resource["resourceType"]
    assert written(from_xml(document, packaged())) == written(resource), document.decode()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(resources(packaged()))
def test_any_resource_from_its_stored_bytes(resource):
    stored = decode(encode(resource))
    assert encode(from_xml(to_xml(stored, packaged()), packaged())) == encode(
        from_xml(to_xml(resource, packaged()), packaged())
    )


@pytest.mark.parametrize("type", sorted(packaged().resource_types))
def test_each_type(type):
    resource = smallest(packaged(), type)
    assert written(from_xml(to_xml(resource, packaged()), packaged())) == written(resource)
