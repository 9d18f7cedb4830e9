"""https://hl7.org/fhirpath/N1/#types-and-reflection"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhirserver.fhirpath.context import Frame
from fhirserver.fhirpath.functions.function import Function, Kind, compiled_apart
from fhirserver.fhirpath.node import Collection, Item, Node, type_of


def _type(frame: Frame, items: Collection) -> Collection:
    return [Node(_type_info(item), frame.run.shapes.untyped) for item in items]


def _type_info(item: Item) -> dict[str, str]:
    namespace, name = type_of(item)
    return {"namespace": namespace, "name": name, "baseType": _base(item)}


def _base(item: Item) -> str:
    if not isinstance(item, Node):
        return "System.Any"
    line = item.shape.line
    return f"FHIR.{line[1]}" if len(line) > 1 else "System.Any"


FUNCTIONS: Final[Mapping[str, Function]] = {
    "is": Function(compiled_apart, 1, 1, Kind.TYPE, many=False, gives="Boolean"),
    "as": Function(compiled_apart, 1, 1, Kind.TYPE, many=False),
    "type": Function(_type, gives_many=None),
}
