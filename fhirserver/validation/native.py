"""The frequent invariants of R4, written out: the same answers as FHIRPath gives, sooner.

Keyed by the expression itself, so that none stands in for a rule that says something else.
A rule sees a value of sound structure. It answers None where it leaves the case to FHIRPath.
https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from fhirserver.model.json import Json, Resource
from fhirserver.validation.scope import Scope

Rule: TypeAlias = Callable[[Any, Scope], bool | None]


def _has(value: Resource, name: str) -> bool:
    return name in value or f"_{name}" in value


def _has_choice(value: Resource, prefix: str) -> bool:
    for name in value:  # a loop, as this runs for every extension
        if name.startswith(prefix) or (name[0] == "_" and name.startswith(prefix, 1)):
            return True
    return False


def unless(name: str, other: str) -> Rule:
    """`name.empty() or other.exists()`"""
    hidden = f"_{name}"

    def rule(value: Resource, scope: Scope) -> bool:
        return (name not in value and hidden not in value) or _has(value, other)

    return rule


def not_both(name: str, other: str) -> Rule:
    """`name.empty() or other.empty()`"""
    return lambda value, scope: not (_has(value, name) and _has(value, other))


def any_of(*names: str) -> Rule:
    """`name.exists() or other.exists() ...`"""
    return lambda value, scope: any(_has(value, name) for name in names)


def not_negative(name: str) -> Rule:
    """`name.exists() implies name >= 0`"""
    return lambda value, scope: (
        value[name] >= 0 if name in value else None if f"_{name}" in value else True
    )


def _extension(value: Resource, scope: Scope) -> bool:
    return ("extension" in value) != _has_choice(value, "value")


def _reference(value: Resource, scope: Scope) -> bool:
    reference = value.get("reference")
    if reference is None or reference[:1] != "#":
        return True
    return reference[1:] in scope.contained


def _period(value: Resource, scope: Scope) -> bool | None:
    start, end = value.get("start"), value.get("end")
    if start is None or end is None:
        return True
    # Times of one length and zone are in the order of their texts.
    if len(start) == len(end) and (len(start) <= 10 or start[19:] == end[19:]):
        return bool(start <= end)
    if start[:10] < end[:10] and len(start) > 10 and len(end) > 10 and start[-6:] == end[-6:]:
        return True
    return None


def _observation_value(value: Resource, scope: Scope) -> bool:
    return not (_has(value, "dataAbsentReason") and _has_choice(value, "value"))


def _component_code(value: Resource, scope: Scope) -> bool | None:
    components = value.get("component")
    if components is None or not _has_choice(value, "value"):
        return True
    own = _codes(value.get("code"))
    for component in components:
        if not own.isdisjoint(_codes(component.get("code"))):
            return None  # equal as a whole?
    return True


def _codes(concept: Resource | None) -> set[Json]:
    return {coding.get("code") for coding in (concept or {}).get("coding", ())}


def _range(value: Resource, scope: Scope) -> bool | None:
    if not (_has(value, "low") and _has(value, "high")):
        return True
    low, high = value.get("low", {}), value.get("high", {})
    same = all(low.get(name) == high.get(name) for name in ("unit", "system", "code"))
    numbers = low.get("value"), high.get("value")
    if same and all(isinstance(number, int | Decimal) for number in numbers):
        return bool(numbers[0] <= numbers[1])
    return None


def _ratio(value: Resource, scope: Scope) -> bool:
    numerator = _has(value, "numerator")
    return numerator == _has(value, "denominator") and (numerator or "extension" in value)


def _timing_offset(value: Resource, scope: Scope) -> bool | None:
    return None if _has(value, "offset") else True


def _status_of(name: str, system: str, *codes: str) -> Callable[[Resource], bool]:
    """`name.coding.where(system = ... and code = ...).exists()`"""

    def among(value: Resource) -> bool:
        concept = value.get(name) or {}
        return any(
            coding.get("system") == system and coding.get("code") in codes
            for coding in concept.get("coding", ())
        )

    return among


_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_VERIFICATION = f"{_TERMINOLOGY}/condition-ver-status"
_CLINICAL = f"{_TERMINOLOGY}/condition-clinical"
_in_error = _status_of("verificationStatus", _VERIFICATION, "entered-in-error")
_ended = _status_of("clinicalStatus", _CLINICAL, "resolved", "remission", "inactive")


def _abated(value: Resource, scope: Scope) -> bool:
    return not _has_choice(value, "abatement") or _ended(value)


def _no_clinical_status(value: Resource, scope: Scope) -> bool:
    return not _in_error(value) or not _has(value, "clinicalStatus")


# --- contained resources ----------------------------------------------------------------------


def _contained(check: Callable[[Resource], bool]) -> Rule:
    return lambda value, scope: (
        "contained" not in value or all(check(item) for item in value["contained"])
    )


def _is_referred(value: Resource, scope: Scope) -> bool | None:
    if "contained" not in value:
        return True
    links = set(_links(value))
    for item in value["contained"]:
        id = item.get("id")
        if f"#{id}" in links or "#" in set(_links(item)):
            continue
        if not any(f'"#{id}"' in text for text in _narratives(value)):
            return None  # perhaps by another kind of link
    return True


def _links(value: Json) -> Iterator[str]:
    """The texts of all references within a value."""
    stack: list[Any] = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            reference = node.get("reference")
            if isinstance(reference, str):
                yield reference
            stack.extend(item for item in node.values() if isinstance(item, dict | list))


def _narratives(value: Json) -> Iterator[str]:
    """The narratives within a value: their images may show what is contained."""
    stack: list[Any] = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            if isinstance(node.get("div"), str):
                yield node["div"]
            stack.extend(item for item in node.values() if isinstance(item, dict | list))


def _meta_has(*names: str) -> Rule:
    """`contained.meta.x.empty() and ...`"""
    return _contained(lambda item: not any(_has(item.get("meta", {}), name) for name in names))


def _always(value: Resource, scope: Scope) -> bool:
    return True


NATIVE: Final[Mapping[str, Rule]] = {
    # what the structural checks tell already
    "hasValue() or (children().count() > id.count())": _always,
    "htmlChecks()": _always,
    "entry.all(request.exists() = (%resource.type = 'batch' or %resource.type = 'transaction' or "
    "%resource.type = 'history'))": _always,
    "entry.all(response.exists() = (%resource.type = 'batch-response' or %resource.type = "
    "'transaction-response' or %resource.type = 'history'))": _always,
    # resources
    "contained.contained.empty()": _contained(lambda item: "contained" not in item),
    "contained.where((('#'+id in (%resource.descendants().reference"
    " | %resource.descendants().as(canonical) | %resource.descendants().as(uri)"
    " | %resource.descendants().as(url))) or descendants().where(reference = '#').exists()"
    " or descendants().where(as(canonical) = '#').exists()"
    " or descendants().where(as(canonical) = '#').exists()).not())"
    ".trace('unmatched', id).empty()": _is_referred,
    "contained.meta.versionId.empty() and contained.meta.lastUpdated.empty()": _meta_has(
        "versionId", "lastUpdated"
    ),
    "contained.meta.security.empty()": _meta_has("security"),
    "text.`div`.exists()": lambda value, scope: (
        "div" in value.get("text", ()) or scope.is_contained  # which needs none of its own
    ),
    # data types
    "extension.exists() != value.exists()": _extension,
    "reference.startsWith('#').not() or (reference.substring(1).trace('url') in "
    "%rootResource.contained.id.trace('ids'))": _reference,
    "start.hasValue().not() or end.hasValue().not() or (start <= end)": _period,
    "code.empty() or system.exists()": unless("code", "system"),
    "value.empty() or system.exists()": unless("value", "system"),
    "data.empty() or contentType.exists()": unless("data", "contentType"),
    "comparator.empty()": lambda value, scope: not _has(value, "comparator"),
    "low.empty() or high.empty() or (low <= high)": _range,
    "(numerator.empty() xor denominator.exists()) and "
    "(numerator.exists() or extension.exists())": _ratio,
    # Timing.repeat
    "duration.empty() or durationUnit.exists()": unless("duration", "durationUnit"),
    "period.empty() or periodUnit.exists()": unless("period", "periodUnit"),
    "duration.exists() implies duration >= 0": not_negative("duration"),
    "period.exists() implies period >= 0": not_negative("period"),
    "periodMax.empty() or period.exists()": unless("periodMax", "period"),
    "durationMax.empty() or duration.exists()": unless("durationMax", "duration"),
    "countMax.empty() or count.exists()": unless("countMax", "count"),
    "timeOfDay.empty() or when.empty()": not_both("timeOfDay", "when"),
    "offset.empty() or (when.exists() and ((when in ('C' | 'CM' | 'CD' | 'CV')).not()))": (
        _timing_offset
    ),
    # R4 asks for FHIRPath's own Boolean, which no element is; a FHIR boolean is meant.
    "operator = 'exists' implies (answer is Boolean)": lambda value, scope: (
        value.get("operator") != "exists" or _has(value, "answerBoolean")
    ),
    # resources that are written most
    "name.exists() or telecom.exists() or address.exists() or organization.exists()": any_of(
        "name", "telecom", "address", "organization"
    ),
    "low.exists() or high.exists() or text.exists()": any_of("low", "high", "text"),
    "dataAbsentReason.empty() or value.empty()": _observation_value,
    "value.empty() or component.code.where(coding.intersect(%resource.code.coding).exists())"
    ".empty()": _component_code,
    "abatement.empty() or clinicalStatus.coding.where(system='http://terminology.hl7.org/"
    "CodeSystem/condition-clinical' and (code='resolved' or code='remission' or "
    "code='inactive')).exists()": _abated,
    "verificationStatus.coding.where(system='http://terminology.hl7.org/CodeSystem/"
    "condition-ver-status' and code='entered-in-error').empty() or clinicalStatus.empty()": (
        _no_clinical_status
    ),
}
"""The rules by FHIRPath expression."""
