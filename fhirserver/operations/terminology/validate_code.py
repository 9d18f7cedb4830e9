"""$validate-code: whether a code is in a value set, or in a code system.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html and
codesystem-operation-validate-code.html. `result` false is an answer, not a refusal.
"""

from __future__ import annotations

from typing import Final

from fhirserver.errors import Invalid
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, encode
from fhirserver.model.outcome import Issue, operation_outcome
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.terminology.asking import ask, check_date, instance, languages
from fhirserver.operations.terminology.value_set import asked_for
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.parameters import MORE, REPEATED
from fhirserver.terminology.validate_code import (
    Coded,
    Manner,
    ValueSetCheck,
    Verdict,
    check_in_system,
)

VALUE_SET = "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code"
CODE_SYSTEM = "http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code"
_MORE: Final = {
    **MORE,
    "activeOnly": "boolean",
    "inferSystem": "boolean",
    "lenient-display-validation": "boolean",
    "valueset-membership-only": "boolean",
    "systemVersion": "string",
}
_UNTOLD: Final = frozenset({"UNKNOWN_CODE_IN_FRAGMENT"})


async def of_value_set(context: Context, request: Request) -> Answer:
    """200 with the result. Raises `NotFound` for an unknown value set."""
    given = arguments(context, request, VALUE_SET, more=_MORE, repeated=REPEATED)
    check_date(context, given)
    find = await asked_for(context, request, given)
    codings, concept = _codings(given, given.one("systemVersion"))

    def question(environment: Environment) -> Verdict:
        value_set = find(environment)
        check = ValueSetCheck(environment, value_set, _manner(request, given, value_set))
        return check.one(codings[0]) if concept is None else check.any(codings)

    return _answer(await ask(context, given, question), concept)


async def of_code_system(context: Context, request: Request) -> Answer:
    """200 with the result."""
    given = arguments(context, request, CODE_SYSTEM, more=_MORE, repeated=REPEATED)
    check_date(context, given)
    sent = await instance(context, request) or given.one("codeSystem")
    url, version = given.one("url"), given.one("version")
    if sent is not None:
        url, version = sent.get("url"), sent.get("version")
    codings, concept = _codings(given, version, url)
    if not all(item.system for item in codings):
        raise Invalid("Say which code system: give url, codeSystem, or a coding with a system.")

    def question(environment: Environment) -> Verdict:
        manner = _manner(request, given, None)
        verdicts = [check_in_system(environment, item, manner) for item in codings]
        return next((item for item in verdicts if item.ok), verdicts[0])

    more = [] if sent is None else [sent]
    return _answer(await ask(context, given, question, *more), concept)


def _codings(
    given: Arguments, version: str | None, url: str | None = None
) -> tuple[list[Coded], Resource | None]:
    """What to check, and the CodeableConcept that it came in."""
    concept, coding = given.one("codeableConcept"), given.one("coding")
    if concept is not None:
        codings = concept.get("coding", ())
        if not codings:
            raise Invalid("The codeableConcept has no coding.")
        places = (f"CodeableConcept.coding[{index}]" for index in range(len(codings)))
        return [
            _coded(item, place, url) for item, place in zip(codings, places, strict=True)
        ], concept
    if coding is not None:
        return [_coded(coding, "Coding", url)], None
    code = given.one("code")
    if code is None:
        raise Invalid("Say what to check: give code, coding or codeableConcept.")
    system = given.one("system") if url is None else url
    if system is None and url is None and not given.one("inferSystem"):
        raise Invalid("Say of which system the code is: give system, or inferSystem=true.")
    return [Coded(system, version, code, given.one("display"))], None


def _coded(coding: Resource, place: str, url: str | None) -> Coded:
    if "code" not in coding:
        raise Invalid("A coding without a code cannot be checked.", expression=place)
    return Coded(
        coding.get("system") or url,
        coding.get("version"),
        coding["code"],
        coding.get("display"),
        place,
    )


def _manner(request: Request, given: Arguments, value_set: Resource | None) -> Manner:
    return Manner(
        languages=languages(request, given, value_set),
        abstract=given.one("abstract") is not False,
        active_only=given.one("activeOnly") or False,
        lenient_display=given.one("lenient-display-validation") or False,
        membership_only=given.one("valueset-membership-only") or False,
        infer_system=given.one("inferSystem") or False,
    )


def _answer(verdict: Verdict, concept: Resource | None) -> Answer:
    out: list[Resource] = [{"name": "result", "valueBoolean": verdict.ok}]
    for name, kind, value in (
        ("message", "valueString", _message(verdict.issues)),
        ("display", "valueString", verdict.display),
        ("code", "valueCode", verdict.code),
        ("system", "valueUri", verdict.system),
        ("version", "valueString", verdict.version if verdict.code is not None else None),
        ("inactive", "valueBoolean", verdict.inactive or None),
        ("status", "valueCode", verdict.status if verdict.inactive else None),
        ("codeableConcept", "valueCodeableConcept", concept),
    ):
        if value:
            out.append({"name": name, kind: value})
    out += [{"name": name, "valueCanonical": url} for name, url in verdict.unknown.items()]
    if verdict.issues:
        out.append({"name": "issues", "resource": operation_outcome(verdict.issues)})
    return Answer(200, encode({"resourceType": "Parameters", "parameter": out}))


def _message(issues: list[Issue]) -> str:
    told = {
        issue.text
        for issue in issues
        if issue.detail
        and issue.detail.code != "this-code-not-in-vs"
        and issue.detail.message_id not in _UNTOLD
    }
    return "; ".join(sorted(told))
