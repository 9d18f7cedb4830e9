"""XML Patch on a resource.

RFC 5261 and https://hl7.org/fhir/R4/http.html#patch. The patch is applied to the XML form of
the resource, of which the JSON is made again. In selectors the prefixes `f` and `h` (and
`fhir`, `xhtml`) need not be declared, and names without one are FHIR's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple, assert_never

from fhirserver.definitions.registry import Definitions
from fhirserver.errors import FhirError, Invalid, TooCostly, Unprocessable
from fhirserver.model.json import Json, encode
from fhirserver.xml import from_xml, to_xml
from fhirserver.xml.parser import FHIR, MAX_DEPTH, SEPARATOR, WHITE_SPACE, XHTML, XML, local_name
from fhirserver.xml.selector import Attribute, Budget, Namespace, Path, Selected
from fhirserver.xml.selector_text import path
from fhirserver.xml.tree import (
    Comment,
    Element,
    Instruction,
    Node,
    Text,
    ancestors,
    copied,
    height,
    parse,
    serialised,
)

MAX_OPERATIONS: Final = 1000
MAX_SIZE: Final = 2 * 1024 * 1024
"""Most bytes of a patch, and of the XML of what it patches: trees take much room."""

_MAX_VISITS = 500_000  # nodes that the selectors of a patch may look at
_PATCH_NAMESPACES: Final = ("", FHIR, "urn:ietf:params:xml:schema:patch-ops", "urn:ietf:rfc:7351")
_ROOTS: Final = ("diff", "patch")
_REPLACED: Final = "\ufffd".encode()  # what stands for a character that XML does not have
_OF_FHIR: Final = f"{FHIR}{SEPARATOR}"
_TYPE = re.compile(r"namespace::([^\W\d][\w.-]*)|@(?:([^\W\d][\w.-]*):)?([^\W\d][\w.-]*)")
_PREFIXES: Final = {"f": FHIR, "fhir": FHIR, "h": XHTML, "xhtml": XHTML}
_ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {
    "add": ("sel", "type", "pos"),
    "replace": ("sel",),
    "remove": ("sel", "ws"),
}
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "pos": ("before", "after", "prepend"),
    "ws": ("before", "after", "both"),
}


class _Added(NamedTuple):
    """What `type` names: an attribute, or else a prefix, to be added."""

    name: str
    attribute: bool


@dataclass(frozen=True, slots=True)
class _Operation:
    """An operation: `content` is what it adds or puts in place, `adds` what `type` names."""

    name: str
    sel: str
    path: Path
    content: tuple[Node, ...]
    adds: _Added | None
    pos: str | None
    ws: str | None

    def text(self) -> str:
        """The content of an operation on an attribute or text."""
        if not all(isinstance(node, Text) for node in self.content):
            raise Invalid("an attribute or text takes text only.")
        return "".join(node.text for node in self.content if isinstance(node, Text))

    def only(self, kind: type[Node]) -> Node:
        """The one node of a kind in the content, which may have white space around it."""
        nodes = [node for node in self.content if not _is_blank(node)]
        if len(nodes) != 1 or not isinstance(nodes[0], kind):
            raise Invalid(f"'{self.sel}' is replaced by one {kind.__name__.lower()}.")
        return copied(nodes[0])


class XmlPatch:
    """The operations of a patch document, checked. Raises `Invalid` for what is none."""

    def __init__(self, data: bytes, definitions: Definitions) -> None:
        if len(data) > MAX_SIZE:
            raise TooCostly(f"An XML Patch may have {MAX_SIZE} bytes.")
        root = parse(data)
        namespace = root.name.rpartition(SEPARATOR)[0]
        if local_name(root.name) not in _ROOTS or namespace not in _PATCH_NAMESPACES:
            raise Invalid(f'An XML Patch is a document <diff xmlns="{FHIR}">.')
        self._definitions = definitions
        self._operations: list[_Operation] = []
        elements = [node for node in root.children if isinstance(node, Element)]
        if not elements:
            raise Invalid("The patch has no operations.")
        if len(elements) > MAX_OPERATIONS:
            raise TooCostly(f"A patch may have {MAX_OPERATIONS} operations.")
        for number, element in enumerate(elements):
            with _naming(number):
                self._operations.append(_operation(element))

    def apply(self, document: Json) -> Json:
        """The patched resource.

        Raises `Unprocessable` where an operation does not fit, or where what it leaves is no
        resource; `TooCostly` where its selectors look at too much.
        """
        root = self._tree(document)
        self.change(root)
        _prune(root)
        try:
            return from_xml(serialised(root).encode(), self._definitions)
        except Invalid as error:
            # The line and column are those of a document that nobody has seen.
            _, _, text = error.text.partition(": ")
            raise Unprocessable(
                f"The patch leaves what is no resource: {text}", expression=error.expression
            ) from None

    def _tree(self, document: Json) -> Element:
        written = to_xml(document, self._definitions)
        if written.count(_REPLACED) != encode(document).count(_REPLACED):
            raise Unprocessable("The resource has characters that XML has not: send a JSON Patch.")
        if len(written) > MAX_SIZE:
            raise TooCostly("The resource is too large for an XML Patch: send a JSON Patch.")
        try:
            return parse(written)
        except Invalid:  # a narrative that is nested without end
            raise TooCostly(
                "The resource is too deep for an XML Patch: send a JSON Patch."
            ) from None

    def change(self, root: Element) -> None:
        """Applies the operations, in order, to a document of any kind."""
        budget = Budget(_MAX_VISITS)
        for number, operation in enumerate(self._operations):
            with _naming(number):
                found = operation.path.select(root, budget)
                if len(found) != 1 or (isinstance(found[0], Element) and not found[0].name):
                    many = "nothing" if not found else f"{len(found)} nodes"
                    raise Unprocessable(f"'{operation.sel}' selects {many}: it must select one.")
                _OPERATIONS[operation.name](operation, found[0])


@contextmanager
def _naming(number: int) -> Iterator[None]:
    """Makes the refusals that arise within it name the operation."""
    try:
        yield
    except FhirError as error:
        raise type(error)(f"Operation {number} of the patch: {error.text}") from None


# --- reading --------------------------------------------------------------------------------


def _operation(element: Element) -> _Operation:
    namespace, _, name = element.name.rpartition(SEPARATOR)
    if name not in _ATTRIBUTES or namespace not in _PATCH_NAMESPACES:
        raise Invalid(f"it is one of {', '.join(_ATTRIBUTES)}.")
    given = element.attributes
    for attribute in given:
        if attribute not in _ATTRIBUTES[name]:
            raise Invalid(f"'{name}' has no attribute '{local_name(attribute)}'.")
    for attribute, values in _VALUES.items():
        if given.get(attribute, values[0]) not in values:
            raise Invalid(f"'{attribute}' is one of {', '.join(values)}.")
    if "sel" not in given:
        raise Invalid(f"'{name}' needs the attribute 'sel'.")
    namespaces = _namespaces(element)
    operation = _Operation(
        name,
        given["sel"],
        path(given["sel"], namespaces),
        tuple(element.children),
        _added(given.get("type"), namespaces),
        given.get("pos"),
        given.get("ws"),
    )
    if operation.adds is not None:
        operation.text()
    elif name == "add" and not operation.content:
        raise Invalid("'add' has nothing to add.")
    return operation


def _namespaces(element: Element) -> dict[str, str]:
    """The prefixes that a selector in an operation may use."""
    found = dict(_PREFIXES)
    for holder in (*reversed(list(ancestors(element))), element):
        found |= holder.prefixes
    if found.get("", "") in _PATCH_NAMESPACES:
        found[""] = FHIR
    return found


def _added(type: str | None, namespaces: Mapping[str, str]) -> _Added | None:
    if type is None:
        return None
    found = _TYPE.fullmatch(type)
    if found is None:
        raise Invalid("'type' is '@' and the name of an attribute, or 'namespace::' and a prefix.")
    declared, prefix, local = found.groups()
    if declared:
        return _Added(declared, attribute=False)
    if not prefix:
        return _Added(local, attribute=True)
    uri = XML if prefix == "xml" else namespaces.get(prefix)
    if uri is None:
        raise Invalid(f"the prefix '{prefix}' is not declared.")
    return _Added(f"{uri}{SEPARATOR}{local}", attribute=True)


# --- the three operations -------------------------------------------------------------------


def _add(operation: _Operation, target: Selected) -> None:
    if operation.adds is not None:
        _add_named(operation, operation.adds, target)
        return
    if operation.pos in ("before", "after"):
        node, holder = _child(operation, target)
        index = holder.children.index(node) + (operation.pos == "after")
    elif isinstance(target, Element):
        holder, index = target, 0 if operation.pos == "prepend" else len(target.children)
    else:
        raise Unprocessable(f"'{operation.sel}' selects no element to add to.")
    _check_depth(holder, operation.content)
    holder.insert(index, [copied(node) for node in operation.content])


def _add_named(operation: _Operation, adds: _Added, target: Selected) -> None:
    if not isinstance(target, Element):
        raise Unprocessable(f"'{operation.sel}' selects no element to add to.")
    names = target.attributes if adds.attribute else target.prefixes
    if adds.name in names:
        raise Unprocessable(f"'{operation.sel}' has that already: replace it.")
    names[adds.name] = operation.text()
    target.changed()


def _replace(operation: _Operation, target: Selected) -> None:
    match target:
        case Attribute(owner, name):
            owner.attributes[name] = operation.text()
            owner.changed()
        case Namespace(owner, prefix):
            owner.prefixes[prefix] = operation.text()
            owner.changed()
        case Text():
            text, (node, holder) = operation.text(), _child(operation, target)
            if text:
                target.text = text
                holder.changed()
            else:
                holder.remove(node)
        case Element() | Comment() | Instruction():
            new, (node, holder) = operation.only(type(target)), _child(operation, target)
            _check_depth(holder, (new,))
            holder.children[holder.children.index(node)] = new
            new.parent = holder
            holder.changed()
        case _:
            assert_never(target)


def _remove(operation: _Operation, target: Selected) -> None:
    match target:
        case Attribute(owner, name):
            del owner.attributes[name]
            owner.changed()
        case Namespace(owner, prefix):
            del owner.prefixes[prefix]
            owner.changed()
        case _:
            node, holder = _child(operation, target)
            index = holder.children.index(node)
            for side, place in (("after", index + 1), ("before", index - 1)):
                if operation.ws in (side, "both"):
                    beside = holder.children[place] if 0 <= place < len(holder.children) else None
                    if beside is None or not _is_blank(beside):
                        raise Unprocessable(f"there is no white space {side} '{operation.sel}'.")
                    del holder.children[place]
            holder.remove(node)


_OPERATIONS: Final[Mapping[str, Callable[[_Operation, Selected], None]]] = {
    "add": _add,
    "replace": _replace,
    "remove": _remove,
}


# --- places ---------------------------------------------------------------------------------


def _child(operation: _Operation, target: Selected) -> tuple[Node, Element]:
    """A node that is not the root, and the element it is in."""
    if isinstance(target, Attribute | Namespace):
        raise Unprocessable(f"'{operation.sel}' selects an attribute, which has no place.")
    if target.parent is None:
        raise Unprocessable("a patch cannot replace the resource itself: update it instead.")
    return target, target.parent


def _check_depth(holder: Element, content: Sequence[Node]) -> None:
    above = 1 + sum(1 for _ in ancestors(holder))
    if above + max(map(height, content), default=0) > MAX_DEPTH:
        raise Unprocessable(f"elements would be nested over {MAX_DEPTH} levels.")


def _is_blank(node: Node) -> bool:
    return isinstance(node, Text) and not node.text.strip(WHITE_SPACE)


def _prune(element: Element) -> None:
    """Leaves out elements of FHIR that the patch emptied; a resource may be without any.

    Prefixes mean nothing to FHIR, but could have narratives written in another way.
    """
    kept: list[Node] = []
    element.prefixes = {}
    for child in element.children:
        if isinstance(child, Element) and child.name.startswith(_OF_FHIR):
            _prune(child)
            empty = not child.attributes and all(map(_says_nothing, child.children))
            if empty and local_name(child.name)[:1].islower():
                continue
        kept.append(child)
    element.children = kept


def _says_nothing(node: Node) -> bool:
    return _is_blank(node) or isinstance(node, Comment | Instruction)
