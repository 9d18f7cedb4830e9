"""The Prefer header (RFC 7240; https://hl7.org/fhir/R4/http.html#ops, #search).

`return` says what a write answers with, `handling` what becomes of unknown parameters.
Preferences that are unknown, or have unknown values, are passed over as the RFC says.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from fhirserver.interactions.request import Handling, Return
from fhirserver.rest.asgi import HeaderList

_PREFERENCE = re.compile(r'[ \t]*([A-Za-z-]+)[ \t]*=[ \t]*"?([A-Za-z-]+)"?[ \t]*', re.ASCII)

_RETURNS: dict[str, Return] = {
    "minimal": "minimal",
    "representation": "representation",
    "operationoutcome": "OperationOutcome",
}
_HANDLINGS: dict[str, Handling] = {"strict": "strict", "lenient": "lenient"}


class Preferences(NamedTuple):
    """What a caller prefers; None where nothing is said."""

    returned: Return | None = None
    handling: Handling | None = None


_RETURNING = frozenset(
    {"create", "update", "conditional-update", "patch", "conditional-patch", "transaction", "batch"}
)

NO_PREFERENCES = Preferences()


@lru_cache(maxsize=256)
def preferences(prefer: bytes) -> Preferences:
    """The preferences of a Prefer header; of a repeated one the first counts."""
    returned: Return | None = None
    handling: Handling | None = None
    for text in re.split(r"[,;]", prefer.decode("latin-1")):
        found = _PREFERENCE.fullmatch(text)
        if found is None:
            continue
        name, value = found[1].lower(), found[2].lower()
        if name == "return" and returned is None:
            returned = _RETURNS.get(value)
        elif name == "handling" and handling is None:
            handling = _HANDLINGS.get(value)
    return Preferences(returned, handling)


def applied(asked: Preferences, interaction: str) -> HeaderList:
    """The Preference-Applied header (RFC 7240, 3) of the preferences that the answer follows."""
    words = []
    if asked.returned is not None and interaction in _RETURNING:
        words.append(f"return={asked.returned}")
    if asked.handling is not None and interaction.startswith("search"):
        words.append(f"handling={asked.handling}")
    return [(b"preference-applied", ", ".join(words).encode())] if words else []
