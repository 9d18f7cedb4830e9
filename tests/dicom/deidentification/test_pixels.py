"""Pixels that may tell who it is are refused."""

from __future__ import annotations

from typing import Any

import pytest
from dicom.mapping.data_sets import element, header

from fhirserver.dicom.deidentification.pixels import refuse
from fhirserver.errors import Unprocessable


@pytest.mark.parametrize(
    "more",
    [
        {"t00280301": element("CS", "YES")},
        {"t00280301": element("CS", "NO"), "t00280302": element("CS", "YES")},
        {"t00080060": element("CS", "US")},
        {"t00420011": {"vr": "OB", "BulkDataURI": "bulkdata/00420011"}},
    ],
)
def test_pixels_that_may_tell_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(Unprocessable):
        refuse(header(**more))


def test_a_slice_is_taken() -> None:
    refuse(header())
    refuse(header(t00080060=element("CS", "US"), t00280301=element("CS", "NO")))


def test_pixels_that_do_not_say_are_taken_by_word() -> None:
    refuse(header(t00080060=element("CS", "US")), unknown=True)
    with pytest.raises(Unprocessable):
        refuse(header(t00280301=element("CS", "YES")), unknown=True)
