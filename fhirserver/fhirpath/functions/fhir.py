"""What FHIR adds: https://hl7.org/fhir/R4/fhirpath.html#functions"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from fhirserver.definitions.element import Element
from fhirserver.fhirpath.context import Frame
from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.functions.function import Function
from fhirserver.fhirpath.functions.narrative import is_narrative
from fhirserver.fhirpath.node import Collection, Item, Located, Node, plain, system, wrap
from fhirserver.fhirpath.operators import EMPTY, FALSE, TRUE, answer
from fhirserver.fhirpath.references import reference_of
from fhirserver.fhirpath.singletons import single, text
from fhirserver.fhirpath.steps import member

_Service = TypeVar("_Service")


def _extension(frame: Frame, items: Collection, url: Collection) -> Collection:
    wanted = text(url)
    return [found for item in items for found in member(item, "extension") if _url(found) == wanted]


def _has_extension(frame: Frame, items: Collection, url: Collection) -> Collection:
    return answer(bool(_extension(frame, items, url)))


def _url(item: Item) -> str | None:
    value = item.value if isinstance(item, Node) else None
    return value.get("url") if isinstance(value, dict) else None


def _has_value(frame: Frame, items: Collection) -> Collection:
    return answer(bool(_get_value(frame, items)) if len(items) == 1 else False)


def _get_value(frame: Frame, items: Collection) -> Collection:
    item = single(items)
    if item is None or (isinstance(item, Node) and not item.shape.is_primitive):
        return EMPTY
    value = system(item)
    return EMPTY if value is None else [value]


def _resolve(frame: Frame, items: Collection) -> Collection:
    found: Collection = []
    for item in items:
        reference = reference_of(item.value if isinstance(item, Node) else item)
        target = None if reference is None else frame.run.scope.target(reference)
        if target is not None:
            found.append(Node(target, frame.run.shapes.of_value(target)))
    return found


def _service(name: str, service: _Service | None) -> _Service:
    if service is None:
        raise FhirPathExecutionError(f"{name}() is not available here.")
    return service


def _conforms_to(frame: Frame, items: Collection, structure: Collection) -> Collection:
    item, url = single(items), text(structure)
    if item is None or url is None:
        return EMPTY
    definition = frame.run.shapes.definitions.structure(url)
    if definition is not None and not definition.is_profile:
        return answer(isinstance(item, Node) and definition.type in item.shape.line)
    check = frame.run.services.conforms_to
    found = None if check is None else check(plain(item), url)
    if found is None:
        raise FhirPathExecutionError(f"conformsTo(): the profile '{url}' is not known here.")
    return answer(found)


def _member_of(frame: Frame, items: Collection, value_set: Collection) -> Collection:
    check = _service("memberOf", frame.run.services.member_of)
    item, url = single(items), text(value_set)
    return EMPTY if item is None or url is None else answer(check(plain(item), url))


def _subsumes(frame: Frame, items: Collection, other: Collection) -> Collection:
    check = _service("subsumes", frame.run.services.subsumes)
    ours, theirs = single(items), single(other)
    if ours is None or theirs is None:
        return EMPTY
    return answer(check(plain(ours), plain(theirs)))


def _subsumed_by(frame: Frame, items: Collection, other: Collection) -> Collection:
    check = _service("subsumedBy", frame.run.services.subsumes)
    ours, theirs = single(items), single(other)
    if ours is None or theirs is None:
        return EMPTY
    return answer(check(plain(theirs), plain(ours)))


def _slice(frame: Frame, items: Collection, structure: Collection, name: Collection) -> Collection:
    pick = _service("slice", frame.run.services.slice)
    url, wanted = text(structure), text(name)
    if url is None or wanted is None:
        return EMPTY
    picked = pick([plain(item) for item in items], url, wanted)
    return [item for item in items if any(plain(item) is value for value in picked)]


def _check_modifiers(frame: Frame, items: Collection, *modifiers: Collection) -> Collection:
    known = {text(modifier) for modifier in modifiers}
    for item in items:
        for extension in member(item, "modifierExtension"):
            if _url(extension) not in known:
                raise FhirPathExecutionError(
                    f"checkModifiers(): the modifier extension '{_url(extension)}' is not expected."
                )
    return items


def _html_checks(frame: Frame, items: Collection) -> Collection:
    if not items:
        return EMPTY
    for item in items:
        value = system(item)
        if not isinstance(value, str) or not is_narrative(value):
            return FALSE
    return TRUE


def _element_definition(frame: Frame, items: Collection) -> Collection:
    shapes = frame.run.shapes
    found: Collection = []
    for item in items:
        element = _element(item)
        if element is not None:
            found.extend(wrap(_definition(element), shapes.untyped))
    return found


def _element(item: Item) -> Element | None:
    """The definition of an element: of the place it stands at if that is known."""
    if not isinstance(item, Node):
        return None
    definitions = item.shape.shapes.definitions
    if isinstance(item, Located) and item.parent is not None:
        children = definitions.children(item.parent.shape.path)
        return next(
            (child.element for child in children.values() if child.element.name == item.property),
            None,
        )
    owner = definitions.structure(item.shape.path.partition(".")[0])
    return None if owner is None else owner.elements.get(item.shape.path)


def _definition(element: Element) -> dict[str, Any]:
    """The part of an ElementDefinition that is kept."""
    found: dict[str, Any] = {
        "id": element.id,
        "path": element.path,
        "min": element.min,
        "max": "*" if element.max is None else str(element.max),
        "type": [{"code": type_.code} for type_ in element.types],
        "isModifier": element.is_modifier,
        "isSummary": element.is_summary,
    }
    if element.binding is not None:
        found["binding"] = {
            "strength": element.binding.strength,
            "valueSet": element.binding.value_set,
        }
    return found


FUNCTIONS: Final[Mapping[str, Function]] = {
    "extension": Function(_extension, 1, 1, gives="Extension", gives_many=True),
    "hasExtension": Function(_has_extension, 1, 1, gives="Boolean"),
    "hasValue": Function(_has_value, gives="Boolean"),
    "getValue": Function(_get_value, many=False),
    "resolve": Function(_resolve, gives_many=None),
    "conformsTo": Function(_conforms_to, 1, 1, many=False, gives="Boolean"),
    "memberOf": Function(_member_of, 1, 1, many=False, gives="Boolean"),
    "subsumes": Function(_subsumes, 1, 1, many=False, gives="Boolean"),
    "subsumedBy": Function(_subsumed_by, 1, 1, many=False, gives="Boolean"),
    "slice": Function(_slice, 2, 2, gives="same", gives_many=None),
    "checkModifiers": Function(_check_modifiers, 0, None, gives="same", gives_many=None),
    "htmlChecks": Function(_html_checks, gives="Boolean"),
    "elementDefinition": Function(_element_definition, gives_many=None),
}
