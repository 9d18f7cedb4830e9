"""The CapabilityStatement, computed from the tables that the server works by.

https://hl7.org/fhir/R4/http.html#capabilities. Interactions are the rows of the gate,
search parameters those that are indexed, flags those of the policy; `capability/base.json`
holds the prose. Built once, and kept as bytes between which the base URL is put.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import TypeAlias

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.search_parameter import SearchParameter
from fhirserver.definitions.structure import CORE
from fhirserver.errors import Invalid
from fhirserver.interactions.context import Context, Policy
from fhirserver.interactions.operation import OperationRow
from fhirserver.interactions.parameters import check_parameters, single
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.terminology_capabilities import known, terminology
from fhirserver.model.json import Resource, encode
from fhirserver.search.index import Indexer
from fhirserver.search.result import INCLUDES, REPEATED, SINGLE
from fhirserver.search.text import TEXT_PARAMETERS

_Rows: TypeAlias = tuple[OperationRow, ...]

RELEASED = "2026-11-20"
"""When this version of the software was made; the statement changes with nothing else."""

_BASE = b"{base}"  # stands in the prose where the service base URL belongs
_AUTH = b"{auth}"  # where the address of the authorization server belongs
_OAUTH = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SERVICES = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_ANYWHERE = ("_filter", "_has", "_list", "_type", *SINGLE.keys() - {"_query"}, *REPEATED, *INCLUDES)
"""Parameters beside those of every type, which the types list; named queries there are none."""

_OF_TYPE = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)  # https://hl7.org/fhir/R4/valueset-type-restful-interaction.html
_OF_SYSTEM = ("transaction", "batch", "search-system", "history-system")
_TRIAL_USE = frozenset(
    {
        "security",
        "versioning",
        "readHistory",
        "updateCreate",
        "conditionalCreate",
        "conditionalRead",
        "conditionalUpdate",
        "conditionalDelete",
        "referencePolicy",
        "searchInclude",
        "searchRevInclude",
    }
)  # elements of `rest` and `rest.resource` that R4 does not call normative


async def run(context: Context, request: Request) -> Answer:
    """The statement of the mode asked for: full (the default), normative or terminology.

    Raises `Invalid` for another mode.
    """
    check_parameters(request, ("mode",))
    build = _MODES.get(single(request, "mode") or "full")
    if build is None:
        raise Invalid(f"There is no such mode of a statement: ask for {', '.join(_MODES)}.")
    parts = build(
        context.definitions,
        context.indexer,
        context.policy,
        context.operations,
        context.store.atomic,
    )
    if parts is None:
        parts = _split(terminology(_prose(context.definitions), *await known(context)))
    base = encode(request.base)[1:-1]
    body = base.join(parts)
    if context.policy.auth == "smart":
        body = body.replace(_AUTH, base.removesuffix(b"/fhir") + b"/auth")
    return Answer(200, body)


def statement(
    definitions: Definitions,
    indexer: Indexer,
    policy: Policy,
    operations: Sequence[OperationRow] = (),
    atomic: bool = True,
) -> Resource:
    """The CapabilityStatement, with `{base}` where the service base URL belongs.

    `atomic`: the store can commit several changes as one, so that there are transactions.
    """
    out = _prose(definitions)
    (rest,) = out["rest"]
    codes = _gate()
    referring = _referring(definitions, indexer)
    rest["resource"] = [
        _resource(type, indexer.parameters(type), referring[type], codes, policy)
        | _operations([row for row in operations if _is_of(row, type)])
        for type in sorted(definitions.resource_types)
    ]
    rest["interaction"] = [
        {"code": code} for code in _OF_SYSTEM if code in codes and (atomic or code != "transaction")
    ]
    rest["searchParam"] = [
        {"name": name, "type": "special"}
        for name in sorted((*_ANYWHERE, *TEXT_PARAMETERS[policy.full_text]))
    ]
    if policy.auth == "smart":
        rest["security"] |= _smart()
    rest["compartment"] = [item.url for item in definitions.compartments.values()]
    rest |= _operations([row for row in operations if "system" in row.levels])
    return out


def _smart() -> Resource:
    """How to get in (https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html)."""
    addresses = [
        {"url": name, "valueUri": f"{_AUTH.decode()}/{name}"}
        for name in ("authorize", "token", "introspect", "revoke")
    ]
    code = {"system": _SERVICES, "code": "SMART-on-FHIR", "display": "SMART-on-FHIR"}
    return {
        "service": [{"coding": [code], "text": "OAuth 2.0 by SMART App Launch"}],
        "extension": [{"url": _OAUTH, "extension": addresses}],
    }


def _is_of(row: OperationRow, type: str) -> bool:
    return row.levels != ("system",) and (not row.types or type in row.types)


def _operations(rows: Sequence[OperationRow]) -> Resource:
    if not rows:
        return {}
    return {"operation": [{"name": row.code, "definition": row.url} for row in rows]}


def _prose(definitions: Definitions) -> Resource:
    (prose,) = definitions.shelf("CapabilityStatement").values()
    prose |= {"date": RELEASED, "version": version("fhirserver")}
    prose["software"] |= {"version": version("fhirserver"), "releaseDate": RELEASED}
    return prose


def _gate() -> frozenset[str]:
    """The codes of the gate's rows; the gate itself imports this module."""
    from fhirserver.interactions.dispatch import INTERACTIONS

    return frozenset(INTERACTIONS)


def _referring(definitions: Definitions, indexer: Indexer) -> Mapping[str, list[str]]:
    """For each type, the reference parameters that may point to it, as `_revinclude` values."""
    out: dict[str, list[str]] = {type: [] for type in definitions.resource_types}
    for type in sorted(definitions.resource_types):
        for code, parameter in indexer.parameters(type).items():
            if parameter.type == "reference":
                for target in parameter.target or definitions.resource_types:
                    if target in out:
                        out[target].append(f"{type}:{code}")
    return out


def _resource(
    type: str,
    parameters: Mapping[str, SearchParameter],
    referring: list[str],
    codes: frozenset[str],
    policy: Policy,
) -> Resource:
    include = [f"{type}:{code}" for code, item in parameters.items() if item.type == "reference"]
    out: Resource = {
        "type": type,
        "profile": CORE + type,
        "interaction": [{"code": code} for code in _OF_TYPE if code in codes],
        "versioning": "versioned",
        "readHistory": "vread" in codes,
        "updateCreate": policy.update_create,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": "conditional-update" in codes,
        "conditionalDelete": policy.conditional_delete,
        "referencePolicy": _reference_policy(policy),
        "searchInclude": ["*", *include],
        "searchRevInclude": ["*", *referring],
        "searchParam": [
            {"name": code, "definition": item.url, "type": item.type}
            for code, item in parameters.items()
        ],
    }
    return out


def _reference_policy(policy: Policy) -> list[str]:
    enforced = policy.integrity_on_write and policy.integrity_on_delete
    return ["literal", "logical", "enforced"] if enforced else ["literal", "logical"]


def _without_trial_use(element: Resource) -> Resource:
    return {name: value for name, value in element.items() if name not in _TRIAL_USE}


def _split(resource: Resource) -> list[bytes]:
    return encode(resource).split(_BASE)


@lru_cache(maxsize=8)
def _full(
    definitions: Definitions, indexer: Indexer, policy: Policy, operations: _Rows, atomic: bool
) -> list[bytes]:
    return _split(statement(definitions, indexer, policy, operations, atomic))


@lru_cache(maxsize=8)
def _normative(
    definitions: Definitions, indexer: Indexer, policy: Policy, operations: _Rows, atomic: bool
) -> list[bytes]:
    out = statement(definitions, indexer, policy, operations, atomic)
    (rest,) = out["rest"]
    rest["resource"] = [_without_trial_use(item) for item in rest["resource"]]
    out["rest"] = [_without_trial_use(rest)]
    return _split(out)


def _terminology(
    definitions: Definitions, indexer: Indexer, policy: Policy, operations: _Rows, atomic: bool
) -> None:
    """Made for each request: code systems come and go."""


_MODES: dict[str, Callable[[Definitions, Indexer, Policy, _Rows, bool], list[bytes] | None]] = {
    "full": _full,
    "normative": _normative,
    "terminology": _terminology,
}
