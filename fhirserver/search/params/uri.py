"""URI parameters: canonical URLs, sources, profiles.

https://hl7.org/fhir/R4/search.html#uri. A canonical URL with a version is also found by the
URL alone. `:above` and `:below` compare whole path segments, so they never apply to URNs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhirserver.search.entry import Uri
from fhirserver.search.escape import unescape
from fhirserver.search.expression import UriIs, UriMode
from fhirserver.search.parameter import Convert, Knowledge, Lower, Parameter, ParameterType, Values


def _uri(value: Any) -> Iterable[Uri]:
    return (Uri(value),) if isinstance(value, str) and value else ()


def _canonical(value: Any) -> Iterable[Uri]:
    if not isinstance(value, str) or not value:
        return ()
    url, bar, _ = value.partition("|")
    return (Uri(url), Uri(value)) if bar and url else (Uri(value),)


_CONVERT: dict[str, Convert] = {
    "uri": _uri,
    "url": _uri,
    "oid": _uri,
    "uuid": _uri,
    "string": _uri,
    "canonical": _canonical,
}


def _in_mode(mode: UriMode) -> Lower:
    def lower(parameter: Parameter, _: str, values: Values, __: Knowledge) -> UriIs:
        return UriIs(parameter.code, mode, tuple(map(unescape, values)))

    return lower


URI = ParameterType(
    convert=_CONVERT,
    modifiers={
        "": _in_mode(UriMode.EQUALS),
        "below": _in_mode(UriMode.BELOW),
        "above": _in_mode(UriMode.ABOVE),
    },
)
