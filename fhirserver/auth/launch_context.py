"""What an EHR may say about a launch, checked (SMART App Launch 2.2, "Launch context").

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#fhir-context.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from fhirserver.auth.client import Client
from fhirserver.errors import Invalid

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_REFERENCE = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9.-]{1,64})", re.ASCII)
_TOP: Final = ("Patient", "Encounter")
_SMART_ROLES: Final = ("launch",)
_LONGEST: Final = 200
_MOST: Final = 50


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An element of fhirContext: one of reference, canonical, identifier."""

    reference: str | None = None
    canonical: str | None = None
    identifier: dict[str, Any] | None = None
    type: str | None = None
    role: str | None = None


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to start an app. `user` is for a client that acts for itself."""

    client_id: str
    patient: str | None = None
    encounter: str | None = None
    intent: str | None = None
    need_patient_banner: bool = True
    fhirContext: tuple[Item, ...] = ()  # noqa: N815 - the name of the standard
    user: str | None = None


def wanted(body: bytes, types: frozenset[str]) -> Wanted:
    """The request that a JSON body makes. Raises `Invalid`; `types` are the resource types."""
    try:
        found = msgspec.json.decode(body, type=Wanted)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Invalid(f"This is no launch: {error}") from None
    for id in (found.patient, found.encounter):
        if id is not None and not _ID.fullmatch(id):
            raise Invalid("patient and encounter are ids, such as 123.")
    if found.encounter is not None and found.patient is None:
        raise Invalid("An encounter goes with its patient.")
    if found.intent is not None and not 0 < len(found.intent) <= _LONGEST:
        raise Invalid("intent has up to 200 characters.")
    if len(found.fhirContext) > _MOST:
        raise Invalid("fhirContext has up to 50 elements.")
    for item in found.fhirContext:
        _check(item, types)
    return found


def launch_uri(client: Client | None) -> str:
    """Where a client is started. Raises `Invalid` for one that cannot be."""
    if client is None or client.suspended or client.launch_uri is None:
        raise Invalid("There is no app of this client_id that can be started.")
    return client.launch_uri


def plain(item: Item) -> dict[str, Any]:
    """The element as JSON."""
    found = msgspec.to_builtins(item)
    assert isinstance(found, dict)
    return found


def _check(item: Item, types: frozenset[str]) -> None:
    given = [value for value in (item.reference, item.canonical, item.identifier) if value]
    if not given:
        raise Invalid("An element of fhirContext has a reference, canonical or identifier.")
    if item.type is not None and item.type not in types:
        raise Invalid("The type of an element of fhirContext is no resource type.")
    if item.role is not None and item.role not in _SMART_ROLES and not _is_absolute(item.role):
        raise Invalid("A role of fhirContext is an absolute URI, and never empty.")
    if item.canonical is not None and not item.canonical.startswith(("http://", "https://")):
        raise Invalid("A canonical of fhirContext begins with http.")
    kind = item.type
    if item.reference is not None:
        found = _REFERENCE.fullmatch(item.reference)
        if not found or found[1] not in types:
            raise Invalid("A reference of fhirContext is relative, such as ImagingStudy/123.")
        kind = found[1]
    if kind in _TOP and item.role in (None, *_SMART_ROLES):
        raise Invalid("Patient and Encounter have parameters of their own, beside fhirContext.")


def _is_absolute(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path))
