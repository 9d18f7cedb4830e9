"""What can be wrong with a FHIRPath expression, with the place in its text.

FhirPathError                 400
+- FhirPathSyntaxError        it is not FHIRPath
+- FhirPathTypeError          it cannot make sense on the type it is meant for
+- FhirPathExecutionError     it failed on the given data
   +- FhirPathLimitError      it has too much to do on them
"""

from __future__ import annotations

from typing import NamedTuple

from fhirserver.errors import Invalid


class Position(NamedTuple):
    """A place in an expression; both count from 1."""

    line: int
    column: int


def position(text: str, offset: int) -> Position:
    """The line and column of an offset in a text."""
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - before.rfind("\n"))


class FhirPathError(Invalid):
    """A refusal of an expression; `line` and `column` are None where no place is known."""

    def __init__(self, text: str, place: Position | None = None) -> None:
        super().__init__(text)
        self.line: int | None = None
        self.column: int | None = None
        if place is not None:
            self.locate(place)

    def locate(self, place: Position) -> None:
        """Adds the place to an error that has none yet; the innermost place stays."""
        if self.line is None:
            self.line, self.column = place
            self.text = f"{self.text} (line {place.line}, column {place.column})"
            self.args = (self.text,)


class FhirPathSyntaxError(FhirPathError):
    pass


class FhirPathTypeError(FhirPathError):
    pass


class FhirPathExecutionError(FhirPathError):
    pass


class FhirPathLimitError(FhirPathExecutionError):
    pass
