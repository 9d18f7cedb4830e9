"""Which value set an operation is about: sent, called on, or named by its URL."""

from __future__ import annotations

from collections.abc import Callable

from fhirserver.errors import Invalid
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Request
from fhirserver.model.json import Resource
from fhirserver.operations.arguments import Arguments
from fhirserver.operations.terminology.asking import instance
from fhirserver.operations.terminology.element_context import bound_value_set
from fhirserver.terminology.concept import canonical
from fhirserver.terminology.environment import Environment


async def asked_for(
    context: Context, request: Request, given: Arguments
) -> Callable[[Environment], Resource]:
    """How to get the value set. Raises `Invalid` where none is meant.

    It is the one sent, or called on, or of the URL, or that the element `context` is bound to.
    """
    if given.one("contextDirection") not in (None, "incoming", "outgoing"):
        raise Invalid("contextDirection is incoming or outgoing.")
    found = await instance(context, request) or given.one("valueSet")
    if found is not None:
        if found.get("resourceType") != "ValueSet":
            raise Invalid("'valueSet' is a ValueSet.")
        sent: Resource = found
        return lambda environment: sent
    url = given.one("url")
    if not url and given.one("context") is not None:
        url = await bound_value_set(context, given.one("context"))
    if not url:
        raise Invalid("Say which value set: give url or valueSet, or call [base]/ValueSet/[id].")
    reference = url if "|" in url else canonical(url, given.one("valueSetVersion"))
    return lambda environment: environment.value_set(reference)
