"""From a method and a path to an interaction: for HTTP requests and bundle entries alike.

https://hl7.org/fhir/R4/http.html#summary. A method on a type without an id (`PUT Patient?..`)
is the conditional interaction, whose condition is the query.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from fhirserver.definitions.operation import Operation
from fhirserver.definitions.registry import Definitions
from fhirserver.errors import FhirError, Invalid, MethodNotAllowed, NotFound
from fhirserver.interactions.operation import MARK, Level
from fhirserver.model.json import Json
from fhirserver.model.outcome import Issue
from fhirserver.model.reference import ID


class Route(NamedTuple):
    """What a method and a path ask. `interaction` is the code of a row of the gate.

    That of an operation is its code with `$`. For `POST [base]` it is `BUNDLE`:
    `bundle_interaction` tells which one the body asks.
    """

    interaction: str
    type: str | None = None
    id: str | None = None
    version: str | None = None
    compartment: tuple[str, str] | None = None


BUNDLE: Final = "bundle"

ASYNC_STATUS: Final = "__async-status"
"""The address, with an id behind, of a request that is answered later."""

_ASYNC_STATUS = {"GET": "async-status", "DELETE": "async-cancel"}
_SYSTEM = {"GET": "search-system", "POST": BUNDLE}
_SYSTEM_WORDS = {
    "metadata": {"GET": "capabilities"},
    "_search": {"POST": "search-system"},
    "_history": {"GET": "history-system"},
}
_TYPE = {
    "GET": "search-type",
    "POST": "create",
    "PUT": "conditional-update",
    "PATCH": "conditional-patch",
    "DELETE": "conditional-delete",
}
_TYPE_WORDS = {
    "_search": {"POST": "search-type"},
    "_history": {"GET": "history-type"},
    "__explain": {"GET": "explain"},
}
_INSTANCE = {"GET": "read", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_HISTORY = {"GET": "history-instance"}
_VERSION = {"GET": "vread"}
_OPERATION = {"GET": "operation", "POST": "operation"}
_WRITING_OPERATION = {"POST": "operation"}
_COMPARTMENT = {"GET": "search-compartment"}
_COMPARTMENT_SEARCH = {"POST": "search-compartment"}


def route(method: str, path: str, definitions: Definitions) -> Route:
    """The interaction of a method and a decoded path below the service base.

    HEAD asks what GET does. Raises `NotFound` for an address that is none of FHIR's,
    `MethodNotAllowed`, whose headers say what is allowed, and `Invalid` for an id that
    cannot be one.
    """
    parts = path.strip("/").split("/")
    type = parts[0]
    if type not in definitions.resource_types:
        return _of_system(method, parts, definitions)
    if len(parts) == 1:
        return Route(_pick(method, _TYPE), type)
    id = parts[1]
    if ID.fullmatch(id):
        if len(parts) == 2:
            return Route(_pick(method, _INSTANCE), type, id)
        return _of_instance(method, parts, definitions)
    if len(parts) == 2 and id in _TYPE_WORDS:
        return Route(_pick(method, _TYPE_WORDS[id]), type)
    if len(parts) == 2 and id.startswith(MARK):
        return Route(_operation(method, id, "type", type, definitions), type)
    raise _bad_id(id)


def bundle_interaction(resource: Json) -> Literal["batch", "transaction"]:
    """What a body sent to the service base asks. Raises `Invalid` for any other body."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Bundle":
        raise Invalid(
            "Only a Bundle can be sent to the service base: send a resource to [base]/[type]."
        )
    kind = resource.get("type")
    if kind == "batch":
        return "batch"
    if kind == "transaction":
        return "transaction"
    raise Invalid(
        "A Bundle that is sent to the service base is of type batch or transaction.",
        expression="Bundle.type",
    )


def _of_system(method: str, parts: list[str], definitions: Definitions) -> Route:
    if len(parts) == 2 and parts[0] == ASYNC_STATUS:
        return Route(_pick(method, _ASYNC_STATUS), id=parts[1])
    if len(parts) == 1:
        word = parts[0]
        if not word:
            return Route(_pick(method, _SYSTEM))
        if word in _SYSTEM_WORDS:
            return Route(_pick(method, _SYSTEM_WORDS[word]))
        if word.startswith(MARK):
            return Route(_operation(method, word, "system", None, definitions))
    raise _unsupported(f"'{parts[0]}' is not a resource type of FHIR R4.")


def _of_instance(method: str, parts: list[str], definitions: Definitions) -> Route:
    type, id, *rest = parts
    match rest:
        case ["_history"]:
            return Route(_pick(method, _HISTORY), type, id)
        case ["_history", version] if ID.fullmatch(version):
            return Route(_pick(method, _VERSION), type, id, version)
        case [word] if word.startswith(MARK):
            return Route(_operation(method, word, "instance", type, definitions), type, id)
        case [word] | [word, "_search"]:
            pass
        case _:
            raise _unsupported("There is nothing of FHIR at this address.")
    if type not in definitions.compartments:
        raise _unsupported(f"There is no compartment of a {type}: search [base]/{word} instead.")
    if word not in definitions.resource_types and word not in ("*", "_search"):
        raise _unsupported(f"'{word}' is not a resource type of FHIR R4.")
    by_post = word == "_search" or len(rest) == 2
    methods = _COMPARTMENT_SEARCH if by_post else _COMPARTMENT
    searched = None if word in ("*", "_search") else word
    return Route(_pick(method, methods), searched, compartment=(type, id))


def _operation(
    method: str, word: str, level: Level, type: str | None, definitions: Definitions
) -> str:
    """The word itself, if a definition says that it can be called so.

    https://hl7.org/fhir/R4/operations.html#executing: GET is for what changes nothing and needs
    no parameter of a complex type. Whether this server has the operation, the gate tells.
    """
    bases = (None,) if type is None else definitions.bases(type)
    found = [
        item
        for item in definitions.operations()
        if item.code == word[1:]
        and getattr(item, level)
        and (type is None or any(base in item.resources for base in bases))
    ]
    if not found:
        raise _no_operation(word)
    _pick(method, _OPERATION if any(map(_can_be_read, found)) else _WRITING_OPERATION)
    return word


def _can_be_read(operation: Operation) -> bool:
    return not operation.affects_state and not any(
        parameter.use == "in"
        and parameter.min > 0
        and (parameter.type is None or parameter.type[:1].isupper())
        for parameter in operation.parameters
    )


def _pick(method: str, methods: dict[str, str]) -> str:
    return methods.get(method) or _other(method, methods)


def _other(method: str, methods: dict[str, str]) -> str:
    if method == "HEAD" and "GET" in methods:
        return methods["GET"]
    allowed = ", ".join(methods)
    if "GET" in methods:
        allowed = allowed.replace("GET", "GET, HEAD")
    raise MethodNotAllowed(
        f"{method} is not possible at this address: use {allowed}.", headers={"Allow": allowed}
    )


def _unsupported(text: str) -> NotFound:
    return NotFound(text, issues=[Issue("error", "not-supported", "", text)])


def _no_operation(word: str) -> NotFound:
    return _unsupported(f"This server has no operation {word} here.")


def _bad_id(text: str) -> FhirError:
    return Invalid(f"'{text}' is not an id: 1 to 64 letters, digits, '-' and '.'.")
