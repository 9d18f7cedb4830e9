"""What validation cannot tell by itself, for whoever can look it up.

Validation never waits: it gives its findings and these questions; the caller answers them
all together, and tells with `unanswered` what remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

from fhirserver.definitions.structure import Context
from fhirserver.model.outcome import Issue, Severity

_NAMED: Final = 5  # names of a code that are told
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Question:
    """`expression` is the place that it is about."""

    expression: str

    is_error: ClassVar[bool] = False
    text: ClassVar[str] = ""

    def under(self, place: str) -> Self:
        """The same question, seen from the value that holds `place`."""
        return replace(self, expression=place + self.expression)

    def unanswered(self, *, strict: bool = False) -> Issue | None:
        """What to tell of it when nobody knows; `strict` takes nothing that is not known."""
        return None


@dataclass(frozen=True, slots=True)
class CodeQuestion(Question):
    """Whether one of some codes, as (system, code), is in a value set; if not, `issue` is told."""

    codes: tuple[tuple[str | None, str], ...]
    value_set: str
    issue: Issue

    def under(self, place: str) -> Self:
        return type(self)(place + self.expression, self.codes, self.value_set, self.issue)

    def refused(self) -> Issue:
        """The finding that the codes are not in the value set."""
        return replace(self.issue, expression=self.expression)


@dataclass(frozen=True, slots=True)
class SystemQuestion(Question):
    """Whether a code system has a code that it has not among the definitions."""

    system: str
    code: str

    def under(self, place: str) -> Self:
        return type(self)(place + self.expression, self.system, self.code)

    def unanswered(self, *, strict: bool = False) -> Issue | None:
        text = f"The code system '{self.system}' has no code '{self.code}'."
        return Issue("error" if strict else "warning", "code-invalid", self.expression, text)


@dataclass(frozen=True, slots=True)
class DisplayQuestion(Question):
    """Whether a display is one of the names of a code, whose system is not packaged."""

    system: str
    version: str | None
    code: str
    display: str

    def under(self, place: str) -> Self:
        at = place + self.expression
        return type(self)(at, self.system, self.version, self.code, self.display)


@dataclass(frozen=True, slots=True)
class InvariantQuestion(Question):
    """Whether an invariant is met that gives neither true nor false, as of times that overlap."""

    rule: str

    def unanswered(self, *, strict: bool = False) -> Issue | None:
        return Issue("error", "invariant", self.expression, self.rule) if strict else None


@dataclass(frozen=True, slots=True)
class Doubt(Question):
    """What the standard allows and hardly anybody means; `reason` tells the finding."""

    code: str
    reason: str

    def unanswered(self, *, strict: bool = False) -> Issue | None:
        severity: Severity = "error" if strict else "warning"
        return Issue(severity, self.code, self.expression, self.reason)


@dataclass(frozen=True, slots=True)
class ReferenceQuestion(Question):
    """Whether a reference really leads to a `found`, as the caller said; not one of `types`."""

    found: str
    types: frozenset[str]

    def unanswered(self, *, strict: bool = False) -> Issue | None:
        return wrong_target(self.found, self.types, self.expression)


@dataclass(frozen=True, slots=True)
class QuestionnaireQuestion(Question):
    """The Questionnaire of a canonical URL, which answers are to be held against."""

    url: str


@dataclass(frozen=True, slots=True)
class ProfileQuestion(Question):
    """The StructureDefinition of a canonical URL, which is not among the definitions."""

    url: str

    def under(self, place: str) -> Self:
        return type(self)(place + self.expression, self.url)  # the frequent one, so soon

    def unanswered(self, *, strict: bool = False) -> Issue | None:
        text = f"The profile '{self.url}' is not known here, so it was not checked."
        return Issue("warning", "not-found", self.expression, text)


@dataclass(frozen=True, slots=True)
class ExtensionQuestion(ProfileQuestion):
    """The StructureDefinition of an extension."""

    def unanswered(self, *, strict: bool = False) -> Issue | None:
        text = f"The extension '{self.url}' is not known here, so its content was not checked."
        return Issue("error" if strict else "warning", "extension", self.expression, text)


@dataclass(frozen=True, slots=True)
class Standing(Question):
    """Whether an extension may stand where it does, for the resource around to tell.

    It may in one of `contexts`, if there are any, where all `invariants` hold.
    """

    url: str
    contexts: tuple[Context, ...]
    invariants: tuple[str, ...] = ()


def wrong_target(type: str, types: frozenset[str], expression: str = "") -> Issue:
    """The finding that a reference leads to a resource of the wrong type."""
    wanted = ", ".join(sorted(types))
    text = f"Expected a reference to {wanted}, found one to a {type}."
    return Issue("error", "value", expression, text)


def same_display(one: str, other: str) -> bool:
    """Whether two names are the same but for case and white space."""
    return one == other or one.casefold().split() == other.casefold().split()


def wrong_display(code: str, given: str, names: Sequence[str], expression: str = "") -> Issue:
    """The finding that a display is none of the names of a code."""
    known = " or ".join(f"'{name}'" for name in names[:_NAMED])
    text = f"Expected the display of '{code}' to be {known}, found '{given[:_SHOWN]}'."
    return Issue("warning", "code-invalid", expression, text)
