"""The object that a selection makes, field by field.

https://hl7.org/fhir/R4/graphql.html#flatten: with @flatten several elements give their fields
to one object, so that a name may come again; its values then are a list.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhirserver.errors import Invalid
from fhirserver.model.json import Json


class Output:
    """An object under way; names are in the order in which they came first."""

    def __init__(self) -> None:
        self._values: dict[str, list[Json]] = {}
        self._lists: set[str] = set()

    def put(self, name: str, values: Sequence[Json], *, many: bool) -> None:
        """Adds values, which are a list where there may be `many` of them. None are nothing."""
        if not values:
            return
        if name in self._values or len(values) > 1:
            many = True
        self._values.setdefault(name, []).extend(values)
        if many:
            self._lists.add(name)

    def put_single(self, name: str, values: Sequence[Json]) -> None:
        """Adds the one value there may be. Raises `Invalid` for another."""
        if not values:
            return
        if len(values) > 1 or name in self._values:
            raise Invalid(f"'{name}' is said to be a @singleton, but has several values.")
        self._values[name] = list(values)

    def value(self) -> dict[str, Json]:
        """The object as JSON."""
        return {
            name: values if name in self._lists else values[0]
            for name, values in self._values.items()
        }
