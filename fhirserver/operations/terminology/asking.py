"""What all terminology operations have in common: rules from parameters, and who answers.

Definitions are looked for in the request (`tx-resource`, a parameter of the HL7
tx-ecosystem), then in the store, then among those that come with the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from fhirserver.errors import Invalid, NotSupported
from fhirserver.interactions import terminology
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Request
from fhirserver.model.json import Resource, decode
from fhirserver.model.temporal import interval
from fhirserver.operations.arguments import Arguments
from fhirserver.operations.current import current
from fhirserver.terminology.concept import split_canonical
from fhirserver.terminology.display import languages_of
from fhirserver.terminology.environment import Environment, Rules

_T = TypeVar("_T")


async def ask(
    context: Context, given: Arguments, question: Callable[[Environment], _T], *more: Resource
) -> _T:
    """What the question makes of all that is known; `more` are definitions of the request."""
    brought = (*more, *given.all("tx-resource"))
    return await terminology.ask(context, question, rules_of(given), brought)


def check_date(context: Context, given: Arguments) -> None:
    """Raises `NotSupported` for a `date` in the past: definitions are kept as they are now."""
    date = given.one("date")
    if date is not None and interval(date).end <= context.now():
        text = f"What held on {date} is not known, only what holds now: leave 'date' out."
        raise NotSupported(text)


def rules_of(given: Arguments) -> Rules:
    """The rules on versions that the parameters state."""
    return Rules(
        _versions(given.all("system-version")),
        _versions(given.all("check-system-version")),
        _versions(given.all("force-system-version")),
        _versions(given.all("default-valueset-version")),
        given.all("useSupplement"),
    )


def _versions(canonicals: Iterable[str]) -> dict[str, str]:
    found = {}
    for text in canonicals:
        url, version = split_canonical(text)
        if version is None:
            raise Invalid(f"Name the version in '{text[:200]}': url|version.")
        found[url] = version
    return found


def languages(
    request: Request, given: Arguments, resource: Resource | None = None
) -> tuple[str, ...]:
    """The languages asked for: by parameter, by the value set, or by the header."""
    asked = given.one("displayLanguage") or _language_of(resource) or request.languages
    return languages_of(asked)


_PARAMETER: Final = "http://hl7.org/fhir/StructureDefinition/valueset-expansion-parameter"


def _language_of(value_set: Resource | None) -> str | None:
    """The language that a value set asks to be shown in."""
    compose = (value_set or {}).get("compose", {})
    for item in compose.get("extension", ()):
        if item.get("url") == _PARAMETER:
            values = {
                part.get("url"): value
                for part in item.get("extension", ())
                for name, value in part.items()
                if name.startswith("value")
            }
            if values.get("name") == "displayLanguage":
                return str(values.get("value"))
    return (value_set or {}).get("language")


async def instance(context: Context, request: Request) -> Resource | None:
    """The resource that the operation is called on; None on a type."""
    if request.id is None:
        return None
    version = await current(context, request.type or "", request.id)
    found: Resource = decode(version.body or b"{}")
    return found


def system_asked(
    given: Arguments, code: str = "code", coding: str = "coding"
) -> tuple[str | None, str | None, str | None]:
    """System, version and code, given apart or as a Coding."""
    as_coding = given.one(coding)
    if as_coding is not None:
        return as_coding.get("system"), as_coding.get("version"), as_coding.get("code")
    return given.one("system"), given.one("version"), given.one(code)
