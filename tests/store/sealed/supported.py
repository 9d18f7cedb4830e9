"""What a sealed store answers, among generated cases: the rest it refuses."""

from __future__ import annotations

from strategies.search_documents import Case

from fhirserver.errors import NotSupported
from fhirserver.search.expression import Expression, Query, SortKey
from fhirserver.store.sealed.blinding import Blinding
from fhirserver.store.sealed.fields import Fields


def supported(case: Case, *further: str) -> Case:
    """The case without the conditions and orders that are refused."""
    blinding = Blinding(bytes(32), Fields(further))

    def is_answered(where: Expression, sort: tuple[SortKey, ...]) -> bool:
        try:
            blinding.query(Query((), where, sort))
        except NotSupported:
            return False
        return True

    return case._replace(
        expressions=[one for one in case.expressions if is_answered(one, ())],
        sorts=[one for one in case.sorts if is_answered(Query(()).where, one)],
    )
