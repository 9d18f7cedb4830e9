"""The TerminologyCapabilities: the code systems that are here, and what can be asked of them.

https://hl7.org/fhir/R4/terminologycapabilities.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from fhirserver.definitions.registry import Definitions
from fhirserver.interactions.context import Context
from fhirserver.model.json import Resource
from fhirserver.store.concepts import SystemCount
from fhirserver.terminology.parameters import OF_EXPAND
from fhirserver.terminology.ucum_system import UCUM

_EXPAND: Final = "http://hl7.org/fhir/OperationDefinition/ValueSet-expand"
_HEAD: Final = ("url", "version", "name", "title", "status", "date", "publisher", "kind")
_NOT_ALL: Final = frozenset({"not-present", "supplement"})


async def known(context: Context) -> tuple[list[SystemCount], Sequence[str]]:
    """The code systems in the store and with the server, and the parameters of $expand."""
    stored = await context.concepts.code_systems()
    served = {row.url for row in context.operations}
    parameters = expand_parameters(context.definitions) if _EXPAND in served else ()
    here = {item.url for item in stored}
    packaged = [item for item in _packaged(context.definitions) if item.url not in here]
    return [*stored, *packaged], parameters


def expand_parameters(definitions: Definitions) -> list[str]:
    """The parameters that $expand takes."""
    operation = definitions.operation(_EXPAND)
    own = [item.name for item in operation.parameters if item.use == "in"] if operation else []
    return sorted({*own, *OF_EXPAND})


def terminology(
    prose: Resource, systems: Iterable[SystemCount], parameters: Sequence[str]
) -> Resource:
    """The statement; `prose` is what all statements of the server say."""
    out: Resource = {"resourceType": "TerminologyCapabilities"}
    out |= {name: prose[name] for name in _HEAD if name in prose}
    out |= {
        "software": {name: prose["software"][name] for name in ("name", "version")},
        "implementation": prose["implementation"],
        "codeSystem": _code_systems(systems),
    }
    if parameters:
        out |= {
            "expansion": {
                "hierarchical": True,
                "paging": True,
                "incomplete": False,
                "parameter": [{"name": name} for name in parameters],
                "textFilter": "Words that names of the concept must have, each at least by its "
                "beginning, or the beginning of its code; the best answers come first.",
            },
            "codeSearch": "all",
            "validateCode": {"translations": True},
            "translation": {"needsMap": True},
            "closure": {"translation": False},
        }
    return out


def _code_systems(systems: Iterable[SystemCount]) -> list[Resource]:
    versions: dict[str, list[str]] = {}
    for item in systems:
        known = versions.setdefault(item.url, [])
        if item.version is not None:
            known.append(item.version)
    return [
        {"uri": url}
        | ({"version": [{"code": code} for code in sorted(codes)]} if codes else {})
        | {"subsumption": True}
        for url, codes in sorted(versions.items())
    ]


@lru_cache(maxsize=8)
def _packaged(definitions: Definitions) -> list[SystemCount]:
    found = [
        SystemCount(item["url"], item.get("version"), item["content"], 0)
        for item in definitions.shelf("CodeSystem").values()
        if item.get("content") not in _NOT_ALL and item["url"] != UCUM
    ]
    return [SystemCount(UCUM, None, "complete", 0), *found]
