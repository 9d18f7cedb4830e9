"""The prefixes of ordered values: `ge2020`, `lt5.4`.

https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

import re
from typing import cast, get_args

from fhirserver.search.expression import Comparator
from fhirserver.search.parameter import Parameter
from fhirserver.search.refusal import Unsupported, choice

COMPARATORS: tuple[Comparator, ...] = get_args(Comparator)
_PREFIXED = re.compile(r"([A-Za-z]{2})(?=[-+\d.])")


def split_prefix(parameter: Parameter, text: str) -> tuple[Comparator, str]:
    """The comparator of a value (eq if it has none) and what follows.

    Raises `Unsupported` for a prefix that the parameter does not take.
    """
    found = _PREFIXED.match(text)
    if not found:
        return "eq", text
    allowed = parameter.definition.comparators or COMPARATORS
    prefix = found.group(1)
    if prefix not in allowed:
        raise Unsupported(f"'{prefix}' is not a prefix that fits here: use {choice(allowed)}.")
    return cast(Comparator, prefix), text[found.end() :]
