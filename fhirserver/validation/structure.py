"""Structural checks: the definition of each type compiled once to a flat function.

https://hl7.org/fhir/R4/json.html. An object's check looks each property up in a table of
checks and then runs the rules that concern several properties. The table fills on first
use, so that only what resources really contain is ever compiled.
"""

from __future__ import annotations

from typing import Final

from fhirserver.definitions.element import Child
from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Json, Resource
from fhirserver.model.outcome import Issue
from fhirserver.validation import primitive
from fhirserver.validation.cardinality import NULL, many, many_primitive, required
from fhirserver.validation.choice import exclusive
from fhirserver.validation.finding import MOST, Check, Found, error, joined, place, refused, under

RULES: Final = (required, exclusive)
"""What makes the rules of a type from its children; a rule sees the whole object."""

_RESOURCE = "Resource"


class Structures:
    """The compiled checks of one registry of definitions."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._checks: dict[str, Check] = dict(primitive.CHECKS)

    def resource(self, value: Json) -> Found:
        """The findings about a resource of any type."""
        if not isinstance(value, dict):
            return refused("structure", "a resource (a JSON object)", value)
        type_ = value.get("resourceType")
        if type(type_) is str and type_ in self.definitions.resource_types:
            return self.check(type_)(value)
        return _without_type(value)

    def contained(self, value: Json) -> Found:
        """The findings about a contained resource: it has an id, and contains none itself.

        https://hl7.org/fhir/R4/references.html#contained
        """
        found = self.resource(value)
        if not isinstance(value, dict):
            return found
        if "id" not in value:
            text = "A contained resource needs an id, by which it is referred to."
            found = joined(found, [error("required", text)])
        if "contained" in value:
            text = "A contained resource contains no others: move them up beside it."
            found = joined(found, [error("structure", text, ".contained")])
        return found

    def check(self, path: str) -> Check:
        """The check of a type or backbone element, compiled on first use."""
        found = self._checks.get(path)
        if found is None:
            found = self._checks[path] = self._compile(path)
        return found

    def _compile(self, path: str) -> Check:
        if path == _RESOURCE:
            return self.resource
        children = self.definitions.children(path)
        made = [rule(children) for rule in RULES]
        return _object(Properties(self, path), [rule for rule in made if rule is not None])


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

    def _partnered(self, name: str) -> Child | None:
        """The primitive whose id and extensions a property holds: `_birthDate`."""
        child = self._children.get(name[1:]) if name.startswith("_") else None
        return child if child is not None and child.path in primitive.CHECKS else None

    def _value(self, name: str, child: Child) -> Check:
        check = self._structures.check(child.path)
        if name == "contained" and child.path == _RESOURCE:
            check = self._structures.contained
        if child.element.max == 1:
            return check
        if child.path in primitive.CHECKS:
            return many_primitive(check, child.element.max)
        return many(check, child.element.max)

    def _partner(self, child: Child) -> Check:
        check = self._structures.check("Element")
        return check if child.element.max == 1 else many_primitive(check, child.element.max)

    def _unknown(self, name: str) -> Check:
        text = f"'{self._path}' has no such element."
        choices = self._structures.definitions.choices(self._path).get(name)
        if choices:
            text = f"Name the type of '{name}[x]' here: {', '.join(choices[:12])}."
        near = next((known for known in self._children if known.lower() == name.lower()), None)
        if near:
            text = f"{text} It is written '{near}'."
        return lambda value: [error("structure", text)]


def _object(properties: Properties, rules: list[Check]) -> Check:
    def check(value: Json) -> Found:
        if not isinstance(value, dict):
            return refused("structure", "an object", value)
        found = None
        for name, item in value.items():
            bad = properties[name](item)
            if bad is not None:
                bad = _with_partner(bad, name, value)
                if bad:
                    found = joined(found, under(properties.place(name), bad))
                    if len(found) > MOST:
                        return found
        for rule in rules:
            bad = rule(value)
            if bad is not None:
                found = joined(found, bad)
        return found if value else [_EMPTY]

    return check


def _accept(value: Json) -> Found:
    return None


def _with_partner(bad: list[Issue], name: str, value: Resource) -> list[Issue]:
    """The findings without the nulls that stand for a value in the partner array.

    https://hl7.org/fhir/R4/json.html#primitive: `given` and `_given` are aligned by nulls.
    """
    if all(item.text is not NULL for item in bad):
        return bad
    beside = name.startswith("_")
    partner = value.get(name[1:] if beside else f"_{name}")
    if not isinstance(partner, list):
        return bad
    # Of two nulls that stand together only the value's is told.
    there = {f"[{index}]" for index, item in enumerate(partner) if beside or item is not None}
    return [item for item in bad if item.text is not NULL or item.expression not in there]


def _without_type(value: Resource) -> list[Issue]:
    if "resourceType" not in value:
        text = "A resource needs its type: add 'resourceType'."
        return [error("required", text)]
    expected = "a resource type of FHIR R4"
    return under(".resourceType", refused("value", expected, value["resourceType"]))


_EMPTY = error("structure", "An object is never empty: leave the element out.")
