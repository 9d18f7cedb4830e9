"""What a custom search parameter says that it cannot be asked.

https://hl7.org/fhir/R4/searchparameter-definitions.html: `modifier`, `multipleOr`,
`multipleAnd`, `chain`. What `comparator` and `target` leave out is refused for all parameters,
where their values are read.
"""

from __future__ import annotations

from fhirserver.definitions.search_parameter import SearchParameter
from fhirserver.search.refusal import Unsupported, choice

_MODIFIERS = {"of-type": "ofType"}  # as https://hl7.org/fhir/R4/valueset-search-modifier-code.html


def check_restrictions(
    found: SearchParameter, modifier: str, values: tuple[str, ...], *, again: bool
) -> None:
    """Raises `Unsupported` for what the parameter does not take.

    `again`: the search asked by it before.
    """
    if len(values) > 1 and not found.multiple_or:
        raise Unsupported(f"'{found.code}' takes one value, and no alternatives.")
    if again and not found.multiple_and:
        raise Unsupported(f"'{found.code}' can be given once in a search.")
    if modifier and found.modifiers:
        name = "type" if modifier[:1].isupper() else _MODIFIERS.get(modifier, modifier)
        if name not in found.modifiers:
            allowed = choice(f":{item}" for item in found.modifiers)
            raise Unsupported(f"'{found.code}' does not take ':{modifier}': use {allowed}.")


def check_chain(found: SearchParameter, rest: str) -> None:
    """Raises `Unsupported` where the parameter names what may be chained, and not this."""
    if not found.chains:
        return
    code = rest.partition(".")[0].partition(":")[0]
    if code not in {item.rpartition(".")[2] for item in found.chains}:
        raise Unsupported(f"'{found.code}' does not chain to '{code}': use {choice(found.chains)}.")
