"""JSON Patch on a resource.

RFC 6902 and https://hl7.org/fhir/R4/http.html#patch.
"""

from __future__ import annotations

from typing import Any, Final

import jsonpatch
import jsonpointer

from fhirserver.errors import Invalid, TooCostly, Unprocessable
from fhirserver.model.json import Json, encode

MAX_OPERATIONS: Final = 10_000
_MAX_COPIED = 16 * 1024 * 1024  # bytes; copies of copies would grow without bound


class JsonPatch:
    """The operations of a JSON Patch, checked. Raises `Invalid` for what is none."""

    def __init__(self, operations: Json) -> None:
        if not isinstance(operations, list):
            raise Invalid("A JSON Patch is a list of operations.")
        if len(operations) > MAX_OPERATIONS:
            raise TooCostly(f"A patch may have {MAX_OPERATIONS} operations.")
        self._operations = [_checked(item, number) for number, item in enumerate(operations)]

    def apply(self, document: Json) -> Json:
        """The patched document; the given one is changed and not to be used again.

        Raises `Unprocessable` when a test fails or a place is not there.
        """
        budget = _MAX_COPIED
        for number, (item, patch) in enumerate(self._operations):
            try:
                if item["op"] == "copy":
                    budget -= _size(item["from"], document)
                    if budget < 0:
                        raise TooCostly("The patch copies too much.")
                document = patch.apply(document, in_place=True)
            except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
                raise _failed(item, number, error) from None
            except RecursionError:
                raise TooCostly("The patch nests too deeply.") from None
        return document


_VALUED: Final = frozenset({"add", "replace", "test"})
_MOVING: Final = frozenset({"move", "copy"})


def _checked(item: Json, number: int) -> tuple[dict[str, Json], Any]:
    if not isinstance(item, dict):
        raise Invalid(f"Operation {number} of the patch is not an object.")
    op = item.get("op")
    if not isinstance(op, str):
        raise Invalid(f"Operation {number} of the patch needs an 'op'.")
    pointers = ["path", "from"] if op in _MOVING else ["path"]
    for name in pointers:
        if not isinstance(item.get(name), str):
            raise Invalid(f"Operation {number} of the patch needs '{name}', a JSON Pointer.")
    if op in _VALUED and "value" not in item:
        raise Invalid(f"Operation {number} of the patch, '{op}', needs a 'value'.")
    try:
        if op in _MOVING:
            jsonpointer.JsonPointer(item["from"])
        return item, jsonpatch.JsonPatch([item])
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise Invalid(f"Operation {number} of the patch cannot be understood: {error}.") from None


def _size(pointer: str, document: Json) -> int:
    found = jsonpointer.resolve_pointer(document, pointer)
    return 0 if isinstance(found, jsonpointer.EndOfList) else len(encode(found))


def _failed(item: dict[str, Json], number: int, error: Exception) -> Unprocessable:
    where = f"Operation {number} of the patch, {item['op']} '{item['path']}'"
    if isinstance(error, jsonpatch.JsonPatchTestFailed):
        # Not the library's text: it tells the value that is stored.
        return Unprocessable(f"{where}: the value is not the one tested for.")
    return Unprocessable(f"{where}, cannot be applied: there is no such place in the resource.")
