"""Profiles: what is said of those that a caller wants a resource to be held against.

https://hl7.org/fhir/R4/profiling.html. Only the definition of the resource's own type is
checked so far. A profile is never passed over in silence: the caller is told that it was
not checked, so that no finding is not taken for conformance.
"""

from __future__ import annotations

from collections.abc import Iterable

from fhirserver.definitions.registry import Definitions
from fhirserver.model.outcome import Issue


def unchecked(profiles: Iterable[str], type: str, definitions: Definitions) -> list[Issue]:
    """One warning per profile, except the one that is the resource's type itself."""
    own = definitions.structure(type)
    return [
        Issue("warning", "not-supported", type, f"The profile '{url}' was not checked.")
        for url in profiles
        if own is None or url.partition("|")[0] != own.url
    ]
