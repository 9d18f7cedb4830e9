"""The matching rules of PS3.4 C.2.2.2, as conditions and as a pure function on DICOM JSON.

A `Key` is an attribute with its condition. `key` reads one from the text of C-FIND or QIDO-RS;
`matches` says whether a data set (a DICOM JSON object, PS3.18 F.2) has what all keys ask for. The
archive finds by indexes what this function would.
"""

from fhirserver.dicom.matching.condition import (
    AnyOf,
    Condition,
    Exactly,
    Item,
    Key,
    Person,
    Range,
    Wildcard,
)
from fhirserver.dicom.matching.match import DataSet, matches
from fhirserver.dicom.matching.reading import key, sequence_key

__all__ = [
    "AnyOf",
    "Condition",
    "DataSet",
    "Exactly",
    "Item",
    "Key",
    "Person",
    "Range",
    "Wildcard",
    "key",
    "matches",
    "sequence_key",
]
