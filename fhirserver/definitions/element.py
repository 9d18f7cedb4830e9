"""What a StructureDefinition says about one element.

https://hl7.org/fhir/R4/elementdefinition.html, the machine-checkable part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fhirserver.model.json import Json, Resource

UNBOUNDED: Final = None
"""The `max` of an element that may repeat without end (`*`)."""

_FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_REGEX = "http://hl7.org/fhir/StructureDefinition/regex"
_MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"
_SYSTEM = "http://hl7.org/fhirpath/System."

_CHOICES = ("fixed", "pattern", "minValue", "maxValue")
# What nearly every element has, so that the others need no look.
_PLAIN = frozenset({"path", "id", "min", "max", "type", "isSummary", "isModifier", "binding"})


@dataclass(frozen=True, slots=True)
class TypeRef:
    """A type that an element may have, e.g. `Reference` to `target_profiles`.

    A FHIRPath system type is given as the FHIR primitive it stands for (`id`, `uri`, `string`).
    `aggregation` tells how a reference may lead to its target, `versioning` whether to a version.
    """

    code: str
    profiles: tuple[str, ...] = ()
    target_profiles: tuple[str, ...] = ()
    aggregation: tuple[str, ...] = ()
    versioning: str = "either"


@dataclass(frozen=True, slots=True)
class Binding:
    """The codes of an element: `strength` is required, extensible, preferred or example.

    `max_value_set` is the widest set that an extensible binding may reach.
    """

    strength: str
    value_set: str
    max_value_set: str | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """An invariant: `expression` must be true of every such element."""

    key: str
    severity: str
    human: str
    expression: str


@dataclass(frozen=True, slots=True)
class Discriminator:
    type: str
    path: str


@dataclass(frozen=True, slots=True)
class Slicing:
    """How the slices of a repeating element are told apart; `rules`: open, closed, openAtEnd."""

    discriminators: tuple[Discriminator, ...]
    ordered: bool
    rules: str


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a structure.

    `name` is the last part of `path` without `[x]`; `max` None is `*`; `content_reference` is
    the path of the element whose content this one shares. `constraints` are those stated
    here: what its type states for all of its values is not repeated
    (`Definitions.constraints` tells both).
    """

    id: str
    path: str
    name: str
    min: int
    max: int | None
    types: tuple[TypeRef, ...]
    choice: bool = False
    content_reference: str | None = None
    binding: Binding | None = None
    constraints: tuple[Constraint, ...] = ()
    fixed: Json | None = None
    pattern: Json | None = None
    min_value: Json | None = None
    max_value: Json | None = None
    max_length: int | None = None
    slicing: Slicing | None = None
    slice_name: str | None = None
    is_modifier: bool = False
    is_summary: bool = False
    must_support: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """A JSON property: `path` is where its own children are defined.

    That is the element's path for a backbone element (`Patient.contact`), the path of the
    content reference, else the name of its type (`HumanName`, `string`).
    """

    element: Element
    type: str
    path: str


def element(definition: Resource) -> Element:
    """The record of one ElementDefinition, as found in a snapshot or differential."""
    path: str = definition["path"]
    name = path.rpartition(".")[2]
    reference = definition.get("contentReference")
    max_ = definition.get("max", "1")
    values = _values(definition)
    return Element(
        id=definition.get("id", path),
        path=path,
        name=name.removesuffix("[x]"),
        min=definition.get("min", 0),
        max=UNBOUNDED if max_ == "*" else int(max_),
        types=tuple(_type_ref(definition, type_) for type_ in definition.get("type", ())),
        choice=name.endswith("[x]"),
        content_reference=reference.partition("#")[2] if reference else None,
        binding=_binding(definition["binding"]) if "binding" in definition else None,
        constraints=tuple(_constraint(item) for item in definition.get("constraint", ())),
        fixed=values.get("fixed"),
        pattern=values.get("pattern"),
        min_value=values.get("minValue"),
        max_value=values.get("maxValue"),
        max_length=definition.get("maxLength"),
        slicing=_slicing(definition["slicing"]) if "slicing" in definition else None,
        slice_name=definition.get("sliceName"),
        is_modifier=definition.get("isModifier", False),
        is_summary=definition.get("isSummary", False),
        must_support=definition.get("mustSupport", False),
    )


def regex(definition: Resource) -> str | None:
    """The regular expression of a primitive's `value` element."""
    for type_ in definition.get("type", ()):
        for extension in type_.get("extension", ()):
            if extension["url"] == _REGEX:
                found: str = extension["valueString"]
                return found
    return None


def type_code(definition: Resource, type_: Resource) -> str:
    """The FHIR type of one `type` of an ElementDefinition, in place of a FHIRPath system type.

    R4 states `string` for the id of a resource as for that of any element, but means `id`
    (https://hl7.org/fhir/R4/resource.html#id).
    """
    code: str = type_["code"]
    if not code.startswith(_SYSTEM):
        return code
    if definition.get("base", definition)["path"] == "Resource.id":
        return "id"
    for extension in type_.get("extension", ()):
        if extension["url"] == _FHIR_TYPE:
            found: str = extension.get("valueUrl") or extension["valueUri"]
            return found
    return "string"


def _type_ref(definition: Resource, type_: Resource) -> TypeRef:
    return TypeRef(
        type_code(definition, type_),
        tuple(type_.get("profile", ())),
        tuple(type_.get("targetProfile", ())),
        tuple(type_.get("aggregation", ())),
        type_.get("versioning", "either"),
    )


def _binding(binding: Resource) -> Binding | None:
    if "valueSet" not in binding:
        return None
    widest = next(
        (
            extension.get("valueCanonical") or extension.get("valueUri")
            for extension in binding.get("extension", ())
            if extension["url"] == _MAX_VALUE_SET
        ),
        None,
    )
    return Binding(binding["strength"], binding["valueSet"], widest)


def _constraint(constraint: Resource) -> Constraint:
    return Constraint(
        constraint["key"],
        constraint["severity"],
        constraint.get("human", ""),
        constraint.get("expression", ""),
    )


def _slicing(slicing: Resource) -> Slicing:
    return Slicing(
        tuple(
            Discriminator(item["type"], item["path"]) for item in slicing.get("discriminator", ())
        ),
        slicing.get("ordered", False),
        slicing.get("rules", "open"),
    )


def _values(definition: Resource) -> dict[str, Json]:
    """The `fixed[x]`, `pattern[x]`, `minValue[x]` and `maxValue[x]`, by that name."""
    return {
        prefix: definition[name]
        for name in definition.keys() - _PLAIN
        for prefix in _CHOICES
        if name.startswith(prefix)
    }
