"""How a search is refused.

A parameter, modifier or prefix that is not understood is `Unsupported`: lenient handling
leaves it out and says so (https://hl7.org/fhir/R4/search.html#errors). A value that does not
fit its parameter is `Invalid` whatever the handling.
"""

from __future__ import annotations

from collections.abc import Iterable

from fhirserver.errors import Invalid


class Unsupported(Invalid):
    """Not understood here; lenient handling may go on without it."""

    code = "not-supported"


def choice(names: Iterable[str]) -> str:
    """The names that a caller may choose from, in words: `a, b or c`."""
    *most, last = sorted(names)
    return f"{', '.join(most)} or {last}" if most else last
