"""The compiler: from a grant to one expression for each type and letter.

    (policy's rules, without withheld labels and what consents deny, or an emergency's record)
    and (the scopes), or the user's own resource

Each scope counts in its own context: two of them are two ways to see a resource, never one
with the conditions of both. Nothing that is missing makes an expression wider.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fhirserver.access.condition import (
    BY_CONTEXT,
    PATIENT,
    about,
    all_of,
    any_of,
    in_record,
    none_of,
    record_params,
    stated,
)
from fhirserver.access.consent import Consents
from fhirserver.access.grant import Grant
from fhirserver.access.policy import AUDIT, BINARY, RolePolicy, Rule
from fhirserver.access.scope import ResourceScope
from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Forbidden
from fhirserver.search.expression import EVERYTHING, NOTHING, Expression, IdIs

_USER: Final = "{user}"
"""What stands for the user's own resource in a policy's condition."""

_SEEING: Final = "rs"

TERMINOLOGY: Final = ("CodeSystem", "ConceptMap", "ValueSet")
"""Types whose content answers come from as a whole, and not resource by resource."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a restriction rests on beside the grant, as it is at one moment.

    `own` are the ids of the patients whose record is the caller's own, `consents` what applies
    to the caller, `opened` the patients whose record was opened in an emergency.
    """

    own: frozenset[str] = frozenset()
    consents: Consents | None = None
    opened: frozenset[str] = frozenset()


class Restriction:
    """What a grant shows and allows, by type and letter; an expression is made when asked for."""

    def __init__(self, grant: Grant, definitions: Definitions, facts: Facts) -> None:
        self.grant = grant
        self.definitions = definitions
        self._facts = facts
        self._record = grant.all_policies.record
        self._known: dict[tuple[str, str], Expression] = {}
        self._sees_terminology: bool | None = None
        self.types = tuple(sorted(definitions.resource_types))

    def of(self, type: str, letter: str) -> Expression:
        """What may be done `letter` with, of that type; `NOTHING` where it is denied at all."""
        found = self._known.get((type, letter))
        if found is None:
            found = self._made(type, letter)
            self._known[type, letter] = found
        return found

    def allows(self, type: str, letter: str) -> bool:
        """Whether there is anything of the type that the letter is allowed for."""
        return self.of(type, letter) != NOTHING

    def check(self, type: str, letter: str) -> None:
        """Raises `Forbidden` where it is denied, before anything is looked up."""
        if not self.allows(type, letter):
            raise Forbidden(f"Your access does not include to {_VERBS[letter]} {type}.")

    def may_name(self, type: str) -> bool:
        """Whether resources of that type may be created under ids of the caller's own choice.

        Only by who may see all of them, whatever anyone consents to: to others, that an id is
        taken would tell that a resource is there.
        """
        if self.grant.unrestricted:
            return True
        about_somebody = type == PATIENT or self.record_params(type)
        if about_somebody and self.grant.is_held_to_consents:
            return False
        return self.of(type, "r") == self.of(type, "u") == EVERYTHING

    @property
    def is_of_patients(self) -> bool:
        """Whether it is of the records of single patients."""
        scopes = self.grant.scopes or ()
        rules = (rule for item in self.grant.policies for rule in item.rules)
        return any(item.level == "patient" for item in scopes) or any(
            rule.of == "own record" for rule in rules
        )

    def sees_terminology(self) -> bool:
        """Whether all that code systems, value sets and maps say may be told."""
        if self._sees_terminology is None:
            found = all(self.of(type, "r") == EVERYTHING for type in TERMINOLOGY)
            self._sees_terminology = found
        return self._sees_terminology

    def confined(self, type: str, letter: str) -> frozenset[str] | None:
        """The patients, and no others, whom what is written may be about; None: anyone."""
        found: frozenset[str] | None = None
        policies = self.grant.policies
        rules = [rule for item in policies for rule in item.rules_for(type, letter)]
        if all(rule.of == "own record" for rule in rules):
            found = self._facts.own
        scopes = self._scopes(type, letter)
        if scopes is not None and all(item.level == "patient" for item in scopes):
            patient = frozenset((self._patient(),))
            found = patient if found is None else found & patient
        return found

    def by_context(self, type: str) -> Expression:
        """Which resources of a type show the Binaries whose securityContext they are.

        Those that are read themselves; by a `patient/` scope for Binary, in that patient's record.
        """
        if type == BINARY:
            return NOTHING
        scopes = self._scopes(BINARY, "r")
        if scopes is None or any(item.level != "patient" for item in scopes):
            return self.of(type, "r")
        own = in_record(self.definitions, self._record, (self._patient(),), type)
        return all_of((self.of(type, "r"), own))

    def record_params(self, type: str) -> tuple[str, ...]:
        """The parameters by which the type refers to whose record it is of."""
        return record_params(self.definitions, self._record, type)

    # --- how it is made -------------------------------------------------------------------

    def _made(self, type: str, letter: str) -> Expression:
        if self.grant.unrestricted:
            return EVERYTHING
        if type not in self.definitions.resource_types:
            return NOTHING
        if type == AUDIT and letter not in _SEEING:
            return NOTHING
        seen = all_of((self._by_role(type, letter), self._by_scope(type, letter)))
        return any_of((seen, self._itself(type, letter)))

    def _by_role(self, type: str, letter: str) -> Expression:
        found = any_of(self._of_policy(item, type, letter) for item in self.grant.policies)
        if found == NOTHING:
            return NOTHING
        if self._facts.consents is not None and self.grant.is_held_to_consents:
            denied = self._facts.consents.denied(self.definitions, self._record, type, letter)
            found = all_of((found, none_of(denied)))
        if self._facts.opened and letter in _SEEING and self.grant.may_break_glass:
            opened = sorted(self._facts.opened)
            if type not in self._record.never and type != AUDIT:
                found = any_of((found, about(self.definitions, self._record, opened, type)))
        return found

    def _of_policy(self, policy: RolePolicy, type: str, letter: str) -> Expression:
        rules = any_of(self._of_rule(rule, type) for rule in policy.rules_for(type, letter))
        if not policy.withheld or type in self.grant.all_policies.definitional:
            return rules
        withheld = any_of(
            stated(self.definitions, type, "_security", text) for text in policy.withheld
        )
        return all_of((rules, none_of(withheld)))

    def _of_rule(self, rule: Rule, type: str) -> Expression:
        parts: list[Expression] = []
        if rule.of == "own record":
            own = sorted(self._facts.own)
            if not own:
                raise Forbidden("This account is a patient's, and not linked to a Patient.")
            parts.append(in_record(self.definitions, self._record, own, type))
        if rule.of == "security context":
            parts.append(BY_CONTEXT)
        for text in rule.where:
            name, _, value = text.partition("=")
            if _USER in value:
                value = value.replace(_USER, self._user())
            parts.append(stated(self.definitions, type, name, value))
        return all_of(parts)

    def _by_scope(self, type: str, letter: str) -> Expression:
        scopes = self._scopes(type, letter)
        if scopes is None:
            return EVERYTHING
        return any_of(self._of_scope(item, type, letter) for item in scopes)

    def _scopes(self, type: str, letter: str) -> list[ResourceScope] | None:
        scopes = self.grant.scopes
        if scopes is None:
            return None
        return [item for item in scopes if item.allows(type, letter)]

    def _of_scope(self, scope: ResourceScope, type: str, letter: str = "") -> Expression:
        parts = [stated(self.definitions, type, name, value) for name, value in scope.constraints]
        if scope.level == "patient" and (type, letter) == (BINARY, "r"):
            parts.append(BY_CONTEXT)
        elif scope.level == "patient":
            patient = (self._patient(),)
            parts.append(in_record(self.definitions, self._record, patient, type))
        return all_of(parts)

    def _itself(self, type: str, letter: str) -> Expression:
        """The user's own resource, which is readable with whatever scopes."""
        if letter != "r" or not self.grant.reads_itself:
            return NOTHING
        own_type, _, id = self._user().partition("/")
        return IdIs((id,)) if type == own_type else NOTHING

    def _patient(self) -> str:
        patient = self.grant.principal.patient if self.grant.principal else None
        if not patient:
            raise Forbidden("A patient/ scope needs a patient in context, and there is none.")
        return patient

    def _user(self) -> str:
        user = self.grant.principal.fhir_user if self.grant.principal else None
        if not user:
            raise Forbidden("A rule looks at the user's own resource, and there is none.")
        return user


def assumed(grant: Grant) -> Facts:
    """The facts that a decision by type alone needs: none that the store would have to tell."""
    principal = grant.principal
    if principal is None:
        return Facts()
    kind, _, id = (principal.fhir_user or "").partition("/")
    own: Iterable[str] = (id,) if kind == PATIENT else ()
    if kind == "RelatedPerson" and principal.patient:
        own = (principal.patient,)
    return Facts(frozenset(own))


_VERBS: Final = {
    "c": "create",
    "r": "read",
    "u": "update",
    "d": "delete",
    "s": "search",
}
