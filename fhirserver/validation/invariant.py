"""Invariants: the FHIRPath that must hold for an element.

https://hl7.org/fhir/R4/conformance-rules.html#constraints. One that gives nothing is held to
be met, unless the caller is strict: most are written so that absent elements pass.
"""

from __future__ import annotations

from collections.abc import Iterable

from fhirserver.definitions.element import Constraint
from fhirserver.fhirpath import Expression, FhirPathError, Node, Services, element, resource_node
from fhirserver.fhirpath import compile as compile_expression
from fhirserver.model.json import Json
from fhirserver.model.outcome import Issue, Severity
from fhirserver.validation.finding import Check, Finding, Found, warning
from fhirserver.validation.native import NATIVE, Rule
from fhirserver.validation.question import InvariantQuestion
from fhirserver.validation.scope import NOWHERE, Scope


def invariants(constraints: Iterable[Constraint], path: str) -> Check | None:
    """The check of some constraints on values at `path`, a type's name or a `Child.path`."""
    rules = [_Invariant(item, path) for item in constraints if item.expression]
    tested = [rule for rule in rules if not rule.is_settled]
    if not tested:
        return None
    if len(tested) == 1:
        return tested[0].check

    checks = [rule.check for rule in tested]

    def check(value: Json, scope: Scope = NOWHERE) -> Found:
        found: list[Finding] | None = None
        for rule in checks:
            bad = rule(value, scope)
            if bad is not None:
                found = bad if found is None else [*found, *bad]
        return found

    return check


class _Invariant:
    """One rule, compiled when FHIRPath is first needed for it."""

    def __init__(self, constraint: Constraint, path: str) -> None:
        self._constraint = constraint
        self._path = path
        self._native: Rule | None = NATIVE.get(constraint.expression)
        self._context: Node | None = None
        self._expression: Expression | None = None
        severity: Severity = "error" if constraint.severity == "error" else "warning"
        text = f"{constraint.human.rstrip('. ') or constraint.expression} ({constraint.key})."
        self._broken = Issue(severity, "invariant", "", text)

    @property
    def is_settled(self) -> bool:
        """Whether other checks tell it already."""
        return self._native is not None and self._native.__name__ == "_always"

    @property
    def check(self) -> Check:
        """The rule as a check, which asks the native one first."""
        native = self._native
        if native is None:
            return self

        def check(value: Json, scope: Scope = NOWHERE) -> Found:
            return None if native(value, scope) else self(value, scope)

        return check

    def __call__(self, value: Json, scope: Scope = NOWHERE) -> Found:
        holds = None
        if self._native is not None:
            holds = self._native(value, scope)
            if holds:
                return None
        if holds is None:
            try:
                holds = self._evaluate(value, scope)
            except FhirPathError as error:
                text = f"The rule {self._constraint.key} could not be evaluated: {error.text}"
                return [warning("processing", text)]
        if holds is None:
            return [InvariantQuestion("", self._broken.text)]
        return None if holds else [self._broken]

    def _evaluate(self, value: Json, scope: Scope) -> bool | None:
        if self._expression is None:
            self._expression = compile_expression(self._constraint.expression)
        if self._context is None:
            self._context = element(None, self._path)
        node = Node(value, self._context.shape)
        if scope is NOWHERE:
            return self._expression.holds(node)
        resource, root, services = surroundings(scope)
        return self._expression.holds(node, resource, root, services)


def surroundings(scope: Scope) -> tuple[Node, Node, Services]:
    """`%resource`, `%rootResource` and the services of a scope, for FHIRPath."""
    if scope.surroundings is None:
        resource = resource_node(scope.resource)
        root = resource if scope.root is scope.resource else resource_node(scope.root)
        services = Services(resolve=scope.target, conforms_to=scope.conforms)
        scope.surroundings = (resource, root, services)
    found: tuple[Node, Node, Services] = scope.surroundings
    return found
