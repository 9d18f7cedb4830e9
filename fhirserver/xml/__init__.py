"""The XML form of resources (https://hl7.org/fhir/R4/xml.html), equal to the JSON form.

Inside the server a resource is a JSON value; `from_xml` and `to_xml` translate at its edges.
"""

from __future__ import annotations

from fhirserver.xml.reader import from_xml
from fhirserver.xml.writer import to_xml

__all__ = ["from_xml", "to_xml"]
