"""Structural checks: the definition of each type compiled once to a flat function.

https://hl7.org/fhir/R4/json.html. An object's check looks each property up in a table of
checks and then runs the rules that concern several properties. The table fills on first
use, so that only what resources really contain is ever compiled. What else an element's
definition says (binding, targets, invariants, profile of its type) goes into its check.
"""

from __future__ import annotations

from typing import Final

from fhirserver.definitions.element import Child
from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Json, Resource
from fhirserver.terminology import Terminology
from fhirserver.validation import primitive
from fhirserver.validation.binding import Bindings
from fhirserver.validation.cardinality import NULL, many, many_primitive, required
from fhirserver.validation.choice import exclusive
from fhirserver.validation.definition import structure_definition
from fhirserver.validation.extension import Extensions
from fhirserver.validation.finding import (
    Check,
    Finding,
    Found,
    always,
    error,
    every,
    has_errors,
    is_full,
    joined,
    place,
    refused,
    together,
    under,
)
from fhirserver.validation.invariant import invariants
from fhirserver.validation.profile import Profiles
from fhirserver.validation.rules import ELEMENT_RULES, RESOURCE_RULES, TYPE_RULES
from fhirserver.validation.scope import NOWHERE, Scope
from fhirserver.validation.standing import settle
from fhirserver.validation.target import target_types, targets
from fhirserver.validation.value_set import value_set

RULES: Final = (required, exclusive)
"""What makes the rules of a type from its children; a rule sees the whole object."""

_RESOURCE = "Resource"

UNCODED: Final = "A code is required here, which an extension cannot stand for."
LONE: Final = "A primitive has a value or extensions, not only an id (ele-1)."
"""Texts of findings that the object withdraws if the value is there."""

_ALONE: Final = frozenset({LONE, UNCODED})
_WITHDRAWN: Final = _ALONE | {NULL}


class Structures:
    """The compiled checks of one registry of definitions.

    `beneath` are those of the registry that this one only adds profiles to: the checks of types
    are the same, and find the profiles by way of `Scope.structures`.
    """

    def __init__(self, definitions: Definitions, beneath: Structures | None = None) -> None:
        self.definitions = definitions
        self.beneath = beneath
        if beneath is None:
            self.bindings = Bindings(definitions, Terminology(definitions))
            self._checks: dict[str, Check] = dict(primitive.CHECKS)
        else:
            self.bindings = beneath.bindings
            self._checks = beneath._checks
        self.profiles = Profiles(definitions, self.bindings, self.check)
        self._extensions: dict[tuple[str, bool], Extensions] = {}
        definition = structure_definition(self.profiles.find)
        self._rules = {
            **RESOURCE_RULES,
            "StructureDefinition": (definition,),
            "ValueSet": (value_set(definitions),),
        }

    def resource(self, value: Json, scope: Scope = NOWHERE) -> Found:
        """The findings about a resource of any type; `scope` is that of what holds it."""
        if not isinstance(value, dict):
            return refused("structure", "a resource (a JSON object)", value)
        if scope is NOWHERE:
            return self.within(Scope(value))
        return self.within(Scope(value, outer=scope, full_url=scope.full_url_of(value)))

    def within(self, scope: Scope) -> Found:
        """The findings about the resource of a scope, with those of the profiles it claims."""
        if scope.structures is None:
            scope.structures = self
        elif scope.structures is not self:
            within: Found = scope.structures.within(scope)
            return within
        value = scope.resource
        type_ = value.get("resourceType")
        if type(type_) is not str or type_ not in self.definitions.resource_types:
            return _without_type(value)
        scope.conforms = self.profiles.conformance(scope)
        found = self.check(type_)(value, scope)
        if found is None or not has_errors(found):
            for rule in self._rules.get(type_, ()):
                bad = rule(value, scope)
                if bad is not None:
                    found = joined(found, bad)
            if "meta" in value and "profile" in value["meta"]:
                bad = self.profiles.claimed(value, scope)
                if bad is not None:
                    found = joined(found, bad)
        return settle(found, type_, self.definitions, scope) or None if found else None

    def contained(self, value: Json, scope: Scope = NOWHERE) -> Found:
        """The findings about a contained resource: it has an id, and contains none itself.

        https://hl7.org/fhir/R4/references.html#contained
        """
        if not isinstance(value, dict):
            return refused("structure", "a resource (a JSON object)", value)
        own = {name: item for name, item in value.items() if name != "contained"}
        is_nested = len(own) < len(value)
        content = own if is_nested else value
        within = Scope(content, scope.root, scope.outer, scope.full_url, scope.modes, scope.types)
        within.structures, within.advice = scope.structures, scope.advice
        within.asks_displays = scope.asks_displays
        found = self.within(within)
        if "id" not in value:
            text = "A contained resource needs an id, by which it is referred to."
            found = joined(found, [error("required", text)])
        if is_nested:
            text = "A contained resource contains no others: move them up beside it."
            found = joined(found, [error("structure", text, ".contained")])
        return found

    def check(self, path: str) -> Check:
        """The check of a type or backbone element, compiled on first use."""
        found = self._checks.get(path)
        if found is None:
            found = self._checks[path] = self._compile(path)
        return found

    def item(self, name: str, path: str, child: Child) -> Check:
        """The check of one value of a property of a type or backbone element at `path`."""
        check = self.check(child.path)
        if child.path == _RESOURCE:
            return self.contained if name == "contained" else check
        if child.type == "Extension":
            modifier = name == "modifierExtension"
            return every(check, self.extensions(path, modifier=modifier).check)
        element = child.element
        types = [type for type in element.types if type.code == child.type]
        rules = [
            self.bindings.check(element.binding, child.type),
            self.bindings.widest(element.binding, child.type),
            ELEMENT_RULES.get(element.path),
        ]
        for type in types:
            wanted = target_types(type.target_profiles, self.definitions)
            rules.append(targets(wanted) if wanted and type.code == "Reference" else None)
            rules += [self.profiles.check(url) for url in type.profiles]
        if child.path == child.type:
            rules.append(invariants(element.constraints, child.type))
        if child.type == "code" and all(rule is None for rule in rules[1:]):
            return self.bindings.first(every(check, *rules), element.binding)
        return every(check, *rules)

    def extensions(self, path: str, *, modifier: bool) -> Extensions:
        """The checks of the extensions of an element."""
        found = self._extensions.get((path, modifier))
        if found is None:
            find = self.profiles.check
            found = Extensions(self.definitions, path, find, modifier=modifier)
            self._extensions[path, modifier] = found
        return found

    def _compile(self, path: str) -> Check:
        if path == _RESOURCE:
            return self.resource
        children = self.definitions.children(path)
        made = [rule(children) for rule in RULES]
        is_resource = path in self.definitions.resource_types
        known = self.bindings.is_known if path == "Coding" else None
        sound = [TYPE_RULES.get(path), known, self._invariants(path)]
        properties = Properties(self, path)
        return _object(properties, together(made), together(sound), path, is_resource=is_resource)

    def _invariants(self, path: str) -> Check | None:
        if "." not in path:
            return invariants(self.definitions.constraints(path), path)
        owner = self.definitions.structure(path.partition(".")[0])
        element = owner.elements.get(path) if owner else None
        if element is None:
            return None
        inherited = {
            item.key: item
            for type in element.types
            for item in self.definitions.constraints(type.code)
        }
        return invariants([*inherited.values(), *element.constraints], path)


class Properties(dict[str, Check]):
    """The checks of an object's properties, each made when a property is first met."""

    def __init__(self, structures: Structures, path: str) -> None:
        super().__init__()
        self._structures = structures
        self._path = path
        self._children = structures.definitions.children(path)
        if path in structures.definitions.resource_types:
            self["resourceType"] = _accept

    def __missing__(self, name: str) -> Check:
        child = self._children.get(name)
        if child is not None:
            check = self[name] = self._value(name, child)
            return check
        child = self._partnered(name)
        if child is not None:
            check = self[name] = self._partner(child)
            return check
        return self._unknown(name)

    def place(self, name: str) -> str:
        """The FHIRPath step to a property: that of a choice tells the type."""
        child = self._children.get(name) or self._partnered(name)
        if child is None:
            return place(name)
        step = place(child.element.name)
        return f"{step}.ofType({child.type})" if child.element.choice else step

    def placed(self, found: Found, bad: list[Finding], name: str, value: Resource) -> Found:
        """The findings about an object with those about a property of it."""
        bad = _with_partner(bad, name, value)
        return joined(found, under(self.place(name), bad)) if bad else found

    def _partnered(self, name: str) -> Child | None:
        """The primitive whose id and extensions a property holds: `_birthDate`."""
        child = self._children.get(name[1:]) if name.startswith("_") else None
        return child if child is not None and child.path in primitive.CHECKS else None

    def _value(self, name: str, child: Child) -> Check:
        check = self._structures.item(name, self._path, child)
        if child.element.max == 1:
            return check
        if child.path in primitive.CHECKS:
            return many_primitive(check, child.element.max)
        return many(check, child.element.max)

    def _partner(self, child: Child) -> Check:
        check = self._structures.check("Element")
        binding = child.element.binding
        if child.type == "code" and binding is not None and binding.strength == "required":
            check = _with_value(check)
        return check if child.element.max == 1 else many_primitive(check, child.element.max)

    def _unknown(self, name: str) -> Check:
        text = f"'{self._path}' has no such element."
        choices = self._structures.definitions.choices(self._path).get(name)
        if choices:
            text = f"Name the type of '{name}[x]' here: {', '.join(choices[:12])}."
        near = next((known for known in self._children if known.lower() == name.lower()), None)
        if near:
            text = f"{text} It is written '{near}'."
        return always(error("structure", text))


def _object(
    properties: Properties,
    rules: Check | None,
    sound: Check | None,
    path: str,
    *,
    is_resource: bool,
) -> Check:
    """The check of an object; `sound` runs where there are no errors before."""
    # What stands beside a primitive may have only an id, if the primitive is there.
    only_id = error("invariant", LONE if path == "Element" else _ONLY_ID)
    fewest = 0 if is_resource else 2

    def check(value: Json, scope: Scope = NOWHERE) -> Found:
        if not isinstance(value, dict):
            return refused("structure", "an object", value)
        found: Found = None
        for name, item in value.items():
            bad = properties[name](item, scope)
            if bad is not None:
                found = properties.placed(found, bad, name, value)
                if found is not None and is_full(found):
                    return found
        if rules is not None:
            bad = rules(value, scope)
            found = found if bad is None else joined(found, bad)
        if len(value) < fewest and (not value or "id" in value):
            return joined(found, [only_id]) if value else [_EMPTY]
        if sound is None or (found is not None and has_errors(found)):
            return found
        bad = sound(value, scope)
        return found if bad is None else joined(found, bad)

    return check


def _with_value(check: Check) -> Check:
    """The check of what stands beside a code that has to be from a value set, so be there."""
    alone = error("code-invalid", UNCODED)

    def partner(value: Json, scope: Scope = NOWHERE) -> Found:
        found = check(value, scope)
        return joined(found, [alone]) if isinstance(value, dict) else found

    return partner


def _accept(value: Json, scope: Scope = NOWHERE) -> Found:
    return None


def _with_partner(bad: list[Finding], name: str, value: Resource) -> list[Finding]:
    """The findings without the nulls that stand for a value in the partner array.

    https://hl7.org/fhir/R4/json.html#primitive: `given` and `_given` are aligned by nulls.
    """
    if all(item.text not in _WITHDRAWN for item in bad):
        return bad
    beside = name.startswith("_")
    partner = value.get(name[1:] if beside else f"_{name}")
    if not isinstance(partner, list):
        return [item for item in bad if item.text not in _ALONE or partner is None]
    # Of two nulls that stand together only the value's is told.
    there = {f"[{index}]" for index, item in enumerate(partner) if beside or item is not None}
    values = {f"[{index}]" for index, item in enumerate(partner) if item is not None}
    return [
        item
        for item in bad
        if (item.text is not NULL or item.expression not in there)
        and (item.text not in _ALONE or item.expression not in values)
    ]


def _without_type(value: Resource) -> list[Finding]:
    if "resourceType" not in value:
        text = "A resource needs its type: add 'resourceType'."
        return [error("required", text)]
    expected = "a resource type of FHIR R4"
    return under(".resourceType", refused("value", expected, value["resourceType"]))


_EMPTY = error("structure", "An object is never empty: leave the element out.")
_ONLY_ID = "An element has a value or children, not only an id (ele-1)."
