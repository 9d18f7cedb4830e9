"""$closure: a table of what lies below what, kept for a client as it adds codes.

https://hl7.org/fhir/R4/terminology-service.html#closure. In the ConceptMap that is returned, the
target subsumes the source.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fhirserver.errors import Invalid, NotFound
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, encode
from fhirserver.model.temporal import format_instant
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.terminology.asking import ask
from fhirserver.store.concepts import ClosureCode
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.issue import MissingSystem
from fhirserver.terminology.parameters import MORE, REPEATED

URL = "http://hl7.org/fhir/OperationDefinition/ConceptMap-closure"
_LONGEST: Final = 200
_MOST: Final = 2000  # codes of one table


async def run(context: Context, request: Request) -> Answer:
    """200 with what is new since the version, or by the codes that are added.

    Raises `NotFound` for a table that was not begun (with the name alone).
    """
    given = arguments(context, request, URL, more=MORE, repeated=REPEATED)
    name: str = given.one("name")
    if len(name) > _LONGEST:
        raise Invalid(f"The name of a closure table has at most {_LONGEST} characters.")
    added, since = _added(given), _since(given)
    if not added and since is None:
        await context.concepts.begin_closure(name)
        return _answer(context, name, 0, [])
    table = await context.concepts.extend_closure(name, added, _MOST)
    if table is None:
        raise NotFound(f"There is no closure table '{name}': begin it by a call without concepts.")
    codes = table.codes
    version = max((item.version for item in codes), default=0)
    start = table.before if added else since or 0
    pairs = await ask(context, given, lambda environment: _relations(environment, codes, start))
    return _answer(context, name, version, pairs)


def _added(given: Arguments) -> list[tuple[str, str]]:
    found = []
    for coding in given.all("concept"):
        system, code = coding.get("system"), coding.get("code")
        if not system or not code:
            raise Invalid("Each concept of a closure table has a system and a code.")
        found.append((system, code))
    return list(dict.fromkeys(found))


def _since(given: Arguments) -> int | None:
    version = given.one("version")
    if version is None:
        return None
    if not version.isdecimal():
        raise Invalid("The version is one that an earlier answer gave.")
    return int(version)


def _relations(
    environment: Environment, codes: Iterable[ClosureCode], start: int
) -> list[tuple[str, str, str]]:
    """System, code and a code above it, for each pair with a code that is newer than `start`."""
    by_system: dict[str, list[ClosureCode]] = {}
    for item in codes:
        by_system.setdefault(item.system, []).append(item)
    found = []
    for url, known in by_system.items():
        try:
            system = environment.system(url)
        except MissingSystem:
            continue
        here = {item.code: item.version for item in known}
        for item in known:
            found += [
                (url, item.code, code)
                for code in system.above(item.code)
                if code in here and max(item.version, here[code]) > start
            ]
    return found


def _answer(context: Context, name: str, version: int, pairs: list[tuple[str, str, str]]) -> Answer:
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for system, code, above in pairs:
        target = {"code": above, "equivalence": "subsumes"}
        groups.setdefault(system, {}).setdefault(code, []).append(target)
    body: Resource = {
        "resourceType": "ConceptMap",
        "version": str(version),
        "name": name,
        "status": "active",
        "experimental": True,
        "date": format_instant(context.now()),
    }
    if groups:
        body["group"] = [
            {
                "source": system,
                "target": system,
                "element": [
                    {"code": code, "target": targets} for code, targets in elements.items()
                ],
            }
            for system, elements in groups.items()
        ]
    return Answer(200, encode(body))
