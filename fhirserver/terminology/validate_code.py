"""$validate-code: whether codes are in a value set, or in a code system, and named rightly.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html and
codesystem-operation-validate-code.html. Findings have the codes, places and texts of the
HL7 tx-ecosystem, by which validators decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fhirserver.errors import FhirError
from fhirserver.model.json import Resource
from fhirserver.model.outcome import Issue, issues_of
from fhirserver.terminology.composition import Composition, Member
from fhirserver.terminology.concept import canonical
from fhirserver.terminology.display import display
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.expansion import supplements
from fhirserver.terminology.issue import MissingSystem, MissingValueSet, issue
from fhirserver.terminology.naming import name_issue
from fhirserver.terminology.system_issue import system_issues


@dataclass(frozen=True, slots=True)
class Coded:
    """A code to check, and where it stands: `Coding`, `CodeableConcept.coding[0]`, or ''."""

    system: str | None
    version: str | None
    code: str
    display: str | None
    place: str = ""

    def at(self, element: str) -> str:
        return f"{self.place}.{element}" if self.place else element

    @property
    def whole(self) -> str:
        return self.place or "code"

    @property
    def written(self) -> str:
        """`system|version#code ('display')`, as messages name it."""
        name = f" ('{self.display}')" if self.display else ""
        return f"{canonical(self.system or '', self.version)}#{self.code}{name}"


@dataclass(frozen=True, slots=True)
class Manner:
    """How to check. `abstract` False: codes that only group others are refused."""

    languages: tuple[str, ...] = ()
    abstract: bool = True
    active_only: bool = False
    lenient_display: bool = False
    membership_only: bool = False
    infer_system: bool = False


@dataclass(slots=True)
class Verdict:
    """What is known of one code in the end."""

    ok: bool = False
    code: str | None = None
    system: str | None = None
    version: str | None = None
    display: str | None = None
    inactive: bool = False
    status: str | None = None
    issues: list[Issue] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)


class ValueSetCheck:
    """The check of codes against one value set."""

    def __init__(self, environment: Environment, value_set: Resource, manner: Manner) -> None:
        self._environment = environment
        self._manner = manner
        self._name = canonical(value_set.get("url", ""), value_set.get("version"))
        self._name = self._name.lstrip("|") or "(unidentified)"
        self._composition: Composition | None = None
        self._broken: list[Issue] = []
        try:
            self._composition = Composition(environment, value_set)
        except MissingValueSet as error:
            self._broken = list(issues_of(error))
        urls = self._composition.systems() if self._composition else {}
        environment.require_supplements(supplements(value_set), urls)

    def one(self, coded: Coded) -> Verdict:
        """The verdict on one code."""
        if self._composition is None:
            return self._without_value_set(coded)
        if coded.system is None and self._manner.infer_system:
            return self._inferred(self._composition, coded)
        return self._check(self._composition, coded)

    def any(self, codings: Sequence[Coded]) -> Verdict:
        """The verdict on a CodeableConcept: one of its codings must be in the value set."""
        if self._composition is None:
            return Verdict(issues=self._broken)
        verdicts = [self._check(self._composition, item, among=True) for item in codings]
        chosen = next((item for item in verdicts if item.ok or item.code is not None), None)
        result = chosen or Verdict()
        result.issues = [found for item in verdicts for found in item.issues]
        result.unknown = {key: url for item in verdicts for key, url in item.unknown.items()}
        if chosen is None and not any("x-caused" in key for key in result.unknown):
            text = f"No valid coding was found for the value set '{self._name}'"
            result.issues.insert(
                0,
                issue(
                    "error", "code-invalid", "not-in-vs", text, "", "TX_GENERAL_CC_ERROR_MESSAGE"
                ),
            )
        result.ok = chosen is not None and not any(item.is_error for item in result.issues)
        return result

    def _without_value_set(self, coded: Coded) -> Verdict:
        result = Verdict(code=coded.code, system=coded.system, issues=self._broken)
        member = _anywhere(self._environment, coded)
        if member is not None:
            result.version = member.version
            result.display = display(member, self._manner.languages)
        return result

    def _inferred(self, composition: Composition, coded: Coded) -> Verdict:
        systems = dict.fromkeys(item.url for item in composition.find(None, None, coded.code))
        if len(systems) == 1:
            (url,) = systems
            return self._check(
                composition, Coded(url, None, coded.code, coded.display, coded.place)
            )
        id = "UNABLE_TO_INFER_CODESYSTEM"
        why = f"none of its code systems has it: [{', '.join(composition.systems())}]"
        text = (
            f"The System URI could not be determined for the code '{coded.code}' in the ValueSet "
            f"'{self._name}'"
        )
        if systems:
            why = f"value set expansion has multiple matches: [{', '.join(sorted(systems))}]"
            id = "Unable_to_resolve_system__value_set_has_multiple_matches"
        text = f"{text}: {why}"
        found = issue("error", "not-found", "cannot-infer", text, coded.at("code"), id)
        named = Coded("", None, coded.code, coded.display, coded.place)
        return Verdict(code=coded.code, issues=[self._not_in(named), found])

    def _check(self, composition: Composition, coded: Coded, among: bool = False) -> Verdict:
        try:
            found = list(composition.find(coded.system or "", coded.version, coded.code))
        except MissingSystem as error:
            return _caused_by(error, coded)
        member = self._best(found, coded)
        active_only = self._manner.active_only or composition.active_only
        if member is None:
            return self._outside(composition, coded, among, active_only)
        result = self._about(member, coded)
        refused = self._refused(member, coded)
        if refused:
            result.issues = [*refused, self._not_in(coded), *result.issues]
            return result
        result.ok = True
        if not self._manner.membership_only:
            self._name_check(member, coded, result)
        return result

    def _best(self, found: Sequence[Member], coded: Coded) -> Member | None:
        """Of several versions the newest in which the name is right, or the newest."""
        if len(found) > 1:
            found = sorted(found, key=lambda item: _age(self._environment, item))
            if coded.display:
                right = [
                    item
                    for item in found
                    if name_issue(item, coded, self._manner.languages) is None
                ]
                found = right or found
        return found[0] if found else None

    def _outside(
        self, composition: Composition, coded: Coded, among: bool, active_only: bool
    ) -> Verdict:
        result = Verdict(code=coded.code, system=coded.system)
        try:
            member = _anywhere(self._environment, coded)
        except MissingSystem:
            member = None
        if member is not None:
            result = self._about(member, coded)
            if active_only and member.is_inactive:
                result.issues.insert(0, _not_active(coded))
        else:
            system_issues(self._environment, coded, result)
            if self._in_fragment(composition, coded, result):
                return result
        result.issues.insert(0, self._not_in(coded, among))
        if self._manner.membership_only:
            result.issues = result.issues[:1]
        if among:
            result.code = None
        return result

    def _in_fragment(self, composition: Composition, coded: Coded, result: Verdict) -> bool:
        """Whether the code may be in another fragment of a system that is here in part."""
        if coded.system not in composition.systems() or not any(
            found.detail and found.detail.message_id == "UNKNOWN_CODE_IN_FRAGMENT"
            for found in result.issues
        ):
            return False
        result.ok = True
        return True

    def _about(self, member: Member, coded: Coded) -> Verdict:
        result = Verdict(
            code=member.code,
            system=member.url,
            version=member.version,
            display=display(member, self._manner.languages),
        )
        if member.is_inactive and member.system and member.concept:
            result.inactive = True
            result.status = member.system.info.status(member.concept)
            status = result.status or "inactive"
            told = status if status == "inactive" else f"{status} and inactive"
            text = (
                f"The concept '{coded.code}' has a status of {told} and its use should be reviewed"
            )
            result.issues.append(
                issue(
                    "warning",
                    "business-rule",
                    "code-comment",
                    text,
                    coded.whole,
                    "INACTIVE_CONCEPT_FOUND",
                )
            )
        return result

    def _refused(self, member: Member, coded: Coded) -> list[Issue]:
        """Why a code of the value set is not to be used here."""
        found = []
        if self._manner.active_only and member.is_inactive:
            found.append(_not_active(coded))
        if not self._manner.abstract and member.is_abstract:
            text = f"Code '{coded.written}' is abstract, and not allowed in this context"
            id = "ABSTRACT_CODE_NOT_ALLOWED"
            found.append(issue("error", "business-rule", "code-rule", text, coded.at("code"), id))
        return found

    def _name_check(self, member: Member, coded: Coded, result: Verdict) -> None:
        found = name_issue(
            member, coded, self._manner.languages, lenient=self._manner.lenient_display
        )
        if found is not None:
            result.issues.append(found)
            result.ok = not found.is_error

    def _not_in(self, coded: Coded, among: bool = False) -> Issue:
        text = f"The provided code '{coded.written}' was not found in the value set '{self._name}'"
        return issue(
            "information" if among else "error",
            "code-invalid",
            "this-code-not-in-vs" if among else "not-in-vs",
            text,
            coded.at("code"),
            "None_of_the_provided_codes_are_in_the_value_set_one",
        )


def check_in_system(environment: Environment, coded: Coded, manner: Manner) -> Verdict:
    """The verdict on a code in its code system alone."""
    environment.require_supplements((), (coded.system or "",))
    try:
        member = _anywhere(environment, coded)
    except FhirError:
        member = None
    if member is None:
        result = Verdict(code=coded.code, system=coded.system)
        system_issues(environment, coded, result)
        result.ok = not any(found.is_error for found in result.issues)
        return result
    whole = {"compose": {"include": [{"system": member.url, "version": member.version}]}}
    return ValueSetCheck(environment, whole, manner).one(coded)


def _anywhere(environment: Environment, coded: Coded) -> Member | None:
    """The code in its code system, whatever value sets say; in the newest version that has it."""
    if not coded.system:
        return None
    systems = environment.versions(coded.system)
    if coded.version is not None:
        systems = [environment.system(coded.system, coded.version)]
    for system in systems:
        concept = system.find(coded.code)
        if concept is not None:
            concept = environment.supplemented(system, concept)
            return Member(system.info.url, system.info.version, concept.code, system, concept)
    return None


def _age(environment: Environment, member: Member) -> int:
    versions = [item.info.version for item in environment.versions(member.url)]
    return versions.index(member.version) if member.version in versions else len(versions)


def _caused_by(error: MissingSystem, coded: Coded) -> Verdict:
    """The value set needs a code system that is not here, so that nothing can be said."""
    url = error.canonical
    text = (
        f"A definition for CodeSystem '{url}' could not be found, so the code cannot be validated"
    )
    found = issue("error", "not-found", "not-found", text, coded.at("system"), "UNKNOWN_CODESYSTEM")
    key = "x-caused-by-unknown-system"
    return Verdict(code=coded.code, system=coded.system, issues=[found], unknown={key: url})


def _not_active(coded: Coded) -> Issue:
    text = f"The concept '{coded.code}' is valid but is not active"
    return issue(
        "error", "business-rule", "code-rule", text, coded.at("code"), "STATUS_CODE_WARNING_CODE"
    )
