"""The parameters of interactions other than search."""

from __future__ import annotations

from collections.abc import Collection

from fhirserver.errors import Invalid
from fhirserver.interactions.request import Request

OF_THE_EDGE = frozenset({"_format", "_pretty"})
"""Parameters that ask how an answer is written, not what it is."""


def check_parameters(request: Request, known: Collection[str] = ()) -> None:
    """Raises `Invalid` for a parameter that the interaction does not have.

    With lenient handling it is passed over (https://hl7.org/fhir/R4/search.html#errors).
    """
    if not request.parameters or request.handling == "lenient":
        return
    for name, _ in request.parameters:
        if name not in known and name not in OF_THE_EDGE:
            has = f"only {', '.join(sorted(known))}" if known else "none"
            raise Invalid(
                f"The interaction {request.interaction} has no parameter '{name}' ({has}). "
                "Leave it out, or send 'Prefer: handling=lenient'."
            )


def single(request: Request, name: str) -> str | None:
    """The value of a parameter that may be given once. Raises `Invalid` if it is repeated."""
    values = [value for key, value in request.parameters if key == name]
    if len(values) > 1:
        raise Invalid(f"Give {name} once.")
    return values[0] if values else None
