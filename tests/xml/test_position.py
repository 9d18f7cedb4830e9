"""Lines and columns of XML, by the ways of the JSON."""

from __future__ import annotations

import pytest

from fhirserver.model.json_position import Position, Steps
from fhirserver.xml.position import xml_positions

TEXT = b"""<?xml version="1.0"?>
<Patient xmlns="http://hl7.org/fhir">
  <text><div xmlns="http://www.w3.org/1999/xhtml"><p>a</p></div></text>
  <contained><Organization><id value="o"/><name value="O"/></Organization></contained>
  <name><given value="Anne"/><given value="Bea"><extension url="http://e"/></given></name>
  <name><family value="F"/></name>
</Patient>"""


@pytest.mark.parametrize(
    ("way", "position"),
    [
        ((), (2, 1)),
        (("text", "div"), (3, 9)),
        (("contained", 0, "name"), (4, 43)),
        (("name", 0, "given", 1), (5, 30)),
        (("name", 0, "_given", 1, "extension", 0, "url"), (5, 49)),
        (("name", 1, "family"), (6, 9)),
        (("name",), (5, 3)),
        (("birthDate",), (2, 1)),
    ],
)
def test_positions(way: Steps, position: tuple[int, int]) -> None:
    assert xml_positions(TEXT, [way]) == {way: Position(*position)}
