"""WADO-URI (PS3.18, 9): an instance or its picture by an address with parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fhirserver.archive.query import Wanted
from fhirserver.dicom.part10 import may_be_uid
from fhirserver.errors import Invalid
from fhirserver.imaging.dicomweb.accept import DICOM
from fhirserver.imaging.dicomweb.asked import Asked
from fhirserver.imaging.dicomweb.route import Route
from fhirserver.interactions.request import Pairs

_UIDS: Final = ("studyUID", "seriesUID", "objectUID")


def uri_request(asked: Asked) -> tuple[Wanted, Asked]:
    """What is wanted, and the same as a request of WADO-RS. Raises `Invalid`.

    Without a content type, what WADO-RS gives for the Accept header, or a JPEG picture.
    """
    given = dict(asked.parameters)
    if given.get("requestType") != "WADO":
        raise Invalid("The parameter 'requestType' is WADO.")
    uids = [given.get(name, "") for name in _UIDS]
    if not all(may_be_uid(uid) for uid in uids):
        raise Invalid("The parameters 'studyUID', 'seriesUID' and 'objectUID' are UIDs.")
    study, series, instance = uids
    content_type = given.get("contentType") or "image/jpeg"
    target = Route("rendered", "instance", study, series, instance, _frames(given))
    parameters = _picture(given)
    if content_type.startswith(DICOM):
        target = target._replace(resource="objects")
        syntax = given.get("transferSyntax") or "*"
        content_type = f"{DICOM}; transfer-syntax={syntax}"
    headers = {**asked.headers, b"accept": content_type.encode("latin-1", "replace")}
    inner = replace(asked, target=target, headers=headers, parameters=parameters)
    return Wanted(study, (series,), (instance,)), inner


def _frames(given: dict[str, str]) -> tuple[int, ...] | None:
    number = given.get("frameNumber")
    if number is None:
        return None
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise Invalid("The parameter 'frameNumber' is a number from 1 on.")
    return (int(number),)


def _picture(given: dict[str, str]) -> Pairs:
    found = []
    if "windowCenter" in given and "windowWidth" in given:
        found.append(("window", f"{given['windowCenter']},{given['windowWidth']},linear"))
    if "rows" in given or "columns" in given:
        width, height = given.get("columns", "8192"), given.get("rows", "8192")
        found.append(("viewport", f"{width},{height}"))
    if "imageQuality" in given:
        found.append(("quality", given["imageQuality"]))
    return tuple(found)
