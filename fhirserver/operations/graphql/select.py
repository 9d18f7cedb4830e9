"""A query carried out on elements and resources.

https://hl7.org/fhir/R4/graphql.html. What one query may cost is bounded: by the depth of its
selections, the fields that it gives, and the reads and searches that it asks of the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from fhirserver.errors import Invalid, TooCostly, Unprocessable
from fhirserver.fhirpath import Node, resource_node
from fhirserver.fhirpath import compile as compile_path
from fhirserver.fhirpath import element as path_node
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Request
from fhirserver.model.json import Json, Resource, decode
from fhirserver.model.reference import literal
from fhirserver.operations.graphql.directives import Directives, directives
from fhirserver.operations.graphql.node import Element, Elements, children, is_object, of_resource
from fhirserver.operations.graphql.output import Output
from fhirserver.operations.graphql.query import Asked
from fhirserver.operations.graphql.search import CONNECTION, Found, search, searched

if TYPE_CHECKING:
    from graphql.language import FieldNode, NameNode, SelectionNode, SelectionSetNode

MAX_DEPTH: Final = 20
MAX_FIELDS: Final = 50_000
MAX_CALLS: Final = 500
"""Reads and searches of the store."""

_INDEX = "$index"


class _Into(NamedTuple):
    """Where fields go. `flat`: into an object that several elements share, under `suffix`."""

    output: Output
    flat: bool = False
    suffix: str = ""


class Selecting:
    """One query under way."""

    def __init__(self, context: Context, request: Request, asked: Asked) -> None:
        self._context = context
        self._request = request
        self._asked = asked
        self._fields = 0
        self._calls = 0

    async def of_resource(self, resource: Resource) -> Resource:
        """What the query selects of a resource."""
        output = Output()
        await self._select(of_resource(resource), self._asked.selections, _Into(output), 0)
        return output.value()

    async def of_system(self) -> Resource:
        """What the query selects of the system: resources by id, and searches."""
        output = Output()
        await self._system(self._asked.selections, _Into(output), 0)
        return output.value()

    # --- selections ---------------------------------------------------------------------

    async def _select(
        self, element: Element, selections: SelectionSetNode, into: _Into, depth: int
    ) -> None:
        from graphql.language import FieldNode

        self._enter(depth)
        for node in selections.selections:
            found = self._directives(node)
            if not found.shown:
                continue
            if isinstance(node, FieldNode):
                await self._field(element, node, found, into, depth)
                continue
            type, inner = self._fragment(node)
            if type is None or self._context.definitions.is_subtype(element.type, type):
                await self._select(element, inner, into, depth + 1)

    def _fragment(self, node: SelectionNode) -> tuple[str | None, SelectionSetNode]:
        """The type that a fragment is for (None: any), and what it selects."""
        from graphql.language import FragmentSpreadNode, InlineFragmentNode

        if isinstance(node, FragmentSpreadNode):
            found = self._asked.fragments.get(node.name.value)
            if found is None:
                raise Invalid(f"There is no fragment '{node.name.value}'.")
            return found.type_condition.name.value, found.selection_set
        assert isinstance(node, InlineFragmentNode)
        condition = node.type_condition
        return None if condition is None else condition.name.value, node.selection_set

    async def _field(
        self, element: Element, node: FieldNode, found: Directives, into: _Into, depth: int
    ) -> None:
        name = node.name.value
        given = self._arguments(node)
        search_of = searched(self._context, name) if element.is_resource else None
        if name in ("resourceType", "__typename"):
            self._put(into, node, found, [element.type], many=False)
        elif search_of is not None:
            await self._search(search_of, element.value, node, found, into, depth)
        elif element.type == "Reference" and name == "resource":
            target = await self._resolved(element, given)
            items = [] if target is None else [of_resource(target)]
            await self._put_elements(into, node, found, Elements(items, many=False), depth)
        else:
            elements = children(self._context.definitions, element, name)
            elements = elements._replace(items=self._filtered(elements.items, given))
            await self._put_elements(into, node, found, elements, depth)

    async def _put_elements(
        self, into: _Into, node: FieldNode, found: Directives, elements: Elements, depth: int
    ) -> None:
        items = elements.items[:1] if found.first else elements.items
        many = elements.many
        inner = node.selection_set
        for item in items:
            if is_object(item) != (inner is not None):
                what = "has fields: select some" if inner is None else "has no fields"
                raise Invalid(f"'{node.name.value}' {what}.")
        if inner is None:
            self._put(into, node, found, [item.value for item in items], many=many)
        elif found.flatten:
            for index, item in enumerate(items):
                suffix = into.suffix + self._slice(found, item, index)
                await self._select(item, inner, _Into(into.output, True, suffix), depth + 1)
        else:
            values = [await self._object(item, inner, depth) for item in items]
            self._put(into, node, found, [value for value in values if value], many=many)

    async def _object(self, item: Element, inner: SelectionSetNode, depth: int) -> Resource:
        output = Output()
        await self._select(item, inner, _Into(output), depth + 1)
        return output.value()

    def _put(
        self, into: _Into, node: FieldNode, found: Directives, values: Sequence[Json], *, many: bool
    ) -> None:
        self._count(1 + len(values))
        if found.first:
            values = values[:1]
        name = _key(node) + into.suffix
        if found.singleton:
            into.output.put_single(name, values)
        else:
            into.output.put(name, values, many=many or into.flat)

    # --- arguments ----------------------------------------------------------------------

    def _arguments(self, node: FieldNode) -> Mapping[str, Json]:
        return self._asked.arguments(node.arguments or ())

    def _directives(self, node: SelectionNode) -> Directives:
        return directives(self._asked, node.directives or ())

    def _filtered(self, items: list[Element], given: Mapping[str, Json]) -> list[Element]:
        """The items that the arguments leave: by FHIRPath, by a child's value, by number."""
        for name, value in given.items():
            if name == "fhirpath":
                items = [item for item in items if self._holds(item, value)]
            elif name not in ("_count", "_offset"):
                items = [item for item in items if self._has(item, name, value)]
        offset, count = given.get("_offset", 0), given.get("_count", len(items))
        for number in (offset, count):
            if not isinstance(number, int) or number < 0:
                raise Invalid("_offset and _count are numbers of 0 or more.")
        return items[offset : offset + count]

    def _holds(self, item: Element, text: Json) -> bool:
        if not isinstance(text, str):
            raise Invalid("The argument fhirpath is a text.")
        return compile_path(text).holds(_path_node(item), resource_node(item.resource)) is True

    def _has(self, item: Element, name: str, value: Json) -> bool:
        if not is_object(item):
            raise Invalid(f"A {item.type} has no '{name}' to be filtered by.")
        found = children(self._context.definitions, item, name).items
        return any(_same(child.value, value) for child in found)

    def _slice(self, found: Directives, item: Element, index: int) -> str:
        if found.slice is None:
            return ""
        if found.slice == _INDEX:
            return f".{index}"
        nodes = compile_path(found.slice).select_from(
            _path_node(item), resource_node(item.resource)
        )
        return f".{nodes[0].value}" if nodes else ""

    # --- other resources ----------------------------------------------------------------

    async def _resolved(self, element: Element, given: Mapping[str, Json]) -> Resource | None:
        """The resource of a reference; None for one of a type that is not asked for."""
        url = element.value.get("reference")
        target = await self._target(url, element.resource) if isinstance(url, str) else None
        if target is None:
            if given.get("optional") is True:
                return None
            raise Unprocessable(f"The reference '{url}' leads to no resource here.")
        wanted = given.get("type")
        return target if wanted in (None, target["resourceType"]) else None

    async def _target(self, url: str, resource: Resource) -> Resource | None:
        if url.startswith("#"):
            contained = resource.get("contained", ())
            return next((item for item in contained if item.get("id") == url[1:]), None)
        parts = literal(url)
        if parts is None or parts.base not in ("", self._request.base):
            return None
        return await self._read(parts.type, parts.id)

    async def _read(self, type: str, id: str) -> Resource | None:
        self._call()
        version = await self._context.store.read(type, id)
        if version is None or version.body is None:
            return None
        found: Resource = decode(version.body)
        return found

    async def _search(
        self,
        which: tuple[str, str],
        of: Resource | None,
        node: FieldNode,
        found: Directives,
        into: _Into,
        depth: int,
    ) -> None:
        self._call()
        type, kind = which
        inner = node.selection_set
        if inner is None:
            raise Invalid(f"'{node.name.value}' has fields: select some.")
        total = kind == CONNECTION and "count" in _names(inner)
        page = await search(
            self._context, self._request, type, self._arguments(node), of, total=total
        )
        if kind == CONNECTION:
            value = await self._connection(page, inner, depth + 1)
            self._put(into, node, found, [value], many=False)
        else:
            items = [of_resource(resource) for resource in page.resources]
            await self._put_elements(into, node, found, Elements(items, many=True), depth)

    async def _connection(self, page: Found, selections: SelectionSetNode, depth: int) -> Resource:
        """https://hl7.org/fhir/R4/graphql.html#searching: a page of a search with its cursors."""
        from graphql.language import FieldNode

        self._enter(depth)
        output = Output()
        told: dict[str, Json] = {
            "count": page.total,
            "offset": 0 if page.is_first else None,
            "pagesize": page.size,
            "first": page.first,
            "previous": None,
            "next": page.next,
            "last": None,
        }
        for node in selections.selections:
            found = self._directives(node)
            if not isinstance(node, FieldNode):
                raise Invalid("A connection has no fragments: select its fields.")
            name = node.name.value
            if not found.shown:
                continue
            if name == "edges" and node.selection_set is not None:
                edges = [
                    await self._edge(resource, node.selection_set, depth + 1)
                    for resource in page.resources
                ]
                self._put(_Into(output), node, found, edges, many=True)
            elif name in told and node.selection_set is None:
                value = told[name]
                values = [] if value is None else [value]
                self._put(_Into(output), node, found, values, many=False)
            else:
                raise Invalid(f"A connection has no field '{name}': {', '.join(told)}, edges.")
        return output.value()

    async def _edge(self, resource: Resource, selections: SelectionSetNode, depth: int) -> Resource:
        from graphql.language import FieldNode

        output = Output()
        for node in selections.selections:
            name = node.name.value if isinstance(node, FieldNode) else ""
            found = self._directives(node)
            if not found.shown:
                continue
            if name == "mode":
                output.put(name, ["match"], many=False)
            elif name == "resource" and isinstance(node, FieldNode):
                elements = Elements([of_resource(resource)], many=False)
                await self._put_elements(_Into(output), node, found, elements, depth)
            elif name != "score":  # a search by parameters gives none
                raise Invalid("An edge has the fields mode, score and resource.")
        return output.value()

    async def _system(self, selections: SelectionSetNode, into: _Into, depth: int) -> None:
        from graphql.language import FieldNode

        self._enter(depth)
        for node in selections.selections:
            found = self._directives(node)
            if not found.shown:
                continue
            if not isinstance(node, FieldNode):
                await self._system(self._fragment(node)[1], into, depth + 1)
                continue
            name = node.name.value
            which = searched(self._context, name)
            if which is not None:
                await self._search(which, None, node, found, into, depth)
            elif name in self._context.definitions.resource_types:
                await self._by_id(name, node, found, into, depth)
            else:
                raise Invalid(
                    f"'{name}' cannot be asked for: write Patient(id: ..), PatientList(..) or "
                    "PatientConnection(..), of any type."
                )

    async def _by_id(
        self, type: str, node: FieldNode, found: Directives, into: _Into, depth: int
    ) -> None:
        given = self._arguments(node)
        id = given.get("id")
        if set(given) != {"id"} or not isinstance(id, str | int):
            raise Invalid(f"Say which {type} is meant: {type}(id: ..).")
        resource = await self._read(type, str(id))
        if resource is None:
            raise Unprocessable(f"There is no {type}/{id}.")
        elements = Elements([of_resource(resource)], many=False)
        await self._put_elements(into, node, found, elements, depth)

    # --- bounds -------------------------------------------------------------------------

    def _enter(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise TooCostly(f"The query is nested more than {MAX_DEPTH} levels deep.")
        self._count(1)

    def _count(self, fields: int) -> None:
        self._fields += fields
        if self._fields > MAX_FIELDS:
            raise TooCostly(f"The query has more than {MAX_FIELDS} fields and fragments.")

    def _call(self) -> None:
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise TooCostly(f"The query reads and searches more than {MAX_CALLS} times.")


def _key(node: FieldNode) -> str:
    alias: NameNode | None = node.alias
    return (alias or node.name).value


def _names(selections: SelectionSetNode) -> set[str]:
    from graphql.language import FieldNode

    return {node.name.value for node in selections.selections if isinstance(node, FieldNode)}


def _same(value: Json, wanted: Json) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return str(value) == str(wanted)


def _path_node(item: Element) -> Node:
    return resource_node(item.value) if item.is_resource else path_node(item.value, item.path)
